"""What a new package holds, what the server keeps of one that is checked in, and what a folder of one held."""

import json
import os
import sys

import pytest

from xfworker.domain.errors import FileError, UsageError
from xfworker.domain.files import Scope, record_resource
from xfworker.domain.package import PackageFormat
from xfworker.domain.records import DependencyPackage, TaskType, TaskTypeKind
from xfworker.services.packages.check import check_package
from xfworker.services.packages.checkin import check_in
from xfworker.services.packages.manifest import is_whole, write_manifest
from xfworker.services.packages.requirements import ordered_packages
from xfworker.services.packages.template import new_package
from xfworker.services.transfers.observed import observed_transfers


def written(folder, metadata, **files):
    (folder / "models").mkdir(parents=True, exist_ok=True)
    (folder / "models" / "net.bin").write_bytes(b"net")
    for name, content in {"metadata": {"version": "1.0.0.0", **metadata}, **files}.items():
        (folder / f"{name}.json").write_text(json.dumps(content))
    return folder


def test_a_dependency_package_is_kept_with_all_that_it_says_and_so_is_what_replaces_it(tmp_path, xf_platform):
    server, files = xf_platform.server, xf_platform.files
    needed = [{"name": "Core.Host.Python3", "version": "1.10.7.0"}]
    for install in ("%xfpip% install numpy", "%xfpip% install scipy"):
        types = [{"name": install[-5:], "$ref": "type.json"}]
        described = {
            "package_format": "XFP-DEP1.0", "name": "Lab.Tools", "display_name": f"Tools, {install[-5:]}",
            "summary": "What we need.", "install": install, "dependencies": needed, "parameter_types": types,
        }  # fmt: skip
        seen = []
        with observed_transfers(seen.append):
            done = check_in(server, files, written(tmp_path / "tools", described, type={}), replace=True)
        record = server.get(DependencyPackage, done.record.serial)
        assert (record.install, record.dependencies, record.parameter_types) == (install, needed, types)
        assert record.metadata["display_name"] == described["display_name"]
        assert (record.metadata["summary"], record.metadata["dependencies"]) == ("What we need.", needed)
        assert {event.direction for event in seen} == {"upload"}
        assert (done.is_new, done.is_replaced) == (install.endswith("numpy"), install.endswith("scipy"))
        needed = []
    folder = record_resource("dependency_package_config", record.serial)
    listed = files.list(server.file_token([Scope("list", folder)]), folder).files
    names = {entry.resource.filename for entry in listed}
    # What lies in folders is in the archive alone.
    assert {name for name in names if not name.endswith(".xfp")} == {"metadata.json", "type.json"}


def test_a_task_type_has_its_kind_and_is_not_to_be_used_before_all_of_it_is_stored(tmp_path, xf_platform):
    server, files = xf_platform.server, xf_platform.files
    described = {"package_format": "XFP-TT1.0", "name": "Lab.Look", "kind": "Interactive"}
    folder = written(tmp_path / "look", described, interface={"inputs": [], "outputs": []})

    class Full:
        def upload(self, *_, **__):
            raise FileError("the disk is full")

    server.create(TaskType(name="Lab.Look", version="1.0.0.0"))
    with pytest.raises(FileError, match="the disk is full"):
        check_in(server, Full(), folder)
    (begun,) = (record for record in server.find(TaskType, {"name": "Lab.Look"}) if record.metadata)
    assert (begun.obsolete, begun.kind) == (True, TaskTypeKind.INTERACTIVE)
    done = check_in(server, files, folder)
    assert (done.record.serial, done.is_new, done.record.obsolete) == (begun.serial, False, False)
    (folder / "main.py").write_text("print()\n")
    for kind in (TaskTypeKind.PROCESSING, TaskTypeKind.INTERACTIVE):
        written(folder, {**described, "kind": kind.value})
        replaced = check_in(server, files, folder, replace=True)
        assert (replaced.is_new, replaced.record.kind) == (False, kind)


def test_a_new_task_type_is_one_that_runs_and_says_how_it_is_filled_in(tmp_path):
    folder = tmp_path / "deep" / "new"
    assert {path.name for path in new_package(folder, "Lab.Größe", PackageFormat.DEPENDENCY)} == {"metadata.json"}
    assert (folder / "metadata.json").read_text("utf-8") == (
        '{\n  "package_format": "XFP-DEP1.0",\n  "name": "Lab.Größe",\n  "version": "1.0.0.0",\n  "summary": "",\n'
        '  "install": "%xfpip% install PACKAGE",\n  "dependencies": []\n}\n'
    )
    folder = tmp_path / "empty"
    folder.mkdir()
    new_package(folder, "Lab.Mean", PackageFormat.TASK_TYPE)
    made = check_package(folder)
    assert (made.script, made.metadata["summary"]) == ("main.py", "")
    (given,), (result,) = made.interface["inputs"], made.interface["outputs"]
    assert (given["key"], given["type"], "ui" in given["supported_modes"]) == ("image", "Image", True)
    assert given["description"] == "The image to look at."
    assert result == {"key": "mean", "type": "Float", "description": "Mean of the raw pixel values."}
    script = (folder / "main.py").read_text("utf-8")
    assert script.startswith('"""What this task type does, in one sentence."""\n')
    assert 'inputs["image"]' in script
    assert 'worker.finish({"mean": ' in script
    new_package(tmp_path / "workflow", "Lab.Flow", PackageFormat.WORKFLOW)
    (task,) = check_package(tmp_path / "workflow").tasks
    assert (task["name"], task["task_type"]) == ("First task", {"name": "Lab.Example", "version": "1.0.0.0"})
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(UsageError, match="is there already and not empty"):
        new_package(tmp_path / "file", "Lab.Mean", PackageFormat.TASK_TYPE)


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights on Windows")
def test_links_count_by_what_they_point_to_and_what_python_compiles_does_not(tmp_path):
    folder = tmp_path / "package"
    (folder / "lib" / "deep").mkdir(parents=True)
    (folder / "lib" / "deep" / "a.py").write_text("1\n")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "b.py").write_text("2\n")
    (folder / "folder").symlink_to(tmp_path / "elsewhere")
    write_manifest(folder)
    # Workers of other versions read it in a folder that they share.
    assert json.loads((folder / ".xfworker-files.json").read_text("utf-8")).keys() == {"lib/deep/a.py", "folder"}
    (folder / "lib" / "__pycache__").mkdir()
    (folder / "lib" / "__pycache__" / "a.cpython-311.pyc").write_bytes(b"x")
    (tmp_path / "elsewhere" / "c.py").write_text("3\n")
    assert is_whole(folder)
    times = [os.lstat(folder / "folder").st_mtime_ns + 10**9] * 2
    os.utime(folder / "folder", ns=tuple(times), follow_symlinks=False)
    assert is_whole(folder)
    (folder / "folder").unlink()
    (folder / "folder").symlink_to(tmp_path / "elsewherE")
    assert not is_whole(folder)


def test_a_package_that_is_needed_twice_holds_up_none_behind_it():
    found = {name: DependencyPackage(name=name, version="1.0.0.0") for name in ("Core.A", "Core.B")}
    needed = [{"name": name, "version": "1.0.0.0"} for name in ("Core.A", "Core.A", "Core.B")]
    assert [one.name for one in ordered_packages(needed, lambda name, _: found[name])] == ["Core.A", "Core.B"]
