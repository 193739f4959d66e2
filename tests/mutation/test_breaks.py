"""The breaks that `make breaks` tries: each applies to the source as it is, and the tests that it names are there."""

from pathlib import Path

import pytest

from tests.mutation.breaks import broken, listed

ROOT = Path(__file__).parents[2]


def test_each_break_has_a_name_of_its_own():
    names = [item["name"] for item in listed(ROOT)]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("item", [pytest.param(item, id=item["name"]) for item in listed(ROOT)])
def test_each_break_applies_to_the_source_as_it_is_and_its_tests_are_there(item):
    broken((ROOT / item["file"]).read_text("utf-8"), item)
    for test in item["tests"]:
        file, *names = test.partition("[")[0].split("::")
        source = (ROOT / file).read_text("utf-8")
        assert all(f"def {name}(" in source or f"class {name}(" in source or _is_inherited(name) for name in names)


def _is_inherited(name):
    """Return whether a test stands in one of the suites that every adapter's tests inherit."""
    suites = [*ROOT.glob("xfworker/testing/contracts/*.py"), *ROOT.glob("tests/contract/suites/*.py")]
    return any(f"def {name}(" in path.read_text("utf-8") for path in suites)


@pytest.mark.parametrize(
    ("was", "becomes", "said"),
    [("is not there", "pass", "stands 0 times"), ("x", "y", "stands 2 times"), ("= 1", "= = 1", "unreadable")],
)
def test_a_break_that_does_not_apply_says_so(was, becomes, said):
    item = {"file": "some.py", "was": was, "becomes": becomes}
    with pytest.raises(ValueError, match=said):
        broken("x = 1\nx\n", item)
