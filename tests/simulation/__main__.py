"""
Plays simulated laboratories: ``python -m tests.simulation [--seed N] [--jobs N] [--json]``.

Without a number of jobs, the one seed is played and its story printed; with it, seeds from there on until so many
attempts at jobs have ended. Exits with 1 at the first violation, after its story was made short.
"""

import argparse
import sys
import time
from pathlib import Path

from tests.figures import report
from tests.simulation.shrinking import shrink
from tests.simulation.world import play


def main():
    arguments = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    arguments.add_argument("--seed", type=int, default=1, help="the seed, or the first of them")
    arguments.add_argument("--jobs", type=int, default=0, help="go on with the next seeds until so many attempts ended")
    arguments.add_argument("--json", action="store_true", help="print the figures as one JSON object")
    arguments.add_argument("--write", type=Path, help="put the figures into this document, between its two comments")
    options = arguments.parse_args()
    seed, stories, jobs, seconds, misfortunes = options.seed, 0, 0, 0.0, 0
    began = time.process_time()
    while True:
        story = play(seed)
        stories, jobs, seconds = stories + 1, jobs + story.jobs, seconds + story.seconds
        misfortunes += len(story.happened)
        if story.violations:
            _print_short(shrink(story))
            return 1
        if not options.jobs and not options.json:
            _print_story(story)
        if jobs >= options.jobs:
            break
        seed += 1
    cpu = time.process_time() - began
    figures = {
        "seeds": f"{options.seed} to {seed}",
        "violations": 0,
        "job_lifetimes": jobs,
        "misfortunes": misfortunes,
        "simulated_hours": round(seconds / 3600, 1),
        "cpu_seconds": round(cpu, 1),
        "job_lifetimes_per_cpu_second": round(jobs / cpu, 1),
    }
    report("the simulator", figures, write=options.write, as_json=options.json)
    return 0


def _print_short(story):
    sys.stdout.write(f"seed {story.seed} leads to a violation; the shortest story found:\n")
    _print_story(story)
    sys.stdout.write("".join(f"VIOLATION: {violation}\n" for violation in story.violations))
    sys.stdout.write(f"again: make simulate SEED={story.seed}\n")


def _print_story(story):
    sys.stdout.write("".join(f"{at:9.2f} s  {place}\n" for place, at in story.happened))


if __name__ == "__main__":
    sys.exit(main())
