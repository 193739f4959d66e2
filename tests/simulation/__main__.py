"""
Plays simulated laboratories: ``python -m tests.simulation [--year [--days N]] [--seed N] [--jobs N | --hours H]``.

Without a number of jobs or hours, the one seed is played and its story printed; with it, seeds from there on, as many
at once as there are processors, until so many attempts at jobs have ended. With ``--year`` each seed is a laboratory's
year of 365 days, or its first ``--days``, which takes a minute or two and says on stderr how far it is; only a story
that leads to a violation is printed. Exits with 1 at the first violation, which is printed at once, with its seed, time
and commit, and again with the shortest story that leads to it.
"""

import argparse
import os
import sys
import time
from functools import partial
from pathlib import Path

from attrs import define, field

from benchmarks.commit import commit
from tests.figures import report
from tests.simulation.calendar import DAY
from tests.simulation.conditions import KINDS
from tests.simulation.shrinking import shrink
from tests.simulation.stories import stories_from
from tests.simulation.world import World
from tests.simulation.year import DAYS_OF_A_YEAR, WatchedYear

_SHRINKING_SECONDS = 600.0
_MOST_SHRINKING_STORIES = 200


@define
class Totals:
    """What came of the seeds so far."""

    seeds: dict[str, int] = field(factory=dict)
    jobs: dict[str, int] = field(factory=dict)
    whole: int = 0
    last_seed: int = 0
    misfortunes: int = 0
    simulated_seconds: float = 0.0
    cpu_seconds: float = 0.0

    def add(self, story, cpu_seconds):
        self.seeds[story.kind] = self.seeds.get(story.kind, 0) + 1
        self.jobs[story.kind] = self.jobs.get(story.kind, 0) + story.jobs
        self.whole += story.whole_scripts
        self.last_seed = story.seed
        self.misfortunes += len(story.happened)
        self.simulated_seconds += story.seconds
        self.cpu_seconds += cpu_seconds

    @property
    def all_jobs(self):
        return sum(self.jobs.values())


def main(arguments=None):
    options = _options(arguments)
    totals, began = Totals(), time.monotonic()

    def has_enough():
        hours = (time.monotonic() - began) / 3600
        return totals.all_jobs >= options.jobs and hours >= options.hours

    is_one = not (options.jobs or options.hours)
    kind, name, figures = World, "the simulator", _figures
    if options.year:
        kind, name, figures = partial(WatchedYear, days=options.days), "the simulated year", _figures_of_years
    with stories_from(options.seed, 1 if is_one else options.processes, kind) as stories:
        for story, cpu_seconds in stories:
            totals.add(story, cpu_seconds)
            if story.violations:
                _print_violation(story, options)
                _print_short(_shrunk(story, cpu_seconds, options.shrink_seconds))
                return 1
            if is_one and not options.year and not options.json:
                _print_story(story)
            if has_enough():
                break
    measured = figures(options.seed, totals, time.monotonic() - began)
    report(name, measured, write=options.write, as_json=options.json)
    return 0


def _options(arguments):
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--year", action="store_true", help="play a laboratory's year for each seed")
    parser.add_argument("--days", type=int, help="end the year after so many days")
    parser.add_argument("--seed", type=int, default=1, help="the seed, or the first of them")
    parser.add_argument("--jobs", type=int, default=0, help="go on with the next seeds until so many attempts ended")
    parser.add_argument("--hours", type=float, default=0.0, help="go on with the next seeds for so long")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1, help="how many seeds at once")
    parser.add_argument(
        "--shrink-seconds", type=float, default=_SHRINKING_SECONDS, help="how long to make a story short at most"
    )
    parser.add_argument("--json", action="store_true", help="print the figures as one JSON object")
    parser.add_argument("--write", type=Path, help="put the figures into this document, between its two comments")
    options = parser.parse_args(arguments)
    if options.days is None:
        options.days = DAYS_OF_A_YEAR
    elif not options.year:
        parser.error("--days goes with --year")
    elif options.days < 1:
        parser.error("--days must be at least 1")
    return options


def _shrunk(story, cpu_seconds, most_seconds):
    """Make a story short, in so many seconds: first, what happened long before the violation is left out."""
    return shrink(story, most=int(min(most_seconds / cpu_seconds, _MOST_SHRINKING_STORIES)))


def _figures(first_seed, totals, seconds):
    jobs = totals.all_jobs
    return {
        "seeds": _range_of(first_seed, totals),
        **{f"{kind}_laboratories": totals.seeds.get(kind, 0) for kind in KINDS},
        "violations": 0,
        "job_lifetimes": jobs,
        **{f"job_lifetimes_in_{kind}_laboratories": totals.jobs.get(kind, 0) for kind in KINDS},
        "job_lifetimes_with_whole_scripts": totals.whole,
        "misfortunes": totals.misfortunes,
        "simulated_hours": round(totals.simulated_seconds / 3600, 1),
        "cpu_seconds": round(totals.cpu_seconds, 1),
        "seconds": round(seconds, 1),
        "job_lifetimes_per_cpu_second": round(jobs / totals.cpu_seconds, 1),
    }


def _figures_of_years(first_seed, totals, seconds):
    return {
        "seeds": _range_of(first_seed, totals),
        "days": round(totals.simulated_seconds / DAY),
        "violations": 0,
        "attempts": totals.all_jobs,
        "attempts_with_whole_scripts": totals.whole,
        "misfortunes": totals.misfortunes,
        "cpu_seconds": round(totals.cpu_seconds, 1),
        "seconds": round(seconds, 1),
    }


def _range_of(first_seed, totals):
    return str(first_seed) if totals.last_seed == first_seed else f"{first_seed} to {totals.last_seed}"


def _print_violation(story, options):
    """Print what is needed to play it again before its story is made short, which takes a while."""
    at = _moment(story.seconds).strip()
    again = f"make simulate {_of_year(options)}SEED={story.seed}"
    sys.stdout.write(f"seed {story.seed} leads to a violation at {at}, with commit {commit()}; again: {again}\n")
    _print_violations(story)
    sys.stdout.write(f"its story is made short, which takes {options.shrink_seconds:.0f} s at most\n")
    sys.stdout.flush()


def _of_year(options):
    if not options.year:
        return ""
    return "YEAR=1 " if options.days == DAYS_OF_A_YEAR else f"YEAR=1 DAYS={options.days} "


def _print_short(story):
    ends_at = _moment(story.seconds).strip()
    sys.stdout.write(f"the shortest story found that leads to a violation, to its end at {ends_at}:\n")
    _print_story(story)
    _print_violations(story)


def _print_violations(story):
    sys.stdout.write("".join(f"VIOLATION: {violation}\n" for violation in story.violations))


def _print_story(story):
    sys.stdout.write("".join(f"{_moment(at)}  {place}\n" for place, at in story.happened))


def _moment(seconds):
    return f"{seconds:9.2f} s" if seconds < DAY else f"day {seconds // DAY:.0f}, {seconds % DAY:8.2f} s"


if __name__ == "__main__":
    sys.exit(main())
