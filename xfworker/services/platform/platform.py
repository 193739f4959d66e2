"""The platform: one record store, one clock, one secret; callers come in by their tokens."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import attrs

from xfworker.domain.disk_space import DiskUse
from xfworker.domain.errors import AuthenticationFailed, ConfigurationError, ServerError
from xfworker.domain.files import AuthorizationToken
from xfworker.ports.authenticator_secrets import AuthenticatorSecrets
from xfworker.ports.clock import Clock
from xfworker.ports.file_store import FileStore
from xfworker.ports.known_passwords import KnownPasswords
from xfworker.ports.password_hasher import PasswordHasher
from xfworker.ports.record_store import Locking, RecordStore, RecordTransaction
from xfworker.ports.token_signer import TokenSigner
from xfworker.services.platform.access import Access
from xfworker.services.platform.accounts import Accounts
from xfworker.services.platform.activity_retention import delete_old_events
from xfworker.services.platform.control import PlatformControl
from xfworker.services.platform.disk_space import listing_scopes, measure
from xfworker.services.platform.file_deletion import FileDeletion
from xfworker.services.platform.file_rights import bearer_claims, read_token, require_scopes, workflow_of_files
from xfworker.services.platform.identity_check import IdentityCheck
from xfworker.services.platform.idle_workers import IdleWorkers
from xfworker.services.platform.lease_watch import LeaseWatch, maintenance_seconds
from xfworker.services.platform.login_throttle import LoginThrottle
from xfworker.services.platform.maintenance import delete_old_idempotency_keys, run_periodic_tasks
from xfworker.services.platform.options import PlatformOptions
from xfworker.services.platform.page_sessions import PageSessions
from xfworker.services.platform.password_rules import PasswordRules
from xfworker.services.platform.principal import ADMIN, Principal, PrincipalKind, job_principal
from xfworker.services.platform.publications import Publications
from xfworker.services.platform.queue import PlatformQueue
from xfworker.services.platform.second_factor_check import SecondFactorCheck
from xfworker.services.platform.second_factors import SecondFactors
from xfworker.services.platform.server import PlatformServer
from xfworker.services.platform.signing_in import SigningIn
from xfworker.services.platform.tokens import Sessions, keep_use

_DELETE_EVERY_SECONDS = 600.0


class Platform:
    """The XF Server before anybody has come in."""

    def __init__(
        self,
        records: RecordStore,
        clock: Clock,
        signer: TokenSigner,
        options: PlatformOptions | None = None,
        *,
        hasher: PasswordHasher | None = None,
        authenticators: AuthenticatorSecrets | None = None,
        known_passwords: Sequence[KnownPasswords] = (),
        password_words: Sequence[str] = (),
        files: FileStore | None = None,
    ) -> None:
        """
        Compose.

        Args:
            records: Keeps the records; closed by :meth:`close`.
            clock: The time.
            signer: Makes and reads tokens.
            options: How the platform is set up.
            hasher: Keeps passwords; without it there are no accounts.
            authenticators: Keeps the secrets of second factors; without it nobody can set one up.
            known_passwords: Lists of passwords that no account may have.
            password_words: Words that no password may consist of, such as the server's name.
            files: Where the files of this platform's tokens are, which is asked before a job is done.
        """
        self.records = records
        self.clock = clock
        self.signer = signer
        self.options = options or PlatformOptions()
        self._passwords = None
        if hasher is not None:
            self._passwords = PasswordRules(hasher, tuple(known_passwords), tuple(password_words))
        self._files = files
        self._publications = Publications(records, clock, may_wait=self.options.files_may_wait)
        self._throttle = LoginThrottle(clock)
        self._sessions = Sessions(signer, self.options)
        self._second_factors = SecondFactorCheck(authenticators, self.options.second_factor_for)
        self._lease_watch = LeaseWatch(clock, self.options.lease_seconds)
        self._idle_workers = IdleWorkers(clock)
        self._deleted_at: float | None = None
        self._serves_alone = True

    def admin_token(self) -> str:
        """Give a token that may do everything; it does not expire, and ends with the server's secret."""
        return self.signer.sign({"kind": PrincipalKind.ADMIN.value})

    def authenticate(self, bearer: str) -> Principal:
        """
        Give the caller that a token stands for.

        Raises:
            AuthenticationFailed: The token is malformed, forged, expired, revoked or for something else.
        """
        principal = self.authenticate_by_token(bearer)
        if principal is not None:
            return principal
        with self.records.transaction(write=False) as transaction:
            principal = self._principal(transaction, self.signer.verify(bearer))
        now = self.clock.now()
        if principal.token_key is not None and self._sessions.is_to_be_kept_up(principal.session_used_at, now):
            with self.records.transaction(locking=Locking.ROWS) as transaction:
                keep_use(transaction, principal.token_key, now)
        return principal

    def authenticate_by_token(self, bearer: str) -> Principal | None:
        """
        Give the caller where the token alone says who it is, or ``None`` where the records have to be asked.

        Raises:
            AuthenticationFailed: The token is malformed, forged, expired or for something else.
        """
        claims = self.signer.verify(bearer)
        return None if _is_in_records(claims) else self._principal(None, claims)

    def _principal(self, transaction: RecordTransaction | None, claims: Mapping[str, Any]) -> Principal:
        if transaction is not None and _is_in_records(claims):
            return self._sessions.principal(transaction, claims, self.clock.now())
        match claims.get("kind"):
            case PrincipalKind.ADMIN.value:
                return ADMIN
            case PrincipalKind.JOB.value:
                return job_principal(claims)
            case _:
                raise AuthenticationFailed("this token is not for the XF Server")

    def server_for(self, principal: Principal) -> PlatformServer:
        """Give the XF Server as a caller sees it."""
        return PlatformServer(principal, **self._parts(), files=self._files)

    def queue_for(self, principal: Principal) -> PlatformQueue:
        """
        Give the job queue as a worker sees it.

        Raises:
            PermissionDenied: The caller is not a worker.
        """
        return PlatformQueue(principal, **self._parts(), lease_watch=self._lease_watch, idle_workers=self._idle_workers)

    def control_for(self, principal: Principal) -> PlatformControl:
        """
        Give workflow control as a caller has it.

        Raises:
            PermissionDenied: The caller is a script or a worker.
        """
        return PlatformControl(
            principal,
            self.server_for(principal),
            clock=self.clock,
        )

    def accounts_for(self, principal: Principal) -> Accounts:
        """
        Give the accounts as a caller may look after them.

        Raises:
            ConfigurationError: The platform was composed without accounts.
        """
        rules = self._require_passwords()
        return Accounts(
            principal,
            self.records,
            self.clock,
            self.signer,
            rules,
            self._identity_check(),
            self.signing_in(),
            self.options,
        )

    def second_factors_for(self, principal: Principal) -> SecondFactors:
        """
        Give the second factors as a caller may look after them.

        Raises:
            ConfigurationError: The platform was composed without accounts.
        """
        return SecondFactors(
            principal, self.records, self.clock, self._identity_check(), self._second_factors, self._sessions
        )

    def signing_in(self) -> SigningIn:
        """
        Give what decides who comes in.

        Raises:
            ConfigurationError: The platform was composed without accounts.
        """
        hasher = self._require_passwords().hasher
        return SigningIn(
            self.records, self.clock, self.signer, self._sessions, hasher, self._throttle, self._second_factors
        )

    def _identity_check(self) -> IdentityCheck:
        hasher = self._require_passwords().hasher
        return IdentityCheck(self.records, self.clock, hasher, self._throttle, self._second_factors)

    def _require_passwords(self) -> PasswordRules:
        if self._passwords is None:
            raise ConfigurationError("this server keeps no accounts; install it with: pip install 'xfworker[server]'")
        return self._passwords

    def measure_disk(self, principal: Principal) -> DiskUse:
        """
        Find out what the files of all workflows take; it looks at every folder, and may take minutes.

        Raises:
            PermissionDenied: The caller is not an administrator.
        """
        principal.require(to="see what takes disk space")
        token = self.server_for(principal).file_token(listing_scopes())
        return measure(self.records, self.own_files(), token, self.clock.now())

    def file_deletion_for(self, principal: Principal) -> FileDeletion:
        """
        Give what deletes the files of obsolete runs, as a caller may.

        Raises:
            PermissionDenied: The caller is a script or a worker.
        """
        return FileDeletion(self.server_for(principal), self.records, self.own_files(), self.clock, self._publications)

    def own_files(self) -> FileStore:
        """
        Give the store of the files that this platform's tokens are for.

        Raises:
            ConfigurationError: It was composed without one.
        """
        if self._files is None:
            raise ConfigurationError("this server keeps no files, so there are none to be looked at or changed")
        return self._files

    def page_sessions(self) -> PageSessions:
        """Give what begins and ends sessions of the page."""
        signing_in = None if self._passwords is None else self.signing_in()
        return PageSessions(self.records, self.clock, self._sessions, signing_in)

    def verify_file_token(self, text: str) -> AuthorizationToken:
        """
        Give the file token that a string stands for.

        Raises:
            AuthenticationFailed: It is malformed, forged, expired or no file token, or whoever it was made for is no
                longer let in.
            PermissionDenied: They may not touch these files any more.
            LeaseLost: Its attempt at its job is over.
        """
        claims = self.signer.verify(text)
        token = read_token(claims, text, self.options.files_url)
        with self.records.transaction(write=False) as transaction:
            self._require_file_rights(transaction, claims, token)
        return token

    @contextmanager
    def held_file_rights(self, token: AuthorizationToken) -> Iterator[None]:
        """
        Refuse a file token whose rights have ended, and let no attempt at its job follow while the block runs.

        Where the files may wait, what ends the attempt, or takes what it made, is refused for a moment instead of being
        kept waiting; rights of accounts and over files of no job are those of the moment at which the block begins.

        Raises:
            AuthenticationFailed: The token, its account or its worker is no longer let in.
            PermissionDenied: Its account or worker may not touch these files any more.
            LeaseLost: Its attempt at its job is over.
            JobAborted: Its job is to stop.
        """
        claims = self.signer.verify(token.token)
        reach = workflow_of_files(claims, token)

        def require(transaction: RecordTransaction) -> None:
            self._require_file_rights(transaction, claims, token, to_write=True)

        with self._publications.under_way(reach, require):
            yield

    def _require_file_rights(
        self,
        transaction: RecordTransaction,
        claims: Mapping[str, Any],
        token: AuthorizationToken,
        *,
        to_write: bool = False,
    ) -> None:
        access = Access(self._principal(transaction, bearer_claims(claims)), transaction)
        access.require_live(to_write=to_write)
        require_scopes(access, token.scopes)

    @property
    def maintenance_seconds(self) -> float:
        """At which interval :meth:`maintain` is to be called."""
        return maintenance_seconds(self.options.lease_seconds)

    def join(self, settings: Mapping[str, str]) -> None:
        """
        Serve beside the other processes that serve the same records, if there are any.

        Args:
            settings: What all of them must have alike beside the options.

        Raises:
            ConfigurationError: Others serve with other settings; the message names them.
        """
        options = {field.name: str(getattr(self.options, field.name)) for field in attrs.fields(PlatformOptions)}
        self._serves_alone = self.records.join({**options, **settings})

    def begin_serving(self) -> None:
        """
        Grant the leases of before a fresh period where no server ran meanwhile, so that none could be renewed.

        Second factors are encrypted under the server's present secret, where a rotation has changed it.
        """
        self._lease_watch.begin(after_pause=self._serves_alone)
        with self.records.transaction() as transaction:
            self._second_factors.reseal(transaction)

    def maintain(self) -> None:
        """Do what is due although nobody asks; called every few seconds while the platform is served."""
        self._lease_watch.look(for_maintenance=True)
        try:
            self._publications.renew()
            with self.records.maintenance_turn() as has_turn:
                if has_turn:
                    self._maintain()
        except ServerError:
            # While the database was away, nobody could renew a lease.
            self._lease_watch.begin()
            raise

    def _maintain(self) -> None:
        run_periodic_tasks(self.records, self.clock, self.options, self._lease_watch)
        now = self.clock.monotonic()
        if self._deleted_at is None or now - self._deleted_at >= _DELETE_EVERY_SECONDS:
            delete_old_idempotency_keys(self.records, self.clock, self.options)
            delete_old_events(self.records, self.clock, self.options)
            self._sessions.delete_ended(self.records, self.clock.now())
            self._deleted_at = now

    def close(self) -> None:
        """Let go of the record store."""
        self.records.close()

    def _parts(self) -> dict[str, Any]:
        return {"records": self.records, "clock": self.clock, "signer": self.signer, "options": self.options}


def _is_in_records(claims: Mapping[str, Any]) -> bool:
    """Return whether the token has a record, by which it can be revoked."""
    return "key" in claims
