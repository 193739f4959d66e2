"""How long HTTP waits and how often it tries; the table ``[http]`` of the settings."""

from attrs import define


@define(frozen=True, kw_only=True, eq=False, repr=False)
class HttpLimits:
    """
    How long to wait and how often to try.

    Attributes:
        connect_seconds: For the connection to be made.
        read_seconds: For the next bytes of an answer.
        write_seconds: For the next bytes of a body to be taken.
        attempts: How often a request that may be repeated is sent when the network fails.
        backoff_seconds: The wait before the second attempt; it doubles up to 5 s, with jitter.
        patience_seconds: How long in all to wait for a server that asks to slow down (429, 503).
        connections: How many connections to the server are kept alive.
        answer_mib: How long an answer that is held in memory may be; files do not count.
    """

    connect_seconds: float = 10.0
    read_seconds: float = 60.0
    write_seconds: float = 60.0
    attempts: int = 4
    backoff_seconds: float = 0.25
    patience_seconds: float = 120.0
    connections: int = 8
    answer_mib: int = 512
