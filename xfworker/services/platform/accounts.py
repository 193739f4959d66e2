"""Accounts, their tokens, and who shares which project."""

import re
import secrets
from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from typing import Any

import attrs
from attrs import define

from xfworker.domain.bookkeeping import Account, MemberRole, PersonalToken, ProjectMember
from xfworker.domain.conversion import format_time
from xfworker.domain.errors import (
    InvalidContent,
    InvalidRecord,
    PermissionDenied,
    RecordConflict,
    RecordNotFound,
    SecondFactorMissing,
    SecondFactorNeeded,
)
from xfworker.domain.records import Project
from xfworker.ports.clock import Clock
from xfworker.ports.record_store import RecordStore, RecordTransaction
from xfworker.ports.token_signer import TokenSigner
from xfworker.services.platform.access import Access
from xfworker.services.platform.activity import log_event
from xfworker.services.platform.identity_check import IdentityCheck
from xfworker.services.platform.leases import end_leases_of
from xfworker.services.platform.options import PlatformOptions
from xfworker.services.platform.password_rules import PasswordRules
from xfworker.services.platform.principal import Principal, PrincipalKind
from xfworker.services.platform.sign_ins import SignIn, sign_ins_of
from xfworker.services.platform.signing_in import SigningIn
from xfworker.services.platform.tokens import NO_ACCOUNT, NewToken, account_principal, end_sessions, new_token

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")
_TAKEN = frozenset({"admin", "server", "job", "worker"})
_MOST_DAYS = 36500


@define
class Accounts:
    """Accounts as one caller may look after them; administrators all, everybody their own."""

    principal: Principal
    records: RecordStore
    clock: Clock
    signer: TokenSigner
    passwords: PasswordRules
    identity: IdentityCheck
    signing_in: SigningIn
    options: PlatformOptions

    def add(self, name: str, password: str, *, administrator: bool = False) -> Account:
        """
        Make an account.

        Raises:
            InvalidRecord: The name or the password is not fit, or the password is known to others.
            RecordConflict: There is an account of that name.
            PermissionDenied: The caller is not an administrator.
        """
        self._require_admin("make an account")
        if not _NAME.fullmatch(name) or name.lower() in _TAKEN:
            raise InvalidRecord(
                f"{name[:80]!a} cannot be an account's name: use letters, digits and . _ @ -, and none of "
                f"{', '.join(sorted(_TAKEN))}"
            )
        hashed = self.passwords.hashed(password, name)
        with self._writing() as transaction:
            for known in transaction.find(Account):
                if known.name.casefold() == name.casefold():
                    raise RecordConflict(f"there is an account {known.name} already", current=_without_password(known))
            now = self.clock.now()
            account = transaction.insert(
                Account(name=name, password_hash=hashed, administrator=administrator, created_at=now, modified_at=now)
            )
            self._log(transaction, account, "created")
            return account

    def change(
        self,
        serial: int,
        *,
        password: str | None = None,
        current_password: str | None = None,
        administrator: bool | None = None,
        disabled: bool | None = None,
    ) -> Account:
        """
        Change an account; what is ``None`` stays. Everybody may change their own password who knows it.

        Raises:
            PermissionDenied: The caller may not.
            AuthenticationFailed: The current password is not this one, and the caller is not an administrator.
            InvalidRecord: The new password is not fit, or is known to others.
        """
        own = self.principal.account_serial == serial and administrator is None and disabled is None
        if not own:
            self._require_admin("change this account")
        if not self.principal.is_admin:
            # A token is good for a while and can be revoked; a password that it could set would outlive it.
            self.identity.require_password(serial, current_password or "")
        hashed = None if password is None else self.passwords.hashed(password, self._name_of(serial))
        with self._writing() as transaction:
            account = transaction.get(Account, serial)
            requested = {"password_hash": hashed, "administrator": administrator, "disabled": disabled}
            changes: dict[str, Any] = {name: value for name, value in requested.items() if value is not None}
            after = attrs.evolve(
                account, **changes, occ_lock_version=account.occ_lock_version + 1, modified_at=self.clock.now()
            )
            transaction.replace(after)
            if hashed is not None or disabled:
                transaction.delete(PersonalToken, {"account_serial": serial})
            if disabled or administrator is False:
                self._end_leases(transaction, account_principal(after), is_let_in=not after.disabled)
            self._log(transaction, after, "changed", fields=sorted(changes))
            return after

    def all(self) -> list[Account]:
        """List the accounts; those who are not administrators see themselves only."""
        with self.records.transaction(write=False) as transaction:
            where = None if self.principal.is_admin else {"serial": self.principal.account_serial or 0}
            return list(transaction.find(Account, where))

    def by_name(self, name: str) -> Account:
        """
        Give the account of a name.

        Raises:
            RecordNotFound: There is none, or the caller may not see it.
        """
        for account in self.all():
            if account.name == name:
                return account
        raise RecordNotFound(f"there is no account {name[:80]!a}")

    def log_in(self, name: str, password: str, code: str | None = None, *, address: str = "") -> NewToken:
        """
        Give a token for a name and its password.

        Args:
            name: The account's name.
            password: Its password.
            code: A code of its second factor, where it has one.
            address: From where it is asked.

        Raises:
            AuthenticationFailed: They do not belong together; the error does not say which of them is wrong. Or the
                code is wrong.
            SecondFactorNeeded: The account has a second factor, and no code is given.
            SecondFactorMissing: The account has to set up a second factor first.
            TooManyRequests: There were too many failed tries.
        """
        outcome = self.signing_in.by_password(name, password, code, address=address)
        if isinstance(outcome, NewToken):
            return outcome
        if outcome.sets_up:
            raise SecondFactorMissing(
                f"{name} has to set up a second factor first, which this server demands: sign in on its page"
            )
        raise SecondFactorNeeded(
            f"{name} has a second factor: give the present code of the authenticator application, or a recovery code, "
            "as well"
        )

    def add_token(self, account_serial: int, name: str, *, days: float | None = None) -> NewToken:
        """
        Make a token for one of an account's programs.

        Args:
            account_serial: Whose token it will be.
            name: What it is for.
            days: After how many days it ends; with the caller's own token by default.

        Raises:
            PermissionDenied: It is another user's account.
            InvalidContent: It would end in the past, after more than a hundred years, or after the caller's own token.
        """
        if days is not None and not 0 <= days <= _MOST_DAYS:  # so written, it refuses nan as well
            raise InvalidContent(f"a token cannot be good for {days} days; give a number up to {_MOST_DAYS}")
        self._require_own_or_admin(account_serial, "make tokens for others")
        expires_at = self.principal.expires_at
        if days is not None:
            requested = self.clock.now() + timedelta(days=days)
            if expires_at is not None and requested > expires_at:
                raise InvalidContent(
                    f"a token cannot outlive the one that asks for it, which ends at {format_time(expires_at)}; ask "
                    "for fewer days, or let an administrator make it"
                )
            expires_at = requested
        with self._writing() as transaction:
            transaction.get(Account, account_serial)
            return self._new_token(transaction, account_serial, name, PrincipalKind.USER, expires_at)

    def add_worker_token(self, name: str) -> NewToken:
        """Make a token for a computer that runs jobs; it ends with the caller's own token, where that ends."""
        self._require_admin("make tokens for workers")
        with self._writing() as transaction:
            return self._new_token(transaction, NO_ACCOUNT, name, PrincipalKind.WORKER, self.principal.expires_at)

    def tokens(self, account_serial: int | None = None) -> list[PersonalToken]:
        """List tokens, never their texts; those who are not administrators see their own only."""
        owner_serial = account_serial if self.principal.is_admin else self.principal.account_serial or -1
        where = None if owner_serial is None else {"account_serial": owner_serial}
        with self.records.transaction(write=False) as transaction:
            return list(transaction.find(PersonalToken, where))

    def revoke(self, serial: int) -> None:
        """
        Make a token useless from now on.

        Raises:
            RecordNotFound: There is none, or it is another user's.
        """
        with self._writing() as transaction:
            token = transaction.get(PersonalToken, serial)
            if not self.principal.is_admin and token.account_serial != self.principal.account_serial:
                raise RecordNotFound(f"there is no personal token {serial}")
            transaction.delete(PersonalToken, {"serial": serial})
            if token.account_serial == NO_ACCOUNT:
                worker = Principal(kind=PrincipalKind.WORKER, name=token.name, token_key=token.key)
                self._end_leases(transaction, worker, is_let_in=False)
            self._log(transaction, token, "revoked")

    def end_sessions(self, account_serial: int) -> int:
        """
        End all sessions of an account but the caller's own, and give how many.

        Raises:
            PermissionDenied: It is another user's account.
            RecordNotFound: There is none.
        """
        self._require_own_or_admin(account_serial, "end sessions of others")
        with self._writing() as transaction:
            account = transaction.get(Account, account_serial)
            count = end_sessions(transaction, account_serial, but=self.principal.token_key)
            self._log(transaction, account, "ended the sessions of", sessions=count)
            return count

    def sign_ins(self, account_serial: int) -> list[SignIn]:
        """
        List the tries to sign in to an account in the last 90 days, the newest first.

        Raises:
            PermissionDenied: It is another user's account.
            RecordNotFound: There is none.
        """
        self._require_own_or_admin(account_serial, "see the sign-ins of others")
        with self.records.transaction(write=False) as transaction:
            return sign_ins_of(transaction, transaction.get(Account, account_serial).name, self.clock.now())

    def share(self, project_serial: int, account: int | str) -> tuple[ProjectMember, str]:
        """
        Let an account see a project, and give the membership with the account's name.

        Args:
            project_serial: The project.
            account: The account's serial or its name; owners need not see other accounts to share with them.

        Raises:
            RecordNotFound: The caller does not see the project, or there is no such account.
            PermissionDenied: The caller does not own the project.
        """
        with self._writing() as transaction:
            self._require_owner(transaction, project_serial)
            shared_with = _account(transaction, account)
            account_serial = shared_with.serial
            where = {"project_serial": project_serial, "account_serial": account_serial}
            for member in transaction.find(ProjectMember, where):
                return member, shared_with.name
            now = self.clock.now()
            member = transaction.insert(
                ProjectMember(
                    project_serial=project_serial, account_serial=account_serial, created_at=now, modified_at=now
                )
            )
            self._log(transaction, transaction.get(Project, project_serial), "shared", account=account_serial)
            return member, shared_with.name

    def unshare(self, project_serial: int, account_serial: int) -> None:
        """Let an account see a project no longer; who owns it keeps it."""
        with self._writing() as transaction:
            self._require_owner(transaction, project_serial)
            where = {"project_serial": project_serial, "account_serial": account_serial, "role": MemberRole.MEMBER}
            if transaction.delete(ProjectMember, where):
                self._end_leases(transaction, account_principal(transaction.get(Account, account_serial)))
                self._log(transaction, transaction.get(Project, project_serial), "unshared", account=account_serial)

    def members(self, project_serial: int) -> list[tuple[ProjectMember, str]]:
        """List who sees a project, each with the account's name."""
        with self.records.transaction(write=False) as transaction:
            access = Access(self.principal, transaction)
            access.require_live()
            access.get(Project, project_serial)
            members = transaction.find(ProjectMember, {"project_serial": project_serial})
            return [(member, transaction.get(Account, member.account_serial).name) for member in members]

    def _writing(self) -> AbstractContextManager[RecordTransaction]:
        return self.signing_in.sessions.writing(self.records, self.principal, self.clock)

    def _end_leases(self, transaction: RecordTransaction, owner: Principal, *, is_let_in: bool = True) -> None:
        rights = Access(owner, transaction)
        end_leases_of(
            Access(self.principal, transaction),
            owner.identity,
            lambda job: is_let_in and rights.may_run(job),
            self.clock.now(),
            self.options,
        )

    def _name_of(self, serial: int) -> str:
        with self.records.transaction(write=False) as transaction:
            return transaction.get(Account, serial).name

    def _require_own_or_admin(self, account_serial: int, to: str) -> None:
        if self.principal.account_serial != account_serial:
            self._require_admin(to)

    def _require_admin(self, to: str) -> None:
        self.principal.require(to=to)

    def _require_owner(self, transaction: RecordTransaction, project_serial: int) -> None:
        self.principal.require(PrincipalKind.USER, to="share projects")
        Access(self.principal, transaction).get(Project, project_serial)
        where = {"project_serial": project_serial, "account_serial": self.principal.account_serial or 0}
        roles = {member.role for member in transaction.find(ProjectMember, where)}
        if not self.principal.is_admin and MemberRole.OWNER not in roles:
            raise PermissionDenied(f"{self.principal.name} may not share project {project_serial}: it is not theirs")

    def _new_token(
        self,
        transaction: RecordTransaction,
        account_serial: int,
        name: str,
        kind: PrincipalKind,
        expires_at: datetime | None,
    ) -> NewToken:
        now = self.clock.now()
        token = PersonalToken(
            account_serial=account_serial,
            name=name[:200],
            key=secrets.token_urlsafe(16),
            expires_at=expires_at,
            created_at=now,
            modified_at=now,
        )
        made = new_token(transaction, self.signer, token, kind)
        self._log(transaction, made.record, "created")
        return made

    def _log(self, transaction: RecordTransaction, record: Any, action: str, **also: Any) -> None:
        access = Access(self.principal, transaction)
        title = f"{action} {record}"
        log_event(access, title, record, {"action": action, **also}, self.clock.now())


def _account(transaction: RecordTransaction, account: int | str) -> Account:
    if isinstance(account, int):
        return transaction.get(Account, account)
    for record in transaction.find(Account, {"name": account}, limit=1):
        return record
    raise RecordNotFound(f"there is no account {account[:80]!a}")


def _without_password(account: Account) -> dict[str, Any]:
    return {"serial": account.serial, "name": account.name, "administrator": account.administrator}
