"""Slows down who guesses passwords: by account, whoever guesses, and by address, whatever is guessed."""

import secrets
import threading
from collections import OrderedDict
from typing import Any

from attrs import define, field

from xfworker.domain.errors import TooManyRequests
from xfworker.ports.clock import Clock
from xfworker.ports.password_hasher import PasswordHasher

_FREE_FAILURES = 10
"""
So many failures in a row cost nothing. It is one number for accounts and addresses, so that who guesses from one
address is slowed down alike whether the names exist or not.
"""
_FIRST_WAIT_SECONDS = 1.0
_LONGEST_WAIT_SECONDS = 60.0
_FORGOTTEN_SECONDS = 900.0
_MOST_ENTRIES = 10_000
_MOST_DOUBLINGS = 6

_Key = tuple[str, str]


@define
class _Failures:
    count: int
    last: float


@define
class LoginThrottle:
    """
    Counts failed logins in this process. Safe to share between threads.

    After a few failures each one doubles the wait until the next try, up to a minute. Who has come in from an address
    before is counted apart there, so that they are not kept out by others who guess.
    """

    _clock: Clock
    _failures: "OrderedDict[_Key, _Failures]" = field(factory=OrderedDict, init=False)
    _known: "OrderedDict[_Key, None]" = field(factory=OrderedDict, init=False)
    _lock: threading.Lock = field(factory=threading.Lock, init=False)
    _nobody: str = field(default="", init=False, repr=False)

    def hash_of_nobody(self, hasher: PasswordHasher) -> str:
        """Give the hash that a password is compared with where there is no such account; made once."""
        if not self._nobody:
            self._nobody = hasher.hash(secrets.token_hex())
        return self._nobody

    def require_turn(self, name: str, address: str) -> None:
        """
        Refuse a try that comes too soon.

        Raises:
            TooManyRequests: Saying when the next one is taken.
        """
        with self._lock:
            now = self._clock.monotonic()
            wait = max(self._wait_seconds(key, now) for key in self._keys(name, address))
        if wait > 0:
            raise TooManyRequests(
                f"too many failed logins; try again in {max(round(wait), 1)} s", retry_after_seconds=wait
            )

    def failed(self, name: str, address: str) -> None:
        """Count a failed try."""
        with self._lock:
            now = self._clock.monotonic()
            for key in self._keys(name, address):
                failures = self._failures.setdefault(key, _Failures(0, now))
                if now - failures.last > _FORGOTTEN_SECONDS:
                    failures.count = 0
                failures.count, failures.last = failures.count + 1, now
                self._failures.move_to_end(key)
            _forget_oldest(self._failures)

    def succeeded(self, name: str, address: str) -> None:
        """Delete the failures of an account all of whose factors were proved, and record the address it came from."""
        with self._lock:
            for key in self._keys(name, address):
                if key[0] != "address":
                    self._failures.pop(key, None)
            self._known[name.casefold(), address] = None
            _forget_oldest(self._known)

    def _keys(self, name: str, address: str) -> list[_Key]:
        if (name.casefold(), address) in self._known:
            return [("known", f"{name.casefold()}\0{address}")]
        return [("account", name.casefold()), ("address", address)]

    def _wait_seconds(self, key: _Key, now: float) -> float:
        failures = self._failures.get(key)
        if failures is None:
            return 0.0
        beyond = failures.count - _FREE_FAILURES
        if beyond < 0:
            return 0.0
        wait = min(_FIRST_WAIT_SECONDS * 2.0 ** min(beyond, _MOST_DOUBLINGS), _LONGEST_WAIT_SECONDS)
        return failures.last + wait - now


def _forget_oldest(entries: "OrderedDict[Any, Any]") -> None:
    while len(entries) > _MOST_ENTRIES:
        entries.popitem(last=False)
