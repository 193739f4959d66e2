"""A file token in use: when it ends in the middle of a transfer, a new one is asked for."""

import threading
from collections.abc import Callable
from typing import TypeVar

from xfworker.adapters.wire.authorization import authorization
from xfworker.domain.errors import AuthenticationFailed
from xfworker.domain.files import AuthorizationToken

Result = TypeVar("Result")


class FileBearer:
    """The token of requests for files. Safe to share between threads."""

    def __init__(self, token: AuthorizationToken) -> None:
        self._token = token
        self._lock = threading.Lock()

    @property
    def headers(self) -> dict[str, str]:
        """The header field of a request."""
        return authorization(self._token.token)

    def ask(self, request: Callable[[dict[str, str]], Result]) -> Result:
        """
        Make a request with the token, and once more with a new one where it was refused.

        Args:
            request: Makes it, with these header fields; what it sends must be there a second time.
        """
        own = self.headers
        try:
            return request(own)
        except AuthenticationFailed as ended:
            self.renew(own, ended)
        return request(self.headers)

    def renew(self, refused: dict[str, str], error: AuthenticationFailed) -> None:
        """
        Ask for a new token in place of the one that was refused, unless another thread has done so.

        Args:
            refused: The :attr:`headers` of the request that was refused.
            error: With what it was refused.

        Raises:
            AuthenticationFailed: The token cannot be renewed, so the refusal stands.
            XFWorkerError: The server gives no new one: the rights have ended as well.
        """
        with self._lock:
            if refused != self.headers:
                return
            if self._token.renew is None:
                raise error
            self._token = self._token.renew()
