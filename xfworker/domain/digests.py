"""The digests of one content."""

from attrs import define


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

    def fit(self, expected: "Digests") -> bool:
        """Whether a content with these digests can be the expected one, as far as that is known."""
        return expected.sha256 in {None, self.sha256} and expected.xxh3 in {None, self.xxh3}
