"""The lists of passwords that nobody is to have: the packaged one, and a file of stolen ones."""

import hashlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from zxcvbn.frequency_lists import FREQUENCY_LISTS

from xfworker.adapters.passwords.breached_file import BreachedPasswords
from xfworker.adapters.passwords.common import CommonPasswords
from xfworker.domain.errors import ConfigurationError
from xfworker.testing.contracts.known_passwords import KnownPasswordsContract


def breach(path, passwords, *, end="\r\n", last="\r\n", count=":3"):
    """Write a file as Have I Been Pwned offers it."""
    hashes = sorted(hashlib.sha1(password.encode()).hexdigest().upper() for password in passwords)
    path.write_text(end.join(f"{hashed}{count}" for hashed in hashes) + last, newline="")
    return BreachedPasswords(path)


class TestCommonPasswords(KnownPasswordsContract):
    @pytest.fixture
    def passwords(self):
        return CommonPasswords()

    @pytest.fixture
    def listed(self):
        return "Trustno1"

    def test_of_those_that_are_long_enough_it_has_3000_at_least(self, passwords):
        listed = [password for password in FREQUENCY_LISTS["passwords"] if len(password) >= 8]
        assert len(listed) >= 3000
        assert all(map(passwords.holds, listed))
        assert all(passwords.holds(password) for password in ("12345678", "PASSWORD", "qwertyuiop", "iloveyou"))


class TestBreachedPasswords(KnownPasswordsContract):
    @pytest.fixture
    def passwords(self, tmp_path):
        return breach(tmp_path / "stolen.txt", ["hunter2hunter2", "correct horse", "Ümläut 日本語"])

    @pytest.fixture
    def listed(self):
        return "hunter2hunter2"

    @settings(max_examples=60, deadline=None)
    @given(
        stolen=st.sets(st.integers(0, 60), min_size=1, max_size=40),
        ends=st.sampled_from([("\r\n", "\r\n"), ("\n", "\n"), ("\n", "")]),
        count=st.sampled_from(["", ":1", ":37359195"]),
    )
    def test_each_line_of_a_file_is_found_and_no_other(self, tmp_path_factory, stolen, ends, count):
        path = tmp_path_factory.getbasetemp() / "stolen.txt"
        passwords = breach(path, map(str, stolen), end=ends[0], last=ends[1], count=count)
        assert {number for number in range(61) if passwords.holds(str(number))} == stolen

    @pytest.mark.parametrize("content", ["", "password\n", "00" * 20 + ":x\n", "<html>" + "x" * 300])
    def test_another_file_is_refused_by_what_it_should_be(self, tmp_path, content):
        (tmp_path / "words.txt").write_text(content)
        with pytest.raises(ConfigurationError, match=r"words\.txt is not a file of breached passwords.*SHA-1"):
            BreachedPasswords(tmp_path / "words.txt")

    def test_a_file_that_is_not_there_is_named(self, tmp_path):
        with pytest.raises(ConfigurationError, match=r"breached passwords in .*gone\.txt: No such file"):
            BreachedPasswords(tmp_path / "gone.txt")
