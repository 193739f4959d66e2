"""Messages about accounts, tokens and who shares which project; none carries a password's hash."""

from datetime import datetime
from typing import Annotated, ClassVar

from attrs import define, field

from xfworker.adapters.wire.codec import Message
from xfworker.adapters.wire.field_types import Keywords, PrintableText, Serial
from xfworker.domain.bookkeeping import MemberRole

Password = Annotated[PrintableText, Keywords(minLength=8, maxLength=1024)]
AccountName = Annotated[PrintableText, Keywords(pattern="^[A-Za-z0-9][A-Za-z0-9._@-]{0,63}$")]
_UNNAMED = PrintableText("")
Days = Annotated[float, Keywords(minimum=0, maximum=36500)]


@define(frozen=True, kw_only=True)
class Login(Message):
    """A name and its password, and a code of the account's second factor, where it has one."""

    closed: ClassVar[bool] = True
    sparse: ClassVar[bool] = True

    name: PrintableText
    password: PrintableText = field(repr=False)
    code: PrintableText | None = field(default=None, repr=False)


@define(frozen=True, kw_only=True)
class NewAccount(Message):
    """An account that is to be made."""

    closed: ClassVar[bool] = True
    sparse: ClassVar[bool] = True

    name: AccountName
    password: Password = field(repr=False)
    administrator: bool = False


@define(frozen=True, kw_only=True)
class AccountChange(Message):
    """What is to be different about an account."""

    closed: ClassVar[bool] = True
    sparse: ClassVar[bool] = True

    password: Password | None = field(default=None, repr=False)
    current_password: PrintableText | None = field(default=None, repr=False)
    administrator: bool | None = None
    disabled: bool | None = None


@define(frozen=True, kw_only=True)
class OwnProof(Message):
    """The password of one's own account, and a code of its second factor, where it has one."""

    closed: ClassVar[bool] = True
    sparse: ClassVar[bool] = True

    password: PrintableText | None = field(default=None, repr=False)
    code: PrintableText | None = field(default=None, repr=False)


@define(frozen=True, kw_only=True)
class FirstCode(Message):
    """The present code of an authenticator application, which shows that it has the secret."""

    closed: ClassVar[bool] = True

    code: PrintableText = field(repr=False)


@define(frozen=True, kw_only=True)
class SecondFactorEntry(Message):
    """What is known of an account's second factor; ``set_up_at`` is null where there is none."""

    set_up_at: datetime | None
    recovery_codes_left: int
    is_demanded: bool


@define(frozen=True, kw_only=True)
class NewAuthenticator(Message):
    """What an authenticator application is given; it is sent only now."""

    secret: str = field(repr=False)
    link: str = field(repr=False)


@define(frozen=True, kw_only=True)
class RecoveryCodes(Message):
    """Codes that stand for the application's, once each; they are sent only now."""

    recovery_codes: list[str] = field(repr=False)


@define(frozen=True, kw_only=True)
class NewTokenRequest(Message):
    """A token for a program is asked for."""

    closed: ClassVar[bool] = True

    name: PrintableText = _UNNAMED
    days: Days | None = None


@define(frozen=True, kw_only=True)
class NewWorkerTokenRequest(Message):
    """A token for a worker is asked for."""

    closed: ClassVar[bool] = True

    name: PrintableText


@define(frozen=True, kw_only=True)
class AccountEntry(Message):
    """An account."""

    serial: Serial
    name: str
    administrator: bool
    disabled: bool


@define(frozen=True, kw_only=True)
class TokenEntry(Message):
    """A token as it is listed, without its value; one with a last use is a session's, which ends when unused."""

    serial: Serial
    account_serial: int
    name: str
    created_at: datetime | None
    expires_at: datetime | None
    last_used_at: datetime | None
    address: str | None


@define(frozen=True, kw_only=True)
class SignInEntry(Message):
    """A try to sign in to an account."""

    at: datetime
    address: str
    by: str
    succeeded: bool


@define(frozen=True, kw_only=True)
class NewToken(TokenEntry):
    """A new token with its value, which is sent only now."""

    token: str = field(repr=False)


@define(frozen=True, kw_only=True)
class NewPageLink(Message):
    """A path of the page that signs its owner in once; it is sent only now."""

    path: str = field(repr=False)
    expires_at: datetime


@define(frozen=True, kw_only=True)
class Member(Message):
    """Who sees a project."""

    project_serial: Serial
    account_serial: Serial
    name: str
    role: MemberRole


@define(frozen=True, kw_only=True)
class NewMember(Message):
    """An account that is to see a project, by its name."""

    closed: ClassVar[bool] = True

    name: PrintableText
