"""Many small files, by our services and by raw urllib3 with as many threads, in turns."""

import os
import shutil
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import urllib3
from attrs import define, field

from xfworker.adapters.clock import SystemClock
from xfworker.adapters.disk.filesystem import LocalFilesystem
from xfworker.adapters.http.file_store import HttpFileStore
from xfworker.domain.files import AuthorizationToken, Resource, parse_resource
from xfworker.services.transfers.side_by_side import DEFAULT_PARALLEL
from xfworker.services.transfers.transfers import Transfers

SIZE = 64 * 1024


@define
class SmallFiles:
    """
    The figures of a run.

    Attributes:
        per_second: By client and direction, files a second of each round.
    """

    per_second: dict[str, list[float]] = field(factory=dict)

    def pace(self, direction: str) -> float:
        """Give how fast we are as a part of urllib3: the median over the rounds."""
        rounds = zip(self.per_second[f"ours {direction}"], self.per_second[f"urllib3 {direction}"], strict=True)
        return statistics.median(ours / raw for ours, raw in rounds)


@define
class _Case:
    """The files, and both ways to move them."""

    token: AuthorizationToken
    folder: Path
    paths: list[Path]
    transfers: Transfers
    pool: urllib3.HTTPConnectionPool

    @property
    def got(self) -> Path:
        """Where files come back to."""
        return self.folder / "got"

    def ours(self, direction: str) -> None:
        resources = [parse_resource(f"userdata/small-ours/{path.name}") for path in self.paths]
        if direction == "up":
            uploads: list[tuple[Path, Resource]] = list(zip(self.paths, resources, strict=True))
            self.transfers.store_many(self.token, uploads, working_directory=self.folder)
        else:
            self.transfers.fetch_many(self.token, resources, self.got)

    def raw(self, direction: str) -> None:
        with ThreadPoolExecutor(DEFAULT_PARALLEL) as threads:
            list(threads.map(self._put if direction == "up" else self._get, self.paths))

    def _put(self, path: Path) -> None:
        assert self._ask("PUT", path, path.read_bytes()).status == 201

    def _get(self, path: Path) -> None:
        answer = self._ask("GET", path)
        assert answer.status == 200
        (self.got / f"raw-{path.name}").write_bytes(answer.data)

    def _ask(self, method: str, path: Path, body: bytes | None = None) -> urllib3.BaseHTTPResponse:
        headers = {"Authorization": f"Bearer {self.token.token}"}
        return self.pool.request(method, f"/fss/v1/files/userdata/small-raw/{path.name}", body=body, headers=headers)


def small_files(token: AuthorizationToken, folder: Path, *, count: int, rounds: int) -> SmallFiles:
    """
    Move files of 64 KiB there and back, all of them by one client and then by the other.

    Args:
        token: Allows everything below ``userdata``.
        folder: Where the files lie and come back to.
        count: How many files.
        rounds: How often; each begins with the other client.
    """
    paths = [folder / "many" / f"{number}.raw" for number in range(count)]
    paths[0].parent.mkdir()
    for path in paths:
        path.write_bytes(os.urandom(SIZE))
    store = HttpFileStore()
    pool = urllib3.connectionpool.connection_from_url(token.url, maxsize=DEFAULT_PARALLEL, block=True)
    case = _Case(token, folder, paths, Transfers(store, LocalFilesystem(), SystemClock()), pool)
    clients: list[tuple[str, Callable[[str], None]]] = [("ours", case.ours), ("urllib3", case.raw)]
    figures = SmallFiles()
    for turn in range(rounds + 1):
        for direction in ("up", "down"):
            for name, move in clients if turn % 2 else clients[::-1]:
                shutil.rmtree(case.got, ignore_errors=True)
                case.got.mkdir()
                started = time.perf_counter()
                move(direction)
                if turn:  # the first round connects
                    pace = count / (time.perf_counter() - started)
                    figures.per_second.setdefault(f"{name} {direction}", []).append(pace)
    store.close()
    pool.close()
    return figures
