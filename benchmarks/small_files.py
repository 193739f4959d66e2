"""Many small files, by our services and by raw urllib3 with as many threads, in turns."""

import os
import shutil
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import urllib3
from attrs import define, field

from benchmarks.pairs import Ratio
from benchmarks.transfer_bench import Bench
from xfworker.adapters.clock import SystemClock
from xfworker.adapters.disk.filesystem import LocalFilesystem
from xfworker.adapters.http.file_store import HttpFileStore
from xfworker.domain.files import Resource, parse_resource
from xfworker.services.transfers.side_by_side import DEFAULT_PARALLEL
from xfworker.services.transfers.transfers import Transfers

SIZE = 64 * 1024
_CLIENTS = ("ours", "urllib3")
FETCHED = "userdata/small"
"""Where the files lie that are fetched; their digests are known."""


@define
class SmallFiles:
    """
    The figures of a run.

    Attributes:
        per_second: By client and direction, files a second of each round.
        cpu: Likewise, the CPU seconds of client and server.
    """

    per_second: dict[str, list[float]] = field(factory=dict)
    cpu: dict[str, list[float]] = field(factory=dict)

    def pace(self, direction: str) -> Ratio | None:
        """Give how fast we are as a part of urllib3."""
        ours, theirs = (self.per_second[f"{name} {direction}"] for name in _CLIENTS)
        return Ratio.of(zip(ours, theirs, strict=True))

    def thrift(self, direction: str) -> Ratio | None:
        """Give the CPU time with urllib3 as a part of that with ours, so that more is better here as well."""
        ours, theirs = (self.cpu[f"{name} {direction}"] for name in _CLIENTS)
        return Ratio.of(zip(theirs, ours, strict=True))


@define
class _Case:
    """The files, and both ways to move them."""

    bench: Bench
    paths: list[Path]
    transfers: Transfers
    pool: urllib3.HTTPConnectionPool

    @property
    def got(self) -> Path:
        """Where files come back to."""
        return self.bench.folder / "got"

    def ours(self, direction: str) -> None:
        token = self.bench.token
        if direction == "up":
            self.store_all("userdata/small-ours")
        else:
            self.transfers.fetch_many(token, self._resources(FETCHED), self.got)

    def store_all(self, folder: str) -> None:
        uploads: list[tuple[Path, Resource]] = list(zip(self.paths, self._resources(folder), strict=True))
        self.transfers.store_many(self.bench.token, uploads, working_directory=self.bench.folder)

    def _resources(self, folder: str) -> list[Resource]:
        return [parse_resource(f"{folder}/{path.name}") for path in self.paths]

    def raw(self, direction: str) -> None:
        with ThreadPoolExecutor(DEFAULT_PARALLEL) as threads:
            list(threads.map(self._put if direction == "up" else self._get, self.paths))

    def _put(self, path: Path) -> None:
        assert self._ask("PUT", f"userdata/small-urllib3/{path.name}", path.read_bytes()).status == 201

    def _get(self, path: Path) -> None:
        answer = self._ask("GET", f"{FETCHED}/{path.name}")
        assert answer.status == 200
        (self.got / path.name).write_bytes(answer.data)

    def _ask(self, method: str, resource: str, body: bytes | None = None) -> urllib3.BaseHTTPResponse:
        headers = {"Authorization": f"Bearer {self.bench.token.token}"}
        return self.pool.request(method, f"/fss/v1/files/{resource}", body=body, headers=headers)


def small_files(bench: Bench, *, count: int, rounds: int) -> SmallFiles:
    """
    Move files of 64 KiB there and back, all of them by one client and then by the other.

    Args:
        bench: The server and the folder.
        count: How many files.
        rounds: How often; each begins with the other client, and with no copies of an earlier one.
    """
    paths = [bench.folder / "many" / f"{number}.raw" for number in range(count)]
    paths[0].parent.mkdir()
    for path in paths:
        path.write_bytes(os.urandom(SIZE))
    store = HttpFileStore()
    pool = urllib3.connectionpool.connection_from_url(bench.token.url, maxsize=DEFAULT_PARALLEL, block=True)
    case = _Case(bench, paths, Transfers(store, LocalFilesystem(), SystemClock()), pool)
    case.store_all(FETCHED)
    for path in paths:  # the server computes their digests in this order, or in that of their names
        bench.wait_for_digests(parse_resource(f"{FETCHED}/{path.name}"))
    clients: list[tuple[str, Callable[[str], None]]] = list(zip(_CLIENTS, (case.ours, case.raw), strict=True))
    figures = SmallFiles()
    for turn in range(rounds + 1):
        for direction in ("up", "down"):
            for name, move in clients if turn % 2 else clients[::-1]:
                case.got.mkdir()
                started, computed = time.perf_counter(), time.process_time() + bench.server.cpu
                move(direction)
                seconds, computed = (
                    time.perf_counter() - started,
                    time.process_time() + bench.server.cpu - computed,
                )
                if turn:  # the first round connects
                    figures.per_second.setdefault(f"{name} {direction}", []).append(count / seconds)
                    figures.cpu.setdefault(f"{name} {direction}", []).append(computed)
                shutil.rmtree(case.got)
                bench.remove(parse_resource(f"userdata/small-{name}"))
    store.close()
    pool.close()
    return figures
