"""What is shown of a running script's output."""

import io

import pytest
from rich.console import Console

from xfworker.adapters.process.script_log import read_end
from xfworker.api.cli.live_job import ScriptOutput


def output(*, terminal):
    shown, lines = io.StringIO(), []
    return ScriptOutput(Console(file=shown, force_terminal=terminal, width=200), lines.append), shown, lines


@pytest.mark.parametrize("terminal", [False, True])
def test_characters_that_are_cut_by_the_pieces_are_shown_whole(terminal):
    script, shown, _ = output(terminal=terminal)
    for byte in "Ø 3 µm ≤ 2\nend".encode():
        script.write(bytes([byte]))
    script.end()
    assert shown.getvalue() == "Ø 3 µm ≤ 2\nend\n"


def test_a_bar_that_writes_over_its_line_is_shown_while_it_moves():
    script, shown, lines = output(terminal=True)
    script.write(b"loading\n\r10 %")
    script.write(b"\r50 %\r")
    assert shown.getvalue() == "loading\n"
    assert lines == ["10 %", "50 %"]
    script.write(b"100 %\r\ndone")
    assert shown.getvalue() == "loading\n100 %\n"
    assert lines[-1] == "done"


def test_a_bar_in_a_pipe_is_passed_on_at_once():
    script, shown, _ = output(terminal=False)
    script.write(b"\r10 %\r20 %")
    assert shown.getvalue() == "\r10 %\r20 %"
    script.write(b"\r")
    script.write(b"\nnext\r\n")
    assert shown.getvalue() == "\r10 %\r20 %\nnext\n"


def test_the_end_of_a_log_shows_each_line_in_its_last_state(tmp_path):
    path = tmp_path / "log.txt"
    bars = "".join(f"\r{count} %" for count in range(3000))
    path.write_bytes(f"begin µ\n{bars}\nthen it failed\r\n".encode())
    assert read_end(path) == "begin µ\n2999 %\nthen it failed"
    assert read_end(path, lines=1) == "then it failed"


def test_the_end_of_a_log_does_not_begin_with_a_part_of_a_character(tmp_path):
    path = tmp_path / "log.txt"
    path.write_bytes(("ä" * 3_000_000 + "x").encode())
    assert read_end(path).strip("äx") == ""
