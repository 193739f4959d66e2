"""What a capture says of itself: ``capture.json`` at the root of the archive."""

import re
from collections.abc import Mapping
from typing import Any

from attrs import define, field

from xfworker.domain.errors import UsageError
from xfworker.services.capture.calls import check_encoded
from xfworker.services.sealed_archive import manifest_document

FORMAT = "XFCAP1.0"
"""What a capture's ``format`` says."""
MANIFEST = "capture.json"
CALLS = "calls.jsonl"
LOG = "log.txt"

FINISHED, ERROR, HANDED_OVER = "finished", "error", "handed over"
"""How a script ended; anything else is an end without any of these."""

_KEY = re.compile(r"[0-9a-f]{64}")


@define(frozen=True, kw_only=True)
class CapturedEntry:
    """
    An entry of the archive.

    Attributes:
        name: Its name.
        size: Bytes.
        sha256: Digest of the content.
    """

    name: str
    size: int
    sha256: str


@define(frozen=True, kw_only=True)
class CapturedFile:
    """
    The content of a file that a call gave or took.

    Attributes:
        size: Bytes.
        entry: Where it is in the archive; ``None`` where it was left out.
        omitted: Why it was left out.
        is_blanked: Whether secrets or names were blanked in it.
    """

    size: int
    entry: CapturedEntry | None
    omitted: str
    is_blanked: bool


@define(frozen=True, kw_only=True)
class CaptureManifest:
    """
    Everything in a capture but the calls and the content of files.

    Attributes:
        entries: The entries of the archive by name.
        files: The content of files by the SHA-256 that it had on the worker.
        outcome: How the script ended: ``ending``, and what it ended with.
        job_serial: The job, where its module said which.
        script: The name of the script.
        calls: How many calls there are.
        created_at: When it was written (ISO 8601, UTC).
        modules: The modules that were recorded: file name, version and digest of each.
        names: The public names of each module, and what they are.
        classes: The classes of objects: their bases and members.
        folders: Which of the folders that calls named lies in which.
        signatures: The parameters of each call.
        environment: Python, platform and packages of the worker.
        notes: What is missing, and what went wrong in the recorder.
        document: The whole manifest.
    """

    entries: Mapping[str, CapturedEntry]
    files: Mapping[str, CapturedFile]
    outcome: Mapping[str, Any]
    job_serial: int | None = None
    script: str | None = None
    calls: int
    created_at: str
    modules: Mapping[str, Any] = field(factory=dict)
    names: Mapping[str, Any] = field(factory=dict)
    classes: Mapping[str, Any] = field(factory=dict)
    folders: Mapping[str, Any] = field(factory=dict)
    signatures: Mapping[str, Any] = field(factory=dict)
    environment: Mapping[str, Any] = field(factory=dict)
    notes: tuple[str, ...] = ()
    document: Mapping[str, Any] = field(factory=dict)

    @property
    def ending(self) -> str:
        """How the script ended."""
        return str(self.outcome.get("ending", ""))

    @property
    def package(self) -> tuple[CapturedEntry, ...]:
        """The files of the script's package."""
        return tuple(entry for name, entry in self.entries.items() if name.startswith("package/"))


def read_manifest(content: bytes, name: str) -> CaptureManifest:
    """
    Read a manifest.

    Args:
        content: The JSON.
        name: What messages call the capture.

    Raises:
        UsageError: It is not a manifest, or one of another version; the message says what is wrong.
    """
    document = manifest_document(content, name, noun="capture", manifest=MANIFEST, format_name=FORMAT)
    try:
        return _manifest(document)
    except (KeyError, TypeError, ValueError, OverflowError, AttributeError, RecursionError) as error:
        raise UsageError(f"{name} is damaged: {MANIFEST} lacks something or holds something else: {error!r}") from None


def _manifest(document: Mapping[str, Any]) -> CaptureManifest:
    entries = {
        str(item["entry"]): CapturedEntry(name=str(item["entry"]), size=_size(item), sha256=_digest(item["sha256"]))
        for item in document["entries"]
    }
    serial = document.get("job_serial")
    check_encoded(document.get("outcome"))
    return CaptureManifest(
        entries=entries,
        files={_digest(key): _file(item, entries) for key, item in document["files"].items()},
        outcome=_mapping(document, "outcome"),
        job_serial=None if serial is None else int(serial),
        script=None if document.get("script") is None else str(document["script"]),
        calls=int(document["calls"]),
        created_at=str(document["created_at"]),
        **{name: _mapping(document, name) for name in _MAPPINGS},
        notes=tuple(str(note) for note in document.get("notes") or ()),
        document=document,
    )


def _file(item: Mapping[str, Any], entries: Mapping[str, CapturedEntry]) -> CapturedFile:
    entry = item.get("entry")
    return CapturedFile(
        size=_size(item),
        entry=None if entry is None else entries[entry],
        omitted=str(item.get("omitted", "" if entry else "its content is not there")),
        is_blanked=bool(item.get("blanked")),
    )


def _size(item: Mapping[str, Any]) -> int:
    size = item["size"]
    if isinstance(size, bool) or not isinstance(size, int) or size < 0:
        raise ValueError(f"a size is {size!r:.40}")
    return size


def _digest(text: Any) -> str:
    if not isinstance(text, str) or _KEY.fullmatch(text) is None:
        raise ValueError(f"a digest is {text!r:.80}")
    return text


def _mapping(document: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = document.get(name, {})
    if not isinstance(value, dict):
        raise TypeError(f"{name} is not an object")
    return value


_MAPPINGS = ("modules", "names", "classes", "folders", "signatures", "environment")
