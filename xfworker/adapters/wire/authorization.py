"""Bearer tokens in the ``Authorization`` field of a request (RFC 6750)."""

from xfworker.domain.errors import AuthenticationFailed


def authorization(token: str) -> dict[str, str]:
    """Give the header field that carries a token."""
    return {"Authorization": f"Bearer {token}"}


def bearer_token(field: str | None) -> str:
    """
    Read the token from the field's value.

    Raises:
        AuthenticationFailed: There is none.
    """
    kind, _, token = (field or "").partition(" ")
    if kind.lower() != "bearer" or not token.strip():
        raise AuthenticationFailed("this address needs a token: Authorization: Bearer ...")
    return token.strip()
