"""
Runs every example of README.md, CONTRIBUTING.md and docs/: one test per document, its blocks in order, in a new folder.

How a fenced block is treated goes by its language:

- ``python`` is executed; the blocks of a document share their names.
- ``console``: lines behind ``$ `` are commands and must succeed. Other lines are output that must come, in this order;
  ``...`` in or instead of a line stands for anything.
- ``sh`` and ``bash`` are executed as one script, which must succeed.
- ``toml`` and ``json`` must be well-formed.
- ``text``, ``http``, ``mermaid`` and blocks without a language are no examples. Any other language is a fault.

A comment on the line above a block changes that:

- ``<!-- file: NAME -->`` writes the block to a file in the folder instead; later commands find it there.
- ``<!-- exit: N -->`` expects the exit code N of the last command of the block.
- ``<!-- not run: REASON -->`` leaves the block out. The reason is for readers of the source.

A comment ``<!--- invisible-code: python`` ... ``--->`` holds code that is executed but not shown, to prepare files.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from sybil import Example, Region, Sybil
from sybil.evaluators.python import PythonEvaluator
from sybil.parsers.markdown.codeblock import CodeBlockParser
from sybil.parsers.markdown.lexers import RawFencedCodeBlockLexer

ROOT = Path(__file__).resolve().parents[2]
GENERATED = {ROOT / "docs" / "reference" / "command-line.md"}
DOCUMENTS = sorted({*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")} - GENERATED)
NO_EXAMPLES = {"", "text", "http", "mermaid", "{eval-rst}", "{toctree}"}
TIMEOUT_SECONDS = 300
MARK = re.compile(r"<!--\s*(?P<name>file|exit|not run):\s*(?P<value>.*?)\s*-->[ \t]*\n[ \t]*\Z")
FENCED = RawFencedCodeBlockLexer(re.compile(r"[ \t]*(?P<language>[^\s`]*)[^\n]*\n"))


class Blocks:
    """Finds the fenced blocks of a document and runs them."""

    def __init__(self):
        self._python = PythonEvaluator()
        self._runners = {
            "python": self._python,
            "console": self._console,
            "sh": self._script,
            "bash": self._script,
            "toml": lambda example: tomllib.loads(example.parsed) and None,
            "json": lambda example: json.loads(example.parsed) and None,
        }

    def __call__(self, document):
        for region in FENCED(document):
            mark = MARK.search(document.text, 0, document.text.rfind("\n", 0, region.start) + 1)
            name, value = (mark["name"], mark["value"]) if mark else ("", "")
            language = region.lexemes["language"].lower()
            if name == "not run" or (not name and language in NO_EXAMPLES):
                continue
            region.parsed = region.lexemes["source"]
            region.evaluator = self._runner(document, region, language, name, value)
            yield region

    def _runner(self, document, region, language, name, value):
        if name == "file":
            return lambda example: write_file(value, example.parsed)
        if language not in self._runners:
            line = document.line_column(region.start)
            pytest.fail(
                f"{document.path}, {line}: no way to try a block of {language!r}; mark it <!-- not run: why -->"
            )
        if name == "exit":
            return lambda example: self._runners[language](example, exit_code=int(value))
        return self._runners[language]

    def _console(self, example: Example, exit_code: int = 0) -> str | None:
        steps = []
        for line in example.parsed.splitlines():
            if line.startswith("$ "):
                steps.append((line[2:], []))
            elif steps and steps[-1][0].endswith("\\"):
                steps[-1] = (steps[-1][0] + "\n" + line, steps[-1][1])
            elif steps:
                steps[-1][1].append(line)
        for number, (command, wanted) in enumerate(steps, 1):
            fault = run(command, exit_code if number == len(steps) else 0, wanted)
            if fault:
                return fault
        return None if steps else "a console block needs at least one line that begins with '$ '"

    def _script(self, example: Example, exit_code: int = 0) -> str | None:
        return run(f"set -e\n{example.parsed}", exit_code, [])


def run(command, exit_code, wanted_lines):
    bash = shutil.which("bash")
    if bash is None:
        pytest.skip("examples of commands need bash, which this machine lacks")
    environment = {
        name: value for name, value in os.environ.items() if not name.upper().startswith(("XF_", "XFWORKER"))
    }
    environment["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), environment["PATH"]])
    environment["PYTHONPATH"] = str(ROOT)
    environment["XFTEMP"] = str(Path.cwd())
    environment["COLUMNS"] = "120"
    # Only our own plugin: loading all that are installed here takes longer than the examples do.
    environment |= {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTEST_PLUGINS": "xfworker.testing.pytest_plugin"}
    environment.pop("PYTEST_ADDOPTS", None)
    ended = subprocess.run(
        [bash, "-c", command],
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=TIMEOUT_SECONDS,
        check=False,
    )
    shown = f"$ {command}\n{ended.stdout}{ended.stderr}"
    if ended.returncode != exit_code:
        return f"exit code {ended.returncode} instead of {exit_code} of\n{shown}"
    missing = first_missing(wanted_lines, f"{ended.stdout}\n{ended.stderr}")
    return None if missing is None else f"the line {missing!r} did not come, or not in this order, of\n{shown}"


def first_missing(wanted_lines, text):
    lines = iter(" ".join(line.split()) for line in text.splitlines())
    for wanted in wanted_lines:
        words = " ".join(wanted.split())
        if words in {"", "..."}:
            continue
        pattern = re.compile(".*".join(re.escape(part) for part in words.split("...")))
        if not any(pattern.search(line) for line in lines):
            return wanted
    return None


def write_file(name, content):
    path = Path(name)
    assert not path.is_absolute(), f"{name}: examples write into their own folder only"
    assert ".." not in path.parts, f"{name}: examples write into their own folder only"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content, encoding="utf-8")


def parse(path):
    invisible = CodeBlockParser("python", PythonEvaluator())
    fences = Blocks()

    def hidden_blocks(document) -> list[Region]:
        return [region for region in invisible(document) if document.text.startswith("<!--", region.start)]

    return Sybil(parsers=[fences, hidden_blocks]).parse(path)


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_every_example_of_a_document_works(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    document = parse(path)
    document.namespace["__name__"] = "__example__"
    try:
        for example in document.examples():
            example.evaluate()
    finally:
        # Another document may have modules of the same names.
        for name, module in list(sys.modules.items()):
            if str(getattr(module, "__file__", None) or "").startswith(str(tmp_path)):
                del sys.modules[name]


def example_document(tmp_path, text):
    path = tmp_path / "example.md"
    path.write_text(text, encoding="utf-8")
    return list(parse(path).examples())


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("```python\nassert 1 == 2\n```\n", "AssertionError"),
        ("```console\n$ exit 3\n```\n", "exit code 3"),
        ("```console\n$ echo one; echo two\ntwo\none\n```\n", "'one' did not come"),
        ("```sh\nfalse\ntrue\n```\n", "exit code 1"),
        ("```json\n{\n```\n", "JSONDecodeError"),
        ("```toml\n=\n```\n", "TOMLDecodeError"),
        ("<!-- exit: 1 -->\n```console\n$ true\n```\n", "exit code 0 instead of 1"),
        ("<!-- file: ../escape.txt -->\n```text\n```\n", "own folder"),
    ],
)
def test_an_example_that_does_not_hold_is_noticed(tmp_path, monkeypatch, text, fault):
    monkeypatch.chdir(tmp_path)
    (example,) = example_document(tmp_path, text)
    with pytest.raises(Exception) as caught:  # noqa: PT011  each language fails in its own way
        example.evaluate()
    assert fault in f"{type(caught.value).__name__}: {caught.value}"


@pytest.mark.parametrize(
    "text",
    [
        "<!--- invisible-code: python\nvalue = 1\n--->\n\n```python\nassert value == 1\n```\n",
        "<!-- file: a/b.txt -->\n```text\nhello\n```\n\n```console\n$ cat a/b.txt\nhel...\n```\n",
        "- item\n\n  <!-- exit: 2 -->\n  ```console\n  $ echo a \\\n      b; exit 2\n  ...\n  a b\n  ```\n",
    ],
)
def test_blocks_that_hold_pass(tmp_path, monkeypatch, text):
    monkeypatch.chdir(tmp_path)
    examples = example_document(tmp_path, text)
    assert examples
    for example in examples:
        example.evaluate()


def test_blocks_that_are_marked_or_are_no_code_are_left_out(tmp_path):
    text = "<!-- not run: needs root -->\n```sh\nrm -rf /\n```\n\n```text\nx\n```\n\n```\ny\n```\n"
    assert example_document(tmp_path, text) == []


def test_a_language_that_nobody_can_run_is_a_fault(tmp_path):
    with pytest.raises(pytest.fail.Exception, match="not run: why"):
        example_document(tmp_path, "```fortran\nend\n```\n")
