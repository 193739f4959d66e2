"""
Where files live in the file store, and who may touch them.

A **file reference** is the JSON object ``{source, filename, ...}`` that parameters carry. A **resource** is the same
resource as a path of segments, ``job_result/17/scan.omni``, which is what the file store and its tokens speak of.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any

from attrs import define, field

from xfworker.domain.digests import Digests
from xfworker.domain.errors import FileError, InvalidFilename, PermissionDenied
from xfworker.domain.filenames import check_filename

SERIAL_KEYS: dict[str, str] = {
    "job_result": "job_serial",
    "job_log": "job_serial",
    "task_config": "task_serial",
    "task_type_config": "task_type_serial",
    "workflow_config": "workflow_serial",
    "dependency_package_config": "dependency_package_serial",
}
"""For each source of files that belongs to a record: the key that holds the record's serial."""

USERDATA = "userdata"
"""The source of files that belong to people, named by ``virtualpath``."""

VERBS = ("read", "write", "list", "delete")
"""What a token can allow."""


@define(frozen=True)
class Resource:
    """
    A location in the file store: a file or a folder.

    Attributes:
        segments: At least the source; each segment is a safe file name.
    """

    segments: tuple[str, ...]

    def __str__(self) -> str:
        return "/".join(self.segments)

    @property
    def source(self) -> str:
        """The first segment: what kind of owner the file has."""
        return self.segments[0]

    @property
    def filename(self) -> str:
        """The last segment."""
        return self.segments[-1]

    def contains(self, other: "Resource") -> bool:
        """Return whether ``other`` is this location or lies under it, by whole segments."""
        return other.segments[: len(self.segments)] == self.segments

    def child(self, name: str) -> "Resource":
        """Give the resource ``name`` in this folder."""
        return Resource((*self.segments, check_filename(name)))


@lru_cache(maxsize=1024)
def parse_resource(text: str) -> Resource:
    """
    Read ``job_result/17/scan.omni``; a trailing slash is taken for a folder and dropped.

    Raises:
        InvalidFilename: A segment is not a safe name, the source is unknown, or a serial is not an integer.
    """
    segments = tuple(text.removesuffix("/").split("/"))
    for segment in segments:
        check_filename(segment, what=f"path segment of {text[:200]!a}")
    source = segments[0]
    if source not in SERIAL_KEYS and source != USERDATA:
        sources = ", ".join([*SERIAL_KEYS, USERDATA])
        raise InvalidFilename(f"{text[:200]!a}: {source!r} is not a source of files; sources are {sources}")
    if source in SERIAL_KEYS and len(segments) > 1 and not _is_serial(segments[1]):
        raise InvalidFilename(f"{text[:200]!a}: {segments[1]!r} is not a serial")
    return Resource(segments)


def record_resource(source: str, serial: int | str, filename: str | None = None) -> Resource:
    """
    Give the folder of a record's files, or one file in it.

    Raises:
        InvalidFilename: The source is unknown, the serial is not an integer or the name is not safe.
    """
    if not str(serial):
        raise InvalidFilename(f"the files of a {source} need the serial of what they belong to")
    folder = parse_resource(f"{source}/{serial}")
    return folder if filename is None else folder.child(filename)


def userdata_resource(virtualpath: str) -> Resource:
    """
    Give the resource of a path in user data: ``scans/2024/a.isq``, with or without ``@xfuserdata/`` before it.

    Raises:
        InvalidFilename: A segment is not a safe name.
    """
    path = virtualpath.replace("\\", "/").removeprefix("@xfuserdata").strip("/")
    return parse_resource(f"{USERDATA}/{path}" if path else USERDATA)


def reference_resource(reference: Mapping[str, Any]) -> Resource:
    """
    Give the resource that a file reference (or a composite parameter, which is one as well) names.

    Raises:
        FileError: Keys are missing or the source is unknown.
        InvalidFilename: A name is not safe.
    """
    source = reference.get("source")
    if source == USERDATA:
        return _userdata_reference(reference)
    if source not in SERIAL_KEYS:
        raise FileError(
            f"a file reference needs a source among {', '.join([*SERIAL_KEYS, USERDATA])}, not {source!r}; "
            f"keys present: {', '.join(sorted(map(str, reference))) or 'none'}"
        )
    for key in (SERIAL_KEYS[source], "filename"):
        if reference.get(key) is None:
            raise FileError(f"a file reference with source {source!r} needs {key!r}")
    return record_resource(source, reference[SERIAL_KEYS[source]], reference["filename"])


def _userdata_reference(reference: Mapping[str, Any]) -> Resource:
    virtualpath = reference.get("virtualpath")
    filename = reference.get("filename")
    if not isinstance(virtualpath, str):
        raise FileError("a file reference with source 'userdata' needs 'virtualpath'")
    resource = userdata_resource(virtualpath)
    # Scripts name the file itself or its folder (with a slash behind it or not); its last segment says which it is.
    if filename and (virtualpath.endswith("/") or resource.segments[1:][-1:] != (filename,)):
        return resource.child(filename)
    return resource


def resource_reference(resource: Resource) -> dict[str, Any]:
    """Give the file reference of a resource."""
    if resource.source == USERDATA:
        return {
            "source": USERDATA,
            "virtualpath": "/".join(resource.segments[1:]),
            "filename": resource.filename,
        }
    return {
        "source": resource.source,
        SERIAL_KEYS[resource.source]: int(resource.segments[1]),
        "filename": resource.filename,
    }


def _is_serial(text: str) -> bool:
    # As it is written: with zeros before it, it would be another folder of the same record, which nobody looks into.
    return text.isascii() and text.isdigit() and text == (text.lstrip("0") or "0")


@define(frozen=True)
class Scope:
    """One thing that a token allows: a verb on a resource and all that lies under it."""

    verb: str
    resource: Resource

    def __attrs_post_init__(self) -> None:
        if self.verb not in VERBS:
            raise FileError(f"{self.verb!r} is nothing a file token can allow; verbs are {', '.join(VERBS)}")


@define(frozen=True, kw_only=True)
class AuthorizationToken:
    """
    The right to touch some files for some time.

    Attributes:
        url: The base address of the file store that honours it.
        token: The secret; never shown.
        expires_at: When it stops working (UTC), or ``None`` where it does not.
        scopes: What it allows.
        renew: Asks for another one that allows the same, for transfers that take longer than this one works; ``None``
            where that cannot be.
    """

    url: str
    token: str = field(repr=False)
    expires_at: datetime | None = None
    scopes: tuple[Scope, ...] = ()
    renew: "Callable[[], AuthorizationToken] | None" = field(default=None, repr=False, eq=False)

    def allows(self, verb: str, resource: Resource) -> bool:
        """Return whether one of the scopes covers the resource, by whole segments."""
        return any(scope.verb == verb and scope.resource.contains(resource) for scope in self.scopes)

    def require(self, verb: str, resource: Resource) -> None:
        """
        Refuse what no scope covers.

        Raises:
            PermissionDenied: Naming the verb, the resource and what the token does allow.
        """
        if not self.allows(verb, resource):
            allowed = ", ".join(f"{scope.verb} {scope.resource}" for scope in self.scopes) or "nothing"
            raise PermissionDenied(f"this file token does not allow to {verb} {resource}; it allows: {allowed}")

    def resource(self, verb: str | None = None) -> Resource:
        """
        Give the one resource that the token is about (for callers that hold nothing but the token).

        Raises:
            FileError: The token is about no resource or several.
        """
        resources = {scope.resource for scope in self.scopes if verb is None or scope.verb == verb}
        if len(resources) != 1:
            raise FileError(f"this file token is about {len(resources)} resources, so one must be named")
        return resources.pop()


def own_token(verbs: Iterable[str], *resources: Resource) -> AuthorizationToken:
    """Give a token for a file store of this process, which looks at nothing but the scopes."""
    scopes = tuple(Scope(verb, resource) for resource in resources for verb in verbs)
    return AuthorizationToken(url="", token="", scopes=scopes)


def scopes_to_json(scopes: Iterable[Scope]) -> list[list[str]]:
    """Write scopes as they travel: ``[[verb, resource], ...]``."""
    return [[scope.verb, str(scope.resource)] for scope in scopes]


def scopes_from_json(value: Sequence[Sequence[str]]) -> tuple[Scope, ...]:
    """
    Read scopes as they travel.

    Raises:
        FileError: The shape or a verb is wrong.
        InvalidFilename: A resource is wrong.
    """
    scopes = []
    for item in value:
        if isinstance(item, str) or len(item) != 2 or not all(isinstance(part, str) for part in item):  # noqa: PLR2004  a pair
            raise FileError(f"a scope is a pair [verb, resource], not {item!r}")
        scopes.append(Scope(item[0], parse_resource(item[1])))
    return tuple(scopes)


@define(frozen=True, kw_only=True)
class FileStat:
    """
    What the file store says of a file.

    Attributes:
        resource: Where the file lies in the store.
        size: Bytes.
        sha256: Digest of the content, 64 hexadecimal digits, or ``None`` where the store does not know it, or not yet:
            it takes long to compute, so it may come a while after the file.
        etag: The store's own tag of this content (HTTP entity tag), for resuming and for detecting changes.
        modified_at: When the content last changed (UTC).
        direct_access_path: Where the store says the file lies on a shared disk, in the words of the server (a UNC path,
            a mount), or ``None``.
        sample_sha256: Digest over samples of the content (:mod:`xfworker.domain.sampling`), given together with a
            direct-access path, so that a file found there can be recognised without reading all of it.
        xxh3: XXH3-128 of the content, 32 hexadecimal digits, where the store knows it: quick to compute, so that a
            transfer is checked by it. It finds damage, not forgery; ``sha256`` says what the file is.
        stored: Digests of what was last stored through the store, where it keeps those. Where they differ from the
            others, the file was changed behind the store's back. They are for check-ups and do not travel.
    """

    resource: Resource
    size: int
    sha256: str | None = None
    etag: str | None = None
    modified_at: datetime | None = None
    direct_access_path: str | None = None
    sample_sha256: str | None = None
    xxh3: str | None = None
    stored: Digests = field(factory=Digests)


@define(frozen=True, kw_only=True)
class Folder:
    """
    The content of a folder in the file store.

    Attributes:
        files: What is said of each file, sorted by name.
        folders: Names of the folders in it, sorted.
    """

    files: tuple[FileStat, ...] = ()
    folders: tuple[str, ...] = ()


def require_file(resource: Resource) -> Resource:
    """
    Refuse a resource that can only be a folder.

    Raises:
        InvalidFilename: It names a source, or a record, without a file.
    """
    if len(resource.segments) < (2 if resource.source == "userdata" else 3):
        raise InvalidFilename(f"{resource} is a folder of the file store; name a file in it")
    return resource
