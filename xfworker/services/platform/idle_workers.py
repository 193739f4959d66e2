"""Which workers found nothing to do when they last asked."""


class IdleWorkers:
    """
    Remembers the workers whose last claim found nothing.

    They ask again every second, mostly for nothing, and so look first without keeping others from writing. What is
    remembered here changes only how they are answered, never what.
    """

    def __init__(self) -> None:
        self._serials: set[int] = set()

    def is_idle(self, worker_serial: int) -> bool:
        """Return whether a worker's last claim found nothing."""
        return worker_serial in self._serials

    def record(self, worker_serial: int, *, idle: bool) -> None:
        """Record whether a worker's claim found nothing."""
        if idle:
            self._serials.add(worker_serial)
        else:
            self._serials.discard(worker_serial)
