"""
Where a worker may make control groups, by what a system shows of them. How a kernel keeps them is tested under one:
tests/integration/test_control_groups.py.
"""

import os
import sys

import pytest

from xfworker.adapters.process.control_groups import ControlGroups, usable_control_groups
from xfworker.api.composition.script_limits import script_limits

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="control groups are Linux's")

MOUNTED = "30 24 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw\n"


def system(root, own="0::/lab\n", mounts=MOUNTED, group="sys/fs/cgroup/lab", controllers="cpu io memory pids\n"):
    (root / "proc/self").mkdir(parents=True)
    (root / "proc/self/cgroup").write_text(own)
    (root / "proc/self/mountinfo").write_text(mounts)
    folder = root / group
    folder.mkdir(parents=True)
    (folder / "cgroup.controllers").write_text(controllers)
    for name in ("cgroup.procs", "cgroup.subtree_control", "cgroup.events"):
        (folder / name).touch()
    return folder


def test_a_group_that_can_be_written_to_is_used(tmp_path):
    folder = system(tmp_path)
    assert usable_control_groups(tmp_path) == ControlGroups(folder, ("cpu", "pids"))


def test_a_worker_that_another_was_moved_beside_makes_its_groups_where_that_did(tmp_path):
    folder = system(tmp_path)
    (folder / "xfworker.workers").mkdir()
    (tmp_path / "proc/self/cgroup").write_text("0::/lab/xfworker.workers\n")
    assert usable_control_groups(tmp_path) == ControlGroups(folder, ("cpu", "pids"))


@pytest.mark.parametrize(
    ("own", "mounts", "group"),
    [
        # Beside version 1; a path with a blank in it; a container that sees a part of the groups, whose name it knows.
        ("4:memory:/old\n0::/lab\n", MOUNTED.replace("/sys/fs/cgroup", "/sys/fs/cgroup/unified"), "unified/lab"),
        ("0::/lab\n", MOUNTED.replace("/sys/fs/cgroup", "/sys/fs/cgroup/a\\040b"), "a b/lab"),
        ("0::/pods/one/inner\n", MOUNTED.replace(" / ", " /pods/one "), "inner"),
        ("0::/\n", MOUNTED, ""),
    ],
)
def test_the_own_group_is_found_wherever_it_is_mounted(tmp_path, own, mounts, group):
    folder = system(tmp_path, own=own, mounts=mounts, group=f"sys/fs/cgroup/{group}")
    assert usable_control_groups(tmp_path) == ControlGroups(folder, ("cpu", "pids"))


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"own": "4:memory:/lab\n"}, "no control groups of version 2"),
        ({"mounts": "30 24 0:26 / /sys rw - sysfs sysfs rw\n"}, "no control groups of version 2"),
        ({"mounts": MOUNTED.replace(" / ", " /another ")}, "no control groups of version 2"),
        ({"controllers": "hugetlb\n"}, r"lab has no memory controller \(it has: hugetlb\)"),
        ({"controllers": "\n"}, r"no memory controller \(it has: none\)"),
        ({"group": "sys/fs/cgroup/other"}, r"lab cannot be read \(No such file"),
    ],
)
def test_why_there_are_none_is_said(tmp_path, changed, reason):
    system(tmp_path, **changed)
    with pytest.raises(AssertionError, match=reason):
        raise AssertionError(usable_control_groups(tmp_path))


@pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() != 0, reason="root may write anyway, which others may not"
)
def test_a_group_that_systemd_has_not_handed_over_is_left_alone(tmp_path):
    folder = system(tmp_path)
    (tmp_path / "run/systemd/system").mkdir(parents=True)
    assert "Delegate=yes" in str(usable_control_groups(tmp_path))
    try:
        os.setxattr(folder, "trusted.delegate", b"1")
    except OSError:
        pytest.skip("this file system keeps no such attributes")
    assert usable_control_groups(tmp_path) == ControlGroups(folder, ("cpu", "pids"))


def test_what_cannot_be_arranged_says_so_and_leaves_the_worker_to_look(tmp_path):
    folder = system(tmp_path)
    (folder / "cgroup.subtree_control").unlink()
    refused = ControlGroups(folder).prepare()
    assert refused == f"{folder} cannot be arranged (No such file or directory)"


def test_who_keeps_scripts_is_said_and_can_be_chosen():
    limits = script_limits(allowed=False)
    assert limits.control_groups is None
    assert limits.description == (
        "the worker, which looks at their memory ten times a second; worker.control_groups is false"
    )
