"""Sort orders: always room between two, whoever made them."""

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from xfworker.api.facade import xfsortorder
from xfworker.domain.errors import InvalidParameter
from xfworker.domain.sort_order import greatest, sort_order_after, sort_order_between, sort_orders_between

ORDERS = st.text(alphabet="0123456789ABCXYZabcxyz", max_size=6)


@given(ORDERS, ORDERS)
def test_what_lies_between_sorts_between(one, other):
    assume(one != other)
    low, high = sorted([one, other])
    try:
        found = sort_order_between(low, high)
    except InvalidParameter:
        assert high.startswith(low)
        assert set(high[len(low) :]) <= {"0"}
        return
    assert low < found < high


@given(st.text(max_size=10))
def test_there_is_always_one_behind(last):
    assert sort_order_after(last) > last


@given(st.lists(st.integers(min_value=0, max_value=1000), min_size=1, max_size=60))
def test_inserting_anywhere_again_and_again_keeps_the_order(places):
    orders = [sort_order_after(None)]
    for place in places:
        at = place % (len(orders) + 1)
        before = orders[at - 1] if at else None
        after = orders[at] if at < len(orders) else None
        orders.insert(at, sort_order_between(before, after))
    assert orders == sorted(set(orders))


@pytest.mark.parametrize(("low", "high"), [(None, None), ("a0", None), (None, "a0"), ("a0", "a1"), ("x", "y")])
@pytest.mark.parametrize("count", [0, 1, 2, 100])
def test_several_are_made_in_order(low, high, count):
    found = sort_orders_between(low, high, count)
    assert len(found) == count
    assert [low or "", *found, high or "~"] == sorted({low or "", *found, high or "~"})


def test_a_thousand_between_two_neighbours_stay_short():
    assert max(map(len, sort_orders_between("a0", "a1", 1000))) <= 8


@pytest.mark.parametrize(("low", "high"), [("b", "a"), ("a", "a"), ("a", "a0"), ("a", "a00")])
def test_where_there_is_no_room_it_is_told(low, high):
    with pytest.raises(InvalidParameter, match="no sort order lies between"):
        sort_order_between(low, high)


@pytest.mark.parametrize("count", [-1, 1.5, True, None])
def test_a_count_must_be_a_count(count):
    with pytest.raises(InvalidParameter, match="count"):
        sort_orders_between(None, None, count)


@pytest.mark.parametrize(("low", "high"), [("b", "a"), ("a", "a")])
def test_bounds_out_of_order_are_refused_however_many_are_asked_for(low, high):
    for ask in (lambda: sort_order_between(low, high), lambda: sort_orders_between(low, high, 0)):
        with pytest.raises(InvalidParameter, match="the first must sort before the second"):
            ask()


@pytest.mark.parametrize(("low", "high"), [(1, "a"), ("a", 1), (b"a", None)])
def test_a_bound_that_is_not_a_string_is_refused(low, high):
    with pytest.raises(InvalidParameter, match="sort orders are strings"):
        sort_order_between(low, high)


def test_more_than_a_million_are_not_made_at_once():
    with pytest.raises(InvalidParameter, match="from 0 to 1000000"):
        sort_orders_between("a0", "a1", 1_000_001)


def test_beside_what_other_rules_made_the_new_ones_are_short():
    assert sort_order_after("x!") == "x!V"
    assert sort_order_between("x!", "x!0z") == "x!00V"
    assert sort_order_between("x!", "x!z") == "x!V"


def test_those_that_follow_one_another_do_not_grow():
    assert sort_orders_between("a0", None, 3) == ["a1", "a2", "a3"]


def test_the_greatest_is_found_among_those_that_are_there():
    assert greatest(["a1", None, "", "a2", "a0"]) == "a2"
    assert greatest([None, ""]) is None


def test_the_module_for_scripts():
    existing = ["a1", "", "a0"]
    assert xfsortorder.after(existing) > "a1"
    assert xfsortorder.before(existing) < "a0"
    assert "a0" < xfsortorder.between("a0", "a1") < "a1"
    assert xfsortorder.following([], 3) == sorted(xfsortorder.following([], 3))
    assert xfsortorder.between_many("a0", "a1", 2) == sorted(xfsortorder.between_many("a0", "a1", 2))
    assert xfsortorder.after([]) == xfsortorder.before([]) == sort_order_after(None)
