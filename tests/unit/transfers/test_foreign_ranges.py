"""A download that goes on where it broke, from a server that gives no digest: what comes is the part asked for."""

import os

import pytest

from tests.unit.transfers.test_redirected_downloads import answering, download

CONTENT = os.urandom(3 << 20)
SIZE, CUT = len(CONTENT), 2 << 20
WHOLE = {"ETag": '"e1"', "Accept-Ranges": "bytes"}


def served(then):
    """Give the whole file, and to each request for a part of it what ``then`` gives of its beginning."""

    def answer(_, headers):
        if "Range" in headers:
            return then(int(headers["Range"].removeprefix("bytes=").partition("-")[0]))
        return 200, WHOLE, CONTENT

    return answer


def part(start, *, says=None, etag="e1", size=SIZE):
    headers = {"Content-Range": f"bytes {start if says is None else says}-{size - 1}/{size}"}
    return 206, headers | ({"ETag": f'"{etag}"'} if etag else {}), CONTENT[start:]


def fetched(tmp_path, then):
    with answering(served(then), cut_at=CUT) as (url, asked):
        download(url, tmp_path / "a")
    assert (tmp_path / "a").read_bytes() == CONTENT
    return [headers for _, headers in asked]


def test_the_rest_is_asked_for_as_that_of_the_same_file(tmp_path):
    _, again = fetched(tmp_path, part)
    assert again["If-Range"] == '"e1"'
    assert 0 < int(again["Range"].removeprefix("bytes=").removesuffix("-")) <= CUT


@pytest.mark.parametrize(
    "then",
    [
        lambda start: part(start - 7, says=start - 7),
        lambda start: part(start, etag="e2"),
        lambda start: part(start, size=SIZE + 1),
        lambda start: (206, {"ETag": '"e1"'}, CONTENT[start:]),
    ],
    ids=["another part", "of another file", "of a longer file", "of which nothing is said"],
)
def test_what_is_not_the_part_that_was_asked_for_is_not_taken(tmp_path, then):
    assert "Range" not in fetched(tmp_path, then)[-1]
