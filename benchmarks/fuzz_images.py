"""
Fuzz the image readers with atheris: ``python -m benchmarks.fuzz_images [--seconds N]``.

Starts from one small file of every format and mutates it, guided by coverage. Whatever happens must be pixels or
an ``ImageError``; any other error, a hang or a memory peak ends it with the file that did it.
"""

import argparse
import logging
import struct
import sys
import tempfile
from pathlib import Path

MOST_SLICES = 20
MOST_MIB = 1024


def corpus(folder: Path) -> None:
    """Write one small file of every kind."""
    import numpy as np

    from xfworker.adapters.images.registry import image_formats
    from xfworker.domain.image.description import ImageInfo
    from xfworker.domain.image.pixel_type import PixelType

    z, y, x = np.ogrid[:3, :6, :7]
    mask = np.where((x - 3) ** 2 + (y - 3) ** 2 + z < 8, 127, 0).astype(np.int8)
    kinds = [("aim", encoding, "i1") for encoding in ("int8", "binCmp", "charCmp", "bit8")]
    kinds += [("aim", "int16", "i2"), ("aim", "float32", "f4"), ("aim", "vaxF", "f4"), ("isq", None, "i2")]
    kinds += [("gobj", None, "i1"), ("mha", None, "i2"), ("nrrd", None, "i2"), ("nii", None, "i2")]
    kinds += [("nii.gz", None, "i2"), ("tif", None, "i2"), ("vgi", None, "i2"), ("omni", None, "i2")]
    for number, (suffix, encoding, code) in enumerate(kinds):
        path = folder / f"{number}.{suffix}"
        pixel_type = PixelType.of_numpy_code(code)
        assert pixel_type is not None
        info = ImageInfo(path=path, format="-", size=(7, 6, 3), pixel_type=pixel_type, pixels_path=path)
        with image_formats().writer(path, info, encoding=encoding) as writer:
            writer.write(mask.astype(code))
    old = struct.pack("<5i", 20, 96, 2, mask.nbytes, 0)
    old += struct.pack("<17i", 0, 0, 0, 0, 0x00010001, 7, 6, 3, 0, 0, 0, 1, 1, 1, 0, 0, 0)
    (folder / "old.aim").write_bytes(old + bytes(28) + b"!\0" + mask.tobytes())
    for pixels in (*folder.glob("*.raw"), *folder.glob("*.vol")):
        # Beside the mutated file, where its header finds them.
        pixels.rename(folder.parent / pixels.name)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=60)
    options = parser.parse_args()
    try:
        import atheris
    except ImportError:
        print("atheris is not installed; install it with: pip install atheris", file=sys.stderr)
        return 1
    with atheris.instrument_imports(include=["xfworker"]):
        from xfworker.adapters.images.registry import ImageRegistry, image_formats
        from xfworker.domain.errors import ImageError
    import nibabel  # noqa: F401 - imported before fuzzing, so that its import is not timed
    import nrrd  # noqa: F401 - likewise
    import tifffile  # noqa: F401 - likewise

    logging.disable()

    formats: ImageRegistry = image_formats()
    folder = Path(tempfile.mkdtemp(prefix="xfworker-fuzz-"))
    seeds = folder / "seeds"
    seeds.mkdir()
    corpus(seeds)
    target = folder / "input"

    def one(data: bytes) -> None:
        target.write_bytes(data)
        try:
            if formats.probe(target) is None:
                return
            with formats.reader(target) as reader:
                for z in range(min(MOST_SLICES, reader.info.size[-1])):
                    if reader.info.slab_byte_count < 1 << 24:
                        reader.read(z, z + 1)
        except ImageError:
            return

    words = [f"-max_total_time={options.seconds}", "-timeout=10", f"-rss_limit_mb={MOST_MIB}", "-max_len=8192"]
    words.append(f"-artifact_prefix={folder}/")
    atheris.Setup([sys.argv[0], *words, str(seeds)], one)
    atheris.Fuzz()
    return 0


if __name__ == "__main__":
    sys.exit(main())
