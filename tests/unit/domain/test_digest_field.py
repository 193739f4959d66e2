"""Digests in header fields."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xfworker.domain.digest_field import SHA256, XXH3, read_digest, require_digest, wants_digest, write_digest
from xfworker.domain.errors import UsageError

SIZES = {SHA256: 32, XXH3: 16}


@given(st.binary(min_size=32, max_size=32), st.binary(min_size=16, max_size=16))
def test_what_is_written_is_read(long, short):
    field = f"md5=:xyz:, {write_digest(long.hex())},{write_digest(short.hex(), XXH3)}"
    for read in (read_digest, require_digest):
        assert read(field) == long.hex()
        assert read(field, XXH3) == short.hex()


@given(st.text(max_size=60), st.sampled_from([SHA256, XXH3]))
def test_any_text_is_a_digest_or_none(text, algorithm):
    found = read_digest(f"{algorithm}={text}", algorithm)
    assert found is None or len(bytes.fromhex(found)) == SIZES[algorithm]


@pytest.mark.parametrize("value", ["", ":", ":AAAA:", ":!!!!:", ":" + "A" * 43 + ":", ":é:"])
def test_a_malformed_one_is_refused_where_it_matters(value):
    assert read_digest(f"sha-256={value}") is None
    with pytest.raises(UsageError, match="base64 of 32 bytes"):
        require_digest(f"sha-256={value}")


@pytest.mark.parametrize("text", [None, "", "md5=:xyz:", "sha-512=:AAAA:", ",,,"])
def test_where_there_is_none_there_is_none(text):
    assert read_digest(text) is None
    assert require_digest(text) is None


@pytest.mark.parametrize(
    ("field", "is_wanted"),
    [
        (None, False),
        ("", False),
        ("sha-256=1", True),
        ("SHA-256=10", True),
        ("sha-256=00", False),
        ("sha-256=0, sha-256=5", True),
        ("sha-256=x", False),
        ("sha-256=\u0661", False),
        ("xxh3-128=5", False),
        ("sha-512=1, sha-256=3", True),
    ],
)
def test_a_digest_is_wanted_where_its_preference_is_not_zero(field, is_wanted):
    assert wants_digest(field) is is_wanted


def test_a_digest_with_signs_that_are_not_base64_is_malformed():
    encoded = write_digest("00" * 32)
    damaged = encoded.replace("AAAA", "AA!AA", 1)
    assert read_digest(encoded) == "00" * 32
    assert read_digest(damaged) is None
