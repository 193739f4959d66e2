"""What goes wrong: decided by the seed and by the place alone, so that leaving one misfortune out leaves the others."""

import hashlib

from attrs import define, field

_WORDS = 1 << 64
_WORD = _WORDS - 1
_GOLDEN = 0x9E3779B97F4A7C15


# Files on their way cost no worker its leases; nor does a time of day that is set, since workers measure by a clock
# that goes on, nor that a worker gives its jobs back.
_COSTS_NO_LEASE = (
    "/dropped",
    "/clock set",
    "/slow install",
    "/disk full at download",
    "/upload",
    "/begin upload",
    "/piece",
    "/file store full",
    "/goes on alone",
    "runs by hand/one",
)
_REQUEST_SECONDS = 60.0
_LAST_SECONDS = {
    "suspended": 400.0,
    "partitioned": 400.0,
    "unanswered": 400.0,
    "one link partitioned": 400.0,
    "request late": 300.0,
    "request lost": _REQUEST_SECONDS,
    "request doubled": _REQUEST_SECONDS,
    "answer lost": _REQUEST_SECONDS,
    "server slow": _REQUEST_SECONDS,
}
_LASTS_SECONDS = 250.0
"""Time for a server to come back, and to be replaced once more where it is of a version that nobody speaks with."""


@define(eq=False)
class Luck:
    """
    Decides by seed.

    Attributes:
        seed: The seed.
        only: The misfortunes that may happen, by place; ``None`` for all that the seed has.
        happened: Those that did, with what is to be known of them, in their order.
        ended: Whether nothing goes wrong any more.
        disturbed_until: When the last of what may cost a worker a lease is over.
    """

    seed: int
    only: frozenset[str] | None = None
    happened: list[tuple[str, float]] = field(factory=list)
    ended: bool = False
    now: object = None
    disturbed_until: float = -1.0
    _places: dict[str, list[int]] = field(factory=dict)

    def number(self, place):
        """Give a number from 0 to 1 for a place: always the same."""
        return _mixed(self._begin(place)) / _WORDS

    def next_number(self, place):
        """Give the next number of a place that is passed again and again."""
        # By the generator SplitMix64 (Steele, Lea, Flood 2014) with a state of its own for each place.
        known = self._places.get(place)
        if known is None:
            known = self._places[place] = [self._begin(place), 0]
        known[0] = state = (known[0] + _GOLDEN) & _WORD
        known[1] += 1
        state = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & _WORD
        state = ((state ^ (state >> 27)) * 0x94D049BB133111EB) & _WORD
        return (state ^ (state >> 31)) / _WORDS

    def between(self, place, least, most):
        return least + (most - least) * self.next_number(place)

    def choice(self, place, options):
        return options[int(self.next_number(place) * len(options))]

    def strikes(self, place, chance):
        """Return whether something goes wrong here."""
        if chance <= 0.0 or self.ended or self.next_number(place) >= chance:
            return False
        return self._may_happen(place, place)

    def befalls(self, place, risks):
        """Give which of some risks happens here, if any, and a number from 0 to 1 that is left of the decision."""
        number = self.next_number(place)
        if self.ended:
            return None, number
        if number >= risks.total:
            return None, (number - risks.total) / (1.0 - risks.total)
        for what, chance in risks.chances:
            if number < chance:
                return what if self._may_happen(place, f"{place}: {what}") else None, number / chance
            number -= chance
        return None, number

    def _may_happen(self, place, what):
        key = f"{what}#{self._places[place][1]}"
        if self.only is not None and key not in self.only:
            return False
        now = self.now()
        self.happened.append((key, now))
        if _may_cost_a_lease(what):
            kind = what.rpartition(": ")[2].rpartition("/")[2]
            self.disturb(_LAST_SECONDS.get(kind, _LASTS_SECONDS))
        return True

    def disturb(self, seconds):
        """Note that leases may be lost for so long."""
        self.disturbed_until = max(self.disturbed_until, self.now() + seconds)

    def switched_on(self, what, chance=0.5):
        """Return whether this seed has something at all: swarms of few kinds find more than a mix of all."""
        return self.number(f"on/{what}") < chance

    def _begin(self, place):
        return int.from_bytes(hashlib.blake2b(f"{self.seed}/{place}".encode(), digest_size=8).digest(), "big")


def _may_cost_a_lease(what):
    if "/script of job " in what or what.startswith("person"):
        return False
    if what.endswith("process killed") or what.startswith("servers/"):
        return True
    return not any(part in what for part in _COSTS_NO_LEASE)


@define(eq=False)
class Risks:
    """What may go wrong at one place, of which at most one happens at a time."""

    chances: tuple[tuple[str, float], ...]
    total: float = field(init=False)

    @total.default
    def _total(self):
        return sum(chance for _, chance in self.chances)

    @classmethod
    def of(cls, chances, *what):
        """Give the risks that a world has at all, by the names of their chances."""
        return cls(tuple((name, chances[name]) for name in what if chances[name] > 0.0))


def _mixed(state):
    state = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & _WORD
    state = ((state ^ (state >> 27)) * 0x94D049BB133111EB) & _WORD
    return state ^ (state >> 31)
