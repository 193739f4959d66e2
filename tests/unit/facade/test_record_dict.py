"""Records as dicts with a memory."""

import copy
import json
import pickle

from hypothesis import given
from hypothesis import strategies as st

from xfworker.api.facade.record_dict import RecordDict
from xfworker.domain.change import Change, apply_to_json

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text("ab/~", max_size=3),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text("ab/~", max_size=2), inner, max_size=2),
    max_leaves=6,
)
RECORDS = st.dictionaries(st.sampled_from(["name", "metadata", "outputs", "state"]), VALUES, max_size=4)


@given(RECORDS, RECORDS)
def test_the_edits_lead_from_what_came_to_what_is(came, edited):
    record = RecordDict(came)
    record.clear()
    record.update(copy.deepcopy(edited))
    fields = copy.deepcopy(came)
    apply_to_json(fields, record.edits())
    assert fields == edited


@given(RECORDS, RECORDS)
def test_what_was_saved_is_no_edit_any_more(came, edited):
    record = RecordDict(came)
    record.clear()
    record.update(copy.deepcopy(edited))
    record.take(edited, saved=record.edits())
    assert record == edited
    assert not record.edits()


def test_edits_beyond_the_saved_ones_are_kept_on_the_fresh_record():
    record = RecordDict({"name": "", "metadata": {"a": 1}})
    record["name"] = "mine"
    record["metadata"]["b"] = 2
    saved = Change(values={"/metadata/b": 2})
    record.take({"name": "", "metadata": {"a": 5, "b": 2, "c": 3}}, saved=saved)
    assert record == {"name": "mine", "metadata": {"a": 5, "b": 2, "c": 3}}
    assert record.edits().values == {"/name": "mine"}


def test_it_is_a_dict_like_any_other():
    record = RecordDict({"name": "x", "metadata": {"a": [1]}})
    assert record == {"name": "x", "metadata": {"a": [1]}}
    assert repr(record) == repr(dict(record))
    assert json.loads(json.dumps(record)) == record
    for other in (copy.deepcopy(record), copy.copy(record), pickle.loads(pickle.dumps(record))):
        assert other == record
        assert not other.edits()
    assert type(dict(record)) is dict
    assert type(record.copy()) is dict


def test_what_came_is_not_changed_with_it():
    came = {"metadata": {"a": 1}}
    record = RecordDict(came)
    record["metadata"]["a"] = 2
    assert came == {"metadata": {"a": 1}}
    record.take(came)
    record["metadata"]["a"] = 3
    assert came == {"metadata": {"a": 1}}


class Watched(dict):
    """A dict that notes which keys were taken away."""

    def __init__(self, *args):
        super().__init__(*args)
        self.taken = []

    def clear(self):
        self.taken += self
        super().clear()

    def pop(self, key, *default):
        self.taken.append(key)
        return super().pop(key, *default)

    def __delitem__(self, key):
        self.taken.append(key)
        super().__delitem__(key)


def test_what_both_records_have_is_there_at_every_moment():
    record = RecordDict({"inputs": {}})
    inputs = record["inputs"] = Watched({"threshold": 5, "image": Watched({"a": 1}), "old": 1})
    record.take({"inputs": {"threshold": 6, "image": {"a": 2}, "new": 1}})
    assert record["inputs"] is inputs
    assert inputs == {"threshold": 6, "image": {"a": 2}, "new": 1}
    assert (inputs.taken, inputs["image"].taken) == (["old"], [])
