"""What packages are refused for, and what their caches, templates and exports do at their edges."""

import io
import json
import os
import zipfile

import pytest

from xfworker.domain.errors import FileError, JobError, PackageError, UsageError
from xfworker.domain.package import PackageFormat
from xfworker.domain.records import DependencyPackage, Project, Task, TaskType, Workflow
from xfworker.domain.workflow_graph import Step
from xfworker.services.packages import archive as archives
from xfworker.services.packages import check
from xfworker.services.packages.archive import archive_violations, pack, unpack
from xfworker.services.packages.cache import PackageCache
from xfworker.services.packages.check import check_package, package_files
from xfworker.services.packages.checkin import archive_resource, check_in
from xfworker.services.packages.manifest import is_whole, write_manifest
from xfworker.services.packages.read_only import make_read_only, remove_read_only
from xfworker.services.packages.requirements import ordered_packages
from xfworker.services.packages.template import new_package
from xfworker.services.packages.workflow_export import export_workflow, tasks_document
from xfworker.services.packages.workflow_steps import workflow_steps

METADATA = {"package_format": "XFP-TT1.0", "name": "Lab.Threshold", "version": "1.0.0.0"}
NEEDED = {
    "package_format": "XFP-DEP1.0",
    "name": "Lab.Tools",
    "version": "1.0.0.0",
    "install": "true",
    "dependencies": [],
}
INTERFACE = {"inputs": [], "outputs": [{"key": "n", "type": "Int"}]}


def filled(folder, metadata=METADATA, interface=INTERFACE, **files):
    folder.mkdir(exist_ok=True)
    for name, content in (("metadata.json", metadata), ("interface.json", interface), ("main.py", "print()\n")):
        text = files.get(name, content)
        if text is not None:
            (folder / name).write_bytes(
                text
                if isinstance(text, bytes)
                else text.encode()
                if isinstance(text, str)
                else json.dumps(text).encode()
            )
    return folder


def violations(folder):
    with pytest.raises(PackageError) as caught:
        check_package(folder)
    return "\n".join(caught.value.faults)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"\xff{}", "metadata.json: is not UTF-8 (byte 0)"),
        (b"null", "metadata.json: holds null, not an object"),
        (b"{\n  x", "metadata.json: line 2, column 3: "),
        (b"[" * 100_000, "metadata.json: is nested too deeply"),
        (b"9" * 5000, "metadata.json: cannot be read (Exceeds the limit"),
        (b'{"a": "' + b"x" * 2000 + b'"}', "metadata.json: is larger than 1000 bytes"),
        (b"[]", "metadata.json: "),
    ],
)
def test_a_document_that_cannot_be_read_is_said_with_its_place(tmp_path, monkeypatch, content, expected):
    if b"xxx" in content:
        monkeypatch.setattr(check, "_MOST_JSON_BYTES", 1000)
    assert expected in violations(filled(tmp_path, **{"metadata.json": content}))


def test_a_file_that_metadata_names_and_the_package_lacks_is_a_violation(tmp_path):
    metadata = {
        **METADATA,
        "description_filename": "README.md",
        "parameter_types": [{"$ref": "types.json"}, {"type": "x"}],
    }
    found = violations(filled(tmp_path, metadata))
    assert "metadata.json: description_filename: there is no file 'README.md' in the package" in found
    assert "metadata.json: parameter_types[0].$ref: there is no file 'types.json' in the package" in found


def test_a_missing_interface_is_a_violation_and_a_missing_folder_is_no_package(tmp_path):
    assert "interface.json: is missing" in violations(filled(tmp_path / "a", interface=None))
    with pytest.raises(PackageError, match="is not a folder, so it is not a package"):
        check_package(tmp_path / "b")
    assert "interface.json: holds null, not an object" in violations(filled(tmp_path / "d", interface="null"))
    (tmp_path / "c").mkdir()
    with pytest.raises(PackageError, match=r"is not a package: it has no metadata\.json"):
        check_package(tmp_path / "c")


def test_a_name_that_is_long_is_shortened_in_the_message(tmp_path):
    found = violations(filled(tmp_path, {**METADATA, "citation_cff_filename": "x" * 100}))
    assert f"there is no file '{'x' * 56}... in the package" in found


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such file names, and asks for a right to make links")
def test_names_that_are_not_safe_everywhere_and_links_are_refused_before_anything_is_packed(tmp_path):
    for name in ("con.txt", "Main.py", "main.py", "main.pyc"):
        (tmp_path / name).write_text("")
    (tmp_path / "link").symlink_to("main.py")
    with pytest.raises(PackageError) as caught:
        package_files(tmp_path)
    found = "\n".join(caught.value.faults)
    assert "'con.txt': " in found
    assert "main.py: differs only in upper and lower case from Main.py" in found
    assert "main.pyc" not in found
    assert "link: is a link; packages hold files only" in found


def test_a_folder_that_goes_while_it_is_read_is_an_error_and_not_left_out(tmp_path):
    with pytest.raises(FileError, match=r"cannot read the package: .*gone"):
        package_files(tmp_path / "gone")


@pytest.mark.parametrize(("limit", "value"), [("MOST_BYTES", 3), ("MOST_FILES", 1)])
def test_a_folder_that_is_too_large_is_not_packed(tmp_path, monkeypatch, limit, value):
    monkeypatch.setattr(archives, limit, value)
    with pytest.raises(PackageError, match=r"holds 3 files, .* are the most"):
        pack(filled(tmp_path / "a"), tmp_path / "a.xfp")
    assert not (tmp_path / "a.xfp").exists()


def entry(name, size=1):
    info = zipfile.ZipInfo(name)
    info.file_size = size
    return info


@pytest.mark.parametrize(
    ("entries", "expected"),
    [
        ([entry("metadata.json"), entry("a/"), entry("a/b.py")], []),
        ([entry("metadata.json"), entry("A.py"), entry("a.py")], ["a.py: is there twice, the other time as A.py"]),
        ([entry("metadata.json"), entry("a"), entry("a")], ["a: is there twice"]),
        ([entry("metadata.json"), entry("a"), entry("A/")], ["a: is a file and a folder as well"]),
        ([entry("metadata.json", 1 << 50)], [f"it would unpack to {1 << 50} bytes; {archives.MOST_BYTES} is the most"]),
        ([entry("a.py")], ["metadata.json: is not at the root of the archive"]),
    ],
)
def test_archives_are_refused_by_their_directories(entries, expected):
    assert archive_violations(entries, 1024) == expected


def test_a_file_that_holds_other_bytes_at_the_same_time_and_size_counts_as_unchanged_and_any_other_does_not(tmp_path):
    (tmp_path / "__pycache__").mkdir()
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep/a.txt").write_text("one")
    if os.name != "nt":
        (tmp_path / "link").symlink_to("deep/a.txt")
    write_manifest(tmp_path)
    assert is_whole(tmp_path)
    os.utime(tmp_path / "deep/a.txt", (1, 1))
    assert is_whole(tmp_path)
    (tmp_path / "deep/a.txt").write_text("two")
    assert not is_whole(tmp_path)
    assert not is_whole(tmp_path / "deep")


@pytest.mark.skipif(os.name == "nt", reason="rights to change files are Posix's")
def test_a_folder_that_is_read_only_can_be_removed_and_what_links_point_to_stays(tmp_path):
    outside = tmp_path / "outside.txt"
    outside.write_text("x")
    folder = tmp_path / "shared"
    (folder / "deep").mkdir(parents=True)
    (folder / "deep/a.txt").write_text("x")
    (folder / "link").symlink_to(outside)
    make_read_only(folder)
    assert [path.stat().st_mode & 0o222 for path in (folder, folder / "deep", folder / "deep/a.txt")] == [0, 0, 0]
    assert outside.stat().st_mode & 0o200
    remove_read_only(folder)
    assert (folder.exists(), outside.read_text()) == (False, "x")


def dependency(name, *needed):
    return DependencyPackage(
        name=name, version="1", install="", dependencies=[{"name": n, "version": "1"} for n in needed]
    )


def test_packages_are_installed_behind_those_that_they_need_each_once():
    known = {"a": dependency("a", "b", "c"), "b": dependency("b", "c"), "c": dependency("c")}
    needed = [{"name": "a", "version": "1"}, {"name": "c", "version": "1"}]
    assert [one.name for one in ordered_packages(needed, lambda name, _: known.get(name))] == ["c", "b", "a"]


@pytest.mark.parametrize(
    ("needed", "sentence"),
    [
        ([{"name": "a", "version": "1"}], "need each other in a circle: a -> b -> a"),
        ([{"name": "x", "version": "1"}], "the dependency package x 1 is not on the server; check it in"),
        ("a", "the dependencies of the task type are 'a', not a list of objects with name and version"),
        ([{"name": "bad", "version": "1"}], "the dependencies of the dependency package bad 1 are .* not a list"),
    ],
)
def test_packages_that_cannot_be_ordered_are_named(needed, sentence):
    known = {"a": dependency("a", "b"), "b": dependency("b", "a")}
    known["bad"] = DependencyPackage(name="bad", version="1", install="", dependencies=[{"name": "a"}])
    with pytest.raises(JobError, match=sentence):
        ordered_packages(needed, lambda name, _: known.get(name))


@pytest.mark.parametrize(
    ("package_format", "names"),
    [
        (PackageFormat.TASK_TYPE, {"metadata.json", "interface.json", "main.py"}),
        (PackageFormat.WORKFLOW, {"metadata.json", "tasks.json"}),
        (PackageFormat.DEPENDENCY, {"metadata.json"}),
    ],
)
def test_a_new_package_has_the_files_of_its_kind_and_takes_no_folder_that_is_in_use(tmp_path, package_format, names):
    made = new_package(tmp_path / "new", "Lab.New", package_format)
    assert {path.name for path in made} == names == {path.name for path in (tmp_path / "new").iterdir()}
    if package_format is not PackageFormat.DEPENDENCY:
        assert check_package(tmp_path / "new").format is package_format
    with pytest.raises(UsageError, match="is there already and not empty; name a new folder"):
        new_package(tmp_path / "new", "Lab.New", package_format)


def step(serial, *inputs, name="Step"):
    task_type = TaskType(serial=serial, name="Lab.Step", version="1.0.0.0", interface=interface_of(inputs))
    return Step(
        Task(serial=serial, workflow_serial=1, task_type_serial=serial, name=name, inputs=list(inputs)), task_type
    )


def interface_of(inputs):
    return {"inputs": [{"key": one["key"], "type": "Int"} for one in inputs], "outputs": [{"key": "n", "type": "Int"}]}


def test_every_way_to_fill_an_input_is_exported():
    document = tasks_document(
        [
            step(4, {"key": "a", "mode": "fixed", "fixed_value": 3}, {"key": "b", "mode": "ui"}),
            step(9, {"key": "c", "mode": "output", "task_serial": 4, "output_key": "n"}, name=""),
        ]
    )
    assert [task["inputs"] for task in document["tasks"]] == [
        {"a": {"mode": "fixed", "fixed_value": 3}, "b": {"mode": "ui"}},
        {"c": {"mode": "output", "task": 0, "key": "n"}},
    ]
    assert [task["name"] for task in document["tasks"]] == ["Step", "Lab.Step"]
    lost = step(9, {"key": "c", "mode": "output", "task_serial": 5, "output_key": "n"})
    with pytest.raises(PackageError, match=r"^the workflow cannot be exported:\n  Step: c takes.*\n  Step: c"):
        tasks_document([lost, lost])


def test_a_version_that_a_package_cannot_have_is_refused_and_a_name_that_is_too_long_is_left_out():
    workflow = Workflow(project_serial=1, name="W" * 300)
    with pytest.raises(
        PackageError, match=r"^the workflow cannot be exported:\n  metadata.json: n.*\n  metadata.json: v"
    ):
        export_workflow(workflow, [step(4)], name="?", version="one")
    for name in ("W" * 51, "W" * 50, "Ü", ""):
        made = export_workflow(Workflow(project_serial=1, name=name), [step(4)], name="Lab.W", version="1.0.0.0")
        shown = "" if len(name) in {0, 51} else f',\n  "display_name": "{name}"'
        with zipfile.ZipFile(io.BytesIO(made)) as archive:
            assert archive.read("metadata.json").decode() == (
                f'{{\n  "package_format": "XFP-WF1.0",\n  "name": "Lab.W",\n  "version": "1.0.0.0"{shown}\n}}\n'
            )


def test_the_steps_of_a_workflow_are_read_behind_those_that_they_use(xf_platform):
    server = xf_platform.server
    task_type = server.create(TaskType(name="Lab.A", version="1.0.0.0", interface=INTERFACE))
    project = server.create(Project(name="P"))
    workflow = server.create(Workflow(project_serial=project.serial, name="W"))
    tasks = [
        server.create(Task(workflow_serial=workflow.serial, task_type_serial=task_type.serial, name=name))
        for name in "ab"
    ]
    found, steps = workflow_steps(server, workflow.serial)
    assert found.name == "W"
    assert [one.serial for one in steps] == [task.serial for task in tasks]
    assert {one.task_type.name for one in steps} == {"Lab.A"}


def test_what_is_not_a_package_to_check_in_is_refused(tmp_path, xf_platform):
    parts = xf_platform.server, xf_platform.files
    new_package(tmp_path / "workflow", "Lab.W", PackageFormat.WORKFLOW)
    with pytest.raises(PackageError, match="is a workflow package; it is imported into a project, not checked in"):
        check_in(*parts, tmp_path / "workflow")
    folder = filled(tmp_path / "own")
    (folder / "Lab.Threshold-1.0.0.0.xfp").write_text("")
    with pytest.raises(PackageError, match="the name of its own archive; remove it"):
        check_in(*parts, folder)
    bare = xf_platform.server.create(TaskType(name="Lab.Bare", version="1.0.0.0", interface=INTERFACE))
    with pytest.raises(PackageError, match=r"\(Lab\.Bare 1\.0\.0\.0\) has no package on the server"):
        archive_resource(bare)


def test_folders_in_an_archive_are_made_for_the_files_in_them_only(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.xfp", "w") as archive:
        archive.writestr("empty/", b"")
        archive.writestr("deep/a.py", b"print()")
        archive.writestr("metadata.json", b"{}")
    (tmp_path / "out").mkdir()
    unpack(tmp_path / "a.xfp", tmp_path / "out")
    assert sorted(path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*")) == [
        "deep",
        "deep/a.py",
        "metadata.json",
    ]


class Failing:
    """A file store whose uploads fail while they are set to."""

    def __init__(self, files):
        self.files, self.is_away = files, True

    def __getattr__(self, name):
        return getattr(self.files, name)

    def upload(self, *args, **options):
        if self.is_away:
            raise FileError("the disk is full")
        return self.files.upload(*args, **options)


@pytest.mark.parametrize("metadata", [METADATA, NEEDED])
def test_a_check_in_that_was_interrupted_is_ended_by_the_next_one(tmp_path, xf_platform, metadata):
    server, files = xf_platform.server, Failing(xf_platform.files)
    folder = filled(tmp_path / "package", metadata)
    with pytest.raises(FileError, match="the disk is full"):
        check_in(server, files, folder)
    files.is_away = False
    (folder / "main.py").write_text("print(2)\n")

    done = check_in(server, files, folder)

    assert not done.is_new
    assert done.record.metadata["package"]["complete"]
    assert getattr(done.record, "obsolete", False) is False
    folder = PackageCache(tmp_path / "cache").get(server, files, done.record)
    assert (folder / "main.py").read_text() == "print(2)\n"


@pytest.mark.parametrize("metadata", [METADATA, NEEDED])
def test_a_record_of_the_same_name_that_came_from_no_package_is_left_alone(tmp_path, xf_platform, metadata):
    kind = TaskType if metadata is METADATA else DependencyPackage
    own = {"interface": INTERFACE} if metadata is METADATA else {"install": "true", "dependencies": []}
    bare = xf_platform.server.create(kind(name=metadata["name"], version="1.0.0.0", **own))
    done = check_in(xf_platform.server, xf_platform.files, filled(tmp_path / "package", metadata))
    assert done.is_new
    assert done.record.serial != bare.serial
    assert "package" not in xf_platform.server.get(kind, bare.serial).metadata


def test_a_package_that_the_disk_does_not_take_is_an_error_that_says_what_to_do(tmp_path, xf_platform):
    record = check_in(xf_platform.server, xf_platform.files, filled(tmp_path / "package")).record
    (tmp_path / "cache").write_text("a file")
    with pytest.raises(FileError, match=r"cannot put the package Lab\.Threshold 1\.0\.0\.0 into .*; make room there"):
        PackageCache(tmp_path / "cache").get(xf_platform.server, xf_platform.files, record)


def test_what_killed_processes_left_in_the_cache_is_swept_after_a_week_and_what_is_newer_stays(tmp_path, xf_platform):
    record = check_in(xf_platform.server, xf_platform.files, filled(tmp_path / "package")).record
    cache = PackageCache(tmp_path / "cache")
    old, new = (tmp_path / "cache" / f".incoming-{name}" for name in ("old", "new"))
    for folder in (old, new):
        folder.mkdir(parents=True)
    os.utime(old, (1, 1))
    cache.get(xf_platform.server, xf_platform.files, record)
    assert (old.exists(), new.exists()) == (False, True)


class Slow:
    """A file store whose downloads take so long that something else happens meanwhile."""

    def __init__(self, files, meanwhile):
        self.files, self.meanwhile = files, meanwhile

    def download(self, *args):
        self.meanwhile()
        return self.files.download(*args)


def test_two_processes_that_unpack_one_package_at_once_both_have_it(tmp_path, xf_platform):
    server, files = xf_platform.server, xf_platform.files
    record = check_in(server, files, filled(tmp_path / "package")).record
    quick, slow = PackageCache(tmp_path / "cache"), PackageCache(tmp_path / "cache")
    folder = slow.get(server, Slow(files, lambda: quick.get(server, files, record)), record)
    assert folder == quick.get(server, files, record)
    assert (folder / "main.py").read_text() == "print()\n"
    assert [path.name for path in (tmp_path / "cache").iterdir()] == [folder.name]


def test_a_place_in_the_cache_that_is_taken_by_a_file_is_an_error(tmp_path, xf_platform):
    server, files = xf_platform.server, xf_platform.files
    record = check_in(server, files, filled(tmp_path / "package")).record
    place = PackageCache(tmp_path / "other").get(server, files, record).name
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / place).write_text("")
    with pytest.raises(FileError, match="the package could not be put at"):
        PackageCache(tmp_path / "cache").get(server, files, record)
