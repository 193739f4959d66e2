"""
Versions of servers and clients that differ: what an older one does not know, and what a newer one adds.

What is under test plays both sides of the protocol as it is; a version is a layer around it that changes messages on
their way in and out, by the protocol's rules for growing (docs/protocol.md): unknown keys are kept, a claim without an
offer gets no job that declares needs, an ending that a server does not know is refused and said in older words.
"""

from enum import Enum

from xfworker.domain.errors import InvalidRecord

NEW_KEY = "of_a_later_version"
NEW_KEYS = {NEW_KEY: {"since": 2}}
"""What nobody here knows, and must be kept."""


class Version(Enum):
    """Which version a process has, as seen from this one."""

    OLDER = "older"
    THIS = "this"
    NEWER = "newer"
    OTHER = "other"
    """A server of the next version of the protocol, which has no route of this one."""


OF_SERVERS = (Version.THIS, Version.OLDER, Version.OLDER, Version.NEWER, Version.NEWER, Version.OTHER)
OF_WORKERS = (Version.THIS, Version.OLDER, Version.NEWER)


def sent_by(version, method, path, body):
    """Give the body of a request as a client of a version sends it."""
    what = path.rpartition("/")[2]
    if body is None or method != "POST" or "/queue/" not in path:
        return body
    if version is Version.OLDER and what == "claims":
        return {key: value for key, value in body.items() if key != "offer"}
    if version is Version.OLDER and what == "ends":
        return _in_older_words(body)
    return with_new_keys(body) if version is Version.NEWER else body


def _in_older_words(body):
    outcome = body["outcome"]
    ending = "handed_back" if outcome["ending"] == "preempted" else outcome["ending"]
    return {**body, "outcome": {**outcome, "ending": ending}}


def received_by(version, path, body):
    """
    Give the body of a request as a server of a version understands it.

    Raises:
        InvalidRecord: It does not know a word of it.
    """
    if version is not Version.OLDER or body is None:
        return body
    if path.endswith("/claims"):
        return {key: value for key, value in body.items() if key != "offer"}
    if path.endswith("/ends") and body["outcome"]["ending"] == "preempted":
        raise InvalidRecord("the end: outcome.ending: 'preempted' is not a valid Ending")
    return body


def answered_by(version, body):
    """Give the body of an answer as a server of a version sends it."""
    return with_new_keys(body) if version is Version.NEWER else body


def with_new_keys(body):
    """Give a message with a key that this version does not know, in it and in each message in it."""
    made = {key: with_new_keys(value) if _is_message(key, value) else value for key, value in body.items()}
    for key in ("items", "leases"):
        if isinstance(made.get(key), list):
            made[key] = [with_new_keys(item) if isinstance(item, dict) else item for item in made[key]]
    return {**made, **NEW_KEYS}


def _is_message(key, value):
    return isinstance(value, dict) and key in {"lease", "job", "task", "task_type", "offer", "outcome"}
