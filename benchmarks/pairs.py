"""
Two programs held against each other, on a machine that is never equally fast for minutes.

Both of a pair are measured right behind each other, the first of them by turns, so that what slows the machine down
slows both. What counts is the median of the pairs' ratios; its quartiles say how sure it is.
"""

import statistics
from collections.abc import Iterable
from typing import Generic, Protocol, Self, TypeVar

from attrs import define, field

from benchmarks.goals import Goal


@define(frozen=True)
class Ratio:
    """
    How the figures of pairs compare.

    Attributes:
        median: The median of the pairs' ratios.
        low: Their lower quartile.
        high: Their upper quartile.
    """

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, pairs: Iterable[tuple[float, float]]) -> Self | None:
        """Divide the first of each pair by its second; of no pair there is no ratio."""
        ratios = [first / second for first, second in pairs]
        if not ratios:
            return None
        low, median, high = statistics.quantiles(ratios, n=4, method="inclusive") if ratios[1:] else ratios * 3
        return cls(median, low, high)

    def __str__(self) -> str:
        return f"{self.median:.3g} ({self.low:.3g} to {self.high:.3g})"


class Turn(Protocol):
    """What one of a pair took: seconds, and seconds of CPU."""

    @property
    def seconds(self) -> float: ...

    @property
    def cpu(self) -> float: ...


TurnT = TypeVar("TurnT", bound=Turn)


@define
class Turns(Generic[TurnT]):
    """
    What we and another took by turns.

    Attributes:
        turns: What each round took, ours first.
    """

    turns: list[tuple[TurnT, TurnT]] = field(factory=list, kw_only=True)

    @property
    def pace(self) -> Ratio | None:
        """How fast ours is as a part of the other."""
        return Ratio.of((theirs.seconds, ours.seconds) for ours, theirs in self.turns)

    @property
    def thrift(self) -> Ratio | None:
        """The CPU time of the other as a part of ours, so that more is better here as well."""
        return Ratio.of((theirs.cpu, ours.cpu) for ours, theirs in self.turns)


def ratio_goal(name: str, ratio: Ratio | None, limit: float, *, reason: str = "") -> Goal:
    """Hold a ratio to a limit that it is to reach."""
    if ratio is None:
        return Goal(name, None, limit, at_least=True, reason=reason or "it was not run")
    return Goal(name, ratio.median, limit, at_least=True, spread=(ratio.low, ratio.high))
