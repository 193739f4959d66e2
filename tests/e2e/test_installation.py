"""What installing and removing the wheel does to an environment, beside a module of the same name from elsewhere."""

import json
import os
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FOREIGN = "ORIGIN = 'another platform'\n"
SCRIPT = """
import xfworkerutil
worker = xfworkerutil.XFWorkerJob()
worker.finish({"doubled": 2 * worker.job["inputs"]["n"]})
"""
WHOSE = "import xfworkerutil; print(getattr(xfworkerutil, 'ORIGIN', 'ours'))"


def run(*command, cwd=ROOT, together=False, **variables):
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("XF", "PYTHON"))}
    done = subprocess.run(
        [str(word) for word in command],
        cwd=cwd,
        env=kept | variables,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return (done.stdout + done.stderr).strip() if together else done.stdout.strip()


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    run(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", folder, ROOT)
    return next(folder.glob("*.whl"))


class Environment:
    """A virtual environment that sees the libraries of this one, but not this package."""

    def __init__(self, folder):
        venv.create(folder, symlinks=os.name != "nt")
        self.python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
        self.packages = Path(run(self.python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"))
        # A path line: what path lines of that folder say, as that of an editable installation, is not read.
        (self.packages / "zz_libraries.pth").write_text(sysconfig.get_path("purelib") + "\n")

    def pip(self, *words):
        run(sys.executable, "-m", "pip", "--quiet", "--python", self.python, *words)

    def own_entries(self):
        return {path.name for path in self.packages.iterdir()} - {"zz_libraries.pth", "__pycache__"}


@pytest.fixture
def environment(tmp_path):
    return Environment(tmp_path / "environment")


@pytest.fixture(scope="module")
def installed(tmp_path_factory, wheel):
    environment = Environment(tmp_path_factory.mktemp("installed") / "environment")
    environment.pip("install", "--no-deps", wheel)
    return environment


def test_the_wheel_claims_its_own_name_and_a_path_line(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.split("/")[0] for name in names if ".dist-info/" not in name} == {"xfworker", "xfworker.pth"}
    assert zipfile.ZipFile(wheel).read("xfworker.pth").split() == [b"xfworker/api/script_module"]


def test_a_foreign_module_is_neither_overwritten_nor_removed_and_wins_for_scripts_started_by_hand(
    environment, wheel, tmp_path
):
    foreign = environment.packages / "xfworkerutil.py"
    foreign.write_text(FOREIGN)
    environment.pip("install", "--no-deps", wheel)
    assert foreign.read_text() == FOREIGN
    assert run(environment.python, "-c", WHOSE, cwd=tmp_path) == "another platform"

    report = json.loads(run(environment.python, "-m", "xfworker", "doctor", "--json", cwd=tmp_path))
    assert [item["own"] for item in report["script_modules"]] == [False, True]
    assert Path(report["script_modules"][0]["path"]) == foreign.resolve()

    (tmp_path / "double.py").write_text(SCRIPT)
    done = run(environment.python, "-m", "xfworker", "run", "double.py", "n=4", "--json", cwd=tmp_path)
    assert json.loads(done)["outputs"] == {"doubled": 8}

    environment.pip("uninstall", "--yes", "xfworker")
    assert environment.own_entries() == {"xfworkerutil.py"}
    assert foreign.read_text() == FOREIGN


def test_without_a_foreign_module_a_script_started_by_hand_finds_ours(installed, tmp_path):
    assert run(installed.python, "-c", WHOSE, cwd=tmp_path) == "ours"
    assert "this package's xfworkerutil" in run(
        installed.python, "-m", "xfworker", "doctor", cwd=tmp_path, together=True
    )


def test_mypy_knows_the_module_without_any_settings(installed, tmp_path):
    pytest.importorskip("mypy", reason="mypy comes with the extra check")
    (tmp_path / "script.py").write_text("import xfworkerutil\nreveal_type(xfworkerutil.XFWorkerJob().finish)\n")
    said = run(sys.executable, "-m", "mypy", "--python-executable", installed.python, "script.py", cwd=tmp_path)
    assert "outputs: dict[str, Any]" in said


def test_an_editor_completes_the_names_of_the_module(installed):
    import jedi

    code = "import xfworkerutil\nworker = xfworkerutil.XFWorkerJob()\nworker.get_om"
    environment = jedi.create_environment(str(installed.python.parents[1]), safe=False)
    assert [item.name for item in jedi.Script(code, environment=environment).complete(3)] == ["get_omni_image"]


def test_a_folder_of_packages_runs_scripts_and_says_how_to_start_one_by_hand(wheel, tmp_path):
    target = tmp_path / "target"
    run(sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", target, wheel)
    bare = Environment(tmp_path / "environment")
    (tmp_path / "double.py").write_text(SCRIPT)
    done = run(bare.python, "-m", "xfworker", "run", "double.py", "n=4", "--json", cwd=tmp_path, PYTHONPATH=str(target))
    assert json.loads(done)["outputs"] == {"doubled": 8}

    report = json.loads(run(bare.python, "-m", "xfworker", "doctor", "--json", cwd=tmp_path, PYTHONPATH=str(target)))
    assert report["script_modules"] == []
    folder = target / "xfworker" / "api" / "script_module"
    assert run(bare.python, "-c", WHOSE, cwd=tmp_path, PYTHONPATH=os.pathsep.join([str(target), str(folder)])) == "ours"
