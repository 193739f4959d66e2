"""The table of ASVS requirements: complete, and every test that it names is there."""

import ast
import importlib
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs/security/asvs.md").read_text("utf-8")
ROW = re.compile(r"^\| (\d+\.\d+\.\d+) \| ([123]) \| ([^|]+) \| ([a-z, ]+) \| ([^|]+) \|$", re.MULTILINE)
STATES = {"met", "met, no test", "not met", "does not apply", "who runs it"}
ROWS = ROW.findall(PAGE)


@cache
def names_in(path):
    """Give every test of a file, with those that its classes inherit from the contract suites."""
    tree = ast.parse((ROOT / path).read_text("utf-8"))
    imported = {
        alias.asname or alias.name: node.module
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    names = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
    for node in tree.body:
        if isinstance(node, ast.ClassDef):
            names |= {f"{node.name}::{item.name}" for item in node.body if isinstance(item, ast.FunctionDef)}
            for base in node.bases:
                if isinstance(base, ast.Name) and base.id in imported:
                    suite = getattr(importlib.import_module(imported[base.id]), base.id)
                    names |= {f"{node.name}::{name}" for name in dir(suite)}
    return names


def test_every_requirement_has_one_row():
    numbers = [row[0] for row in ROWS]
    assert len(numbers) == len(set(numbers)) == 345
    assert [level for _, level, *_ in ROWS].count("1") == 70
    assert {state for _, _, _, state, _ in ROWS} <= STATES


@pytest.mark.parametrize(("number", "shown"), [(row[0], row[4]) for row in ROWS if row[3] == "met"])
def test_what_is_met_names_a_test_that_exists(number, shown):
    path, _, name = shown.strip("`").partition("::")
    assert name in names_in(path), f"{number} names {shown}"


def test_what_is_not_met_of_levels_1_and_2_is_listed_first():
    listed = re.findall(
        r"^\| (\d+\.\d+\.\d+) \| [12] \|", PAGE.partition("## Not met")[2].partition("\n## ")[0], re.MULTILINE
    )
    assert listed == [number for number, level, _, state, _ in ROWS if state == "not met" and level != "3"]


def test_the_counts_are_those_of_the_rows():
    for state in STATES:
        counts = [sum(row[3] == state and row[1] == level for row in ROWS) for level in "123"]
        assert f"| {state} | {' | '.join(map(str, counts))} |" in PAGE
