"""The head of an answer: whole or an error, and read without the machinery for mail that Python reads it with."""

import http.client
import re
from email.parser import Parser
from http import HTTPStatus

from xfworker.adapters.wire.digits import read_digits

_LONGEST_LINE = 65536
_MOST_FIELDS = 100
"""As :mod:`http.client` has them."""
_FIELD = r"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([^\r\n]*)\r?\n"
_FIELDS = re.compile(_FIELD)
_PLAIN_HEAD = re.compile(f"(?:{_FIELD})*")
_WITHOUT_BODY = frozenset({HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED})


class WholeHeadAnswer(http.client.HTTPResponse):
    """
    An answer with a whole head: Python takes one that breaks off in it for one that has no more fields.

    Python reads the fields as those of a mail, which takes as long as everything else that is done for a small answer.
    """

    def begin(self) -> None:
        if self.headers is not None:
            return
        status = int(HTTPStatus.CONTINUE)
        while status == HTTPStatus.CONTINUE:
            version, status, reason = self._read_status()
            fields = self._read_fields()
        if not version.startswith(("HTTP/1.", "HTTP/0.9")):
            raise http.client.UnknownProtocol(version)
        self.code = self.status = status
        self.reason = reason.strip()
        self.version = 10 if version in {"HTTP/1.0", "HTTP/0.9"} else 11
        self.headers = self.msg = fields
        self.chunked = fields.get("transfer-encoding", "").lower() == "chunked"
        self.chunk_left = None
        self.will_close = self._check_close()
        self.length = None if self.chunked else read_digits(fields.get("content-length"))
        if status in _WITHOUT_BODY or status < HTTPStatus.OK or self._method == "HEAD":
            self.length = 0
        if not self.chunked and self.length is None:
            self.will_close = True

    def _read_fields(self) -> http.client.HTTPMessage:
        lines: list[bytes] = []
        while (line := self.fp.readline(_LONGEST_LINE + 1)) not in {b"\r\n", b"\n"}:
            if len(line) > _LONGEST_LINE:
                raise http.client.LineTooLong("header line")
            if not line.endswith(b"\n"):
                raise ConnectionResetError("it ended within the head of the answer")
            lines.append(line)
            if len(lines) > _MOST_FIELDS:
                raise http.client.HTTPException(f"got more than {_MOST_FIELDS} headers")
        return _fields(b"".join(lines).decode("latin-1"))


def _fields(head: str) -> http.client.HTTPMessage:
    if _PLAIN_HEAD.fullmatch(head) is None:
        return Parser(_class=http.client.HTTPMessage).parsestr(head)  # it knows what is meant by folded lines
    message = http.client.HTTPMessage()
    for name, value in _FIELDS.findall(head):
        message.set_raw(name, value)
    return message
