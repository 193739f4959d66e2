"""
The session that scripts in this process get in place of the one that the environment names.

Whoever runs a script inside its own process (the testing kit, a notebook) provides the script's ports here, because the
documented call ``XFWorkerJob()`` takes none.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from xfworker.services.script.session import Session


class _Provided:
    def __init__(self) -> None:
        self.sessions: list[Session] = []


# One per process, as sys.argv and the working directory are, and not a context variable: a script's own threads must
# see it as well, and a thread starts with an empty context.
_provided = _Provided()


@contextmanager
def provided_session(session: Session) -> Iterator[None]:
    """Give ``session`` to every script that this process runs inside the ``with`` block; blocks may be nested."""
    _provided.sessions.append(session)
    try:
        yield
    finally:
        _provided.sessions.remove(session)


def current_session() -> Session | None:
    """Give the session of the innermost block, or ``None`` outside of all."""
    return _provided.sessions[-1] if _provided.sessions else None
