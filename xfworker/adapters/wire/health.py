"""What a server says of itself to whoever asks."""

from attrs import define

from xfworker.adapters.wire.codec import Message


@define(frozen=True, kw_only=True)
class Health(Message):
    """That the server works."""

    status: str
    version: str
    running_jobs: int
