"""Which workers got no job when they last asked."""


class IdleWorkers:
    """
    Records the workers whose last claim got no job.

    They ask again every second, mostly for nothing, and so look first without keeping others from writing. What is
    recorded here changes only how they are answered, never what.
    """

    def __init__(self) -> None:
        self._serials: set[int] = set()

    def is_idle(self, worker_serial: int) -> bool:
        """Return whether a worker's last claim got no job."""
        return worker_serial in self._serials

    def record(self, worker_serial: int, *, idle: bool) -> None:
        """Record whether a worker's claim got no job."""
        if idle:
            self._serials.add(worker_serial)
        else:
            self._serials.discard(worker_serial)
