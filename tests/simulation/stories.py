"""Many seeds, played in as many processes as there are processors; each of them alone is exactly reproducible."""

import itertools
import multiprocessing
import time
from collections import deque
from contextlib import contextmanager
from functools import partial

from tests.simulation.story import play
from tests.simulation.world import World


@contextmanager
def stories_from(first_seed, processes, kind=World):
    """Give the stories of the seeds from one on, in their order, each with the processor time that it took."""
    seeds, play_one = itertools.count(first_seed), partial(played, kind=kind)
    if processes == 1:
        yield map(play_one, seeds)
        return
    with multiprocessing.get_context("spawn").Pool(processes) as pool:
        yield _ahead(pool, play_one, seeds, 4 * processes)


def _ahead(pool, play_one, seeds, many):
    # Not by Pool.imap, which would take all the seeds there are.
    begun = deque(pool.apply_async(play_one, (next(seeds),)) for _ in range(many))
    while True:
        yield begun.popleft().get()
        begun.append(pool.apply_async(play_one, (next(seeds),)))


def played(seed, kind=World):
    """Play a seed's story, and give the processor time that it took with it."""
    began = time.process_time()
    return play(seed, kind=kind), time.process_time() - began
