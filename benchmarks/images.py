"""
Reading, writing and converting volumes, beside other libraries: ``python -m benchmarks.images [--quick] [--json]``.

The grey volume is noise (int16), the mask a bone-like lattice in a cylinder of air. Rounds are interleaved: every round
measures every candidate once, so that what disturbs one disturbs all. The best round of each is shown; what is done to
raw pixels, which waits for the kernel's pages more than for code, is held against numpy in pairs that take turns
(:mod:`benchmarks.pairs`), with the files of earlier turns deleted. Files are in the page cache. Memory is the peak of a
process of its own that converts a volume larger than its limit.

Numpy's ``tofile`` overwrites the file that is there, and who breaks it off leaves half of it. An AIM appears only when
it is complete, so writing one is held against the same by numpy: ``tofile`` to another name, which then becomes the
file's. Neither is synchronised with the disk. The overwriting ``tofile`` is shown beside them, without a goal.
"""

import contextlib
import functools
import io
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from attrs import define, field

from benchmarks.goals import Goal, benchmark_parser, conclude
from benchmarks.pairs import Turns, ratio_goal
from benchmarks.scratch import scratch_folder
from xfworker.adapters.images.registry import image_formats
from xfworker.domain.image.description import ImageInfo
from xfworker.domain.image.pixel_type import PixelType
from xfworker.services.images.conversion import convert

RAW_READ_GOAL = 0.95
RAW_WRITE_GOAL = 0.9
RUNS_GOAL = 0.5
RUNS_READ_GOAL = 0.25
BITS_GOAL = 0.15
CONVERT_GOAL = 0.8
SLICE_GOAL = 0.5
MEMORY_GOAL_MIB = 512
RAW_PAIRS = {
    "int16 read": ("memmap + copy", "int16 AIM read over memmap + copy", RAW_READ_GOAL),
    "int16 write": ("tofile and rename", "int16 AIM write over tofile and rename", RAW_WRITE_GOAL),
    "AIM -> OMNI": ("memmap + tofile", "AIM -> OMNI over copying the pixels by numpy", CONVERT_GOAL),
}
"""By group: what of numpy it is held against, the goal's name, and its limit."""
NUMPY_ALONE = frozenset({"memmap + copy", "memmap + copy of a bare file", "tofile and rename", "tofile"})
ENCODING_JUDGES = {
    "flatnonzero": RUNS_GOAL,
    "repeat": RUNS_READ_GOAL,
    "packbits": BITS_GOAL,
    "unpackbits": BITS_GOAL,
}
PEERS = ("py_aimio", "itk", "aim2numpy")

_CONVERT = """
import sys
from pathlib import Path
from xfworker.adapters.images.registry import image_formats
from xfworker.services.images.conversion import convert
from xfworker.services.images.statistics import statistics
from xfworker.services.images.thresholding import threshold
task, source, target = sys.argv[1:]
formats = image_formats()
if task == "convert":
    convert(formats, Path(source), Path(target))
elif task == "threshold":
    with formats.reader(Path(source)) as reader:
        threshold(formats, reader, Path(target), lower=1)
else:
    with formats.reader(Path(source)) as reader:
        statistics(reader)
status = Path("/proc/self/status")
if status.exists():
    print(next(int(line.split()[1]) / 1024 for line in status.read_text().splitlines() if line.startswith("VmHWM")))
else:
    import psutil
    memory = psutil.Process().memory_info()
    print(getattr(memory, "peak_wset", memory.rss) / 2**20)
"""


@define(frozen=True)
class Timed:
    """Seconds and CPU seconds of a round."""

    seconds: float
    cpu: float


@define
class Measured:
    """One thing that is measured: ``run`` once per round."""

    group: str
    name: str
    run: Callable[[], Any]
    bytes: int
    seconds: list[float] = field(factory=list)

    def round(self) -> "Timed":
        """Run it once, and keep how long it took."""
        with contextlib.redirect_stdout(io.StringIO()):
            started, computed = time.perf_counter(), time.process_time()
            kept = self.run()
            timed = Timed(time.perf_counter() - started, time.process_time() - computed)
        self.seconds.append(timed.seconds)
        del kept
        return timed

    @property
    def gb_s(self) -> float:
        return self.bytes / min(self.seconds) / 1e9

    @property
    def median_gb_s(self) -> float:
        return self.bytes / statistics.median(self.seconds) / 1e9


def lattice(depth: int, side: int) -> "np.ndarray[Any, np.dtype[np.int8]]":
    """A bone-like mask: a gyroid lattice within a cylinder."""
    y, x = (np.arange(side, dtype=np.float32) for _ in range(2))
    step = np.float32(2 * np.pi / 40)
    cylinder = (x[None, :] - side / 2) ** 2 + (y[:, None] - side / 2) ** 2 < (0.4 * side) ** 2
    mask = np.empty((depth, side, side), np.int8)
    flat = np.sin(x * step)[None, :] * np.cos(y * step)[:, None]
    for z in range(depth):
        wave = flat + np.sin(y * step)[:, None] * np.cos(z * step) + np.sin(z * step) * np.cos(x * step)[None, :]
        mask[z] = np.where((wave > 0.4) & cylinder, 127, 0)
    return mask


def info_of(array: Any, folder: Path) -> ImageInfo:
    pixel_type = PixelType.of_numpy_code(array.dtype.str)
    assert pixel_type is not None
    path = folder / "none"
    spacing = (0.0607, 0.0607, 0.0607)
    return ImageInfo(
        path=path, format="-", size=array.shape[::-1], pixel_type=pixel_type, pixels_path=path, spacing_mm=spacing
    )


def write(path: Path, array: Any, encoding: str | None = None) -> None:
    with image_formats().writer(path, info_of(array, path.parent), encoding=encoding) as writer:
        writer.write(array)


def to_complete_file(array: Any, path: Path) -> None:
    """Write voxels by numpy so that the file appears, or is replaced, only when it is complete."""
    partial = path.with_name(f"{path.name}.part")
    array.tofile(partial)
    partial.replace(path)


def read(path: Path) -> Any:
    with image_formats().reader(path) as reader:
        return reader.read(0, reader.info.size[-1])


def optional(module: str, skipped: dict[str, str]) -> Any:
    try:
        return __import__(module)
    except ImportError as error:
        skipped[module] = f"not installed: {error}"
        return None


def judges(mask: Any, encoding: str) -> list[tuple[str, str, Callable[[], Any]]]:
    """Give what numpy alone does for each way of an encoding: finding and repeating the runs, or packing the bits."""
    flat = mask.reshape(-1)
    if encoding == "bit8":
        bits = np.packbits(flat)
        return [("write", "packbits", lambda: np.packbits(flat)), ("read", "unpackbits", lambda: np.unpackbits(bits))]
    starts = np.concatenate(([0], np.flatnonzero(flat[1:] != flat[:-1]) + 1))
    values, lengths = flat[starts], np.diff(np.append(starts, flat.size))
    return [
        ("write", "flatnonzero", lambda: np.flatnonzero(flat[1:] != flat[:-1])),
        ("read", "repeat", lambda: np.repeat(values, lengths)),
    ]


def candidates(folder: Path, grey: Any, mask: Any, skipped: dict[str, str]) -> list[Measured]:
    py_aimio, itk, aim2numpy = (optional(name, skipped) for name in PEERS)
    found: list[Measured] = []

    def add(group: str, name: str, run: Callable[..., Any], array: Any, *words: Any) -> None:
        found.append(Measured(group, name, functools.partial(run, *words), array.nbytes))

    raw = folder / "numpy.raw"
    write(folder / "grey.aim", grey)
    grey.tofile(raw)
    add("int16 read", "xfworker", lambda: read(folder / "grey.aim"), grey)
    begin = image_formats().describe(folder / "grey.aim").pixels_offset or 0
    mapped = functools.partial(np.memmap, folder / "grey.aim", grey.dtype, "r", begin, grey.shape)
    add("int16 read", "memmap + copy", lambda: mapped().copy(), grey)
    add(
        "int16 read",
        "memmap + copy of a bare file",
        lambda: np.memmap(raw, grey.dtype, "r", 0, grey.shape).copy(),
        grey,
    )
    formats = image_formats()
    add("AIM -> OMNI", "xfworker", lambda: convert(formats, folder / "grey.aim", folder / "converted.omni"), grey)
    add("AIM -> OMNI", "memmap + tofile", lambda: mapped().tofile(folder / "converted.raw"), grey)
    add("int16 write", "xfworker", lambda: write(folder / "grey-w.aim", grey), grey)
    add("int16 write", "tofile and rename", lambda: to_complete_file(grey, folder / "numpy-r.raw"), grey)
    add("int16 write", "tofile", lambda: grey.tofile(folder / "numpy-w.raw"), grey)
    for encoding in ("binCmp", "charCmp", "bit8"):
        path, target = folder / f"{encoding}.aim", folder / f"{encoding}-w.aim"
        write(path, mask, encoding)
        assert np.array_equal(read(path), mask)
        add(f"{encoding} read", "xfworker", read, mask, path)
        add(f"{encoding} write", "xfworker", write, mask, target, mask, encoding)
        found += [Measured(f"{encoding} {way}", name, run, mask.nbytes) for way, name, run in judges(mask, encoding)]
        if py_aimio is not None:
            add(f"{encoding} read", "aimio-py", py_aimio.read_aim, mask, str(path))
    if py_aimio is not None:
        add("int16 read", "aimio-py", lambda: py_aimio.read_aim(str(folder / "grey.aim")), grey)
        meta = py_aimio.read_aim(str(folder / "binCmp.aim"))[1]
        grey_meta = py_aimio.aim_info(str(folder / "grey.aim"))
        add("int16 write", "aimio-py", lambda: py_aimio.write_aim(str(folder / "p.aim"), grey, grey_meta), grey)
        add(
            "binCmp write",
            "aimio-py (its default type)",
            lambda: py_aimio.write_aim(str(folder / "q.aim"), mask, meta),
            mask,
        )
    if itk is not None:

        def itk_read(path: Path) -> Any:
            reader = itk.ImageFileReader[itk.Image[itk.SS, 3]].New(FileName=str(path))
            reader.SetImageIO(itk.ScancoImageIO.New())
            reader.Update()
            return reader.GetOutput()

        try:
            itk_read(folder / "grey.aim")
        except (AttributeError, KeyError, RuntimeError) as error:
            skipped["itk-ioscanco"] = f"does not run here: {str(error)[:80]}"
        else:
            add("int16 read", "itk-ioscanco", lambda: itk_read(folder / "grey.aim"), grey)
    if aim2numpy is not None:
        add("int16 read", "aim2numpy", lambda: aim2numpy.extract(str(folder / "grey.aim")), grey)
    return found


def measure(found: list[Measured], rounds: int) -> None:
    for number in range(rounds):
        # Every round begins elsewhere, so that none always follows the same one.
        for one in found[number * 3 % len(found) :] + found[: number * 3 % len(found)]:
            one.round()


def raw_pairs(found: list[Measured], folder: Path, rounds: int) -> dict[str, Turns[Timed]]:
    """Let us and numpy take turns at raw pixels; no turn has to free what an earlier one wrote."""
    by = {(one.group, one.name): one for one in found}
    for pattern in ("*-w.*", "*-r.*", "converted.*"):
        for path in folder.glob(pattern):
            path.unlink()
    kept = set(folder.iterdir())
    pairs = {}
    for group, (other, _, _) in RAW_PAIRS.items():
        pair = pairs[group] = Turns[Timed]()
        for number in range(rounds + 1):
            names = ("xfworker", other) if number % 2 else (other, "xfworker")
            timed = {}
            for name in names:
                timed[name] = by[group, name].round()
                for path in set(folder.iterdir()) - kept:
                    path.unlink()
            if number:  # in the first round the kernel's pages may come from elsewhere
                pair.turns.append((timed["xfworker"], timed[other]))
    return pairs


def slice_pace(folder: Path, rounds: int) -> float:
    """Give how fast one slice of a raw volume is read, as a part of a copy of it from a memory map."""
    best = {"xfworker": float("inf"), "memmap": float("inf")}
    with image_formats().reader(folder / "grey.aim") as reader:
        width, height, depth = reader.info.size
        mapped = np.memmap(folder / "grey.aim", np.int16, "r", reader.info.pixels_offset or 0, (depth, height, width))
        for number in range(rounds * 10):
            begin = depth // 2 + number % 7
            for name, run in (
                ("xfworker", functools.partial(reader.read, begin, begin + 1)),
                ("memmap", mapped[begin : begin + 1].copy),
            ):
                started = time.perf_counter()
                run()
                best[name] = min(best[name], time.perf_counter() - started)
    return best["memmap"] / best["xfworker"]


def peaks(folder: Path, size_mib: int) -> dict[str, float]:
    """Convert, threshold and measure one large volume in processes of their own; give the peak of each in MiB."""
    side = 1024
    depth = size_mib * 2**20 // (side * side * 2)
    plane = np.random.default_rng(3).integers(-1000, 8000, (16, side, side), dtype=np.int16)
    image = ImageInfo(
        path=folder / "big",
        format="-",
        size=(side, side, depth),
        pixel_type=PixelType.INT16,
        pixels_path=folder / "big",
        spacing_mm=(0.0607, 0.0607, 0.0607),
    )
    with image_formats().writer(folder / "big.aim", image) as writer:
        for _ in range(0, depth, len(plane)):
            writer.write(plane)
    steps = [
        ("convert", "big.aim", "big.omni"),
        ("convert", "big.omni", "back.aim"),
        ("convert", "big.omni", "big.isq"),
        ("convert", "big.isq", "again.omni"),
        ("threshold", "big.aim", "mask.omni"),
        ("threshold", "big.omni", "mask.aim"),
        ("statistics", "big.omni", "-"),
        ("statistics", "mask.aim", "-"),
    ]
    found = {}
    for task, source, target in steps:
        words = [sys.executable, "-c", _CONVERT, task, str(folder / source), str(folder / target)]
        started = time.perf_counter()
        done = subprocess.run(words, check=True, capture_output=True, text=True)
        name = f"{task} {source} -> {target}" if target != "-" else f"{task} {source}"
        found[name] = float(done.stdout)
        print(f"  {name:36} {found[name]:7.0f} MiB  {time.perf_counter() - started:6.1f} s", file=sys.stderr)
        if target in ("back.aim", "again.omni"):
            for path in folder.glob(f"{target.partition('.')[0]}.*"):
                path.unlink()
    return found


def goals(
    found: list[Measured],
    pairs: dict[str, Turns[Timed]],
    slices: float,
    memory: dict[str, float],
    limit: float,
    skipped: dict[str, str],
) -> list[Goal]:
    by = {(one.group, one.name): one for one in found}

    def best_ratio(group: str, other: str) -> float:
        return by[group, "xfworker"].gb_s / by[group, other].gb_s

    result = [
        *(ratio_goal(name, pairs[group].pace, limit) for group, (_, name, limit) in RAW_PAIRS.items()),
        Goal("one slice of a raw volume over memmap + copy", slices, SLICE_GOAL, at_least=True),
    ]
    own = {("AIM -> OMNI", "memmap + tofile"), *((group, name) for group, name in by if name in NUMPY_ALONE)}
    for group, name in by:
        if name in ENCODING_JUDGES:
            of_numpy = ENCODING_JUDGES[name]
            result.append(Goal(f"{group} over {name}", best_ratio(group, name), of_numpy, at_least=True))
        elif name != "xfworker" and (group, name) not in own:
            result.append(Goal(f"{group} over {name}", best_ratio(group, name), 1.0, at_least=True))
    result += [Goal(f"ahead of {peer}", None, 1.0, at_least=True, reason=why) for peer, why in skipped.items()]
    result += [Goal(f"peak memory, {name}", mib, limit, unit="MiB") for name, mib in memory.items()]
    return result


def main() -> int:
    parser = benchmark_parser(__doc__)
    parser.add_argument("--folder", type=Path, help="where to put some 20 GiB of files (2 GiB when quick)")
    options = parser.parse_args()
    depth, side, rounds = (100, 640, 6) if options.quick else (256, 1024, 5)
    skipped: dict[str, str] = {}
    with scratch_folder(options.folder) as folder:
        grey = np.random.default_rng(1).integers(-1000, 8000, (depth, side, side), dtype=np.int16)
        mask = lattice(depth, side)
        found = candidates(folder, grey, mask, skipped)
        measure(found, rounds)
        pairs = raw_pairs(found, folder, 4 * rounds)
        slices = slice_pace(folder, rounds)
        size_mib = 640 if options.quick else 4096
        memory = peaks(folder, size_mib)
    if not options.json:
        print(f"{os.cpu_count()} cores; grey {grey.nbytes / 1e6:.0f} MB, mask {mask.nbytes / 1e6:.0f} MB of voxels")
        for one in sorted(found, key=lambda one: (one.group, -one.gb_s)):
            print(f"{one.group:16} {one.name:32} {one.gb_s:7.2f} GB/s (median {one.median_gb_s:.2f})")
        for group, pair in pairs.items():
            print(f"{group:16} pace over numpy {pair.pace}, CPU of numpy over ours {pair.thrift}")
    figures = {
        "pairs": {
            group: [(ours.seconds, theirs.seconds, ours.cpu, theirs.cpu) for ours, theirs in pair.turns]
            for group, pair in pairs.items()
        },
        "rates": [
            {"group": one.group, "name": one.name, "gb_s": one.gb_s, "median_gb_s": one.median_gb_s} for one in found
        ],
        "volume_mib": size_mib,
    }
    return conclude("images", goals(found, pairs, slices, memory, MEMORY_GOAL_MIB, skipped), options, figures)


if __name__ == "__main__":
    sys.exit(main())
