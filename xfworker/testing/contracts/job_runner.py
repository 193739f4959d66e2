"""What every job runner must do, as tests to inherit."""

import os
import signal
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from attrs import define, field

from xfworker.domain.errors import JobError
from xfworker.domain.job_arguments import JobArguments
from xfworker.ports.job_runner import JobRunner, ScriptCall
from xfworker.services.worker.script_environment import TEMPORARY_FOLDER

LONG_SECONDS = 60.0
"""How long a test waits at most for what must come."""

ScriptCaller = Callable[..., ScriptCall]
"""Writes a script of the given code and gives the call that starts it, with options of the call."""


@define
class CollectedOutput:
    """
    Collects what a script writes, and says when a word has come.

    Attributes:
        word: The word.
        content: All that came.
        seen: Set when the word has come.
    """

    word: bytes = b"ready"
    content: bytes = b""
    seen: threading.Event = field(factory=threading.Event)

    def __call__(self, piece: bytes) -> None:
        self.content += piece
        if self.word in self.content:
            self.seen.set()


class JobRunnerContract:
    """
    Inherit it, give the fixture, and pytest runs every test against your job runner.

    Fixtures to give:
        ``runner``: a :class:`~xfworker.ports.job_runner.JobRunner`.
        ``environment``: the variables that a script needs to start, beside those of a job; by default those that find
        the interpreter's libraries.
    """

    @pytest.fixture
    def runner(self) -> JobRunner:
        raise NotImplementedError("give a job runner")

    @pytest.fixture
    def environment(self) -> Mapping[str, str]:
        kept = ("PATH", "SYSTEMROOT", "LD_LIBRARY_PATH")
        return {name: os.environ[name] for name in kept if name in os.environ}

    @pytest.fixture
    def call(self, environment: Mapping[str, str], tmp_path: Path) -> ScriptCaller:
        arguments = JobArguments(job_serial=7, server_host="memory", server_port="1", server_auth="token")
        work = tmp_path / "work"
        work.mkdir()

        def make(code: str, name: str = "script", **options: object) -> ScriptCall:
            script = tmp_path / f"{name}.py"
            script.write_text(code, encoding="utf-8")
            defaults: dict[str, object] = {
                "command": (sys.executable, "-u", str(script)),
                "environment": {
                    **environment,
                    **arguments.to_environment(),
                    TEMPORARY_FOLDER: str(work),
                    "PYTHONIOENCODING": "utf-8:backslashreplace",
                },
                "working_directory": work,
                "log_path": tmp_path / f"{name}.log",
            }
            return ScriptCall(**{**defaults, **options})  # type: ignore[arg-type]  # the call's own names

        return make

    def test_output_arrives_as_it_is_in_the_log(self, runner: JobRunner, call: ScriptCaller) -> None:
        output = CollectedOutput()
        started = call("import sys; print('Ümläut 🦴'); print('to stderr', file=sys.stderr); print('last')")
        assert runner.start(started, output).wait(LONG_SECONDS)
        lines = started.log_path.read_bytes().decode("utf-8").splitlines()
        assert lines == ["Ümläut 🦴", "to stderr", "last"]
        assert output.content == started.log_path.read_bytes()

    def test_whoever_looks_at_the_output_cannot_stop_the_script(self, runner: JobRunner, call: ScriptCaller) -> None:
        shown: list[bytes] = []

        def observer(piece: bytes) -> None:
            shown.append(piece)
            raise ValueError("the terminal is gone")

        # More than a pipe holds: a script whose output nobody takes waits for ever.
        started = call("for _ in range(20): print('a' * 50_000, flush=True)\nprint('last')")
        ended = runner.start(started, observer).wait(LONG_SECONDS)
        assert ended is not None
        assert (ended.exit_code, len(shown)) == (0, 1)
        assert started.log_path.read_text("utf-8").splitlines() == ["a" * 50_000] * 20 + ["last"]

    @pytest.mark.parametrize(
        ("code", "expected"),
        [
            ("", 0),
            ("raise SystemExit", 0),
            ("raise SystemExit(None)", 0),
            ("raise SystemExit(7)", 7),
            ("raise SystemExit('not today')", 1),
            ("import sys; sys.exit(300)", 300 & 0xFF if os.name == "posix" else 300),
            ("raise ValueError('no bone')", 1),
            ("this is not python", 1),
        ],
    )
    def test_the_exit_code_is_the_interpreters(
        self, runner: JobRunner, call: ScriptCaller, code: str, expected: int
    ) -> None:
        ended = runner.start(call(code)).wait(LONG_SECONDS)
        assert ended is not None
        assert (ended.exit_code, ended.signal) == (expected, None)
        assert not any((ended.aborted, ended.timed_out, ended.out_of_memory))

    def test_what_ended_a_script_is_in_its_log(self, runner: JobRunner, call: ScriptCaller) -> None:
        failing = call("def measure():\n    raise ValueError('no bone')\nmeasure()", "failing")
        leaving = call("raise SystemExit('not today')", "leaving")
        for started in (failing, leaving):
            runner.start(started).wait(LONG_SECONDS)
        lines = failing.log_path.read_text("utf-8").splitlines()
        assert lines[0].startswith("Traceback")
        assert any("failing.py" in line and "measure" in line for line in lines)
        assert lines[-1] == "ValueError: no bone"
        assert leaving.log_path.read_text("utf-8").splitlines() == ["not today"]

    def test_a_script_runs_in_its_directory_and_environment(
        self, runner: JobRunner, call: ScriptCaller, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("OF_THE_RUNNER", "hidden")
        code = "import os; print(os.getcwd()); print(os.environ['WORD'], os.environ.get('OF_THE_RUNNER'))"
        plain = call("")
        started = call(code, environment={**plain.environment, "WORD": "heard"})
        here = Path.cwd()
        runner.start(started).wait(LONG_SECONDS)
        directory, words = started.log_path.read_text("utf-8").splitlines()
        assert Path(directory).samefile(started.working_directory)
        assert words == "heard None"
        assert Path.cwd() == here
        assert "WORD" not in os.environ
        assert os.environ["OF_THE_RUNNER"] == "hidden"

    def test_a_script_imports_what_lies_beside_it(self, runner: JobRunner, call: ScriptCaller, tmp_path: Path) -> None:
        (tmp_path / "beside.py").write_text("WORD = 'found'")
        started = call("import sys, beside; print(__name__, beside.WORD, len(sys.argv))")
        runner.start(started).wait(LONG_SECONDS)
        assert started.log_path.read_text("utf-8").split() == ["__main__", "found", "1"]

    def test_scripts_do_not_see_each_other(self, runner: JobRunner, call: ScriptCaller) -> None:
        first = call("import os, sys, builtins; os.environ['LEFT'] = '1'; sys.path.append('left'); os.chdir('/')", "a")
        second = call("import os, sys; print(os.environ.get('LEFT'), 'left' in sys.path, os.getcwd() == '/')", "b")
        for started in (first, second):
            runner.start(started).wait(LONG_SECONDS)
        assert second.log_path.read_text("utf-8").split() == ["None", "False", "False"]

    def test_a_log_is_added_to(self, runner: JobRunner, call: ScriptCaller) -> None:
        started = call("print('script')")
        started.log_path.write_bytes(b"before\n")
        runner.start(started).wait(LONG_SECONDS)
        assert started.log_path.read_text("utf-8").splitlines() == ["before", "script"]

    def test_an_end_may_be_asked_for_again_and_nothing_disturbs_it(self, runner: JobRunner, call: ScriptCaller) -> None:
        script = runner.start(call("raise SystemExit(3)"))
        ended = script.wait(LONG_SECONDS)
        script.abort()
        script.pass_signal(signal.SIGTERM)
        assert ended is not None
        assert script.wait(0) == script.wait() == ended

    @pytest.mark.parametrize("option", ["log_path", "working_directory"])
    def test_what_is_not_there_starts_nothing_and_is_one_sentence(
        self, runner: JobRunner, call: ScriptCaller, tmp_path: Path, option: str
    ) -> None:
        ran = tmp_path / "ran"
        started = call(f"open({str(ran)!r}, 'w')", **{option: tmp_path / "absent" / "place"})
        with pytest.raises(JobError, match="absent") as caught:
            runner.start(started)
        assert "token" not in str(caught.value)
        assert "\n" not in str(caught.value)
        assert not ran.exists()


class ConcurrentJobRunnerContract(JobRunnerContract):
    """
    For a job runner that returns from ``start`` while the script runs: what can be done with it meanwhile.

    Fixtures to give: as for :class:`JobRunnerContract`; ``runner`` with a short grace time.
    """

    def test_wait_gives_nothing_while_the_script_runs(self, runner: JobRunner, call: ScriptCaller) -> None:
        output = CollectedOutput()
        script = runner.start(call("print('ready'); import time; time.sleep(60)"), output)
        assert output.seen.wait(LONG_SECONDS)
        assert script.wait(0.01) is None
        script.abort()
        ended = script.wait(LONG_SECONDS)
        assert ended is not None
        assert ended.aborted

    def test_scripts_run_at_the_same_time(self, runner: JobRunner, call: ScriptCaller, tmp_path: Path) -> None:
        # Each waits for what the other leaves.
        code = (
            "import pathlib, time\n"
            "folder = pathlib.Path({folder!r})\n"
            "(folder / '{own}').touch()\n"
            "while not (folder / '{other}').exists():\n"
            "    time.sleep(0.01)\n"
        )
        scripts = [
            runner.start(call(code.format(folder=str(tmp_path), own=own, other=other), f"of-{own}"))
            for own, other in (("left", "right"), ("right", "left"))
        ]
        ends = [script.wait(LONG_SECONDS) for script in scripts]
        assert [ended and ended.exit_code for ended in ends] == [0, 0]

    @pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
    def test_a_script_that_ignores_the_abort_is_ended(self, runner: JobRunner, call: ScriptCaller) -> None:
        output = CollectedOutput()
        code = "import signal, time; signal.signal(15, signal.SIG_IGN); print('ready', flush=True); time.sleep(60)"
        script = runner.start(call(code), output)
        assert output.seen.wait(LONG_SECONDS)
        script.abort()
        ended = script.wait(LONG_SECONDS)
        assert ended is not None
        assert ended.aborted
        assert ended.signal == "SIGKILL"

    @pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
    def test_a_signal_is_passed_on_and_an_end_by_one_is_named(self, runner: JobRunner, call: ScriptCaller) -> None:
        output = CollectedOutput()
        script = runner.start(call("print('ready', flush=True); import time; time.sleep(60)"), output)
        assert output.seen.wait(LONG_SECONDS)
        script.pass_signal(signal.SIGTERM)
        ended = script.wait(LONG_SECONDS)
        assert ended is not None
        assert (ended.exit_code, ended.signal, ended.aborted) == (None, "SIGTERM", False)

    def test_the_time_limit_ends_a_script(self, runner: JobRunner, call: ScriptCaller) -> None:
        ended = runner.start(call("import time; time.sleep(60)", time_limit_seconds=0.2)).wait(LONG_SECONDS)
        assert ended is not None
        assert ended.timed_out
        assert not ended.aborted
