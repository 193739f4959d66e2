"""What a package says of itself, which packages a task type needs, and which a server takes for the same."""

import pytest

from xfworker.domain import package
from xfworker.domain.errors import InvalidParameter
from xfworker.domain.look_alikes import look_alike_name, look_alike_version
from xfworker.domain.package import Package, PackageFormat, choose_script, memory_limit_bytes, time_limit_seconds
from xfworker.domain.packages_needed import missing_of, missing_packages, needed_packages, packages_listed
from xfworker.domain.records import TaskType, Worker


def test_a_package_is_named_as_its_metadata_say():
    metadata = {"package_format": "XFP-TT1.0", "name": "Lab.Threshold", "version": "1.0.0.0"}
    bare = Package(metadata=metadata)
    assert (bare.format, bare.name, bare.version) == (PackageFormat.TASK_TYPE, "Lab.Threshold", "1.0.0.0")
    assert (bare.display_name, str(bare)) == ("Lab.Threshold", "Lab.Threshold 1.0.0.0")
    assert bare.archive_name == "Lab.Threshold-1.0.0.0.xfp"
    assert (bare.dependencies, bare.interface, bare.tasks, bare.files, bare.script) == ([], {}, [], (), None)
    listed = [{"name": "Lab.Tools"}]
    more = Package(metadata={**metadata, "display_name": "Threshold", "dependencies": listed})
    assert (more.display_name, more.dependencies) == ("Threshold", listed)
    assert [kind.value for kind in PackageFormat] == ["XFP-DEP1.0", "XFP-TT1.0", "XFP-WF1.0"]


def test_files_of_packages_have_the_documented_names():
    assert (package.METADATA_FILENAME, package.INTERFACE_FILENAME, package.TASKS_FILENAME, package.MAIN_SCRIPT) == (
        "metadata.json",
        "interface.json",
        "tasks.json",
        "main.py",
    )


def test_what_a_record_and_a_template_hold_of_a_package_has_the_documented_name():
    assert (package.PACKAGE, package.PLACEHOLDER, package.ARCHIVE_SUFFIX) == ("package", "PACKAGE", ".xfp")


def test_limits_of_a_script_are_seconds_and_bytes():
    assert time_limit_seconds({}) is time_limit_seconds({"limits": None}) is None
    assert time_limit_seconds({"limits": {"time_seconds": 90}}) == 90.0
    assert memory_limit_bytes({"limits": {}, "resources": {}}) is None
    assert memory_limit_bytes({"limits": {"memory_mib": 0.5}}) == 512 * 1024
    assert memory_limit_bytes({"limits": {"time_seconds": 1}, "resources": {"memory_mib": 3}}) == 3 * 1024 * 1024


@pytest.mark.parametrize(
    ("files", "script"),
    [
        (("a.py", "main.py"), "main.py"), (("a.py", "metadata.json"), "a.py"), (("a.py", "lib/b.py"), "a.py"),
        (("a.py", "b.py"), None), (("lib/main.py",), None), (("metadata.json",), None), ((), None),
    ],
)  # fmt: skip
def test_the_script_of_a_package_is_main_or_the_only_one_at_its_root(files, script):
    assert choose_script(files) == script


def test_a_task_type_needs_what_it_lists_in_that_version_or_in_any():
    listed = [{"name": "Lab.A", "version": "1.0.0.0"}, {"name": "Lab.B", "version": None}, {"name": "Lab.C"}]
    needed = [("Lab.A", "1.0.0.0"), ("Lab.B", None), ("Lab.C", None)]
    task_type = TaskType(name="t", metadata={"dependencies": listed})
    assert needed_packages(task_type) == packages_listed(task_type.metadata) == needed
    assert packages_listed({}) == packages_listed({"dependencies": {"name": "Lab.A"}}) == []
    assert packages_listed({"dependencies": ["Lab.A", {"version": "1"}, *listed]}) == needed

    def missing(*installed):
        return missing_packages(task_type, Worker(name="w", dependency_packages=list(installed)))

    assert missing() == ["Lab.A 1.0.0.0", "Lab.B", "Lab.C"]
    assert missing(*listed) == []
    other, any_b = {"name": "Lab.A", "version": "2.0.0.0"}, {"name": "Lab.B", "version": "7.0.0.0"}
    assert missing(other, any_b) == ["Lab.A 1.0.0.0", "Lab.C"]
    assert missing_of([("Lab.A", "2.0.0.0")], Worker(name="w", dependency_packages=[other])) == []


def test_names_and_versions_that_look_alike_are_the_same():
    assert look_alike_name(" LAB.Straße ") == look_alike_name("lab.strasse") == "lab.strasse"
    assert look_alike_name("ﬁlter") == look_alike_name("Filter")
    assert look_alike_name("a") != look_alike_name("b")
    assert look_alike_version("1.0") == look_alike_version("01.0.0.0") == (1,)
    assert look_alike_version("0.0") == ()
    assert look_alike_version("1.0.2") == (1, 0, 2)
    with pytest.raises(InvalidParameter):
        look_alike_version("one")
