"""Who may touch which files, and the tokens that say so to the file store."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from xfworker.domain.errors import (
    AuthenticationFailed,
    FileError,
    InvalidFilename,
    LeaseLost,
    PermissionDenied,
    RecordNotFound,
)
from xfworker.domain.files import USERDATA, AuthorizationToken, Resource, Scope, scopes_from_json, scopes_to_json
from xfworker.domain.job_metadata import SPAWNED_BY
from xfworker.domain.records import DependencyPackage, Job, Record, Task, TaskType, Workflow
from xfworker.ports.token_signer import TokenSigner
from xfworker.services.platform.access import CODE_STAYS, Access
from xfworker.services.platform.principal import PrincipalKind
from xfworker.services.platform.reach import Reach

FILE_KIND = "file"
"""The kind of tokens that only the file store takes."""

_OWNERS: Mapping[str, type[Record]] = {
    "job_result": Job,
    "job_log": Job,
    "task_config": Task,
    "task_type_config": TaskType,
    "workflow_config": Workflow,
    "dependency_package_config": DependencyPackage,
}
_READING = ("read", "list")
_FOR_USERS = ("job_result", "task_config", "workflow_config")
_OF_PACKAGES = ("task_type_config", "dependency_package_config")


def require_scopes(access: Access, scopes: Sequence[Scope]) -> None:
    """
    Refuse scopes that the caller has no right to.

    Raises:
        PermissionDenied: Naming the scope.
        FileError: Nothing was asked for.
    """
    if not scopes:
        raise FileError("a file token needs at least one scope [verb, resource]")
    for scope in scopes:
        if not _allowed(access, scope.verb, scope.resource):
            why = f": {CODE_STAYS}" if _changes_code(scope.verb, scope.resource) else ""
            raise PermissionDenied(f"{access.principal.name} may not {scope.verb} {scope.resource}{why}")


def make_token(
    access: Access, scopes: Sequence[Scope], *, signer: TokenSigner, url: str, now: datetime, seconds: float
) -> AuthorizationToken:
    """Give a token for scopes that were checked to be allowed; it says whose it is, and never outlives their own."""
    expires_at = now + timedelta(seconds=seconds)
    if access.principal.expires_at is not None:
        expires_at = min(expires_at, access.principal.expires_at)
    claims: dict[str, Any] = {
        "kind": FILE_KIND,
        "sub": access.principal.name,
        "by": access.principal.claims(),
        "scopes": scopes_to_json(scopes),
        "exp": int(expires_at.timestamp()),
    }
    return AuthorizationToken(url=url, token=signer.sign(claims), expires_at=expires_at, scopes=tuple(scopes))


def bearer_claims(claims: Mapping[str, Any]) -> dict[str, Any]:
    """
    Give the claims of the caller whom a file token was made for.

    Raises:
        AuthenticationFailed: It does not say whose it is.
    """
    bearer = claims.get("by")
    if not isinstance(bearer, dict):
        raise AuthenticationFailed("the file token does not say whose it is; ask the XF Server for a new one")
    return bearer


def workflow_of_files(claims: Mapping[str, Any], token: AuthorizationToken) -> Reach:
    """Give the job on whose state the rights of a file token depend; its workflow is to stay as it is meanwhile."""
    job = bearer_claims(claims).get("job")
    if isinstance(job, int):
        return Job, job
    for scope in token.scopes:
        segments = scope.resource.segments
        if _OWNERS.get(scope.resource.source) is Job and len(segments) > 1 and segments[1].isdecimal():
            return Job, int(segments[1])
    return None


def read_token(claims: Mapping[str, Any], text: str, url: str) -> AuthorizationToken:
    """
    Give the token that verified claims stand for.

    Raises:
        AuthenticationFailed: They are of another kind of token.
    """
    if claims.get("kind") != FILE_KIND:
        raise AuthenticationFailed("this is not a token for files; ask the XF Server for one (POST /xf/v1/fss-tokens)")
    try:
        scopes = scopes_from_json(claims["scopes"])
        expires_at = datetime.fromtimestamp(claims["exp"], tz=UTC)
    except (KeyError, TypeError, ValueError, FileError):
        raise AuthenticationFailed("the file token's claims are malformed") from None
    return AuthorizationToken(url=url, token=text, expires_at=expires_at, scopes=scopes)


def _allowed(access: Access, verb: str, resource: Resource) -> bool:
    principal = access.principal
    if _changes_code(verb, resource):
        package = _owner(access, resource)
        kinds = (PrincipalKind.ADMIN, PrincipalKind.USER)
        return isinstance(package, TaskType | DependencyPackage) and (
            principal.kind in kinds and access.may_change_code(package)
        )
    if principal.is_admin:
        return True
    if resource.source == USERDATA:
        return not principal.is_worker
    # A whole source is everybody's, so it has no owner and is for administrators only.
    owner = _owner(access, resource)
    return owner is not None and (verb in _READING or _may_write(access, verb, resource, owner))


def _may_write(access: Access, verb: str, resource: Resource, owner: Record) -> bool:
    match access.principal.kind:
        case PrincipalKind.WORKER:
            return resource.source == "job_log" or (resource.source == "job_result" and verb == "delete")
        case PrincipalKind.USER:
            # Logs go with their runs; what is in them nobody changes.
            return resource.source in _FOR_USERS or (resource.source == "job_log" and verb == "delete")
        case _:
            return resource.source == "job_result" and _is_own(access, owner)


def _changes_code(verb: str, resource: Resource) -> bool:
    """Return whether it is about what jobs run, which stays as it is once one ran, whoever asks."""
    return verb not in _READING and resource.source in _OF_PACKAGES


def _owner(access: Access, resource: Resource) -> Record | None:
    if len(resource.segments) == 1:
        return None
    try:
        return access.get(_OWNERS[resource.source], int(resource.segments[1]))
    except (RecordNotFound, InvalidFilename, LeaseLost):
        return None


def _is_own(access: Access, owner: Record) -> bool:
    # A script writes its own results and those of jobs that it spawned.
    own = access.principal.job_serial
    return isinstance(owner, Job) and (owner.serial == own or owner.metadata.get(SPAWNED_BY) == own)
