"""What of a worker's machine each of its jobs gets."""

import pytest

from xfworker.adapters.process.machine import scratch_of, usable_cores, usable_gpus, usable_memory_mib
from xfworker.domain.resources import Needs, Offer, Scratch
from xfworker.services.worker.capacity import Capacity


def test_what_is_free_is_what_no_job_has():
    capacity = Capacity(total=Offer(cores=8, memory_mib=1000, gpus=2), gpus=["GPU-a", "GPU-b"], concurrency=4)
    first = capacity.take(1, Needs(cores=6, memory_mib=700, gpus=1))
    assert (first["OMP_NUM_THREADS"], first["CUDA_VISIBLE_DEVICES"]) == ("6", "GPU-a")
    assert capacity.free() == Offer(cores=2, memory_mib=300, gpus=1)
    assert capacity.take(2, Needs(gpus=1))["CUDA_VISIBLE_DEVICES"] == "GPU-b"
    assert capacity.take(3, Needs(gpus=0))["CUDA_VISIBLE_DEVICES"] == ""
    capacity.give_back(1)
    assert capacity.free() == Offer(cores=8, memory_mib=1000, gpus=1)
    capacity.give_back(2)
    assert "CUDA_VISIBLE_DEVICES" not in capacity.take(4, Needs())
    assert capacity.take(5, Needs(gpus=2))["CUDA_VISIBLE_DEVICES"] == "GPU-a,GPU-b"
    assert capacity.free() == Offer(cores=8, memory_mib=1000, gpus=0)
    capacity.take(6, Needs(cores=9, memory_mib=1001))
    assert capacity.free() == Offer(cores=0, memory_mib=0, gpus=0)


def test_a_job_that_declares_nothing_takes_nothing_and_gets_its_share_of_threads():
    capacity = Capacity(total=Offer(cores=8), concurrency=4)
    variables = capacity.take(1, Needs())
    assert set(variables.values()) == {"2"}
    assert {"OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS"} == set(variables)
    assert capacity.free() == Offer(cores=8)
    assert set(Capacity(total=Offer(cores=8)).take(1, Needs()).values()) == {"8"}
    assert set(Capacity(total=Offer(cores=2), concurrency=4).take(1, Needs()).values()) == {"1"}


def test_time_passes_for_what_is_offered():
    left = [100.0, -1.0]
    capacity = Capacity(total=Offer(cores=1), seconds_left=lambda: left.pop(0), walltime_seconds=600.0)
    assert (capacity.free().seconds, capacity.free().seconds) == (100.0, 0.0)


def machine(root, lines, files):
    (root / "proc/self").mkdir(parents=True)
    (root / "proc/self/cgroup").write_text(lines)
    for path, content in files.items():
        file = root / "sys/fs/cgroup" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content)
    return root


@pytest.mark.parametrize(
    ("lines", "files"),
    [
        (
            "0::/job/step\n",
            {"job/memory.max": "104857600\n", "job/step/memory.max": "max\n", "job/cpu.max": "100000 100000"},
        ),
        (
            "4:memory:/job\n1:cpu,cpuacct:/job\n",
            {
                "memory/job/memory.limit_in_bytes": "104857600",
                "cpu/job/cpu.cfs_quota_us": "100000",
                "cpu/job/cpu.cfs_period_us": "100000",
            },
        ),
    ],
    ids=["version 2", "version 1"],
)
def test_the_limits_of_control_groups_count(tmp_path, monkeypatch, lines, files):
    monkeypatch.setattr("sys.platform", "linux")
    root = machine(tmp_path, lines, files)
    assert (usable_memory_mib(root), usable_cores(root)) == (100, 1)


def test_without_limits_the_machine_counts(tmp_path):
    assert usable_memory_mib(tmp_path) >= 1
    assert usable_cores(tmp_path) >= 1


def test_gpus_are_those_that_are_visible(monkeypatch):
    monkeypatch.setenv("PATH", "")
    assert usable_gpus({"CUDA_VISIBLE_DEVICES": "GPU-1f,3"}) == ["GPU-1f", "3"]
    assert usable_gpus({"CUDA_VISIBLE_DEVICES": "-1"}) == usable_gpus({}) == []


def test_the_kind_of_disk_is_that_of_the_nearest_mount(tmp_path):
    mounts = tmp_path / "mounts"
    folder = tmp_path.resolve() / "on the cluster"
    escaped = str(folder).replace(" ", "\\040")
    mounts.write_text(f"/dev/sda / ext4 rw 0 0\nserver:/x {escaped} nfs4 rw 0 0\n")
    assert scratch_of(folder / "jobs", mounts) is Scratch.SHARED
    assert scratch_of(tmp_path, mounts) is scratch_of(tmp_path, tmp_path / "absent") is Scratch.LOCAL
