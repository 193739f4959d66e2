"""
The file of the secrets that sign tokens: the one that signs, and those from before a rotation, until they end.

A line ``HEX`` for the first, ``HEX until TIME`` for each that still verifies, and ``HEX opens`` for each that signs and
verifies nothing any more, and opens what was encrypted under it: second factors, in a backup of then too. A server of
before rotations were possible takes such a file for damaged, rather than for another secret.
"""

import os
import secrets
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path

from attrs import define, field

from xfworker.adapters.transfer.partial_file import flush_folder
from xfworker.domain.conversion import format_time, parse_time
from xfworker.domain.errors import ConfigurationError
from xfworker.services.files_in_use import when_free

SECRET_BYTES = 32
"""How long a secret is, in bytes."""

_OPENS = " opens"


@define(frozen=True)
class FormerSecret:
    """A secret that signs nothing any more, and verifies what it signed until a time (UTC)."""

    secret: bytes = field(repr=False)
    until: datetime


@define(frozen=True)
class Secrets:
    """
    What signs tokens and verifies them.

    Attributes:
        current: Signs, and verifies.
        former: Verify only, until they end.
        opening: All from before; they open what was encrypted under them, whether they still verify or not.
    """

    current: bytes = field(repr=False)
    former: tuple[FormerSecret, ...] = ()
    opening: tuple[bytes, ...] = field(default=(), repr=False)


def secrets_in(path: Path) -> Secrets:
    """
    Give the secrets kept in a file, which is made where it is not there, readable by its owner only.

    Raises:
        ConfigurationError: The file can be neither read nor made.
    """
    try:
        try:
            return _read(path)
        except FileNotFoundError:
            return _made(path)
    except (OSError, ValueError) as error:
        raise _unreadable(path, error) from None


def rotate(path: Path, *, now: datetime, former_until: datetime) -> Secrets:
    """
    Make a new secret; the one before verifies what it signed until a time, and those that have ended go.

    Args:
        path: The file.
        now: The time.
        former_until: Until when what was signed before is good; ``now`` for no longer.

    Raises:
        ConfigurationError: The file is not there, or cannot be read or replaced.
    """
    try:
        before = _read(path)
        former = (FormerSecret(before.current, former_until), *before.former)
        verifying = tuple(one for one in former if one.until > now)
        after = Secrets(secrets.token_bytes(SECRET_BYTES), verifying, (before.current, *before.opening))
        partial = _written(path, after)
        try:
            when_free(lambda: partial.replace(path))
            flush_folder(path.parent)
        finally:
            partial.unlink(missing_ok=True)
    except (OSError, ValueError) as error:
        raise _unreadable(path, error) from None
    return after


def _read(path: Path) -> Secrets:
    first, *others = path.read_text("ascii").strip().splitlines() or [""]
    former, opening = [], []
    for line in others:
        if line.endswith(_OPENS):
            opening.append(bytes.fromhex(line.removesuffix(_OPENS)))
        else:
            hexadecimal, _, until = line.partition(" until ")
            former.append(FormerSecret(bytes.fromhex(hexadecimal), parse_time(until)))
    return Secrets(bytes.fromhex(first), tuple(former), tuple(opening))


def _made(path: Path) -> Secrets:
    made = Secrets(secrets.token_bytes(SECRET_BYTES))
    partial = _written(path, made)
    try:
        # A second server that starts at the same moment must not replace the secret that the first one uses.
        os.link(partial, path)
    except FileExistsError:
        return _read(path)
    except OSError:
        when_free(lambda: partial.replace(path))
    finally:
        partial.unlink(missing_ok=True)
    flush_folder(path.parent)
    return made


def _written(path: Path, kept: Secrets) -> Path:
    partial = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write("\n".join(_lines(kept)))
        file.flush()
        os.fsync(file.fileno())
    return partial


def _lines(kept: Secrets) -> Iterable[str]:
    yield kept.current.hex()
    for former in kept.former:
        yield f"{former.secret.hex()} until {format_time(former.until)}"
    for secret in kept.opening:
        yield f"{secret.hex()}{_OPENS}"


def _unreadable(path: Path, error: Exception) -> ConfigurationError:
    reason = error.strerror if isinstance(error, OSError) else "it does not hold hexadecimal digits"
    return ConfigurationError(f"could not read the server's secret in {path}: {reason}")
