"""One seed's story: a world that is lived through once, in a folder of its own."""

import gc
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from attrs import define, field

from tests.simulation.world import World

_MEMORY = Path("/dev/shm")


@define(frozen=True)
class Story:
    """
    What came of a seed.

    Attributes:
        seed: The seed.
        violations: What must never happen and did.
        happened: What went wrong before, as place and simulated second.
        kind: What kind of laboratory it was.
        world: What makes the world that it was played in.
        jobs: How many attempts at jobs ended.
        whole_scripts: Those among them whose scripts did all that scripts do.
        seconds: How much time passed in the simulation.
    """

    seed: int
    violations: list[str]
    happened: list[tuple[str, float]] = field(repr=False)
    kind: str
    world: Callable[..., World]
    jobs: int
    whole_scripts: int
    seconds: float


def play(seed, *, only=None, runs=None, kind=World):
    """Play a seed's story in a world that ``kind`` makes, or only a part of its misfortunes."""
    # What a world makes is thrown away with it; looking for cycles meanwhile takes a tenth of the time.
    gc.disable()
    # In memory where that is: no power cut is waited for here.
    folder = Path(tempfile.mkdtemp(prefix="simulation-", dir=_MEMORY if _MEMORY.is_dir() else None))
    try:
        world = kind(seed, folder, only=only, runs=runs)
        violations = world.live()
        return Story(
            seed=seed,
            violations=violations,
            happened=world.luck.happened,
            kind=world.conditions.name,
            world=kind,
            jobs=world.ledger.ended,
            whole_scripts=world.ledger.ended_whole,
            seconds=world.timeline.now,
        )
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        gc.enable()
