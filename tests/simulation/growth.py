"""What a year may leave: nothing that nobody needs, and no job that costs more than those of the beginning."""

from collections import Counter
from contextlib import contextmanager
from datetime import timedelta
from operator import add, sub

from attrs import astuple, define, field

from tests.simulation.calendar import DAY, HOUR
from tests.simulation.ledger import require
from xfworker.domain.bookkeeping import PersonalToken
from xfworker.domain.records import ActivityEvent, TaskType, Worker, Workflow
from xfworker.services.platform.checkup import check_up
from xfworker.services.platform.tokens import ENDED_TOKENS_KEPT

_MARGIN = timedelta(hours=2)
_FAILED_KEPT_SECONDS = 7 * DAY
_UPLOADS_KEPT_SECONDS = 24 * HOUR
_MOST_TIMES = 2.0
_FIRST_MONTHS = 3
_LAST_MONTHS = 3
_FEW_RECORDS = 20
_FEW_QUESTIONS = 10
_MOST_LOOKS_OF_DELETION = 4
_MOST_LASTING = 3
_OWNED = TaskType, Worker


@define
class _Costs:
    """How many jobs there were, and what they took: how often what was asked, and how many records that looked at."""

    jobs: int = 0
    transactions: int = 0
    asked: Counter = field(factory=Counter)
    looked_at: Counter = field(factory=Counter)

    def __add__(self, more):
        return _Costs(*map(add, astuple(self, recurse=False), astuple(more, recurse=False)))

    def __sub__(self, before):
        return _Costs(*map(sub, astuple(self, recurse=False), astuple(before, recurse=False)))


@define
class Growth:
    """
    Looks at the end of each month.

    Months differ: where jobs wait for a computer that was carried off, a month's few jobs bear the maintenance of
    weeks. What grows with the records that there are shows twice: in a question that looks at more records than it
    did, in any month; and in what a job costs, where not one of the last months is as cheap as the first were.

    Attributes:
        per_job: Transactions, and records looked at, for each attempt of a month.
    """

    world: object
    per_job: list[tuple[float, float]] = field(factory=list)
    _firsts: dict = field(factory=dict)
    _before: _Costs = field(factory=_Costs)

    def look(self):
        """
        Look what there is, while nothing moves.

        Raises:
            ViolationError: Something is kept that nobody needs, or jobs cost more than they did.
        """
        world = self.world
        self.look_at_costs()
        self._look_at_records(world.server_time())
        with self._apart():
            findings = list(check_up(world.records, world.files))
        require(not findings, f"the check-up finds {findings}")
        old = [path for path, age in world.working_directories() if age > _FAILED_KEPT_SECONDS + DAY]
        require(not old, f"directories of jobs are left: {old}")
        old = [name for name, age in world.unfinished_uploads() if age > _UPLOADS_KEPT_SECONDS + HOUR]
        require(not old, f"uploads that nobody goes on with are left: {old}")

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
        stopped = {f"stopped:workflows/{one.serial}" for one in records.all_of(Workflow) if one.obsolete}
        lasting = [key for key, at in entries.items() if at is None and key not in owned | stopped]
        kinds = Counter(key.partition(":")[0] for key in lasting)
        many = {kind: count for kind, count in kinds.items() if count > _MOST_LASTING}
        require(not many, f"entries that are kept for ever: {many}")
        since = now - ENDED_TOKENS_KEPT - _MARGIN
        tokens = records.all_of(PersonalToken)
        ended = [token for token in tokens if token.expires_at is not None and token.expires_at < since]
        require(not ended, f"{len(ended)} tokens that ended before {since} are kept")

    @contextmanager
    def deletion(self):
        """
        Look at what a deletion of files costs, by itself: any record may name a file, so it reads all that there are.

        Raises:
            ViolationError: It reads more than that.
        """
        with self._apart() as costs:
            yield
            looked_at, most = costs().looked_at.total(), _MOST_LOOKS_OF_DELETION * self.world.records.count()
        require(looked_at <= most, f"a deletion looked at {looked_at} records, and {most} are enough")

    @contextmanager
    def _apart(self):
        """Charge no job with what is done meanwhile; what is given says what that cost so far."""
        before = self._costs()
        try:
            yield lambda: self._costs() - before
        finally:
            self._before += self._costs() - before

    def look_at_costs(self):
        """Compare with the first months what a job costs, and each question."""
        now = self._costs()
        costs, self._before = now - self._before, now
        self._look_at_questions(costs)
        self.per_job.append((costs.transactions / costs.jobs, costs.looked_at.total() / costs.jobs))
        if len(self.per_job) < _FIRST_MONTHS + _LAST_MONTHS:
            return
        firsts = [sum(costs) / _FIRST_MONTHS for costs in zip(*self.per_job[:_FIRST_MONTHS], strict=True)]
        lasts = [min(costs) for costs in zip(*self.per_job[-_LAST_MONTHS:], strict=True)]
        for what, first, last in zip(("transactions", "records looked at"), firsts, lasts, strict=True):
            require(last <= _MOST_TIMES * first, f"a job costs {last:.1f} {what}, and {first:.1f} in the first months")

    def _look_at_questions(self, costs):
        for question, times in costs.asked.items():
            if times < _FEW_QUESTIONS:
                continue
            last = costs.looked_at[question] / times
            firsts = self._firsts.setdefault(question, [])
            if len(firsts) < _FIRST_MONTHS:
                firsts.append(last)
                continue
            first = sum(firsts) / _FIRST_MONTHS
            require(
                last <= _MOST_TIMES * first + _FEW_RECORDS,
                f"to ask for {question} looks at {last:.0f} records, and at {first:.0f} in the first months",
            )

    def _costs(self):
        records = self.world.records
        asked, looked_at = records.questions()
        return _Costs(self.world.ledger.ended, records.transactions, asked, looked_at)
