"""
The two run-length encodings of AIM voxels.

binCmp (two values): ``value1, value2``, then a count per run, alternating between the two; 255 means 254 voxels and no
change of value. charCmp: pairs ``(value, count)``, value first, count 1 to 255.

Streams are read in chunks. An index of how many voxels stand before every chunk gives access to any part of the volume
and shows at once whether a stream holds what the header promises. Everything is numpy: ``repeat`` expands runs at some
3 GB/s per core, and lets go of the interpreter's lock while it does.
"""

import bisect
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final, Literal

import attrs

from xfworker.adapters.images.opening import positioned_reader
from xfworker.adapters.images.parallel import WORTHWHILE_BYTES, in_parallel, parts
from xfworker.domain.errors import ImageFormatError, UnsupportedImage

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Bytes = npt.NDArray[np.uint8]
else:
    Bytes = Any

Kind = Literal["binCmp", "charCmp"]

CHUNK: Final = 1 << 16
"""Stream bytes that are expanded at once; with their voxels they stay within a core's cache. Even, for pairs."""

_GO_ON: Final = 255
_LONGEST_GO_ON: Final = 254
_MASK_VALUE: Final = 127

_PIECE: Final = 1 << 20
"""Voxels that are encoded at once: with fewer, the calls cost more than the caches gain."""

READ_AHEAD: Final = 1 << 23
"""Stream bytes that are read from the file at once."""


class RunLengthStream:
    """
    The runs of one volume in a file.

    Args:
        file: The open file; reads are positioned, so that threads may share it.
        path: Its path, for messages.
        kind: ``binCmp`` or ``charCmp``.
        offset: The byte at which the voxel block begins, with its own size first.
        length: The block's size according to the header.
        size_bytes: Width of the number that the block begins with: 4 in v020, 8 in v030.
        voxel_count: How many voxels the header promises.

    Raises:
        ImageFormatError: The block's own size, or the sum of its runs, contradicts the header.
    """

    def __init__(
        self, file: IO[bytes], path: Path, kind: Kind, *, offset: int, length: int, size_bytes: int, voxel_count: int
    ) -> None:
        self._path = path
        self._read_at = positioned_reader(file)
        self._kind = kind
        self._voxel_count = voxel_count
        prefix = size_bytes + (2 if kind == "binCmp" else 0)
        head = self._read_at(offset, prefix)
        stated = int.from_bytes(head[:size_bytes], "little", signed=True)
        if len(head) < prefix or not prefix <= stated <= length:
            raise ImageFormatError(
                f"the compressed voxels claim to take {stated} bytes in a block of {length}.",
                path=path,
                offset=offset,
                field="compressed size",
            )
        self._values = (head[size_bytes], head[size_bytes + 1]) if kind == "binCmp" else (0, 0)
        self._offset = offset + prefix
        self._length = stated - prefix
        if kind == "charCmp" and self._length % 2:
            raise ImageFormatError(
                f"{self._length} bytes of pairs of value and count are an odd number.",
                path=path,
                offset=offset,
                field="compressed size",
            )
        most = self._length * 254 if kind == "binCmp" else self._length // 2 * 255
        if voxel_count > most:
            raise ImageFormatError(
                f"{self._length} bytes of runs cannot hold the {voxel_count} voxels of the header.",
                path=path,
                offset=offset,
                field="compressed voxels",
            )
        self._voxels_before, self._parity_before = self._indexed()

    def read_into(self, start: int, out: "Bytes") -> None:
        """Expand the voxels from ``start`` on into ``out`` (uint8, one dimension), all of it."""
        in_parallel(lambda part: self._read_part(start + part[0], out[part[0] : part[1]]), parts(out.size))

    def _read_part(self, start: int, out: "Bytes") -> None:
        import numpy as np

        stop = start + out.size
        chunk = bisect.bisect_right(self._voxels_before, start) - 1
        last = bisect.bisect_left(self._voxels_before, stop)
        chunks_at_once = READ_AHEAD // CHUNK
        while chunk < last:
            ahead = min(chunks_at_once, last - chunk)
            data = np.frombuffer(self._stream(chunk * CHUNK, ahead * CHUNK), np.uint8)
            for index in range(ahead):
                begins = self._voxels_before[chunk + index]
                ends = self._voxels_before[chunk + index + 1]
                low, high = max(start, begins), min(stop, ends)
                if low < high:
                    values = self._expanded(data[index * CHUNK : (index + 1) * CHUNK], chunk + index)
                    out[low - start : high - start] = values[low - begins : high - begins]
            chunk += ahead

    def _stream(self, at: int, count: int) -> bytes:
        byte_count = min(count, self._length - at)
        data = self._read_at(self._offset + at, byte_count)
        if len(data) < byte_count:
            raise ImageFormatError(
                "the file ends inside the compressed voxels; it was cut short or changed while it was read.",
                path=self._path,
                offset=self._offset + at + len(data),
                field="compressed voxels",
            )
        return data

    def _expanded(self, data: "Bytes", chunk: int) -> "Bytes":
        """Give all voxels of one chunk of the stream."""
        import numpy as np

        if self._kind == "charCmp":
            return np.repeat(data[0::2], data[1::2])
        changes = data != _GO_ON
        first, second = self._values if self._parity_before[chunk] == 0 else self._values[::-1]
        values = np.empty(data.size, np.uint8)
        if bool(changes.all()):
            values[0::2] = first
            values[1::2] = second
            return np.repeat(values, data)
        odd = np.zeros(data.size, np.uint8)
        np.add.accumulate(changes[:-1].view(np.uint8), out=odd[1:])
        table = np.array((first, second) * 128, np.uint8)
        np.take(table, odd, out=values)
        return np.repeat(values, np.minimum(data, _LONGEST_GO_ON))

    def _indexed(self) -> tuple[list[int], list[int]]:
        """Count voxels, and changes of value, before every chunk of the stream."""
        import numpy as np

        voxels_before, parity_before = [0], [0]
        at = 0
        while at < self._length:
            data = np.frombuffer(self._stream(at, READ_AHEAD), np.uint8)
            for begin in range(0, data.size, CHUNK):
                piece = data[begin : begin + CHUNK]
                going_on = 0
                if self._kind == "binCmp":
                    going_on = int(np.count_nonzero(piece == _GO_ON))
                    voxels = int(piece.sum(dtype=np.uint32)) - going_on
                else:
                    voxels = int(piece[1::2].sum(dtype=np.uint32))
                voxels_before.append(voxels_before[-1] + voxels)
                parity_before.append(parity_before[-1] ^ (piece.size - going_on & 1))
                if voxels_before[-1] > self._voxel_count:
                    raise self._mismatch(at + begin, "more than")
            at += data.size
        if voxels_before[-1] != self._voxel_count:
            raise self._mismatch(self._length, f"{voxels_before[-1]} instead of")
        return voxels_before, parity_before

    def _mismatch(self, at: int, relation: str) -> ImageFormatError:
        return ImageFormatError(
            f"the runs add up to {relation} the {self._voxel_count} voxels of the header.",
            path=self._path,
            offset=self._offset + at,
            field="compressed voxels",
        )


@attrs.frozen(eq=False)
class _Piece:
    """
    The runs of some voxels: the first and the last may go on beyond them.

    Attributes:
        first_value: The value of the first run.
        first_length: How many voxels it has here.
        values: The values of the runs behind it; None when there are none.
        between: The bytes of the runs between the first and the last.
        last_length: How many voxels the last run has here.
    """

    first_value: int
    first_length: int
    values: "Bytes | None" = None
    between: "Bytes | None" = None
    last_length: int = 0


class RunLengthEncoder:
    """
    Turns voxels into runs, slab after slab: a run that goes on in the next slab stays one run.

    Args:
        kind: ``binCmp`` or ``charCmp``.
        path: The file to be, for messages.
    """

    def __init__(self, kind: Kind, path: Path) -> None:
        self._kind = kind
        self._path = path
        self._run_value: int | None = None
        self._run_length = 0
        self._values: list[int] = []

    @property
    def values(self) -> tuple[int, int]:
        """The two values of a binCmp stream, the first voxel's first."""
        if not self._values:
            return 0, _MASK_VALUE
        if len(self._values) == 1:
            return self._values[0], 0 if self._values[0] else _MASK_VALUE
        return self._values[0], self._values[1]

    def encode(self, voxels: "Bytes") -> list["Bytes"]:
        """Give the bytes of all runs that are known to be over; ``voxels`` is uint8 in one dimension."""
        import numpy as np

        pieces = [voxels[begin : begin + _PIECE] for begin in range(0, voxels.size, _PIECE)]
        at_once = max(1, WORTHWHILE_BYTES // _PIECE)
        groups = [pieces[begin : begin + at_once] for begin in range(0, len(pieces), at_once)]
        encoded: list[Bytes] = []
        for analysed in in_parallel(self._analysed_group, groups):
            runs = [piece for analysis in analysed for piece in self._joined(analysis)]
            if runs:
                encoded.append(np.concatenate(runs))
        return encoded

    def finish(self) -> bytes:
        """Give the bytes of the run that was still open."""
        last = b"".join(piece.tobytes() for piece in self._close())
        self._run_value = None
        return last

    def _analysed_group(self, pieces: "list[Bytes]") -> "list[_Piece]":
        import numpy as np

        changes = np.empty(_PIECE, np.bool_)
        return [self._analysed(piece, changes[: piece.size - 1]) for piece in pieces]

    def _analysed(self, voxels: "Bytes", changes: "npt.NDArray[np.bool_]") -> "_Piece":
        """Find the runs of one piece; it does not matter here what stands before it. ``changes`` is room to work in."""
        import numpy as np

        np.not_equal(voxels[1:], voxels[:-1], out=changes)
        ends = changes.nonzero()[0]  # of all runs but the last: a pass to turn them into starts would cost as much
        if ends.size == 0:
            return _Piece(int(voxels[0]), voxels.size)
        values = voxels[1:][ends]
        return _Piece(
            first_value=int(voxels[0]),
            first_length=int(ends[0]) + 1,
            values=values,
            between=self._runs(values[:-1], ends[1:] - ends[:-1]),
            last_length=voxels.size - 1 - int(ends[-1]),
        )

    def _joined(self, piece: "_Piece") -> list["Bytes"]:
        """Add a piece to what was encoded so far."""
        pieces = self._go_on(piece.first_value, piece.first_length)
        if piece.values is None or piece.between is None:
            return pieces
        pieces += self._close()
        if self._kind == "binCmp":
            self._check_two_values(piece.first_value, piece.values)
        self._run_value, self._run_length = int(piece.values[-1]), piece.last_length
        return [*pieces, piece.between]

    def _close(self) -> list["Bytes"]:
        """Give the bytes of the open run."""
        import numpy as np

        if self._run_value is None:
            return []
        value = b"" if self._kind == "binCmp" else bytes([self._run_value])
        longest = _LONGEST_GO_ON if self._kind == "binCmp" else _GO_ON
        full, last = divmod(self._run_length - 1, longest)
        return [np.frombuffer((value + bytes([_GO_ON])) * full + value + bytes([last + 1]), np.uint8)]

    def _go_on(self, value: int, length: int) -> list["Bytes"]:
        """Lengthen the open run, or close it and open the next."""
        if value == self._run_value:
            self._run_length += length
            return []
        pieces = self._close()
        self._run_value, self._run_length = value, length
        if self._kind == "binCmp" and value not in self._values:
            if len(self._values) == 2:  # noqa: PLR2004 - binCmp has two values
                raise self._third_value(value)
            self._values.append(value)
        return pieces

    def _check_two_values(self, first_value: int, values: "Bytes") -> None:
        """Check that no run of a piece has a third value."""
        if len(self._values) == 1:
            self._values.append(int(values[0]))
        first, second = self._values
        assert first_value in (first, second)
        wrong = (values != first) & (values != second)
        if bool(wrong.any()):
            raise self._third_value(int(values[wrong][0]))

    def _third_value(self, value: int) -> UnsupportedImage:
        signed = [number - 256 if number > _MASK_VALUE else number for number in (*self._values, value)]
        return UnsupportedImage(
            f"{self._path} cannot be written as binCmp, which holds two values: the voxels have {signed[0]},"
            f" {signed[1]}, {signed[2]} and perhaps more. Write charCmp or int8, or threshold first."
        )

    def _runs(self, values: "Bytes", lengths: "npt.NDArray[np.int64]") -> "Bytes":
        """Give the bytes of closed runs."""
        import numpy as np

        if self._kind == "binCmp":
            return _split(lengths, _LONGEST_GO_ON, _GO_ON)[0]
        counts, split = _split(lengths, _GO_ON, _GO_ON)
        pairs = np.empty(2 * counts.size, np.uint8)
        pairs[1::2] = counts
        pairs[0::2] = values if split is None else split.spread(values, values[split.long].repeat(split.more))
        return pairs


@attrs.frozen(eq=False)
class _Split:
    """
    Runs that take more than one count.

    Attributes:
        long: Which of all runs they are.
        more: How many counts each takes besides its last.
        is_last: For each count of all runs whether it is its run's last.
    """

    long: "npt.NDArray[np.intp]"
    more: "npt.NDArray[np.int64]"
    is_last: "npt.NDArray[np.bool_]"

    def spread(self, last: "Bytes", before: "Bytes | int") -> "Bytes":
        """Give a byte for each count: one of ``last`` for a run's last, of ``before`` for those before it."""
        import numpy as np

        spread = np.empty(self.is_last.size, np.uint8)
        # Few runs are long, and numpy copies what stands between them at once; ``repeat`` goes byte by byte.
        spread[self.is_last] = last
        spread[~self.is_last] = before
        return spread


def _split(lengths: "npt.NDArray[np.int64]", longest: int, full: int) -> "tuple[Bytes, _Split | None]":
    """
    Split lengths into counts of at most ``longest``; every count but a run's last is written as ``full``.

    Returns:
        The counts, and which runs take several (None when every run takes one).
    """
    import numpy as np

    counts = lengths.astype(np.uint8)
    long = (lengths > longest).nonzero()[0]
    if long.size == 0:
        return counts, None
    more = (lengths[long] - 1) // longest
    counts[long] = lengths[long] - more * longest
    added = np.cumsum(more)
    is_last = np.ones(lengths.size + int(added[-1]), np.bool_)
    is_last[np.repeat(long, more) + np.arange(int(added[-1]))] = False
    split = _Split(long, more, is_last)
    return split.spread(counts, full), split
