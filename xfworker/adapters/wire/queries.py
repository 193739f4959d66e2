"""Messages of questions that are more than one record."""

from collections.abc import Iterable
from datetime import datetime
from typing import Annotated, Any, ClassVar
from urllib.parse import urljoin

from attrs import asdict, define, field

from xfworker.adapters.wire.codec import Message
from xfworker.adapters.wire.field_types import Keywords, Serial
from xfworker.domain.files import VERBS, AuthorizationToken, Scope, scopes_from_json
from xfworker.domain.queries import QUERY_PARTS, CombinedQuery

_SELECTOR = {"type": "string", "pattern": "^(all|narrowed|[0-9]{1,18}(,[0-9]{1,18})*)$"}

Parts = Annotated[
    dict[str, str], Keywords(properties=dict.fromkeys(QUERY_PARTS, _SELECTOR), additionalProperties=False)
]
"""Selectors by part of a combined query."""

ScopePair = tuple[Annotated[str, Keywords(enum=list(VERBS))], str]
"""``[verb, resource]``; the domain reads what is in it."""

MOST_SCOPES = 10_000
"""So many scopes a file token has at most; one with far fewer is too long for a header field already."""


@define(frozen=True, kw_only=True)
class SequenceValue(Message):
    """One value of a sequence, as the OpenAPI document describes it; what is read and written is the domain's."""

    job_serial: Serial
    run_serial: Serial | None
    value: Any


@define(frozen=True, kw_only=True)
class CombinedQueryBody(Message):
    """Several questions in one request."""

    closed: ClassVar[bool] = True

    parts: Parts = field(factory=dict)
    project_serial: Serial | None = None
    job_serial: Serial | None = None
    task_type_serial: Serial | None = None
    dependency_package_serial: Serial | None = None

    def query(self) -> CombinedQuery:
        return CombinedQuery(**asdict(self, recurse=False))


@define(frozen=True, kw_only=True)
class FileTokenRequest(Message):
    """What a file token is asked for."""

    scopes: Annotated[list[ScopePair], Keywords(minItems=1, maxItems=MOST_SCOPES)]

    @classmethod
    def of_scopes(cls, scopes: Iterable[Scope]) -> "FileTokenRequest":
        return cls(scopes=_pairs(scopes))


@define(frozen=True, kw_only=True)
class FileToken(Message):
    """A token of the file store; an ``url`` without a host is below the server's own address."""

    url: str
    token: str = field(repr=False)
    expires_at: datetime | None
    scopes: list[ScopePair]

    @classmethod
    def of_token(cls, token: AuthorizationToken) -> "FileToken":
        return cls.of(token, scopes=_pairs(token.scopes))

    def authorization(self, server_url: str) -> AuthorizationToken:
        """
        Give the token, of a file store that may be below the address of the server that was asked.

        Raises:
            FileError: A scope is wrong.
        """
        return AuthorizationToken(
            # An address without a host is below the server's own, so a server need not know what it is called.
            url=urljoin(server_url + "/", self.url.lstrip("/")) if self.url.startswith("/") else self.url,
            token=self.token,
            expires_at=self.expires_at,
            scopes=scopes_from_json(self.scopes),
        )


def _pairs(scopes: Iterable[Scope]) -> list[ScopePair]:
    return [(scope.verb, str(scope.resource)) for scope in scopes]
