"""
Fuzzes one parser in this process, guided by coverage: ``python -m tests.fuzz.one NAME SECONDS RUNS CORPUS SCRATCH``.
"""

import difflib
import logging
import sys
from pathlib import Path

import atheris
import nibabel  # noqa: F401  imported by its reader when it is needed, which must not count as that input's time
import nrrd  # noqa: F401  likewise
import pydicom  # noqa: F401  likewise
import tifffile  # noqa: F401  likewise

with atheris.instrument_imports(include=["xfworker"]):
    from tests.fuzz.parsers import PARSERS

MOST_MIB = 2048
SECONDS_PER_INPUT = 60
"""A hang, even where the computer has much else to do."""


def main():
    name, seconds, runs = sys.argv[1:4]
    corpus, folder = Path(sys.argv[4]), Path(sys.argv[5])
    logging.disable()
    # Python's own search for the setting that was meant takes two thirds of the time of a wrong one.
    difflib.get_close_matches = lambda _, known, **__: known[:1]
    parser = PARSERS[name](folder)
    seeds = folder / "seeds"
    seeds.mkdir()
    for number, seed in enumerate(parser.seeds):
        (seeds / str(number)).write_bytes(seed)
    corpus.mkdir(parents=True, exist_ok=True)
    findings = corpus.parent / f"{name}-findings"
    findings.mkdir(exist_ok=True)
    words = [
        f"-max_total_time={seconds}",
        f"-runs={runs}",
        f"-timeout={SECONDS_PER_INPUT}",
        f"-rss_limit_mb={MOST_MIB}",
        f"-max_len={parser.largest}",
        f"-artifact_prefix={findings}/",
        "-print_final_stats=1",
    ]
    atheris.Setup([sys.argv[0], *words, str(corpus), str(seeds)], parser.read)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
