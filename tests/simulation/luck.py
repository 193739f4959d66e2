"""What goes wrong: decided by the seed and by the place alone, so that leaving one misfortune out leaves the others."""

import hashlib

from attrs import define, field


@define(eq=False)
class Luck:
    """
    Decides by seed.

    Attributes:
        seed: The seed.
        only: The misfortunes that may happen, by place; ``None`` for all that the seed has.
        happened: Those that did, with what is to be known of them, in their order.
        ended: Whether nothing goes wrong any more.
    """

    seed: int
    only: frozenset[str] | None = None
    happened: list[tuple[str, float]] = field(factory=list)
    ended: bool = False
    now: object = None
    _counts: dict[str, int] = field(factory=dict)

    def number(self, place):
        """Give a number from 0 to 1 for a place: always the same."""
        digest = hashlib.blake2b(f"{self.seed}/{place}".encode(), digest_size=7).digest()
        return int.from_bytes(digest, "big") / (1 << 56)

    def next_number(self, place):
        """Give the next number of a place that is passed again and again."""
        return self.number(self._next(place))

    def between(self, place, least, most):
        return least + (most - least) * self.next_number(place)

    def choice(self, place, options):
        return options[int(self.next_number(place) * len(options))]

    def strikes(self, place, chance):
        """Return whether something goes wrong here."""
        key = self._next(place)
        if self.ended or self.number(key) >= chance or (self.only is not None and key not in self.only):
            return False
        self.happened.append((key, self.now()))
        return True

    def switched_on(self, what, chance=0.5):
        """Return whether this seed has something at all: swarms of few kinds find more than a mix of all."""
        return self.number(f"on/{what}") < chance

    def _next(self, place):
        count = self._counts.get(place, 0) + 1
        self._counts[place] = count
        return f"{place}#{count}"
