"""What the command line prints, on terminals and in pipes."""

import io
import json
import os
import subprocess
import sys
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xfworker.adapters.http.transport import HttpTransport
from xfworker.adapters.http.xf_server import HttpXFServer
from xfworker.api.cli.console import messages, prepare_output, print_json, print_table, results, say
from xfworker.api.cli.job_display import formatted_value
from xfworker.api.composition.endpoint_file import endpoint_path, read_endpoint
from xfworker.domain.records import Project

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


NAMES = st.text(st.characters(codec="utf-8") | st.sampled_from("\x00\x07\x08\r\n\x1b\x7f\x85\x9b\u2028\u202e\u2066"))


@given(NAMES, st.sampled_from(("table", "title", "json", "say", "message", "result")))
def test_nothing_that_a_terminal_would_obey_comes_out_of_a_name(name, way):
    out = Terminal()
    ways = {
        "table": lambda: print_table(("name",), [(name,)]),
        "title": lambda: print_table(("name",), [], title=name),
        "json": lambda: print_json({"name": name}),
        "say": lambda: say(name),
        "message": lambda: messages().print(name),
        "result": lambda: results().print(name, style="red"),
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stdout", out)
        patch.setattr(sys, "stderr", out)
        patch.setenv("TERM", "dumb")
        ways[way]()
    text = out.getvalue()
    assert not {one for one in text if unicodedata.category(one) in {"Cc", "Zl", "Zp"} and one not in "\n\t"}
    assert not set(text) & set("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
    if way == "json":
        assert json.loads(text) == {"name": name}


def test_a_row_of_a_table_in_a_pipe_is_one_line_whatever_is_in_a_name(monkeypatch):
    monkeypatch.setattr(sys, "stdout", stream := io.StringIO())
    print_table(("serial", "name"), [(1, "a\x85b\u2028c\nd\re"), (2, "f")])
    assert stream.getvalue().splitlines() == ["serial  name", "1       a\\u0085b\\u2028c d\\u000de", "2       f"]


def test_what_a_script_wrote_is_shown_with_its_colours(monkeypatch):
    monkeypatch.setattr(sys, "stderr", stream := Terminal())
    messages().out("\x1b[32mgreen\x1b[0m", highlight=False)
    assert stream.getvalue() == "\x1b[32mgreen\x1b[0m\n"


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


def test_a_server_answers_on_when_nobody_reads_its_log(tmp_path):
    environment = {name: value for name, value in os.environ.items() if not name.startswith("XF")}
    server = subprocess.Popen(
        [sys.executable, "-m", "xfworker", "serve", "--data", str(tmp_path), "--port", "0", "--end-with-input"],
        env=environment,
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert any("xfworker serves" in line for line in server.stderr)
        server.stderr.close()
        endpoint = read_endpoint(endpoint_path(tmp_path))
        transport = HttpTransport(endpoint.url, token=endpoint.admin_token)
        for _ in range(3):
            assert HttpXFServer(transport).find(Project) == []
        transport.close()
    finally:
        server.stdin.close()
        server.wait(30)
        server.stderr.close()


@pytest.mark.parametrize("encoding", ["utf-8", "cp1252", "cp437", "ascii"])
def test_json_is_read_whatever_the_code_page_of_the_pipe(encoding):
    code = "from xfworker.api.cli.console import print_json; print_json({'unit': 'mg HA/cm³ ≤ é'})"
    environment = {**os.environ, "PYTHONIOENCODING": encoding}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, check=True)
    assert json.loads(done.stdout.decode("utf-8")) == {"unit": "mg HA/cm³ ≤ é"}


def test_a_table_is_printed_whatever_the_code_page():
    code = (
        "from xfworker.api.cli.console import prepare_output, print_table\n"
        "prepare_output(); print_table(['limit'], [['≤ 3 mm³']])"
    )
    environment = {**os.environ, "PYTHONIOENCODING": "cp1252"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, check=True)
    assert done.stdout.decode("cp1252").split() == ["limit", "\\u2264", "3", "mm³"]


@pytest.mark.parametrize(
    ("value", "unit", "line"), [(0.206082, "1", "0.206082"), (39.19, "mm3", "39.19 mm3"), (7, "", "7")]
)
def test_a_value_has_its_unit_behind_it_but_for_the_unit_of_fractions(value, unit, line):
    assert formatted_value(value, unit) == line
