import json
import os
import subprocess
import sys

import pytest

from xfworker.api.cli.main import main

SCRIPT = """
import xfworkerutil
import measures.volume as volume

worker = xfworkerutil.XFWorkerJob()
table = worker.create_temp_path("volumes.csv")
numbers = [volume.of(side) for side in worker.job["inputs"]["sides"]]
table.write_text("volume\\n" + "\\n".join(map(str, numbers)) + "\\n")
worker.upload_output_file(table)
worker.finish({"table": worker.create_output_csv(table.name), "total": sum(numbers)})
"""


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory):
    """A folder in which a script was run and its job was bundled."""
    folder = tmp_path_factory.mktemp("lab")
    (folder / "cubes.py").write_text(SCRIPT)
    (folder / "measures").mkdir()
    (folder / "measures" / "volume.py").write_text("def of(side):\n    return side**3\n")
    (folder / "unrelated.py").write_text("secret = 1\n")
    ran = xfworker(folder, "run", "cubes.py", "sides:=[1, 2.5]", "--data", "data")
    assert ran.returncode == 0, ran.stderr
    return folder


@pytest.fixture(scope="module")
def bundle(run_folder):
    made = xfworker(run_folder, "job", "bundle", "1", "--data", "data", "--json")
    assert made.returncode == 0, made.stderr
    return json.loads(made.stdout)


def xfworker(folder, *words):
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("XF_", "XFWORKER_"))}
    return subprocess.run(
        [sys.executable, "-m", "xfworker", *map(str, words)],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=120,
        check=False,
    )


def test_a_bundle_tells_what_is_in_it(run_folder, bundle):
    assert (bundle["path"], bundle["has_package"]) == (str(run_folder / "job-1.xfjob"), True)
    assert sorted(file["role"] for file in bundle["files"]) == ["config", "log", "output"]


def test_it_runs_elsewhere_and_is_the_same(bundle, tmp_path):
    ran = xfworker(tmp_path, "run", "--bundle", bundle["path"], "--compare", "--json")
    assert ran.returncode == 0, ran.stderr
    document = json.loads(ran.stdout)
    assert document["outputs"]["total"] == 16.625
    assert document["comparison"] == {"same": True, "differences": [], "environment": []}
    assert "the outputs are the same" in ran.stderr
    assert (tmp_path / "xf-results" / "volumes.csv").read_text() == "volume\n1\n15.625\n"


def test_a_changed_script_is_run_in_its_place_and_every_difference_is_told(bundle, tmp_path):
    (tmp_path / "measures").mkdir()
    (tmp_path / "measures" / "volume.py").write_text("def of(side):\n    return side**3 * 1.01\n")
    (tmp_path / "cubes.py").write_text(SCRIPT)
    ran = xfworker(tmp_path, "run", "cubes.py", "--bundle", bundle["path"], "--compare")
    assert ran.returncode == 1
    assert "different: outputs.total: expected 16.625, got 16.79" in ran.stderr
    assert "different: files['volumes.csv'] line 3, column 1: expected 15.625" in ran.stderr
    within = xfworker(tmp_path, "run", "cubes.py", "--bundle", bundle["path"], "--compare", "--relative", "0.02")
    assert within.returncode == 0, within.stderr


def test_a_script_that_fails_now_is_a_difference_and_a_failure(bundle, tmp_path):
    (tmp_path / "broken.py").write_text("raise ValueError('no bone')\n")
    ran = xfworker(tmp_path, "run", "broken.py", "--bundle", bundle["path"], "--compare")
    assert ran.returncode == 1
    assert "the job was Done then and is Failed now" in ran.stderr
    assert "no bone" in ran.stderr


def test_without_outputs_there_is_nothing_to_compare(run_folder, bundle, tmp_path):
    made = xfworker(run_folder, "job", "bundle", "1", "--data", "data", "--no-outputs", "--out", tmp_path)
    assert made.returncode == 0, made.stderr
    ran = xfworker(tmp_path, "run", "--bundle", "job-1.xfjob", "--compare")
    assert (ran.returncode, "nothing to compare with" in ran.stderr) == (2, True)
    assert xfworker(tmp_path, "run", "--bundle", "job-1.xfjob").returncode == 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["run"], "name a TARGET"),
        (["run", "a.py", "--compare"], "--compare needs the --bundle"),
        (["run", "--bundle", "absent.xfjob"], "there is no bundle absent.xfjob"),
        (["run", "--bundle", "{bundle}", "--absolute", "-1", "--compare"], "at least 0"),
        (["run", "--bundle", "{bundle}", "threshold=1"], "it has: sides"),
        (["job", "bundle", "1", "--data", "a", "--server", "b"], "give one of them"),
        (["job", "bundle", "1", "--data", "absent"], "there is no folder absent"),
        (["job", "bundle", "1", "--out", "absent/a.xfjob", "--data", "."], "there is no folder"),
        (["job", "bundle", "1"], "no server is named"),
    ],
)
def test_what_cannot_work_is_said_in_a_sentence(bundle, tmp_path, monkeypatch, capsys, words, message):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("XFWORKER_SERVER_URL", raising=False)
    assert main([word.replace("{bundle}", bundle["path"]) for word in words]) == 2
    shown = capsys.readouterr()
    assert (shown.out, message in " ".join(shown.err.split())) == ("", True)


def test_a_job_that_is_not_there_leaves_no_bundle(run_folder, tmp_path):
    ended = xfworker(run_folder, "job", "bundle", "99", "--data", "data", "--out", tmp_path / "a.xfjob")
    assert (ended.returncode, list(tmp_path.iterdir())) == (1, [])
    assert "no job 99" in ended.stderr


def test_only_what_the_script_imports_goes_along(bundle, tmp_path):
    import zipfile

    archive = next(file for file in bundle["files"] if file["role"] == "config")
    with zipfile.ZipFile(bundle["path"]) as opened:
        manifest = json.loads(opened.read("bundle.json"))
        entry = next(file["entry"] for file in manifest["files"] if file["resource"] == archive["resource"])
        (tmp_path / "package.xfp").write_bytes(opened.read(entry))
    with zipfile.ZipFile(tmp_path / "package.xfp") as opened:
        assert sorted(opened.namelist()) == ["interface.json", "main.py", "measures/volume.py", "metadata.json"]


def test_inputs_of_a_bundle_can_be_replaced(run_folder, bundle, tmp_path):
    done = xfworker(tmp_path, "run", "--bundle", bundle["path"], "sides:=[2]", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["outputs"]["total"] == 8
    assert "sides" in xfworker(tmp_path, "run", "--bundle", bundle["path"], "sides:={", "--json").stderr


def test_sequences_and_outputs_of_earlier_jobs_are_inputs(tmp_path):
    (tmp_path / "first.py").write_text(
        "import pathlib, xfworkerutil\nworker = xfworkerutil.XFWorkerJob()\n"
        "pathlib.Path('t.csv').write_text('a,b')\nworker.upload_output_file(pathlib.Path('t.csv'))\n"
        "worker.finish({'table': worker.create_output_csv('t.csv'), 'n': 2.5})\n"
    )
    (tmp_path / "second.py").write_text(
        "import xfworkerutil\nworker = xfworkerutil.XFWorkerJob()\ninputs = worker.job['inputs']\n"
        "text = worker.download_input_file(inputs['table']).read_text()\n"
        "with worker.server_connection() as conn:\n"
        "    paired = xfworkerutil.get_xf_parameter_paired_float_sequences\n"
        "    pairs = paired(conn, inputs['volumes'], inputs['masses'])\n"
        "worker.finish({'text': text, 'n': inputs['n'], 'pairs': str([list(pair) for pair in pairs])})\n"
    )
    done = xfworker(tmp_path, "run", "first.py", "--data", "data", "--json")
    assert done.returncode == 0, done.stderr
    serial = json.loads(done.stdout)["serial"]
    sequences = [
        'volumes:={"type": "Sequence", "values": [1, 2]}',
        'masses:={"type": "Sequence", "values": [10, 20]}',
    ]
    earlier = [f"table@job:{serial}:table", f"n@job:{serial}:n"]
    done = xfworker(tmp_path, "run", "second.py", *earlier, *sequences, "--data", "data", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["outputs"] == {"text": "a,b", "n": 2.5, "pairs": "[[1.0, 2.0], [10.0, 20.0]]"}
    refused = xfworker(tmp_path, "run", "second.py", f"table@job:{serial}:tabel", "--data", "data")
    assert (refused.returncode, "it has: table, n" in refused.stderr) == (2, True)
    assert "--data" in xfworker(tmp_path, "run", "second.py", f"table@job:{serial}:table").stderr
