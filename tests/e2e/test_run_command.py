import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from xfworker.api.demo.phantom import write_phantom

HEAD = "import xfworkerutil\nworker = xfworkerutil.XFWorkerJob()\n"


@pytest.fixture
def run(tmp_path):
    def run(script, *items, options=("--json",), name="task.py"):
        if script is not None:
            (tmp_path / name).write_text(script, "utf-8")
        command = [sys.executable, "-m", "xfworker", "run", str(tmp_path / name), *items, *options]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)

    return run


def document(done):
    return json.loads(done.stdout)


def test_outputs_are_one_json_document(run, tmp_path):
    done = run(HEAD + "print('hello'); worker.finish({'n': 1 + worker.job['inputs']['n'], 'text': 'ä'})", "n=41")
    assert done.returncode == 0, done.stderr
    job = document(done)
    assert job["outputs"] == {"n": 42, "text": "ä"}
    assert job["state"] == "Done"
    assert job["files"] == {}
    assert "hello" in done.stderr
    assert not (tmp_path / "xf-results").exists()


def test_inputs_files_and_outputs_go_the_whole_way(run, tmp_path):
    write_phantom(tmp_path / "scan.aim")
    (tmp_path / "scan.csv").write_text("a,b\n1,2\n")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "scan.csv").write_text("x,y\n3,4\n")
    script = HEAD + (
        "inputs = worker.job['inputs']\n"
        "image = worker.get_omni_image(inputs['image'])\n"
        "path = worker.create_output_path(image.metadata_path, '_copy.csv')\n"
        "path.write_text(worker.download_input_file(inputs['second']).read_text())\n"
        "worker.upload_output_file(path)\n"
        "worker.finish({'table': worker.create_output_csv(path.name), 'mean': float(image.pixels[:].mean()),\n"
        "               'types': ','.join(inputs[key]['type'] for key in ('image', 'first', 'second', 'raw'))})\n"
    )
    done = run(script, "image@scan.aim", "first@scan.csv", "second@other/scan.csv", "raw@task.py")
    assert done.returncode == 0, done.stderr
    job = document(done)
    assert job["outputs"]["types"] == "Image,CSV,CSV,ForeignFile"
    (path,) = job["files"]["table"]
    assert Path(path).parent == tmp_path / "xf-results"
    assert Path(path).read_text() == "x,y\n3,4\n"


@pytest.mark.parametrize(("name", "voxels"), [("1X1X1CUBE_DILATE1.AIM", 27), ("1X1X1CUBE_DILATE2.AIM", 117)])
def test_images_of_a_scanner_arrive_voxel_by_voxel(run, name, voxels):
    samples = Path(os.environ.get("XFWORKER_SAMPLES", Path(__file__).parents[2] / "../shared/samples"))
    if not (samples / name).is_file():
        pytest.skip(f"there is no sample {samples / name}")
    script = HEAD + (
        "import numpy as np\nimage = worker.get_omni_image(worker.job['inputs']['image'])\n"
        "worker.finish({'voxels': int(np.count_nonzero(image.pixels[:])), 'size': ' '.join(map(str, image.size))})\n"
    )
    done = run(script, f"image@{samples / name}")
    assert done.returncode == 0, done.stderr
    assert document(done)["outputs"]["voxels"] == voxels


def test_a_second_run_leaves_the_files_of_the_first_alone(run, tmp_path):
    script = HEAD + (
        "path = worker.create_temp_path('n.txt'); path.write_text(str(worker.job['inputs']['n']))\n"
        "worker.upload_output_file(path); worker.finish({'f': worker.create_output_foreign_file(path.name)})\n"
    )
    first, second = (Path(document(run(script, f"n={n}"))["files"]["f"][0]) for n in (1, 2))
    assert (first.read_text(), second.read_text()) == ("1", "2")
    assert first.name == "n.txt"


FAILURES = [
    (HEAD + "raise ValueError('bad voxel')", "crashed", "ValueError: bad voxel"),
    (HEAD + "worker.error('no bone here')", "error_reported", "no bone here"),
    (HEAD, "no_finish", "without calling finish()"),
    (HEAD + "import os; os.kill(os.getpid(), 9)", "killed", "ended by SIGKILL"),
    ("import nosuchmodule", "crashed", "No module named 'nosuchmodule'"),
    ("def (", "crashed", "SyntaxError"),
    ("import sys; sys.exit(7)", "crashed", "exit code 7"),
]


@pytest.mark.parametrize(
    ("script", "ending", "message"), FAILURES, ids=[ending + str(i) for i, (_, ending, _) in enumerate(FAILURES)]
)
@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
def test_every_failure_says_which_it_was(run, tmp_path, script, ending, message):
    done = run("print('the log')\n" + script)
    assert done.returncode == 1
    job = document(done)
    assert (job["state"], job["metadata"]["outcome"]["ending"]) == ("Failed", ending)
    assert message in job["metadata"]["error_message"]
    assert message in done.stderr
    assert "end of the log" in done.stderr
    kept = (tmp_path / "xf-results" / "log.txt").read_text()
    assert "the log" in kept or message in kept


def test_a_job_that_is_handed_over_has_its_own_exit_code(run):
    done = run(HEAD + "worker.switch_to_interactive_mode('please look')")
    assert done.returncode == 3
    assert document(done)["state"] == "ReadyForInteractive"
    assert "please look" in done.stderr


@pytest.mark.parametrize(
    ("items", "message"),
    [
        (("n=1", "n=2", "x@none.aim"), "n: is given twice\n  x: there is no file none.aim"),
        (("what",), "'what' is not an ITEM"),
    ],
)
def test_wrong_items_are_usage(run, tmp_path, items, message):
    done = run(HEAD, *items)
    assert (done.returncode, done.stdout) == (2, "")
    assert message in done.stderr


def test_a_missing_target_is_usage(run):
    done = run(None, name="none.py")
    assert done.returncode == 2
    assert "there is no" in done.stderr


def test_an_output_whose_file_was_never_uploaded_fails_the_run_and_is_named(run):
    done = run(HEAD + "worker.finish({'n': 1, 'f': worker.create_output_foreign_file('never.txt')})")
    assert done.returncode == 1
    assert document(done)["state"] == "Failed"
    assert "never.txt" in document(done)["metadata"]["error_message"]


def test_a_package_folder_runs_with_its_interface(run, tmp_path):
    folder = tmp_path / "package"
    folder.mkdir()
    metadata = {"package_format": "XFP-TT1.0", "name": "Lab.Double", "version": "1.0.0.0"}
    interface = {
        "inputs": [
            {"key": "n", "type": "Float"},
            {"key": "factor", "type": "Int", "default": 2},
            {"key": "note", "type": "String", "supported_modes": ["none", "ui"]},
        ],
        "outputs": [{"key": "n", "type": "Float"}],
    }
    (folder / "metadata.json").write_text(json.dumps(metadata))
    (folder / "interface.json").write_text(json.dumps(interface))
    (folder / "lab.py").write_text("def double(n, factor):\n    return n * factor\n")
    (folder / "main.py").write_text(
        HEAD + "import lab\ninputs = worker.job['inputs']\nassert inputs['note'] is None\n"
        "worker.finish({'n': lab.double(inputs['n'], inputs['factor'])})\n"
    )
    done = run(None, "n=21", name="package")
    assert done.returncode == 0, done.stderr
    assert document(done)["outputs"] == {"n": 42.0}
    refused = run(None, "m=1", name="package")
    assert refused.returncode == 2
    assert "m: there is no such input" in refused.stderr
    assert "n: is required" in refused.stderr


def test_sibling_modules_are_there_by_bare_name(run):
    done = run(HEAD + "import omni, network, xfsortorder\nworker.finish({'n': len(xfsortorder.__name__)})")
    assert done.returncode == 0, done.stderr


def start(tmp_path, script, *options):
    (tmp_path / "task.py").write_text(script, "utf-8")
    command = [sys.executable, "-m", "xfworker", "run", str(tmp_path / "task.py"), *options]
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    return subprocess.Popen(
        command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def wait_for(stream, word):
    lines = []
    for line in stream:
        lines.append(line)
        if word in line:
            return line
    pytest.fail("".join(lines))


def children(pid):
    found = []
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = entry.read_text().rpartition(")")[2].split()
            if int(fields[1]) == pid:
                found.append((int(entry.parent.name), (entry.parent / "cmdline").read_bytes().decode()))
        except OSError:
            continue
    return found


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_reach_the_script(tmp_path, number):
    script = HEAD + (
        "import signal, sys, time\n"
        "def stop(number, frame):\n"
        "    print('caught', number, flush=True)\n"
        "    worker.error('stopped by a person')\n"
        f"signal.signal({int(number)}, stop)\n"
        "print('ready', flush=True)\n"
        "time.sleep(60)\n"
    )
    with start(tmp_path, script) as process:
        wait_for(process.stderr, "ready")
        process.send_signal(number)
        text = process.stderr.read()
        assert process.wait(60) == 1
    assert f"caught {int(number)}" in text
    assert "stopped by a person" in text


@pytest.mark.skipif(sys.platform != "linux", reason="finds processes in /proc")
def test_a_killed_server_is_one_sentence(tmp_path):
    with start(tmp_path, HEAD + "import time; print('ready', flush=True); time.sleep(60)", "--json") as process:
        wait_for(process.stderr, "ready")
        (server,) = [pid for pid, command in children(process.pid) if "\0serve\0" in command]
        os.kill(server, signal.SIGKILL)
        text = process.stderr.read()
        job = json.loads(process.stdout.read())
        assert process.wait(60) == 1
    assert "the built-in server is gone: it was killed by signal 9" in text
    assert "Traceback" not in text
    assert (job["state"], job["metadata"]["outcome"]["ending"]) == ("Failed", "server_lost")


@pytest.mark.skipif(sys.platform != "linux", reason="finds processes in /proc")
def test_a_killed_script_is_a_failed_job(tmp_path):
    script = HEAD + "import os, time; print('ready', os.getpid(), flush=True); time.sleep(60)"
    with start(tmp_path, script) as process:
        line = wait_for(process.stderr, "ready")
        os.kill(int(re.search(r"ready (\d+)", line)[1]), signal.SIGKILL)
        text = process.stderr.read()
        assert process.wait(60) == 1
    assert "ended by SIGKILL" in text


def test_nothing_is_left_behind_unless_it_is_kept(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    with start(tmp_path, HEAD + "worker.finish({})") as process:
        process.communicate(timeout=60)
        assert process.returncode == 0
    left = sorted(path.name for path in tmp_path.iterdir())
    assert left == ["task.py"]
    with start(tmp_path, HEAD + "worker.finish({})", "--keep", "--data", str(tmp_path / "data")) as process:
        _, errors = process.communicate(timeout=60)
    assert f"kept: {tmp_path / 'data'}" in errors
    assert (tmp_path / "data").is_dir()


@pytest.mark.skipif(sys.platform == "win32", reason="kill -9 is POSIX")
def test_the_next_run_mends_what_a_killed_one_left(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    with start(tmp_path, HEAD + "import time; print('ready', flush=True); time.sleep(60)") as process:
        wait_for(process.stderr, "ready")
        process.kill()
    assert list(tmp_path.glob("xfworker-run-*/data/records.sqlite"))
    with start(tmp_path, HEAD + "worker.finish({})") as process:
        _, errors = process.communicate(timeout=60)
        assert process.returncode == 0, errors
    assert sorted(path.name for path in tmp_path.iterdir()) == ["task.py"]


def test_a_place_for_outputs_that_cannot_be_is_said_before_the_job_starts(run, tmp_path):
    (tmp_path / "taken").touch()
    done = run(HEAD + "worker.finish({})", options=("--json", "--out", "taken/deep"))
    assert (done.returncode, done.stdout) == (2, "")
    assert f"{tmp_path / 'taken'} is a file" in done.stderr


def test_outputs_that_cannot_be_brought_home_are_kept(run, tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    script = HEAD + (
        f"from pathlib import Path\nPath({str(tmp_path / 'out')!r}).touch()\n"  # after the place was looked at
        "path = worker.create_temp_path('n.txt'); path.write_text('kept')\n"
        "worker.upload_output_file(path); worker.finish({'f': worker.create_output_foreign_file(path.name)})\n"
    )
    done = run(script, options=("--json", "--out", "out"))
    assert done.returncode == 1
    assert document(done)["outputs"]["f"]["filename"] == "n.txt"
    assert "output f: its files cannot be brought to out" in done.stderr
    (folder,) = tmp_path.glob("xfworker-run-*")
    assert f"kept: {folder}" in done.stderr
    assert [path.read_text() for path in folder.rglob("n.txt")] == ["kept"]


@pytest.mark.skipif(sys.platform == "win32", reason="open files cannot be removed on Windows")
def test_a_script_that_removes_its_log_fails_for_its_own_reason(run, tmp_path):
    done = run(HEAD + "import os; os.remove('log.txt'); os.mkdir('log.txt')\nraise ValueError('own reason')")
    assert done.returncode == 1
    assert "own reason" in document(done)["metadata"]["error_message"]
    assert "the whole log could not be kept" in done.stderr


def test_output_without_line_ends_is_shown_while_it_comes():
    import io

    from rich.console import Console

    from xfworker.api.cli.live_job import LiveJob

    shown = io.StringIO()
    live = LiveJob(Console(file=shown), server=None)
    for _ in range(100):
        live.output(None, b"x" * 65536)
    assert len(shown.getvalue()) > 6_000_000
    live.output(None, b"end\nnext")
    live.finished()
    assert shown.getvalue().replace("\n", "") == "x" * 6_553_600 + "endnext"


def test_a_job_is_run_to_its_end_when_the_reader_of_its_output_goes_away(tmp_path):
    script = HEAD + (
        "for number in range(20000):\n    print('line', number, 'x' * 60)\n"
        "import pathlib\npath = pathlib.Path('table.csv')\npath.write_text('a,b')\nworker.upload_output_file(path)\n"
        "worker.finish({'table': worker.create_output_csv(path.name)})\n"
    )
    (tmp_path / "task.py").write_text(script, "utf-8")
    running = subprocess.Popen(
        [sys.executable, "-m", "xfworker", "run", "task.py"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert running.stdout.readline().startswith("line 0")
    running.stdout.close()
    running.wait(120)
    assert (tmp_path / "xf-results" / "table.csv").read_text() == "a,b"


def test_a_done_job_is_done_on_a_console_that_lacks_its_characters(tmp_path):
    (tmp_path / "task.py").write_text(HEAD + "worker.finish({'v': 1.5, 'n': '≤ 2'}, units={'v': 'µm³'})", "utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "xfworker", "run", "task.py"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONIOENCODING": "cp1252"},
        capture_output=True,
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert "1.5 µm³" in done.stdout.decode("cp1252")


def test_a_packages_dependencies_that_are_not_installed_here_are_named(tmp_path):
    package = tmp_path / "package"
    package.mkdir()
    needs = [{"name": "Lab.Six", "version": "1.2.0.0"}, {"name": "Core.Host.Python", "version": "3.11.0.0"}]
    described = {"package_format": "XFP-TT1.0", "name": "Lab.T", "version": "1.0.0.0", "dependencies": needs}
    (package / "metadata.json").write_text(json.dumps(described))
    (package / "interface.json").write_text('{"inputs": [], "outputs": []}')
    (package / "main.py").write_text("import a_module_that_is_not_here\n")
    command = [sys.executable, "-m", "xfworker", "run", str(package)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "needs Lab.Six 1.2.0.0; only workers install that" in done.stderr
    assert "Core.Host.Python" not in done.stderr


def test_a_local_dependency_is_installed_for_the_script(tmp_path):
    package = tmp_path / "tools"
    package.mkdir()
    command = "%xfpython% install.py"
    metadata = {"package_format": "XFP-DEP1.0", "name": "Lab.Tools", "version": "1.0.0.0", "install": command}
    (package / "metadata.json").write_text(json.dumps(metadata))
    (package / "install.py").write_text(
        "import pathlib, sysconfig\n"
        "pathlib.Path(sysconfig.get_path('purelib'), 'lab_tools.py').write_text('answer = 42')\n"
    )
    (tmp_path / "task.py").write_text(HEAD + "import lab_tools\nworker.finish({'n': lab_tools.answer})")
    environment = {**os.environ, "XDG_CACHE_HOME": str(tmp_path / "cache"), "HOME": str(tmp_path)}

    def run(*words):
        command = [sys.executable, "-m", "xfworker", "run", "task.py", "--json", *words]
        return subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=240, check=False
        )

    done = run("--dependency", "tools")
    assert done.returncode == 0, done.stderr
    assert document(done)["outputs"] == {"n": 42}
    refused = run("--dependency", "none")
    assert (refused.returncode, refused.stdout) == (2, "")
    (package / "metadata.json").write_text(
        json.dumps({**metadata, "dependencies": [{"name": "Lab.Other", "version": "1.0.0.0"}]})
    )
    assert "Lab.Other 1.0.0.0 is needed as well" in run("--dependency", "tools").stderr


def test_each_run_can_have_a_folder_of_its_own(run, tmp_path):
    script = HEAD + (
        "import pathlib\npathlib.Path('t.csv').write_text('a,b')\nworker.upload_output_file(pathlib.Path('t.csv'))\n"
        "worker.finish({'table': worker.create_output_csv('t.csv')})\n"
    )
    folders = [
        Path(document(run(script, options=("--json", "--own-folder")))["files"]["table"][0]).parent for _ in range(2)
    ]
    assert folders == [tmp_path / "xf-results" / "task", tmp_path / "xf-results" / "task_2"]
