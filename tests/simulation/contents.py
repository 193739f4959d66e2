"""The content of the files that scripts store: it says whose it is, and whether it is complete."""

import hashlib

RESULT = "result.bin"


def content_of(job_serial, attempt, value):
    """Give what an attempt writes: it says whose it is, and whether it is complete."""
    head = f"{job_serial} {attempt} {value}"
    return f"{head} {hashlib.sha256(head.encode()).hexdigest()}".encode()


def read_content(content):
    """Give job, attempt and value of what an attempt wrote; a part of it is an error."""
    *head, digest = content.decode().split(" ")
    assert hashlib.sha256(" ".join(head).encode()).hexdigest() == digest, f"half a file: {content!r}"
    return tuple(int(word) for word in head)
