"""Bearer tokens in the ``Authorization`` field of a request (RFC 6750)."""

from collections.abc import Iterable

from xfworker.domain.errors import AuthenticationFailed


def authorization(token: str) -> dict[str, str]:
    """Give the header field that carries a token."""
    return {"Authorization": f"Bearer {token}"}


def bearer_token(headers: Iterable[tuple[bytes, bytes]]) -> str:
    """
    Read the token from the header fields of a request, whose names are in lower case.

    Raises:
        AuthenticationFailed: There is none, or there are several fields, of which a proxy may have checked another.
    """
    fields = [value for name, value in headers if name == b"authorization"]
    if len(fields) > 1:
        raise AuthenticationFailed("a request has one Authorization field, and this one has several")
    kind, _, token = fields[0].decode("latin-1").partition(" ") if fields else ("", "", "")
    if kind.lower() != "bearer" or not token.strip():
        raise AuthenticationFailed("this address needs a token: Authorization: Bearer ...")
    return token.strip()
