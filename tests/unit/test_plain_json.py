import json
from datetime import date, datetime, timedelta, timezone

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xfworker.domain.errors import InvalidParameter
from xfworker.domain.json_value import json_violations
from xfworker.services.script.plain_json import plain_json

strings = st.text(st.characters(), max_size=4) | st.sampled_from(["\ud800", "a\x00b", "\U0001f9b4"])
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | strings | st.just(10**400),
    lambda inner: st.lists(inner, max_size=3) | st.tuples(inner) | st.dictionaries(strings, inner, max_size=3),
    max_leaves=8,
)


@given(values)
def test_what_a_script_may_save_a_server_keeps_and_nothing_else(value):
    if refused_by_server := json_violations({"outputs": value}):
        with pytest.raises(InvalidParameter) as refused:
            plain_json(value, "outputs")
        assert list(refused.value.faults) == refused_by_server
    else:
        plain = plain_json(value, "outputs")
        assert json.loads(json.dumps(plain, allow_nan=False)) == plain


def test_a_value_may_be_sixty_four_levels_deep_and_no_deeper():
    value = []
    for _ in range(63):
        value = [value]
    assert json_violations(value) == []
    assert "more than 64 levels deep" in json_violations([value])[0]


def test_a_value_that_contains_itself_is_refused():
    value = {}
    value["self"] = value
    with pytest.raises(InvalidParameter, match="does it contain itself"):
        plain_json(value, "outputs")


class Nat(datetime):
    """As pandas has it: a datetime that differs from itself."""

    def __eq__(self, other):
        return False

    def __ne__(self, other):
        return True

    __hash__ = datetime.__hash__


class Tensor:
    """As several libraries have it: ``size`` is a method."""

    dtype = "float32"
    shape = (2,)

    def size(self):
        return self.shape

    def tolist(self):
        return [1.0, 2.0]


class Exchanged:
    """An array that offers nothing but numpy's protocol."""

    def __array__(self, dtype=None, copy=None):
        return np.array([[1, 2]])


class Elsewhere(Tensor):
    def tolist(self):
        raise RuntimeError("the tensor is on another device")


class Table:
    columns = ("a",)

    def to_dict(self):
        return {"a": [1]}


class ColumnTable:
    columns = ([1],)

    def __array__(self, dtype=None, copy=None):
        return np.array([[1]])

    def to_pydict(self):
        return {"a": [1]}


class Quantity(Tensor):
    unit = "mm"

    def to_value(self):
        return 1.0


class UnitArray(np.ndarray):
    units = "mm"

    def to_value(self):
        return self.view(np.ndarray)


class Magnitude(Tensor):
    units = "mm"
    magnitude = 1.0


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (np.float32(0.5), 0.5),
        (np.arange(3), [0, 1, 2]),
        (np.array(3), 3),
        (np.datetime64("2024-03-31"), "2024-03-31"),
        (date(2024, 3, 31), "2024-03-31"),
        (datetime(2024, 3, 31, 2, 30, tzinfo=timezone(timedelta(hours=2))), "2024-03-31T00:30:00.000000Z"),
        (Tensor(), [1.0, 2.0]),
        (Exchanged(), [[1, 2]]),
        (np.ma.array([1, 2], mask=[False, True]), [1, None]),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_libraries_compute_is_taken_as_what_it_says(value, expected):
    assert plain_json({"x": [value]}, "outputs") == {"x": [expected]}


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (np.datetime64("2024-03-31T02:30", "ns"), "without a time zone"),
        (np.datetime64("2024-03-31T02:30", "s"), "without a time zone"),
        (np.array(["2024-03-31T02:30"], "M8[ns]"), "without a time zone"),
        (datetime(2024, 3, 31, 2, 30), "without a time zone"),  # noqa: DTZ001
        (np.datetime64("NaT"), "NaT"),
        (np.array(["2024-03-31", "NaT"], "M8[D]"), "NaT"),
        (Nat(2024, 3, 31), "NaT"),
        (np.timedelta64(90, "s"), "seconds as a number"),
        (np.timedelta64(90, "ns"), "seconds as a number"),
        (timedelta(seconds=90), "seconds as a number"),
        (np.array([(1, 2.0)], dtype=[("a", "i4"), ("b", "f4")]), "names of its fields"),
        (np.datetime64("2024-03"), "not a day"),
        (np.array(["2024"], "M8[Y]"), "not a day"),
        (Table(), "create_output_csv"),
        (ColumnTable(), "create_output_csv"),
        (Quantity(), "quantity in mm"),
        (np.ones(2).view(UnitArray), "quantity in mm"),
        (Magnitude(), "quantity in mm"),
        (Elsewhere(), "on another device"),
        (np.zeros(100_001), "too long for a record"),
        (np.complex64(1), "expected a JSON value"),
    ],
    ids=lambda value: getattr(type(value), "__name__", None) if not isinstance(value, str) else value[:12],
)
def test_what_has_no_sure_meaning_is_refused_with_its_path(value, reason):
    with pytest.raises(InvalidParameter, match=rf"outputs\.x(\[0\])?: .*{reason}"):
        plain_json({"x": value}, "outputs")


def test_what_pandas_computes_becomes_plain_values():
    plain = plain_json(
        {
            "column": pd.Series([1, 2], index=["r1", "r2"], dtype="Int64"),
            "groups": pd.Series(["a", "b"], dtype="category"),
            "moment": pd.Timestamp("2026-01-02T03:04:05", tz="Europe/Zurich"),
            "index": pd.Index([1.5, 2.5]),
        },
        "outputs",
    )
    assert plain == {
        "column": [1, 2],
        "groups": ["a", "b"],
        "moment": "2026-01-02T02:04:05.000000Z",
        "index": [1.5, 2.5],
    }


@pytest.mark.parametrize(
    ("value", "path"),
    [
        (pd.NaT, "outputs.value"),
        (pd.Timestamp("2026-01-02"), "outputs.value"),
        (pd.Timedelta("90s"), "outputs.value"),
        (pd.Series(pd.to_datetime(["2026-01-02"])), r"outputs.value\[0\]"),
        (pd.Series([1, None], dtype="Int64"), r"outputs.value\[1\]"),
        (pd.Series([1.5, None]), r"outputs.value\[1\]"),
        (pd.DataFrame({"a": [1]}), "outputs.value"),
        (pd.Period("2026-01"), "outputs.value"),
    ],
)
def test_what_pandas_has_and_json_has_not_is_refused_with_its_path(value, path):
    with pytest.raises(InvalidParameter, match=path):
        plain_json({"value": value}, "outputs")


class Borrowed:
    """An array that offers nothing but the exchange of its memory."""

    def __init__(self, array):
        self._array = array

    def __dlpack__(self, **options):
        return self._array.__dlpack__(**options)

    def __dlpack_device__(self):
        return self._array.__dlpack_device__()


class Made:
    """What numpy can make an array of."""

    def __init__(self, array):
        self._array = array

    def __array__(self, dtype=None, copy=None):
        return self._array


class Length:
    dtype, magnitude = "float64", 3.0


def test_arrays_are_taken_by_whatever_they_offer_and_what_holds_no_json_is_refused():
    assert plain_json(Borrowed(np.array([1.0, 2.0])), "outputs") == [1.0, 2.0]
    assert plain_json(Made(np.array(5)), "outputs") == 5
    assert plain_json(Made(np.array([1, "a"], dtype=object)), "outputs") == [1, "a"]
    assert len(plain_json(np.zeros(100_000, np.uint8), "outputs")) == 100_000
    for value, said in (
        (Made(np.array(object(), dtype=object)), "expected a JSON value, got Made"),
        (np.complex128(1j), "expected a JSON value, got complex128"),
        (np.bytes_(b"x"), "expected a JSON value, got bytes_"),
        (Length(), "a quantity in some unit would lose its unit"),
        (np.zeros(100_001, np.uint8), "an array of 100001 values is too long"),
    ):
        with pytest.raises(InvalidParameter, match=said):
            plain_json(value, "outputs")
