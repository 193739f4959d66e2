import json

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
