"""The mutants that `make mutation` tries: each is one change, and none changes what no test should care for."""

import ast
import hashlib
import json
import math
import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from hypothesis import Phase, settings

from tests.mutation.__main__ import TESTS_OF
from tests.mutation.fresh import SameExamples
from tests.mutation.mutants import compiled, mutants

SOURCE = '''
"""A module."""
LIMIT = 3
FIELD = "Unit of length"
WORDS = "; it is too large"


@define(frozen=True, slots=False)
class Gate:
    """A gate."""

    def passes(self, number: int, *, strict: bool = False) -> bool:
        """Say so."""
        if strict and number >= LIMIT:
            raise ValueError("it is too large")
        return number in {1, 2}
'''


SCORES = "tests/mutation/scores.json"


def changes():
    return [(mutant.function, mutant.was, mutant.becomes) for mutant in mutants(ast.parse(SOURCE))]


def test_every_kind_of_change_is_there_once_and_words_stay_as_they_are():
    assert changes() == [
        ("", "3", "4"),
        ("", "'Unit of length'", "'XXUnit of length'"),
        ("", "False", "True"),
        ("Gate.passes", "strict and number >= LIMIT", "strict or number >= LIMIT"),
        ("Gate.passes", "number >= LIMIT", "number > LIMIT"),
        ("Gate.passes", "raise ValueError('it is too large')", "pass"),
        ("Gate.passes", "return number in {1, 2}", "return None"),
        ("Gate.passes", "number in {1, 2}", "number not in {1, 2}"),
        ("Gate.passes", "1", "2"),
        ("Gate.passes", "2", "3"),
        ("", "False", "True"),
    ]


def test_one_change_is_compiled_at_a_time_and_the_tree_stays_as_it_was():
    tree = ast.parse(SOURCE)
    before = ast.dump(tree)
    seen = set()
    for mutant in mutants(tree):
        names = {"define": lambda **_: lambda kind: kind}
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


@pytest.mark.parametrize(
    ("kept", "changed"),
    [
        ("found = transaction(write=False)", "found = transaction(write=True)"),
        ("found = find(Job, limit=1)", "found = find(Job, limit=2)"),
        ("found = field(init=False)", "found = field(repr=False)"),
        ("Order = Literal['little', 'big']", "Order = 'little', 'big'"),
        ("found = define(eq=False)", "found = define(hash=False)"),
        ("found = define(repr=False)", "found = field(repr=False)"),
        ("__all__ = ['found']", "found = ['found']"),
        ("listed = '; '", "listed = ';'"),
        ("listed = '\\n  '", "listed = '\\n'"),
        ("found = zip(one, two, strict=True)", "found = zip(one, two, strict=False)"),
        ("kind = cast('Record', found)", "kind = forecast('Record', found)"),
    ],
)
def test_what_is_nobodys_matter_stays_as_it_is(kept, changed):
    assert not mutants(ast.parse(kept))
    assert mutants(ast.parse(changed))


SOURCE_OF_TESTS = """
from lab.gate import passes

def test_it():
    assert passes({expected})
"""


def tried(folder, source, tests, name="test_gate.py", *words):
    (folder / "lab").mkdir(exist_ok=True)
    (folder / "lab" / "gate.py").write_text(source)
    (folder / "test_gate.py").write_text(tests)
    (folder / "tests" / "mutation").mkdir(parents=True, exist_ok=True)
    (folder / "tests" / "mutation" / "explained.toml").touch()
    command = [sys.executable, "-m", "tests.mutation", "lab/gate.py", "--tests", name, *words]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(folder), str(Path(__file__).parents[2])])}
    environment.pop("PYTEST_ADDOPTS", None)
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="mutants are tried in processes that are forked")
@pytest.mark.parametrize(
    ("expected", "tests", "status", "said"),
    [
        ("2", "test_gate.py", 1, "lab/gate.py: 3 of 4 mutants are noticed, 0.750; 0 explained, 1 open"),
        ("9", "test_gate.py", 2, "NOT COMPLETE: lab/gate.py: test_gate.py::test_it fails without any change"),
        ("2", "test_other.py", 2, "NOT COMPLETE: lab/gate.py: the tests were ended"),
    ],
)
def test_a_run_that_is_not_complete_gives_no_score(tmp_path, expected, tests, status, said):
    source = "def passes(number):\n    return number in (1, 2)\n"
    run = tried(tmp_path, source, SOURCE_OF_TESTS.format(expected=expected), tests)
    assert (run.returncode, said in run.stdout) == (status, True), run.stdout + run.stderr
    kept = tmp_path / SCORES
    assert kept.exists() == (status != 2)
    if status == 1:
        # What was changed once and is not any more has no score.
        (tmp_path / "lab" / "other.py").write_text("")
        other = {"mutants": 2, "survivors": [], "source": hashlib.sha256(b"").hexdigest()}
        kept.write_text(json.dumps({**json.loads(kept.read_text()), "lab/other.py": other}))
        (tmp_path / "trust.md").write_text(
            "<!-- begin of what make mutation wrote --><!-- end of what make mutation wrote -->"
        )
        words = "--survivors", "--write", "trust.md"
        run = tried(tmp_path, source, SOURCE_OF_TESTS.format(expected="1"), tests, *words)
        assert (run.returncode, "4 of 4 mutants are noticed" in run.stdout) == (0, True), run.stdout + run.stderr
        written = (tmp_path / "trust.md").read_text()
        assert ("| `lab/gate.py` | 4 | 4 | 1.000 | 0 | 0 |" in written, "other" in written) == (True, False)


SOURCE_THAT_RUNS_ONCE = """
import functools

def _up_to(most):
    def passes(number):
        return number <= most
    return passes

passes = _up_to(2)

@functools.cache
def limit():
    return 2
"""
TESTS_OF_WHAT_RUNS_ONCE = """
import warnings
import pytest
from lab.gate import limit, passes

def test_the_gate():
    assert [passes(1), passes(2), passes(3)] == [True, True, False]

def test_whatever():
    limit()

@pytest.mark.filterwarnings("error")
def test_the_limit():
    assert limit() == 2
    with pytest.raises(UserWarning):
        warnings.warn("its own filters hold for a test")
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="mutants are tried in processes that are forked")
def test_what_runs_once_is_changed_as_well_when_a_module_is_imported_or_in_whichever_test_comes_first(tmp_path):
    run = tried(tmp_path, SOURCE_THAT_RUNS_ONCE, TESTS_OF_WHAT_RUNS_ONCE)
    assert "lab/gate.py: 5 of 5 mutants are noticed" in run.stdout, run.stdout + run.stderr


@pytest.mark.skipif(not hasattr(os, "fork"), reason="mutants are tried in processes that are forked")
def test_what_waits_for_ever_is_ended_and_what_is_only_slow_is_not():
    from tests.mutation.running import Tried

    command = [sys.executable, "-c", "print(flush=True); input()"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as waiting:
        waiting.stdout.readline()
        tried = Tried(("gate.py", 0), psutil.Process(waiting.pid), seconds=-1.0, seen_at=-math.inf)
        tried.end_where_idle()
        assert not tried.was_ended
        while not tried.was_ended:
            tried.seen_at = -math.inf
            tried.end_where_idle()
        assert waiting.wait() == -signal.SIGKILL


def test_a_property_has_the_same_examples_each_time_and_is_not_shrunk():
    try:
        SameExamples().pytest_collection()
        chosen = settings.default
        assert (chosen.derandomize, chosen.phases) == (True, (Phase.explicit, Phase.generate))
        assert chosen.deadline is None
    finally:
        settings.load_profile("xfworker")


@pytest.mark.parametrize("part", TESTS_OF)
def test_each_part_has_tests_that_are_there(part):
    root = Path(__file__).parents[2]
    assert (root / part).exists()
    assert [test for test in TESTS_OF[part] if not (root / test).exists()] == []
