"""The lines that benchmarks end with, the file that keeps them, and the page that is written from it."""

import argparse
import json

import pytest

from benchmarks import goals
from benchmarks.goals import Goal, conclude
from benchmarks.history import page, runs
from benchmarks.pairs import Ratio, ratio_goal

MET = Goal("ours over theirs", 1.1, 0.9, at_least=True)
MISSED = Goal("finish over get", 5.0, 4.0)
UNMEASURED = Goal("over nginx", None, 0.5, at_least=True, reason="nginx is not installed")


@pytest.fixture
def history(tmp_path, monkeypatch):
    monkeypatch.setattr(goals, "HISTORY", tmp_path / "history.jsonl")
    return tmp_path / "history.jsonl"


def options(*, as_json=False, quick=False):
    return argparse.Namespace(json=as_json, quick=quick)


def run(name="startup", date="2026-01-01T00:00:00+00:00", *, quick=False, commit="abc", goal=MET):
    common = {"machine": "a machine", "load": 0.5, "goals": [goal.document()]}
    return json.dumps({"benchmark": name, "quick": quick, "date": date, "commit": commit, **common})


def test_the_exit_code_says_whether_all_goals_are_met(history, capsys):
    assert conclude("one", [MET], options()) == 0
    assert conclude("one", [MET, MISSED], options()) == 1
    assert capsys.readouterr().out.splitlines() == [MET.line(), MET.line(), MISSED.line()]
    assert not history.exists()


def test_what_could_not_be_measured_is_missed_and_says_why(history, capsys):
    assert conclude("one", [UNMEASURED], options()) == 1
    [line] = capsys.readouterr().out.splitlines()
    assert line.endswith("MISSED")
    assert "nginx is not installed" in line


def test_a_median_of_pairs_is_shown_and_kept_with_its_quartiles(history, capsys):
    goal = ratio_goal("ours over theirs", Ratio.of([(9, 10), (8, 10), (11, 10), (10, 10), (20, 10)]), 0.9)
    assert (goal.figure, goal.spread, goal.met) == (1.0, (0.9, 1.1), True)
    conclude("one", [goal], options(as_json=True), {})
    assert "1 (quartiles 0.9 to 1.1)" in capsys.readouterr().err
    assert "| ours over theirs | 1 (0.9 to 1.1) | >= 0.9 | met |" in page(runs(history.read_text().splitlines()))


def test_a_ratio_of_one_pair_is_that_and_of_none_a_goal_missed():
    assert Ratio.of([(3, 2)]) == Ratio(1.5, 1.5, 1.5)
    assert ratio_goal("over curl", Ratio.of([]), 1.0, reason="curl is not installed").reason == "curl is not installed"
    assert not ratio_goal("over curl", None, 1.0).met


def test_a_run_as_json_is_kept_and_stdout_is_one_document(history, capsys):
    conclude("one", [MISSED], options(as_json=True, quick=True), {"more": 1})
    conclude("two", [MET], options(as_json=True), {})
    first, second = (json.loads(line) for line in history.read_text().splitlines())
    assert [first["benchmark"], first["quick"], second["quick"]] == ["one", True, False]
    assert first["goals"] == [{"goal": "finish over get", "figure": 5.0, "sign": "<=", "limit": 4.0, "met": False}]
    out = capsys.readouterr().out
    document, _ = json.JSONDecoder().raw_decode(out)
    assert document == {**first, "figures": {"more": 1}}


def test_the_page_has_the_newest_full_run_of_each_benchmark():
    lines = [
        run(date="2026-01-02T00:00:00+00:00", commit="older"),
        run(date="2026-01-03T00:00:00+00:00", commit="newest", goal=UNMEASURED),
        run(date="2026-01-04T00:00:00+00:00", commit="rough", quick=True),
        run("images", quick=True, commit="alone"),
        "",
    ]
    assert [chosen["commit"] for chosen in runs(lines)] == ["alone", "newest"]
    written = page(runs(lines))
    assert "| over nginx | not measured: nginx is not installed | >= 0.5 | **missed** |" in written
    assert "| ours over theirs | 1.1 | >= 0.9 | met |" in written
    assert "Run of 2026-01-03, commit `newest`, on a machine, load 0.5 at its end." in written
