"""
What looking at an image costs, beside a PNG and beside zarr: ``python -m benchmarks.viewer [--quick] [--json]``.

A volume of noise in int16 is served by a server of its own. Tiles of 256 x 256 voxels are asked for one by one over one
connection, at random places of all three planes, by a token of the API. The same tile is encoded as an 8-bit PNG (what
a server of pictures does for it, beside a bare request), and read by zarr from the same chunks on disk.
"""

import io
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import urllib3
import zarr
from attrs import define
from PIL import Image

from benchmarks.goals import Goal, benchmark_parser, conclude
from xfworker.adapters.images.registry import image_formats
from xfworker.api.composition.embedded_server import EmbeddedServer
from xfworker.domain.image.description import ImageInfo
from xfworker.domain.image.pixel_type import PixelType

TILE = 256
GOALS = {
    "tile p50 over a bare request and the encoding of an 8-bit PNG": 1.5,
    "tile p99 over tile p50": 20.0,
    "yz tile p50 from the pyramid over zarr from disk": 1.5,
    "bytes of a tile over its voxels": 1.01,
    "server memory above its own before the first image, MB": 260.0,
    "voxels of 3 planes that differ from the file's": 0.0,
}

Tile = tuple[str, int, int, int]


@define
class Viewed:
    """A served image as a client sees it."""

    pool: urllib3.PoolManager
    url: str
    token: str

    def describe(self) -> dict[str, Any]:
        described: dict[str, Any] = json.loads(self._get("").data)
        return described

    def tile(self, key: str, source: str, tile: Tile) -> bytes:
        axis, index, row, column = tile
        return bytes(self._get(f"?tile={key}.{source}.{axis}.0.{index}.{row}.{column}").data)

    def health(self) -> None:
        """Ask for what costs the server next to nothing."""
        self.pool.request("GET", self.url.partition("/images/")[0] + "/health")

    def _get(self, query: str) -> urllib3.BaseHTTPResponse:
        headers = {"Authorization": f"Bearer {self.token}"}
        answer = self.pool.request("GET", self.url + query, headers=headers, timeout=120.0)
        assert answer.status == 200, answer.data[:300]
        return answer


def write_volume(folder: Path, edge: int) -> "np.ndarray[Any, Any]":
    voxels = np.random.default_rng(5).integers(-3000, 3000, (edge, edge, edge)).astype(np.int16)
    path = folder / "volume.omni"
    info = ImageInfo(
        path=path, format="OMNI", size=(edge,) * 3, pixel_type=PixelType.INT16, pixels_path=path, spacing_mm=(0.01,) * 3
    )
    with image_formats().writer(path, info) as writer:
        writer.write(voxels)
    return voxels


def seconds_of(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def _write_png(grey: "np.ndarray[Any, Any]") -> None:
    Image.fromarray(grey).save(io.BytesIO(), "PNG")


def measure(edge: int, count: int) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "files" / "userdata"
        folder.mkdir(parents=True)
        voxels = write_volume(folder, edge)
        judge = zarr.create_array(
            str(Path(temporary) / "judge.zarr"), shape=voxels.shape, chunks=(64, 64, 64), dtype="<i2", compressors=None
        )
        judge[...] = voxels
        with EmbeddedServer(Path(temporary)) as server:
            process = psutil.Process(server.pid)
            pool = urllib3.PoolManager(maxsize=1)
            viewed = Viewed(pool, f"{server.url}/images/v1/userdata/volume.omni", server.admin_token)
            pool.request("GET", f"{server.url}/health")
            memory = process.memory_info().rss
            return _measured(viewed, voxels, judge, process, memory, count)


def _measured(
    viewed: Viewed, voxels: "np.ndarray[Any, Any]", judge: Any, process: psutil.Process, memory: int, count: int
) -> dict[str, float]:
    edge = len(voxels)
    random = np.random.default_rng(6)
    begun = time.perf_counter()
    first = seconds_of(viewed.describe)
    while (described := viewed.describe())["pyramid"]["state"] != "complete":
        assert described["pyramid"]["state"] != "failed", described["pyramid"]["reason"]
        time.sleep(0.1)
    built = time.perf_counter() - begun
    key = described["key"]
    side = edge // TILE
    places = random.integers(0, (edge, side, side), (count, 3)).tolist()
    tiles: list[Tile] = [("zyx"[number % 3], *place) for number, place in enumerate(places)]
    peak = memory
    times: dict[str, list[float]] = {"z": [], "y": [], "x": []}
    judged, pictured, bare, sizes = [], [], [], []
    wrong = 0
    for axis, index, row, column in tiles:
        body = b""

        def fetch(tile: Tile = (axis, index, row, column)) -> None:
            nonlocal body
            body = viewed.tile(key, "bricks", tile)

        bare.append(seconds_of(viewed.health))
        times[axis].append(seconds_of(fetch))
        sizes.append(len(body))
        peak = max(peak, process.memory_info().rss)
        down, right = slice(row * TILE, (row + 1) * TILE), slice(column * TILE, (column + 1) * TILE)
        cuts: dict[str, tuple[Any, ...]] = {
            "z": (index, down, right),
            "y": (down, index, right),
            "x": (down, right, index),
        }
        where = cuts[axis]
        got = np.frombuffer(body, "<i2").reshape(TILE, TILE)
        wrong += int((got != voxels[where]).sum())
        grey = ((got.astype(np.float32) + 3000) / 6000 * 255).clip(0, 255).astype(np.uint8)
        pictured.append(seconds_of(partial(_write_png, grey)))
        if axis == "x":
            judged.append(seconds_of(partial(judge.__getitem__, where)))
    together = sorted(one for those in times.values() for one in those)
    p50, p99 = statistics.median(together), together[min(len(together) - 1, int(len(together) * 0.99))]
    by_axis = ", ".join(f"{axis} {statistics.median(those) * 1e3:.1f}" for axis, those in times.items())
    print(
        f"{edge}^3 int16: first description {first * 1e3:.0f} ms, pyramid {built:.1f} s"
        f" ({voxels.nbytes / built / 1e6:.0f} MB/s); {count} tiles: p50 {p50 * 1e3:.1f} ms, p99 {p99 * 1e3:.1f} ms"
        f" ({by_axis}); bare request {statistics.median(bare) * 1e3:.1f} ms,"
        f" PNG {statistics.median(pictured) * 1e3:.1f} ms, zarr {statistics.median(judged) * 1e3:.1f} ms",
        file=sys.stderr,
    )
    return dict(
        zip(
            GOALS,
            (
                p50 / (statistics.median(bare) + statistics.median(pictured)),
                p99 / p50,
                statistics.median(times["x"]) / statistics.median(judged),
                statistics.mean(sizes) / (2 * TILE * TILE),
                (peak - memory) / 1e6,
                float(wrong),
            ),
            strict=True,
        )
    )


def main() -> int:
    options = benchmark_parser(__doc__).parse_args()
    figures = measure(256, 90) if options.quick else measure(512, 600)
    return conclude("viewer", [Goal(name, figure, GOALS[name]) for name, figure in figures.items()], options)


if __name__ == "__main__":
    sys.exit(main())
