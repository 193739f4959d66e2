"""Which parts of a file distinguish it from another of the same size without reading all of it."""

SAMPLE_BYTES = 64 * 1024
"""How many bytes are taken at each offset."""

_SAMPLES = 8


def sample_offsets(size: int) -> list[int]:
    """
    Give the offsets whose bytes are hashed to distinguish files of one size.

    A file of at most half a mebibyte is covered from end to end; of a larger one its start, its end and offsets spread
    evenly between. The digest is the SHA-256 over :data:`SAMPLE_BYTES` bytes from each offset, in order.
    """
    if size <= _SAMPLES * SAMPLE_BYTES:
        return list(range(0, size, SAMPLE_BYTES))
    last = size - SAMPLE_BYTES
    return [last * index // (_SAMPLES - 1) for index in range(_SAMPLES)]
