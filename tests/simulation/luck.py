"""What goes wrong: decided by the seed and by the place alone, so that leaving one misfortune out leaves the others."""

import hashlib

from attrs import define, field

_WORD = (1 << 64) - 1
_GOLDEN = 0x9E3779B97F4A7C15


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
    _places: dict[str, list[int]] = field(factory=dict)

    def number(self, place):
        """Give a number from 0 to 1 for a place: always the same."""
        return _mixed(self._begin(place)) / (1 << 64)

    def next_number(self, place):
        """Give the next number of a place that is passed again and again."""
        # By the generator SplitMix64 (Steele, Lea, Flood 2014) with a state of its own for each place.
        known = self._places.get(place)
        if known is None:
            known = self._places[place] = [self._begin(place), 0]
        known[0] = state = (known[0] + _GOLDEN) & _WORD
        known[1] += 1
        return _mixed(state) / (1 << 64)

    def between(self, place, least, most):
        return least + (most - least) * self.next_number(place)

    def choice(self, place, options):
        return options[int(self.next_number(place) * len(options))]

    def strikes(self, place, chance):
        """Return whether something goes wrong here."""
        if chance <= 0.0 or self.ended or self.next_number(place) >= chance:
            return False
        key = f"{place}#{self._places[place][1]}"
        if self.only is not None and key not in self.only:
            return False
        self.happened.append((key, self.now()))
        return True

    def switched_on(self, what, chance=0.5):
        """Return whether this seed has something at all: swarms of few kinds find more than a mix of all."""
        return self.number(f"on/{what}") < chance

    def _begin(self, place):
        return int.from_bytes(hashlib.blake2b(f"{self.seed}/{place}".encode(), digest_size=8).digest(), "big")


def _mixed(state):
    state = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & _WORD
    state = ((state ^ (state >> 27)) * 0x94D049BB133111EB) & _WORD
    return state ^ (state >> 31)
