"""What the platform keeps for itself: leases, accounts, tokens, second factors, who shares which project."""

from datetime import datetime
from enum import StrEnum

from attrs import define, field

from xfworker.domain.records import Record


@define(frozen=True, kw_only=True, eq=False, repr=False)
class JobLease(Record):
    """
    A worker's right to run one attempt of a job.

    Attributes:
        claim_key: The worker's own name for its claim, so that a repeated claim gives the same job.
    """

    collection = "job-leases"
    noun = "lease"

    job_serial: int
    worker_serial: int
    attempt: int
    expires_at: datetime
    claim_key: str | None = None


@define(frozen=True, kw_only=True, eq=False, repr=False)
class Account(Record):
    """
    A person who may use the server.

    Attributes:
        password_hash: What the password hasher made of the password; never the password.
    """

    collection = "accounts"
    noun = "account"

    name: str
    password_hash: str = field(default="", repr=False)
    administrator: bool = False
    disabled: bool = False


@define(frozen=True, kw_only=True, eq=False, repr=False)
class PersonalToken(Record):
    """
    A token that an account made for a program, or that began a session; deleting the record revokes it.

    Attributes:
        key: The random part that the signed token carries.
        last_used_at: When it was last used, where it is a session's, which ends when it is not used; else ``None``.
        address: From which address a session began.
    """

    collection = "personal-tokens"
    noun = "personal token"

    account_serial: int
    name: str = ""
    key: str = field(default="", repr=False)
    expires_at: datetime | None = None
    last_used_at: datetime | None = None
    address: str | None = None


@define(frozen=True, kw_only=True, eq=False, repr=False)
class SecondFactor(Record):
    """
    An authenticator application of an account, beside its password.

    Attributes:
        sealed_secret: What the application was given, encrypted; never the secret itself.
        confirmed_at: When a code showed that the application has the secret; until then it counts for nothing.
        last_step: The time step of the last code that was taken, which is not taken again.
        recovery_hashes: What is kept of the recovery codes that were not used yet; never the codes.
    """

    collection = "second-factors"
    noun = "second factor"

    account_serial: int
    sealed_secret: str = field(default="", repr=False)
    confirmed_at: datetime | None = None
    last_step: int | None = None
    recovery_hashes: list[str] = field(factory=list, repr=False)


class MemberRole(StrEnum):
    """What an account may do in a project."""

    OWNER = "Owner"
    MEMBER = "Member"


@define(frozen=True, kw_only=True, eq=False, repr=False)
class ProjectMember(Record):
    """An account that sees a project: the one that made it, or one it is shared with."""

    collection = "project-members"
    noun = "project member"

    project_serial: int
    account_serial: int
    role: MemberRole = MemberRole.MEMBER


BOOKKEEPING_KINDS: dict[str, type[Record]] = {
    kind.collection: kind for kind in (JobLease, Account, PersonalToken, SecondFactor, ProjectMember)
}
"""Every class of bookkeeping by its name in the record store; none travels as a record."""
