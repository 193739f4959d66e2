from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from xfworker.adapters.transfer.spans import Spans


@given(st.data(), st.integers(1, 500))
def test_parts_stay_whole_however_they_are_cut_and_filled(data, size):
    spans, taken = Spans.of_size(size), []
    first = spans.take_first()
    taken.append(first)
    for _ in range(data.draw(st.integers(0, 30))):
        if data.draw(st.booleans()):
            found = spans.split_largest(data.draw(st.integers(2, 20)))
            if found is not None:
                taken.append(found)
        else:
            span = data.draw(st.sampled_from(taken))
            spans.advance(span, data.draw(st.integers(0, spans.room(span))))
    written = spans.to_json()
    assert written[0][0] == 0
    assert written[-1][2] == size
    assert all(start <= position <= end for start, position, end in written)
    assert all(left[2] == right[0] for left, right in pairwise(written))
    assert spans.arrived + spans.missing == size
    assert spans.contiguous <= spans.arrived
    assert Spans.from_json(written, size).to_json() == written


def test_notes_that_describe_no_file_are_not_believed():
    for value in (
        None,
        {},
        [],
        [[0, 5]],
        [[0, 5, 4]],
        [[1, 1, 10]],
        [[0, 0, 4], [5, 5, 10]],
        [[0, 0, "10"]],
        [[0, 0, 9]],
    ):
        assert Spans.from_json(value, 10) is None


def test_a_part_that_is_given_back_is_taken_again():
    spans = Spans.of_size(10)
    span = spans.take_first()
    assert spans.take_first() is None
    spans.advance(span, 4)
    spans.give_back(span)
    assert spans.take_first() is span
    spans.advance(span, 6)
    spans.give_back(span)
    assert spans.take_first() is None
    assert spans.missing == 0
