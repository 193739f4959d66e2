"""
Moving files, side by side in one run: ``python -m benchmarks.transfers [--quick] [--json]``.

Every transfer happens in a fresh process against the built-in server on loopback, the clients in turns; each round
begins with another one. Ours is verified both ways; the others are not. A machine is never equally fast for minutes, so
goals that compare two clients take the median of what the rounds say, each of which moved both within seconds. CPU
seconds are the client's; the server's come on top and are the same for all. Memory is the client's peak, interpreter
and all.
"""

import argparse
import contextlib
import json
import logging
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import structlog
from attrs import define, evolve, field

from benchmarks.girder_stub import girder_stub
from benchmarks.peer_environment import python_with
from benchmarks.transfer_clients import CLIENTS, transfer
from tests.integration.transfers.faulty_link import Fault, faulty_link
from xfworker.adapters.clock import SystemClock
from xfworker.adapters.disk.filesystem import LocalFilesystem
from xfworker.adapters.http.file_store import HttpFileStore
from xfworker.adapters.http.transport import HttpTransport
from xfworker.adapters.http.xf_server import HttpXFServer
from xfworker.api.composition.embedded_server import EmbeddedServer
from xfworker.domain.files import VERBS, AuthorizationToken, Resource, Scope, parse_resource
from xfworker.services.transfers.transfers import Transfers

MIB = 1 << 20
RATIO_GOAL = 0.9
MEMORY_GOAL_MIB = 64.0
RESENT_GOAL_MIB = 16.0
SERVER_GOAL = 0.5
APART = ("dxpy",)
"""Clients that pin an older urllib3 than ours, so they live in environments of their own."""


@define
class Row:
    client: str
    direction: str
    mib_per_second: list[float] = field(factory=list)
    cpu: list[float] = field(factory=list)
    rss: list[float] = field(factory=list)
    note: str = ""

    @property
    def best(self) -> float:
        return max(self.mib_per_second, default=0.0)

    @property
    def median(self) -> float:
        return statistics.median(self.mib_per_second) if self.mib_per_second else 0.0

    def pace_of(self, other: "Row") -> float:
        """Give how fast this client is as a part of another one: the median over the rounds."""
        if not (self.mib_per_second and other.mib_per_second):
            return 0.0
        rounds = zip(self.mib_per_second, other.mib_per_second, strict=False)  # a client that failed stops early
        return statistics.median(mine / theirs for mine, theirs in rounds)


@define(frozen=True)
class Goal:
    name: str
    figure: float
    goal: float
    unit: str
    at_least: bool = True

    @property
    def met(self) -> bool:
        return self.figure >= self.goal if self.at_least else self.figure <= self.goal


def missing(client: str) -> str:
    """Say why a client cannot be measured here, or nothing."""
    if client == "curl":
        return "" if shutil.which("curl") else "curl is not installed"
    if client in APART:
        try:
            python_with(client)
        except RuntimeError as error:
            return str(error)
        return ""
    module = {"ours": "xfworker", "girder": "girder_client"}.get(client, client)
    return "" if find_spec(module) else f"{module} is not installed (pip install {module.replace('_', '-')})"


@define
class Bench:
    """The server and the folder of a run."""

    token: AuthorizationToken
    folder: Path
    source: Path
    girder: str

    def _touch_memory(self) -> None:
        """
        Use and free as much memory as the transfer will need.

        A virtual machine gives memory that is free for a while back to its host, and whoever takes it first pays for
        its return: the client whose turn comes after a pause would look slow.
        """
        scratch = self.folder / "scratch"
        block = bytes(MIB)
        with scratch.open("wb", buffering=0) as file:
            for _ in range(self.source.stat().st_size // MIB):
                file.write(block)
        scratch.unlink()

    def move(self, row: Row) -> None:
        """Let one client move the file once and record its figures."""
        self._touch_memory()
        path = self.source if row.direction == "up" else self.folder / f"target-{row.client}"
        resource = f"userdata/{row.client}" if row.direction == "up" else "userdata/source"
        url = self.girder if row.client == "girder" else self.token.url
        python = python_with(row.client) if row.client in APART else sys.executable
        command = [python, "-m", "benchmarks.transfer_clients", row.client, row.direction, url]
        done = subprocess.run(
            [*command, self.token.token, resource, str(path)], capture_output=True, text=True, check=False
        )
        if done.returncode:
            row.note = f"failed: {(done.stderr.strip().splitlines() or ['?'])[-1][:90]}"
            return
        figures = json.loads(done.stdout.splitlines()[-1])
        row.mib_per_second.append(self.source.stat().st_size / MIB / figures["seconds"])
        row.cpu.append(figures["cpu"])
        row.rss.append(figures["rss"] / MIB)
        with contextlib.suppress(FileNotFoundError):
            self.source.with_name(f"{self.source.name}.girder").unlink()
        if row.direction == "down":
            assert path.stat().st_size == self.source.stat().st_size
            path.unlink()


@contextlib.contextmanager
def bench(size: int) -> Iterator[Bench]:
    shared_memory = Path("/dev/shm")
    base = shared_memory if shared_memory.is_dir() and shutil.disk_usage(shared_memory).free > 8 * size else None
    with tempfile.TemporaryDirectory(dir=base) as name, EmbeddedServer(Path(name) / "data") as embedded:
        folder = Path(name)
        source = folder / "source"
        with source.open("wb") as file:
            for _ in range(size // MIB):
                file.write(os.urandom(MIB))
        transport = HttpTransport(embedded.url, token=embedded.admin_token)
        token = HttpXFServer(transport).file_token([Scope(verb, Resource(("userdata",))) for verb in VERBS])
        HttpFileStore().upload(token, source, parse_resource("userdata/source"))
        (folder / "tiny").write_bytes(b"tiny")
        HttpFileStore().upload(token, folder / "tiny", parse_resource("userdata/tiny"))
        with girder_stub(source) as girder:
            try:
                yield Bench(token, folder, source, girder)
            finally:
                if (end := embedded.ended()) is not None:
                    print(f"the server ended: {end}", file=sys.stderr)


def side_by_side(prepared: Bench, rounds: int) -> list[Row]:
    rows = [
        Row(client, direction, note=missing(client))
        for direction in ("up", "down")
        for client in CLIENTS
        if transfer(client, direction) is not None
    ]
    for number in range(rounds):
        start = number * len(rows) // rounds
        for row in rows[start:] + rows[:start]:
            if not row.note:
                prepared.move(row)
    return rows


def many_files(prepared: Bench, count: int) -> dict[str, float]:
    """Move small files by our services, and by raw urllib3 with as many threads; gives files a second."""
    import urllib3

    folder = prepared.folder / "many"
    folder.mkdir()
    paths = [folder / f"{number}.raw" for number in range(count)]
    for path in paths:
        path.write_bytes(os.urandom(64 * 1024))
    resources = [parse_resource(f"userdata/many/{path.name}") for path in paths]
    store = HttpFileStore()
    transfers = Transfers(store, LocalFilesystem(), SystemClock())
    figures = {}
    started = time.perf_counter()
    uploads = list(zip(paths, resources, strict=True))
    transfers.store_many(prepared.token, uploads, working_directory=folder)
    figures["ours up"] = count / (time.perf_counter() - started)
    (prepared.folder / "got").mkdir()
    started = time.perf_counter()
    transfers.fetch_many(prepared.token, resources, prepared.folder / "got")
    figures["ours down"] = count / (time.perf_counter() - started)
    pool = urllib3.connectionpool.connection_from_url(prepared.token.url, maxsize=6, block=True)
    headers = {"Authorization": f"Bearer {prepared.token.token}"}

    def put(path: Path) -> None:
        answer = pool.request("PUT", f"/fss/v1/files/userdata/raw/{path.name}", body=path.read_bytes(), headers=headers)
        assert answer.status == 201

    def get(path: Path) -> None:
        answer = pool.request("GET", f"/fss/v1/files/userdata/raw/{path.name}", headers=headers)
        assert answer.status == 200
        (prepared.folder / "got" / f"raw-{path.name}").write_bytes(answer.data)

    with ThreadPoolExecutor(6) as threads:
        for name, work in (("urllib3 up", put), ("urllib3 down", get)):
            started = time.perf_counter()
            list(threads.map(work, paths))
            figures[name] = count / (time.perf_counter() - started)
    return figures


def sent_again(prepared: Bench) -> dict[str, float]:
    """Cut the link at three points each way; gives the MiB that passed it beyond the file's own."""
    size = prepared.source.stat().st_size
    figures = {}
    for share in (0.3, 0.6, 0.9):
        for direction in ("up", "down"):
            with faulty_link(prepared.token.url) as link:
                token = evolve(prepared.token, url=f"{link.url}/fss/v1")
                store = HttpFileStore()
                resource = parse_resource("userdata/source" if direction == "down" else "userdata/cut")
                if direction == "up":
                    link.faults.append(Fault(cut_up_after=int(size * share)))
                    store.upload(token, prepared.source, resource)
                    passed = link.up
                else:
                    link.faults.append(Fault(cut_down_after=int(size * share)))
                    store.download(token, resource, prepared.folder / "cut")
                    passed = link.down
                store.close()
            figures[f"{direction}, cut at {share:.0%}"] = (passed - size) / MIB
    return figures


def against_nginx(prepared: Bench, rounds: int) -> dict[str, float]:
    """Serve the file by nginx as well and let curl throw it away; gives MiB a second."""
    nginx, curl = shutil.which("nginx"), shutil.which("curl")
    if not nginx or not curl:
        return {}
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    root = prepared.folder
    config = root / "nginx.conf"
    temporary = "".join(
        f"{part}_temp_path {root}/{part};" for part in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    config.write_text(
        f"daemon off; pid {root}/pid; error_log stderr; events {{}} http {{ access_log off; sendfile on; {temporary} "
        f"server {{ listen 127.0.0.1:{port}; root {root}; }} }}"
    )
    user = ["-g", "user root;"] if os.geteuid() == 0 else []
    process = subprocess.Popen(
        [nginx, "-p", str(root), "-c", str(config), *user], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    figures: dict[str, float] = {"built-in server": 0.0, "nginx": 0.0}
    try:
        for _ in range(200):
            with contextlib.suppress(OSError):
                socket.create_connection(("127.0.0.1", port)).close()
                break
            time.sleep(0.02)
        for _ in range(rounds):
            for name, url in (
                ("nginx", f"http://127.0.0.1:{port}/source"),
                ("built-in server", f"{prepared.token.url}/files/userdata/source"),
            ):
                command = [curl, "-sf", "-o", os.devnull, "-w", "%{speed_download}", url]
                done = subprocess.run(
                    [*command, "-H", f"Authorization: Bearer {prepared.token.token}"],
                    capture_output=True,
                    text=True,
                    check=True,
                )
                figures[name] = max(figures[name], float(done.stdout) / MIB)
    finally:
        process.terminate()  # killed, it would leave its workers behind
        process.wait()
    return figures


def goals_of(rows: Sequence[Row], again: dict[str, float], servers: dict[str, float]) -> list[Goal]:
    by_name = {(row.client, row.direction): row for row in rows}
    goals = []
    for direction in ("up", "down"):
        ours, raw = by_name["ours", direction], by_name["urllib3", direction]
        if raw.mib_per_second:
            goals.append(Goal(f"{direction}: ours, verified, to raw urllib3", ours.pace_of(raw), RATIO_GOAL, ""))
        peers = [row for row in rows if row.direction == direction and row.client not in {"ours", "urllib3"}]
        best = min((row for row in peers if row.mib_per_second), key=ours.pace_of)
        goals.append(Goal(f"{direction}: ours to the best peer ({best.client})", ours.pace_of(best), 1.0, ""))
        goals.append(
            Goal(f"{direction}: peak memory", max(ours.rss, default=0.0), MEMORY_GOAL_MIB, "MiB", at_least=False)
        )
    goals.append(Goal("sent again after a cut, at worst", max(again.values()), RESENT_GOAL_MIB, "MiB", at_least=False))
    if servers:
        goals.append(Goal("serving a file, to nginx", servers["built-in server"] / servers["nginx"], SERVER_GOAL, ""))
    return goals


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a smaller file and fewer rounds")
    parser.add_argument("--json", action="store_true", help="one JSON document")
    asked = parser.parse_args()
    size, rounds, count = (256 * MIB, 2, 300) if asked.quick else (1024 * MIB, 5, 2000)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    with bench(size) as prepared:
        rows = side_by_side(prepared, rounds)
        small = many_files(prepared, count)
        again = sent_again(prepared)
        servers = against_nginx(prepared, rounds)
    goals = goals_of(rows, again, servers)
    if asked.json:
        print(json.dumps(_document(rows, small, again, servers, goals), indent=2))
    else:
        _show(rows, small, again, servers, goals, size, count)
    return 0 if all(goal.met for goal in goals) else 1


def _document(
    rows: Sequence[Row],
    small: dict[str, float],
    again: dict[str, float],
    servers: dict[str, float],
    goals: Sequence[Goal],
) -> dict[str, Any]:
    return {
        "transfers": [
            {
                "client": row.client,
                "direction": row.direction,
                "mib_per_second": row.mib_per_second,
                "cpu_seconds": row.cpu,
                "peak_mib": row.rss,
                "note": row.note,
            }
            for row in rows
        ],
        "small_files_per_second": small,
        "mib_sent_again": again,
        "serving_mib_per_second": servers,
        "goals": [
            {"name": goal.name, "figure": goal.figure, "goal": goal.goal, "unit": goal.unit, "met": goal.met}
            for goal in goals
        ],
    }


def _show(
    rows: Sequence[Row],
    small: dict[str, float],
    again: dict[str, float],
    servers: dict[str, float],
    goals: Sequence[Goal],
    size: int,
    count: int,
) -> None:
    for direction in ("up", "down"):
        print(f"\n{size // MIB} MiB {direction:27s} best   median   CPU s  peak MiB")
        for row in sorted((row for row in rows if row.direction == direction), key=lambda row: -row.best):
            if row.mib_per_second:
                cpu, rss = min(row.cpu), max(row.rss)
                print(f"  {row.client:28s} {row.best:8.0f} {row.median:8.0f} {cpu:7.2f} {rss:9.0f}")
            else:
                print(f"  {row.client:28s} not measured: {row.note}")
    print(f"\n{count} files of 64 KiB, files a second")
    for name, figure in small.items():
        print(f"  {name:28s} {figure:8.0f}")
    print("\nMiB sent again after a cut")
    for name, figure in again.items():
        print(f"  {name:28s} {figure:8.1f}")
    if servers:
        print("\nserving the file to curl, MiB a second")
        for name, figure in servers.items():
            print(f"  {name:28s} {figure:8.0f}")
    else:
        print("\nserving: not measured, because nginx or curl is not installed")
    print("\ngoals")
    for goal in goals:
        sign, word = (">=" if goal.at_least else "<="), ("met" if goal.met else "MISSED")
        print(f"  {goal.name:48s} {goal.figure:8.2f} {sign} {goal.goal:g} {goal.unit} {word}")


if __name__ == "__main__":
    sys.exit(main())
