"""What every record can do: be compared, and be shown without its secrets."""

import pytest
from attrs import evolve

from xfworker.domain.bookkeeping import Account
from xfworker.domain.job import Job
from xfworker.domain.record import Record


def test_records_of_one_class_are_equal_where_every_field_is():
    job = Job(serial=3, task_serial=1, inputs={"threshold": 4}, extra={"later": True})
    assert job == evolve(job, inputs={"threshold": 4})
    assert job != evolve(job, attempt=1)
    assert job != evolve(job, extra={})
    assert job != evolve(job, serial=4)


def test_a_record_is_not_equal_to_one_of_another_class():
    assert Record(serial=3) != Account(serial=3, name="ann")
    assert Account(serial=3, name="ann") != Record(serial=3)
    assert Record(serial=3) != 3
    assert (Record(serial=3) == 3) is False


def test_a_record_shows_its_fields_without_its_secrets():
    shown = repr(Account(serial=3, name="ann", password_hash="argon2-of-ann"))
    assert shown.startswith("Account(serial=3, ")
    assert "name='ann'" in shown
    assert "argon2" not in shown


def test_a_record_has_no_hash_since_its_objects_have_none():
    with pytest.raises(TypeError, match="unhashable"):
        hash(Job(task_serial=1))
