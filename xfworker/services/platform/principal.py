"""Who is asking: an administrator, a person, a worker or a job's script."""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any

from attrs import define, field

from xfworker.domain.conversion import format_time, parse_time
from xfworker.domain.errors import AuthenticationFailed, PermissionDenied


class PrincipalKind(StrEnum):
    """The kinds of callers, which are also the kinds of tokens for the XF Server."""

    ADMIN = "admin"
    USER = "user"
    WORKER = "worker"
    JOB = "job"


@define(frozen=True, kw_only=True)
class Principal:
    """
    A caller whose token was accepted.

    Attributes:
        kind: What kind of caller it is.
        name: What the activity log calls it.
        account_serial: The person's account; only for ``user`` and for an administrator with an account.
        job_serial: The script's job; this and the following only for ``job``.
        workflow_serial: The job's workflow.
        project_serial: The job's project.
        attempt: The attempt at the job that the script is.
        started_at: When that attempt began (UTC), where its token says so: after a backup was restored there may be
            another attempt of the same number.
        token_key: The key of the personal or worker token that the caller came with; without it a token of the server's
            secret alone.
        expires_at: When that token ends (UTC), or ``None`` where it does not.
        session_used_at: When the session was last used (UTC) that the token stands for, where it stands for one.
    """

    kind: PrincipalKind
    name: str
    account_serial: int | None = None
    job_serial: int | None = None
    workflow_serial: int | None = None
    project_serial: int | None = None
    attempt: int | None = None
    started_at: datetime | None = None
    token_key: str | None = field(default=None, repr=False)
    expires_at: datetime | None = None
    session_used_at: datetime | None = None

    @property
    def is_admin(self) -> bool:
        """Whether the caller may do everything."""
        return self.kind is PrincipalKind.ADMIN

    @property
    def is_worker(self) -> bool:
        """Whether the caller is a computer that runs jobs."""
        return self.kind is PrincipalKind.WORKER

    @property
    def is_job(self) -> bool:
        """Whether the caller is a job's script."""
        return self.kind is PrincipalKind.JOB

    def require(self, *kinds: PrincipalKind, to: str) -> None:
        """
        Refuse callers of other kinds; administrators may always.

        Raises:
            PermissionDenied: Naming the caller and what it may not do.
        """
        if self.kind is not PrincipalKind.ADMIN and self.kind not in kinds:
            allowed = ", ".join(kind.value for kind in (PrincipalKind.ADMIN, *kinds))
            raise PermissionDenied(f"{self.name} may not {to}; that is for: {allowed}")

    @property
    def identity(self) -> str:
        """Which account, worker token or job it is, the same for all tokens of an account."""
        if self.account_serial is not None:
            return f"account:{self.account_serial}"
        if self.job_serial is not None:
            return f"job:{self.job_serial}"
        return self.kind.value if self.token_key is None else f"token:{self.token_key}"

    def claims(self) -> dict[str, Any]:
        """Give the claims of a token that stands for this caller, as its own token has them."""
        if self.job_serial is not None:
            place = self.job_serial, self.workflow_serial or 0, self.project_serial or 0
            return job_claims(*place, self.attempt or 0, self.started_at)
        claims: dict[str, Any] = {"kind": self.kind.value}
        return claims if self.token_key is None else claims | {"key": self.token_key}


ADMIN = Principal(kind=PrincipalKind.ADMIN, name="admin")
"""The administrator that the server's own secret makes."""


def job_claims(
    job_serial: int, workflow_serial: int, project_serial: int, attempt: int, started_at: datetime | None
) -> dict[str, Any]:
    """Give what a job's token says."""
    started = {} if started_at is None else {"started": format_time(started_at)}
    return {
        "kind": PrincipalKind.JOB.value,
        "job": job_serial,
        "workflow": workflow_serial,
        "project": project_serial,
        "attempt": attempt,
        **started,
    }


def job_principal(claims: Mapping[str, Any]) -> Principal:
    """
    Read a job's token.

    Raises:
        AuthenticationFailed: A claim is missing.
    """
    try:
        job_serial, workflow_serial, project_serial, attempt = (
            int(claims[name]) for name in ("job", "workflow", "project", "attempt")
        )
        started_at = parse_time(claims["started"]) if "started" in claims else None
    except (KeyError, TypeError, ValueError):
        raise AuthenticationFailed("the job's token does not say which job it is for") from None
    return Principal(
        kind=PrincipalKind.JOB,
        name=f"job {job_serial}",
        job_serial=job_serial,
        workflow_serial=workflow_serial,
        project_serial=project_serial,
        attempt=attempt,
        started_at=started_at,
    )
