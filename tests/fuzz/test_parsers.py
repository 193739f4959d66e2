"""The short form of fuzzing, for every run: known inputs, and mutations of them without guidance."""

import random
from pathlib import Path

import pytest

from tests.fuzz.parsers import PARSERS

FINDINGS = Path(__file__).parent / "findings"
MUTATIONS = 100
NOTABLE = [b"\x00", b"\xff", b"\x7f\xff\xff\xff", b"\xff\xff\xff\xff", b"-1", b"9" * 25, b"1e999", b"null", b"[" * 2000]


@pytest.fixture(params=PARSERS)
def parser(request, tmp_path):
    return PARSERS[request.param](tmp_path)


def test_each_parser_reads_its_own_examples(parser):
    assert parser.seeds
    for seed in parser.seeds:
        parser.read(seed)


def test_mutated_examples_are_read_or_refused(parser):
    luck = random.Random(1)
    for _ in range(MUTATIONS):
        content = bytearray(luck.choice(parser.seeds))
        for _ in range(luck.choice((1, 1, 2, 4))):
            mutate(content, luck)
        parser.read(bytes(content))


def mutate(content, luck):
    at = luck.randrange(len(content) + 1)
    to = min(len(content), at + luck.choice((1, 4, 30)))
    match luck.randrange(4):
        case 0:
            content[at:to] = bytes(luck.randrange(256) for _ in range(to - at))
        case 1:
            content[at:at] = luck.choice(NOTABLE)
        case 2:
            content[at:to] = luck.choice(NOTABLE)
        case 3:
            del content[at:to]


@pytest.mark.parametrize("path", sorted(FINDINGS.glob("*/*")), ids=lambda path: f"{path.parent.name}/{path.name}")
def test_what_fuzzing_found_stays_mended(tmp_path, path):
    PARSERS[path.parent.name](tmp_path).read(path.read_bytes())
