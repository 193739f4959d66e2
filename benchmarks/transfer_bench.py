"""The servers, the folder and the clients between which :mod:`benchmarks.transfers` moves files."""

import contextlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psutil
from attrs import define, field

from benchmarks.girder_stub import girder_stub
from benchmarks.goals import with_byte_code
from benchmarks.peer_environment import python_with
from benchmarks.scratch import scratch_folder
from xfworker.adapters.http.file_store import HttpFileStore
from xfworker.adapters.http.transport import HttpTransport
from xfworker.adapters.http.xf_server import HttpXFServer
from xfworker.api.composition.embedded_server import EmbeddedServer
from xfworker.domain.files import VERBS, AuthorizationToken, Resource, Scope, parse_resource

MIB = 1 << 20
OURS = "ours"
SINK = "bare sink"
"""Granian that writes and hashes what urllib3 sends it (:mod:`benchmarks.hashing_sink`)."""
APART = ("dxpy",)
"""Clients that pin an older urllib3 than ours, so they live in environments of their own."""
WARM = "warm"
"""A file that is moved before anything is measured, where the large one would take too long for that."""
_WARM_BYTES = 16 * MIB
_KEPT = frozenset({"source", "tiny", WARM})
_STEP_SECONDS = 0.02
_LOOK_SECONDS = 0.3
_QUIET_SECONDS = 10.0
_DIGEST_SECONDS = 120.0


@define(frozen=True)
class Move:
    """
    What one transfer took.

    Attributes:
        seconds: Time.
        cpu: CPU seconds of client and server.
        rss: Peak memory of the client's process so far, in bytes.
    """

    seconds: float
    cpu: float
    rss: float


@define
class Served:
    """
    A server.

    Attributes:
        url: Its address.
        process: Its process.
    """

    url: str
    process: psutil.Process

    @property
    def cpu(self) -> float:
        """CPU seconds that it has used so far."""
        times = self.process.cpu_times()
        return float(times.user + times.system)

    def settle(self) -> None:
        """Wait until it does nothing any more, as what it still does would be counted to the next turn."""
        deadline = time.monotonic() + _QUIET_SECONDS
        before = self.cpu
        while time.monotonic() < deadline:
            time.sleep(_STEP_SECONDS)
            now = self.cpu
            if now == before:
                return
            before = now


@define
class Bench:
    """
    The servers and the folder of a run.

    Attributes:
        token: Allows everything below ``userdata`` of the built-in server.
        folder: Where all files of the run lie.
        source: The file that is moved.
    """

    token: AuthorizationToken
    folder: Path
    source: Path
    _servers: Mapping[str, Served]
    _closing: contextlib.ExitStack
    _store: HttpFileStore = field(factory=HttpFileStore)
    _clients: dict[tuple[str, str], "subprocess.Popen[str]"] = field(factory=dict)

    @property
    def size(self) -> int:
        """Bytes of the file that is moved."""
        return self.source.stat().st_size

    @property
    def server(self) -> Served:
        """The built-in server."""
        return self._servers[OURS]

    def touch_memory(self) -> None:
        """
        Use and free as much memory as a transfer will need.

        A virtual machine gives memory that is free for a while back to its host, and whoever takes it first pays for
        its return: the first of a pair would look slow.
        """
        scratch = self.folder / "scratch"
        block = bytes(MIB)
        with scratch.open("wb", buffering=0) as file:
            for _ in range(self.size // MIB):
                file.write(block)
        scratch.unlink()

    def move(self, client: str, direction: str, *, file: str = "source") -> Move | str:
        """
        Let a client move a file once, between an idle server and a folder that holds no earlier copy.

        Args:
            client: Who moves it.
            direction: ``up`` or ``down``.
            file: Its name; Girder's stub has the large one only.

        Returns:
            What it took, or why it failed.
        """
        server = self._servers.get(client, self.server)
        original = self.folder / ("source" if client == "girder" else file)
        path = original if direction == "up" else self.folder / f"target-{client}"
        resource = f"userdata/{client}" if direction == "up" else f"userdata/{original.name}"
        case = {"url": server.url, "token": self.token.token, "resource": resource, "path": str(path)}
        server.settle()
        computed = server.cpu
        answer = self._ask("urllib3" if client == SINK else client, direction, case)
        computed = server.cpu - computed
        if direction == "down" and "error" not in answer and path.stat().st_size != original.stat().st_size:
            answer = {"error": "the copy has another size"}
        self._remove_copies(path if direction == "down" else None)
        if "error" in answer:
            return f"failed: {answer['error'][:90]}"
        return Move(answer["seconds"], answer["cpu"] + computed, answer["rss"])

    def _ask(self, client: str, direction: str, case: Mapping[str, str]) -> dict[str, Any]:
        process = self._clients.get((client, direction))
        if process is None:
            process = self._clients[client, direction] = self._started(client, direction)
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            print(json.dumps(case), file=process.stdin, flush=True)
            line = process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if line:
            answer: dict[str, Any] = json.loads(line)
            return answer
        del self._clients[client, direction]
        return {"error": f"its process ended with {process.wait()}"}

    def _started(self, client: str, direction: str) -> "subprocess.Popen[str]":
        python = python_with(client) if client in APART else sys.executable
        process = subprocess.Popen(
            [python, "-m", "benchmarks.transfer_clients", client, direction],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=with_byte_code(),
            start_new_session=True,  # Ctrl-C is for the benchmark, which ends them
        )
        self._closing.callback(process.wait)
        self._closing.callback(process.terminate)
        return process

    def _remove_copies(self, target: Path | None) -> None:
        """Delete what a turn has stored, so that the next does not have to free its memory."""
        self.remove(parse_resource("userdata"))
        for path in (target, self.folder / "sink", self.source.with_name(f"{self.source.name}.girder")):
            if path is not None:
                path.unlink(missing_ok=True)

    def remove(self, folder: Resource) -> None:
        """Delete the files that transfers have stored in a folder of the built-in server."""
        for stat in self._store.list(self.token, folder).files:
            if stat.resource.filename not in _KEPT:
                self._store.delete(self.token, stat.resource)
        self.server.settle()

    def store(self, path: Path, resource: Resource) -> None:
        """Store a file, and wait until the server has computed all its digests."""
        self._store.upload(self.token, path, resource)
        self.wait_for_digests(resource)

    def wait_for_digests(self, resource: Resource) -> None:
        """
        Wait until the server has computed the SHA-256 of a file, and with it those of all that were stored before.

        Raises:
            TimeoutError: It did not.
        """
        deadline = time.monotonic() + _DIGEST_SECONDS
        while self._store.stat(self.token, resource).sha256 is None:
            if time.monotonic() > deadline:
                raise TimeoutError(f"the server did not compute the SHA-256 of {resource}")
            time.sleep(_LOOK_SECONDS)


@contextlib.contextmanager
def bench(size: int) -> Iterator[Bench]:
    """
    Start the servers and make the file.

    Args:
        size: Its bytes.
    """
    shared_memory = Path("/dev/shm")
    base = shared_memory if shared_memory.is_dir() and shutil.disk_usage(shared_memory).free > 8 * size else None
    with scratch_folder(base) as folder, EmbeddedServer(folder / "data") as embedded, contextlib.ExitStack() as closing:
        source = folder / "source"
        with source.open("wb") as file:
            for _ in range(size // MIB):
                file.write(os.urandom(MIB))
        (folder / "tiny").write_bytes(b"tiny")
        (folder / WARM).write_bytes(os.urandom(_WARM_BYTES))
        transport = HttpTransport(embedded.url, token=embedded.admin_token)
        token = HttpXFServer(transport).file_token([Scope(verb, Resource(("userdata",))) for verb in VERBS])
        addresses = {
            OURS: (token.url, embedded.pid),
            SINK: closing.enter_context(hashing_sink(folder)),
            "girder": closing.enter_context(girder_stub(source)),
        }
        servers = {name: Served(url, psutil.Process(pid)) for name, (url, pid) in addresses.items()}
        prepared = Bench(token, folder, source, servers, closing)
        for name in ("tiny", WARM):
            prepared.store(folder / name, parse_resource(f"userdata/{name}"))
        prepared.store(source, parse_resource("userdata/source"))
        try:
            yield prepared
        finally:
            if (end := embedded.ended()) is not None:
                print(f"the server ended: {end}", file=sys.stderr)


@contextlib.contextmanager
def hashing_sink(folder: Path) -> Iterator[tuple[str, int]]:
    """Start the sink; gives its address and its process."""
    command = [sys.executable, "-m", "benchmarks.hashing_sink", str(folder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        port = process.stdout.readline().strip()
        try:
            yield f"http://127.0.0.1:{port}", process.pid
        finally:
            process.stdin.close()


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
    module = {OURS: "xfworker", "girder": "girder_client"}.get(client, client)
    return "" if find_spec(module) else f"{module} is not installed (pip install {module.replace('_', '-')})"
