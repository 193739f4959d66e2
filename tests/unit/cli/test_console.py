"""What the command line prints, on terminals and in pipes."""

import io
import sys

import pytest

from xfworker.api.cli.console import messages, prepare_output, print_table

LONG = "/data/" + "x" * 90 + "/left femur.aim"
ROWS = [(1, "ReadyForInteractive", LONG), (23, "Done", None)]


class Terminal(io.StringIO):
    def isatty(self):
        return True


def printed(monkeypatch, stream, **variables):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "stdout", stream)
    print_table(("job", "state", "path"), ROWS, title="jobs of " + LONG, text=("path",))
    return stream.getvalue()


def test_a_table_in_a_pipe_has_one_whole_line_per_row(monkeypatch):
    lines = printed(monkeypatch, io.StringIO()).splitlines()
    assert lines[0] == f"jobs of {LONG}"
    assert [line.split(maxsplit=2) for line in lines[1:]] == [
        ["job", "state", "path"],
        ["1", "ReadyForInteractive", LONG],
        ["23", "Done"],
    ]
    assert not any(line.endswith(" ") for line in lines)


def test_a_table_on_a_terminal_fits_it_and_cuts_nothing(monkeypatch):
    text = printed(monkeypatch, Terminal(), COLUMNS="80", TERM="dumb")
    rows = text.partition("jobs of " + LONG + "\n")[2]
    assert all(len(line) <= 80 for line in rows.splitlines())
    assert "ReadyForInteractive" in rows
    assert "".join(rows.split()).replace("1ReadyForInteractive", "").startswith("jobstatepath" + "".join(LONG.split()))
    assert "…" not in rows


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "utf-8"])
def test_what_a_console_cannot_show_is_written_as_an_escape(monkeypatch, encoding):
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding=encoding)
    monkeypatch.setattr(sys, "stdout", stream)
    prepare_output()
    print_table(("unit",), [("≤ 2 µm³",)])
    stream.flush()
    shown = raw.getvalue().decode(encoding)
    assert ("≤" if encoding == "utf-8" else "\\u2264") in shown
    assert ("\\xb5" if encoding == "ascii" else "µ") in shown


def test_messages_to_a_reader_that_went_away_are_dropped(tmp_path, monkeypatch):
    class Gone(io.StringIO):
        gone = True

        def write(self, text):
            if self.gone:
                raise BrokenPipeError
            return super().write(text)

        def fileno(self):
            self.gone = False
            return spare.fileno()

    with (tmp_path / "spare").open("w") as spare:
        monkeypatch.setattr(sys, "stderr", Gone())
        messages().print("first")
        messages().print("second")
    assert not (tmp_path / "spare").read_text()
