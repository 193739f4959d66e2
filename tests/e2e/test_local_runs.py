"""What ``run``, ``run --bundle`` and ``demo`` have in common, wherever their jobs come from."""

import json
import shutil
import sys

import pytest

from xfworker.api.cli import demo
from xfworker.api.cli.main import main

KILLS_ITS_SERVER = """
import json, os, pathlib, time
os.kill(json.loads(pathlib.Path("../data/server.json").read_text())["pid"], 9)
time.sleep(60)
"""
FAILS = "print('the only line'); raise ValueError('no figures')\n"
SOURCES = ("run", "bundle", "demo")


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bundled")
    (folder / "task.py").write_text("import xfworkerutil\nxfworkerutil.XFWorkerJob().finish({})\n")
    assert main(["run", str(folder / "task.py"), "--data", str(folder / "data"), "--out", str(folder / "out")]) == 0
    made = ["job", "bundle", "1", "--data", str(folder / "data"), "--out", str(folder / "job.xfjob")]
    assert main(made) == 0
    return folder / "job.xfjob"


@pytest.fixture
def words(bundle, tmp_path, monkeypatch):
    """Give the command that runs a script from each source; the demo has it as its second step."""

    def words(source, script):
        path = tmp_path / "task.py"
        path.write_text(script)
        if source == "demo":
            shutil.copytree(demo.PACKAGES, tmp_path / "packages")
            path.replace(tmp_path / "packages" / "statistics" / "main.py")
            monkeypatch.setattr(demo, "PACKAGES", tmp_path / "packages")
            return ["demo"]
        return ["run", str(path), *(["--bundle", str(bundle)] if source == "bundle" else [])]

    return words


@pytest.mark.skipif(sys.platform == "win32", reason="kill -9 is POSIX")
@pytest.mark.parametrize("source", SOURCES)
def test_a_lost_server_leaves_a_document_of_the_jobs(words, source, tmp_path, capsys):
    assert main([*words(source, KILLS_ITS_SERVER), "--json", "--out", str(tmp_path / "out")]) == 1
    shown = capsys.readouterr()
    document = json.loads(shown.out)
    lost = document["jobs"]["statistics"] if source == "demo" else document
    assert (lost["state"], lost["metadata"]["outcome"]["ending"]) == ("Failed", "server_lost")
    assert "the built-in server is gone: it was killed by signal 9" in shown.err
    if source == "demo":
        assert document["jobs"]["threshold"]["state"] == "Done"
        assert not document["agrees"]


@pytest.mark.parametrize("source", SOURCES)
def test_the_log_of_a_failed_job_is_kept_beside_the_outputs(words, source, tmp_path, capsys):
    assert main([*words(source, FAILS), "--out", str(tmp_path / "out")]) == 1
    log = tmp_path / "out" / "log.txt"
    assert f"the whole log: {log}" in capsys.readouterr().err
    assert log.read_text().startswith("the only line")


@pytest.mark.parametrize("words", [["run", "absent.py"], ["run", "--bundle", "absent.xfjob"], ["demo"]])
def test_the_folder_for_outputs_is_looked_at_before_anything_else(words, tmp_path, capsys):
    (tmp_path / "taken").touch()
    assert main([*words, "--out", str(tmp_path / "taken" / "deep")]) == 2
    assert f"{tmp_path / 'taken'} is a file; name a folder" in capsys.readouterr().err
