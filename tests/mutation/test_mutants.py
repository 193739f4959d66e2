"""The mutants that `make mutation` tries: each is one change, and none changes what no test should care for."""

import ast

from tests.mutation.mutants import compiled, mutants

SOURCE = '''
"""A module."""
LIMIT = 3


class Gate:
    """A gate."""

    def passes(self, number: int, *, strict: bool = False) -> bool:
        """Say so."""
        if strict and number >= LIMIT:
            raise ValueError("it is too large")
        return number in {1, 2}
'''


def changes():
    return [(mutant.function, mutant.was, mutant.becomes) for mutant in mutants(ast.parse(SOURCE))]


def test_every_kind_of_change_is_there_once_and_words_stay_as_they_are():
    assert changes() == [
        ("", "3", "4"),
        ("", "False", "True"),
        ("Gate.passes", "strict and number >= LIMIT", "strict or number >= LIMIT"),
        ("Gate.passes", "number >= LIMIT", "number > LIMIT"),
        ("Gate.passes", "raise ValueError('it is too large')", "pass"),
        ("Gate.passes", "return number in {1, 2}", "return None"),
        ("Gate.passes", "number in {1, 2}", "number not in {1, 2}"),
        ("Gate.passes", "1", "2"),
        ("Gate.passes", "2", "3"),
    ]


def test_one_change_is_compiled_at_a_time_and_the_tree_stays_as_it_was():
    tree = ast.parse(SOURCE)
    before = ast.dump(tree)
    seen = set()
    for mutant in mutants(tree):
        names = {}
        exec(compiled(tree, mutant, "gate.py"), names)
        gate = names["Gate"]()
        if mutant.function != "" and "strict" not in mutant.was:
            seen.add((gate.passes(1), gate.passes(2), gate.passes(3), names["LIMIT"]))
        assert ast.dump(tree) == before
    assert seen == {
        (True, True, False, 3),
        (None, None, None, 3),
        (False, False, True, 3),
        (False, True, False, 3),
        (True, False, True, 3),
    }
