import pytest

from xfworker.domain.errors import (
    NotEnoughSpace,
    RecordConflict,
    ServerBusy,
    ServerUnreachable,
    TransferInterrupted,
    UsageError,
)
from xfworker.testing import Faults


def meet(faults, operation):
    try:
        faults.meet(operation, "job 1")
    except Exception as error:  # noqa: BLE001  the test looks at whatever was raised
        return type(error)
    return None


def test_a_failure_strikes_as_often_as_was_asked_and_no_more():
    faults = Faults()
    faults.fail_next("upload", times=2)
    assert [meet(faults, "upload") for _ in range(3)] == [TransferInterrupted, TransferInterrupted, None]


def test_other_operations_are_not_struck():
    faults = Faults()
    faults.fail_next("upload")
    assert meet(faults, "download") is None
    assert faults.pending == 1


def test_a_failure_can_wait_for_its_turn():
    faults = Faults()
    faults.fail_next("get", after=2)
    assert [meet(faults, "get") for _ in range(4)] == [None, None, ServerBusy, None]


@pytest.mark.parametrize(("group", "operation"), [("server", "update"), ("files", "stat"), ("any", "list")])
def test_a_group_strikes_each_of_its_operations(group, operation):
    faults = Faults()
    faults.fail_next(group, error=ServerUnreachable)
    assert meet(faults, operation) is ServerUnreachable


def test_an_error_can_be_given_as_it_is():
    faults = Faults()
    faults.fail_next("upload", error=NotEnoughSpace("the store is full"))
    with pytest.raises(NotEnoughSpace, match="the store is full"):
        faults.meet("upload", "job_result/1/a")


def test_one_operation_is_struck_once_even_where_two_failures_wait():
    faults = Faults()
    faults.fail_next("get")
    faults.fail_next("server", error=ServerUnreachable)
    assert [meet(faults, "get") for _ in range(3)] == [ServerBusy, ServerUnreachable, None]


@pytest.mark.parametrize(
    "wrong",
    [
        lambda faults: faults.fail_next("uplaod"),
        lambda faults: faults.fail_next("upload", times=0),
        lambda faults: faults.fail_next("upload", after=-1),
        lambda faults: faults.fail_next("update", error=RecordConflict),
        lambda faults: faults.conflict_next(times=0),
        lambda faults: faults.slow_down("upload", bytes_per_second=0),
        lambda faults: faults.slow_down("uplaod", seconds=1),
    ],
)
def test_what_makes_no_sense_is_refused_at_once(wrong):
    faults = Faults()
    with pytest.raises(UsageError):
        wrong(faults)
    assert faults.pending == 0


def test_time_is_the_delay_and_the_transfer():
    faults = Faults()
    faults.slow_down("upload", seconds=2, bytes_per_second=100)
    assert faults.seconds("upload", 1000) == 12
    assert faults.seconds("download", 1000) == 0
    faults.clear()
    assert faults.seconds("upload", 1000) == 0
