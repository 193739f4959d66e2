"""What a year may leave: nothing that nobody needs, and no job that costs more than those of the beginning."""

from collections import Counter
from datetime import timedelta

from attrs import define, field

from tests.simulation.calendar import DAY, HOUR
from tests.simulation.ledger import require
from xfworker.domain.bookkeeping import PersonalToken
from xfworker.domain.records import ActivityEvent, TaskType, Worker
from xfworker.services.platform.checkup import check_up
from xfworker.services.platform.tokens import ENDED_TOKENS_KEPT

_MARGIN = timedelta(hours=2)
_FAILED_KEPT_SECONDS = 7 * DAY
_UPLOADS_KEPT_SECONDS = 24 * HOUR
_MOST_TIMES = 2.0
_FIRST_MONTHS = 3
_MOST_LASTING = 3
_OWNED = TaskType, Worker


@define
class Growth:
    """
    Looks at the end of each month.

    Attributes:
        per_job: Transactions, and records looked at, for each attempt of a month.
    """

    world: object
    per_job: list[tuple[float, float]] = field(factory=list)
    _before: tuple[int, int, int] = (0, 0, 0)

    def look(self):
        """
        Look what there is, while nothing moves.

        Raises:
            ViolationError: Something is kept that nobody needs, or jobs cost more than they did.
        """
        world = self.world
        self._look_at_costs()
        self._look_at_records(world.server_time())
        findings = list(check_up(world.records, world.files))
        require(not findings, f"the check-up finds {findings}")
        old = [path for path, age in world.working_directories() if age > _FAILED_KEPT_SECONDS + DAY]
        require(not old, f"directories of jobs are left: {old}")
        # The check-up reads everything, which no job is charged with.
        self._before = self._costs()

    def _look_at_records(self, now):
        records, options = self.world.records, self.world.options
        since = now - timedelta(days=options.activity_days) - _MARGIN
        events = [event for event in records.all_of(ActivityEvent) if event.created_at < since]
        require(not events, f"{len(events)} events of before {since} are kept")
        since = now - timedelta(seconds=options.idempotency_key_seconds) - _MARGIN
        entries = records.entry_keys()
        old = [key for key, at in entries.items() if at is not None and at < since]
        require(not old, f"{len(old)} entries of before {since} are kept: {old[:3]}")
        owned = {f"owner:{kind.collection}/{record.serial}" for kind in _OWNED for record in records.all_of(kind)}
        lasting = [key for key, at in entries.items() if at is None and key not in owned]
        kinds = Counter(key.partition(":")[0] for key in lasting)
        many = {kind: count for kind, count in kinds.items() if count > _MOST_LASTING}
        require(not many, f"entries that are kept for ever: {many}")
        since = now - ENDED_TOKENS_KEPT - _MARGIN
        tokens = records.all_of(PersonalToken)
        ended = [token for token in tokens if token.expires_at is not None and token.expires_at < since]
        require(not ended, f"{len(ended)} tokens that ended before {since} are kept")

    def _look_at_costs(self):
        """Compare with the first months what a job costs."""
        jobs, transactions, looked_at = (
            after - before for after, before in zip(self._costs(), self._before, strict=True)
        )
        self.per_job.append((transactions / jobs, looked_at / jobs))
        if len(self.per_job) <= _FIRST_MONTHS:
            return
        firsts = [sum(costs) / _FIRST_MONTHS for costs in zip(*self.per_job[:_FIRST_MONTHS], strict=True)]
        for what, first, last in zip(("transactions", "records looked at"), firsts, self.per_job[-1], strict=True):
            require(last <= _MOST_TIMES * first, f"a job costs {last:.0f} {what}, and {first:.0f} in the first months")

    def _costs(self):
        records = self.world.records
        return self.world.ledger.ended, records.transactions, records.looked_at()
