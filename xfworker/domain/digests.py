"""The digests of one content."""

from attrs import define

from xfworker.domain.errors import ChecksumMismatch


@define(frozen=True)
class Digests:
    """
    The digests of one content, as hexadecimal digits.

    Attributes:
        sha256: 64 digits, or ``None`` where it is not known.
        xxh3: 32 digits (XXH3-128), likewise.
    """

    sha256: str | None = None
    xxh3: str | None = None

    def __str__(self) -> str:
        known = {"SHA-256": self.sha256, "XXH3-128": self.xxh3}
        return ", ".join(f"{name} {digest}" for name, digest in known.items() if digest) or "an unknown digest"

    def fit(self, expected: "Digests") -> bool:
        """Whether a content with these digests is the expected one, as far as that one is known."""
        return expected.sha256 in {None, self.sha256} and expected.xxh3 in {None, self.xxh3}

    def agree(self, other: "Digests") -> bool:
        """Whether both can be of one content: no kind of digest that both know differs."""
        pairs = ((self.sha256, other.sha256), (self.xxh3, other.xxh3))
        return all(None in pair or pair[0] == pair[1] for pair in pairs)


def not_as_sent(
    what: str, size: int, digests: Digests, *, expected_size: int | None, expected: Digests
) -> ChecksumMismatch:
    """Give the error that says what arrived of a content, and what its sender said of it."""
    stated = size if expected_size is None else expected_size
    return ChecksumMismatch(
        f"{what} did not arrive as it was sent: {size} bytes, {digests} arrived, "
        f"{stated} bytes, {expected} was expected"
    )
