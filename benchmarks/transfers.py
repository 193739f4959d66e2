"""
Moving files, side by side in one run: ``python -m benchmarks.transfers [--quick] [--json]``.

Every transfer happens in a fresh process against the built-in server on loopback, the clients in turns; each round
begins with another one. Ours is verified both ways; the others are not. A machine is never equally fast for minutes, so
goals that compare two clients take the median of what the rounds say, each of which moved both within seconds. CPU
seconds are the client's; the server's come on top and are the same for all. Memory is the client's peak, interpreter
and all.
"""

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
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import structlog
from attrs import define, evolve, field

from benchmarks.girder_stub import girder_stub
from benchmarks.goals import Goal, benchmark_parser, conclude
from benchmarks.peer_environment import python_with
from benchmarks.small_files import SmallFiles, small_files
from benchmarks.transfer_clients import CLIENTS, transfer
from tests.integration.transfers.faulty_link import Fault, faulty_link
from xfworker.adapters.http.file_store import HttpFileStore
from xfworker.adapters.http.transport import HttpTransport
from xfworker.adapters.http.xf_server import HttpXFServer
from xfworker.api.composition.embedded_server import EmbeddedServer
from xfworker.domain.files import VERBS, AuthorizationToken, Resource, Scope, parse_resource

MIB = 1 << 20
SINK = "bare sink"
"""Granian that writes and hashes what urllib3 sends it (:mod:`benchmarks.hashing_sink`)."""
UP_GOAL = 0.9
DOWN_GOAL = 0.95
SMALL_GOALS = {"up": 1.0, "down": 0.8}
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


def missing(client: str) -> str:
    """Say why a client cannot be measured here, or nothing."""
    if client == SINK:
        return ""
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
    sink: str

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
        url = {"girder": self.girder, SINK: self.sink}.get(row.client, self.token.url)
        client = "urllib3" if row.client == SINK else row.client
        python = python_with(client) if client in APART else sys.executable
        command = [python, "-m", "benchmarks.transfer_clients", client, row.direction, url]
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
        with girder_stub(source) as girder, hashing_sink(folder) as sink:
            try:
                yield Bench(token, folder, source, girder, sink)
            finally:
                if (end := embedded.ended()) is not None:
                    print(f"the server ended: {end}", file=sys.stderr)


@contextlib.contextmanager
def hashing_sink(folder: Path) -> Iterator[str]:
    command = [sys.executable, "-m", "benchmarks.hashing_sink", str(folder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        port = process.stdout.readline().strip()
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            process.stdin.close()


def side_by_side(prepared: Bench, rounds: int) -> list[Row]:
    rows = [Row("ours", "up"), Row(SINK, "up")]
    rows += [
        Row(client, direction, note=missing(client))
        for direction in ("up", "down")
        for client in CLIENTS
        if transfer(client, direction) is not None and (client, direction) != ("ours", "up")
    ]
    for number in range(rounds):
        start = number * len(rows) // rounds
        for row in rows[start:] + rows[:start]:
            if not row.note:
                prepared.move(row)
    return rows


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


def goals_of(rows: Sequence[Row], small: SmallFiles, again: dict[str, float], servers: dict[str, float]) -> list[Goal]:
    by_name = {(row.client, row.direction): row for row in rows}
    goals = []
    for direction, judge, limit in (("up", SINK, UP_GOAL), ("down", "urllib3", DOWN_GOAL)):
        ours = by_name["ours", direction]
        for row in (row for row in rows if row.direction == direction and row is not ours):
            held_to = limit if row.client == judge else 1.0
            # Raw urllib3 checks nothing, so it is not a peer; uploads are held to the sink.
            if row.client != "urllib3" or judge == "urllib3":
                goals.append(_pace_goal(ours, row, held_to))
        memory = max(ours.rss, default=0.0) or None
        goals.append(Goal(f"{direction}: peak memory of the client", memory, MEMORY_GOAL_MIB, unit="MiB"))
    for direction, limit in SMALL_GOALS.items():
        name = f"{direction}: files of 64 KiB over raw urllib3 with as many threads"
        goals.append(Goal(name, small.pace(direction), limit, at_least=True))
    goals.append(Goal("sent again after a cut, at worst", max(again.values()), RESENT_GOAL_MIB, unit="MiB"))
    served = servers["built-in server"] / servers["nginx"] if servers else None
    reason = "" if servers else "nginx or curl is not installed"
    goals.append(Goal("serving a file, over nginx", served, SERVER_GOAL, at_least=True, reason=reason))
    return goals


def _pace_goal(ours: Row, other: Row, limit: float) -> Goal:
    name = f"{ours.direction}: ours, verified, over {other.client}"
    missing = ours.note or other.note
    return Goal(name, None if missing else ours.pace_of(other), limit, at_least=True, reason=missing)


def main() -> int:
    options = benchmark_parser(__doc__).parse_args()
    size, rounds, count = (256 * MIB, 3, 300) if options.quick else (1024 * MIB, 7, 1000)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    with bench(size) as prepared:
        rows = side_by_side(prepared, rounds)
        small = small_files(prepared.token, prepared.folder, count=count, rounds=rounds)
        again = sent_again(prepared)
        servers = against_nginx(prepared, rounds)
    if not options.json:
        _show(rows, small, again, servers, size, count)
    goals = goals_of(rows, small, again, servers)
    return conclude("transfers", goals, options, _document(rows, small, again, servers))


def _document(
    rows: Sequence[Row], small: SmallFiles, again: dict[str, float], servers: dict[str, float]
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
        "small_files_per_second": small.per_second,
        "mib_sent_again": again,
        "serving_mib_per_second": servers,
    }


def _show(
    rows: Sequence[Row],
    small: SmallFiles,
    again: dict[str, float],
    servers: dict[str, float],
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
    for name, figures in small.per_second.items():
        print(f"  {name:28s} {statistics.median(figures):8.0f}")
    print("\nMiB sent again after a cut")
    for name, figure in again.items():
        print(f"  {name:28s} {figure:8.1f}")
    if servers:
        print("\nserving the file to curl, MiB a second")
        for name, figure in servers.items():
            print(f"  {name:28s} {figure:8.0f}")
    print()


if __name__ == "__main__":
    sys.exit(main())
