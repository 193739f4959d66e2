"""What counts as growth in a simulated year, and what only is a month unlike others."""

from types import SimpleNamespace

import pytest
from attrs import define, field

from tests.simulation.growth import Growth
from tests.simulation.ledger import ViolationError
from tests.simulation.luck import Luck
from tests.simulation.records import SimulatedRecords
from xfworker.domain.records import ActivityEvent

BY_INDEX = {"serial": 7}


@define
class Laboratory:
    """Does as much in each month as the one before, with as many transactions as are asked for."""

    records: SimulatedRecords = field(factory=lambda: SimulatedRecords(Luck(1), lambda _: None))
    ledger: SimpleNamespace = field(factory=lambda: SimpleNamespace(ended=0))
    growth: Growth = field(init=False)

    @growth.default
    def _own_growth(self):
        return Growth(self)

    def months(self, *asks, where):
        """Let months pass in which so often something is asked."""
        for times in asks:
            self.ledger.ended += 50
            with self.records.transaction() as transaction:
                for number in range(50):
                    transaction.insert(ActivityEvent(title=str(number)))
            self.ask(times, where)
            self.growth.look_at_costs()

    def ask(self, times, where):
        for _ in range(times):
            with self.records.transaction(write=False) as transaction:
                transaction.find(ActivityEvent, where)

    def delete(self, *, looks):
        with self.growth.deletion():
            self.ask(looks, {})


def test_a_question_that_looks_at_more_records_from_month_to_month_is_growth():
    with pytest.raises(ViolationError, match="all activity-events looks at 250 records, and at 100 in the first"):
        Laboratory().months(*[20] * 12, where={})


def test_a_question_that_finds_what_it_looks_for_by_an_index_is_none():
    Laboratory().months(*[20] * 12, where=BY_INDEX)


def test_a_month_in_which_much_more_was_asked_is_no_growth():
    Laboratory().months(*[20] * 6, 200, 20, 20, 200, 20, 20, where=BY_INDEX)


def test_jobs_that_cost_more_for_months_on_end_are_growth():
    laboratory = Laboratory()
    laboratory.months(*[20] * 6, 200, 200, where=BY_INDEX)
    with pytest.raises(ViolationError, match=r"a job costs 4\.0 transactions, and 0\.4 in the first months"):
        laboratory.months(200, where=BY_INDEX)


def test_a_deletion_reads_what_there_is_a_few_times_and_no_job_is_charged_with_it():
    laboratory = Laboratory()
    for _ in range(12):
        laboratory.delete(looks=4)
        laboratory.months(20, where=BY_INDEX)
    with pytest.raises(ViolationError, match="a deletion looked at 3000 records, and 2400 are enough"):
        laboratory.delete(looks=5)
