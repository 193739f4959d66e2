"""The content of the files that scripts store: it says whose it is, and whether it is complete."""

import hashlib
import json

RESULT = "result.bin"
IMAGE = "result.omni"
WRITTEN = "written"
"""The key of an image's metadata that says the same as its pixels."""


def content_of(job, value):
    """Give what an attempt writes: it says whose it is, and whether it is complete."""
    head = f"{job['serial']} {job['attempt']} {job['started_at']} {value}"
    return f"{head} {hashlib.sha256(head.encode()).hexdigest()}".encode()


def read_content(content):
    """Give job, attempt, its start and its value of what an attempt wrote; a part of it is an error."""
    text = content.decode()
    if text.startswith("{"):
        text = json.loads(text)[WRITTEN]
    *head, digest = text.split(" ")
    assert hashlib.sha256(" ".join(head).encode()).hexdigest() == digest, f"half a file: {content!r}"
    serial, attempt, started_at, value = head
    return int(serial), int(attempt), started_at, int(value)
