"""
The transfers of one client in a process of its own: ``python -m benchmarks.transfer_clients CLIENT DIRECTION``.

Each line of standard input is a :class:`Case` as JSON and moves its file once, over a connection of its own; it is
answered with seconds, CPU seconds and peak memory. The program of every peer is as its own documentation has it. No
peer checks what it moved.
"""

import argparse
import importlib
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

MIB = 1 << 20


class Case:
    """What is to be moved, and where."""

    def __init__(self, url: str, token: str, resource: str, path: str) -> None:
        self.base, self.token, self.resource, self.path = url, token, resource, Path(path)
        self.url = f"{url}/files/{resource}"
        self.headers = {"Authorization": f"Bearer {token}"}

    @property
    def size(self) -> int:
        return self.path.stat().st_size


def blocks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while block := file.read(MIB):
            yield block


# --- ours -----------------------------------------------------------------------------------------------------------


def _quiet() -> None:
    import logging

    import structlog

    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))


def ours_up(case: Case) -> None:
    _quiet()
    from xfworker.adapters.http.file_store import HttpFileStore
    from xfworker.domain.files import AuthorizationToken, parse_resource

    token = AuthorizationToken(url=case.base, token=case.token)
    HttpFileStore().upload(token, case.path, parse_resource(case.resource))


def ours_down(case: Case) -> None:
    _quiet()
    from xfworker.adapters.http.file_store import HttpFileStore
    from xfworker.domain.files import AuthorizationToken, parse_resource

    token = AuthorizationToken(url=case.base, token=case.token)
    HttpFileStore().download(token, parse_resource(case.resource), case.path)


# --- peers ----------------------------------------------------------------------------------------------------------


def _pool(case: Case) -> Any:
    import urllib3

    parts = urlsplit(case.url)
    return urllib3.HTTPConnectionPool(str(parts.hostname), parts.port, blocksize=MIB), parts.path


def urllib3_up(case: Case) -> None:
    pool, path = _pool(case)
    with case.path.open("rb") as file:
        answer = pool.urlopen("PUT", path, body=file, headers={**case.headers, "Content-Length": str(case.size)})
    assert answer.status == 201, answer.status


def urllib3_down(case: Case) -> None:
    pool, path = _pool(case)
    answer = pool.urlopen("GET", path, headers=case.headers, preload_content=False)
    assert answer.status == 200, answer.status
    with case.path.open("wb") as file:
        for block in answer.stream(MIB):
            file.write(block)


def requests_up(case: Case) -> None:
    import requests

    with case.path.open("rb") as file:
        requests.put(case.url, data=file, headers=case.headers, timeout=600).raise_for_status()


def requests_down(case: Case) -> None:
    import requests

    with requests.get(case.url, headers=case.headers, stream=True, timeout=600) as answer, case.path.open("wb") as file:
        answer.raise_for_status()
        for block in answer.iter_content(MIB):
            file.write(block)


def httpx_up(case: Case) -> None:
    import httpx

    headers = {**case.headers, "Content-Length": str(case.size)}
    httpx.put(case.url, content=blocks(case.path), headers=headers, timeout=600).raise_for_status()


def httpx_down(case: Case) -> None:
    import httpx

    with httpx.stream("GET", case.url, headers=case.headers, timeout=600) as answer, case.path.open("wb") as file:
        answer.raise_for_status()
        for block in answer.iter_bytes(MIB):
            file.write(block)


def _http_store(case: Case) -> Any:
    from obstore.store import HTTPStore

    options: Any = {"default_headers": case.headers, "allow_http": True, "timeout": "600s"}
    return HTTPStore.from_url(f"{case.base}/files", client_options=options)


def obstore_up(case: Case) -> None:
    import obstore

    obstore.put(_http_store(case), case.resource, case.path, use_multipart=False)


def obstore_down(case: Case) -> None:
    import obstore

    with case.path.open("wb") as file:
        for block in obstore.get(_http_store(case), case.resource).stream(min_chunk_size=MIB):
            file.write(block)


_DX_PART = 16 * MIB


def _dx(url: str, method: str, data: Any, headers: dict[str, str]) -> Any:
    import dxpy

    return dxpy.DXHTTPRequest(
        url,
        data,
        method=method,
        headers=headers,
        auth=None,
        prepend_srv=False,
        jsonify_data=False,
        decode_response_body=False,
        want_full_response=True,
        always_retry=True,
    )


def dxpy_up(case: Case) -> None:
    """Send it as dxpy does: parts of 16 MiB to addresses of their own, four at once."""

    def send(start: int) -> None:
        with case.path.open("rb") as file:
            file.seek(start)
            part = file.read(_DX_PART)
        _dx(f"{case.url}.{start // _DX_PART}", "PUT", part, {**case.headers, "Content-Length": str(len(part))})

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(send, range(0, case.size, _DX_PART)))


def dxpy_down(case: Case) -> None:
    import urllib3

    size = int(urllib3.request("HEAD", case.url, headers=case.headers).headers["content-length"])

    def get(start: int) -> bytes:
        byte_range = f"bytes={start}-{min(start + _DX_PART, size) - 1}"
        content: bytes = _dx(case.url, "GET", b"", {**case.headers, "Range": byte_range}).data
        return content

    with ThreadPoolExecutor(2) as threads, case.path.open("wb") as file:
        for part in threads.map(get, range(0, size, _DX_PART)):
            file.write(part)


def girder_up(case: Case) -> None:
    """Send it to a stub of Girder's upload interface that stores as Girder does."""
    import girder_client

    client = girder_client.GirderClient(apiUrl=case.base)
    with case.path.open("rb") as file:
        client._uploadContents({"_id": "upload"}, file, case.size)  # noqa: SLF001  below its lookups of folders


def girder_down(case: Case) -> None:
    import girder_client

    client = girder_client.GirderClient(apiUrl=case.base)
    client.downloadFile("file", str(case.path))


def huggingface_hub_down(case: Case) -> None:
    from huggingface_hub.file_download import http_get

    with case.path.open("wb") as file:
        http_get(case.url, file, headers=case.headers)


def curl_up(case: Case) -> None:
    _curl("-T", str(case.path), case.url, headers=case.headers)


def curl_down(case: Case) -> None:
    _curl("-o", str(case.path), case.url, headers=case.headers)


def _curl(*arguments: str, headers: dict[str, str]) -> None:
    fields = [part for name, value in headers.items() for part in ("-H", f"{name}: {value}")]
    subprocess.run(["curl", "-sf", *fields, *arguments], check=True, stdout=subprocess.DEVNULL)


_IMPORTED_BEFORE = {
    "ours": ("structlog", "xfworker.adapters.http.file_store"),
    "curl": (),
    "girder": ("girder_client",),
    "huggingface_hub": ("huggingface_hub.file_download",),
}
"""What is imported before the clock starts: what an import costs is another benchmark's matter."""

CLIENTS = ("ours", "urllib3", "curl", "obstore", "requests", "httpx", "dxpy", "girder", "huggingface_hub")


def transfer(client: str, direction: str) -> Callable[[Case], None] | None:
    """Give a client's way of doing it, where it has one."""
    function: Callable[[Case], None] | None = globals().get(f"{client}_{direction}")
    return function


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("client")
    parser.add_argument("direction")
    asked = parser.parse_args()
    work = transfer(asked.client, asked.direction)
    assert work is not None
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a client prints is not an answer
    for module in _IMPORTED_BEFORE.get(asked.client, (asked.client,)):
        importlib.import_module(module)
    is_warm = False
    for line in sys.stdin:
        case = Case(**json.loads(line))
        try:
            if not is_warm:
                _warm_up(asked.client, case)
            is_warm = True
            answer: dict[str, Any] = _moved(asked.client, work, case)
        except Exception as error:  # noqa: BLE001  whatever a client raises is what became of its turn
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), file=answers, flush=True)
    return 0


def _moved(client: str, work: Callable[[Case], None], case: Case) -> dict[str, float]:
    before = _computed()
    started = time.perf_counter()
    work(case)
    seconds = time.perf_counter() - started
    peak = _used(of_children=True).ru_maxrss * 1024 if client == "curl" else _peak_memory()
    return {"seconds": seconds, "cpu": _computed() - before, "rss": peak}


def _computed() -> float:
    children = _used(of_children=True)
    return time.process_time() + float(children.ru_utime + children.ru_stime)


def _used(*, of_children: bool) -> Any:
    if sys.platform == "win32":
        raise OSError("what processes used is counted on POSIX only")
    return resource.getrusage(resource.RUSAGE_CHILDREN if of_children else resource.RUSAGE_SELF)


def _warm_up(client: str, case: Case) -> None:
    """Fetch a tiny file, so that what is imported or connected late is not counted to the transfer."""
    fetch = transfer(client, "down")
    if fetch is not None and client not in {"curl", "girder"}:
        tiny = case.path.with_name(f"tiny-{client}")
        fetch(Case(case.base, case.token, "userdata/tiny", str(tiny)))
        tiny.unlink()


def _peak_memory() -> int:
    try:
        status = Path("/proc/self/status").read_text(encoding="ascii")
    except OSError:
        return int(_used(of_children=False).ru_maxrss) * 1024
    return next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmHWM"))


if __name__ == "__main__":
    os.environ.setdefault("DX_APISERVER_HOST", "localhost")
    sys.exit(main())
