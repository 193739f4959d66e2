"""A plugin of pytest, for tests under wine: the built-in servers that they start run on the Linux around it."""

import json
import os
import socket
from typing import Any, Self

import pytest
from hypothesis import settings

from tests.windows.servers import VARIABLE, linux_path
from xfworker.api.composition import embedded_server
from xfworker.api.composition.endpoint_file import ServerEndpoint
from xfworker.domain.errors import ServerUnreachable


class ServerOnLinux(embedded_server.EmbeddedServer):
    """The same class to whoever uses it; only its process is one of the other system."""

    def __init__(self, data: Any, *, words: tuple[str, ...] = (), **options: Any) -> None:
        super().__init__(data, **options)
        options["words"] = words
        if options.get("sns") is not None:
            options["sns"] = linux_path(options["sns"])
        self._options = options
        self._number: int | None = None

    def start(self) -> Self:
        started = _ask(do="start", data=linux_path(self.data), options=self._options)
        self._number = started.pop("number")
        self._endpoint = ServerEndpoint(scheme="http", **started)
        return self

    __enter__ = start

    def ended(self) -> str | None:
        return _ask(do="ended", number=self._number)["answer"]

    def stop(self) -> None:
        if self._number is not None:
            _ask(do="stop", number=self._number)

    def kill(self) -> None:
        _ask(do="kill", number=self._number)


def _ask(**request: Any) -> dict[str, Any]:
    port, _, key = os.environ[VARIABLE].partition(":")
    with socket.create_connection(("127.0.0.1", int(port))) as connection:
        connection.sendall(json.dumps({"key": key, **request}).encode() + b"\n")
        with connection.makefile("rb") as answers:
            answer = json.loads(answers.readline())
    if "error" in answer:
        raise ServerUnreachable(answer["error"])
    return answer


embedded_server.EmbeddedServer = ServerOnLinux  # before any test imports it

_WINE_LACKS = {
    "test_names_from_hell_are_kept": "wine does not resolve paths of more than 260 characters",
    "test_a_server_answers_on_when_nobody_reads_its_log": "the server does not start under wine",
    "test_a_script_started_by_hand_gets_a_server_of_its_own[embedded]": "the server does not start under wine",
}
_THAT_RESOLVE = ("TestFolderFileStore", "TestLayeredFileStore", "test_a_")


_MOST_EXAMPLES = 10
"""Of a property test: files are slow under wine, and what depends on values is tried on Linux."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        _limit_examples(item)
        reason = _WINE_LACKS.get(item.name)
        if reason is not None and any(part in item.nodeid for part in _THAT_RESOLVE):
            item.add_marker(pytest.mark.skip(reason=reason))


def _limit_examples(item: pytest.Item) -> None:
    function = getattr(item, "obj", None)
    if getattr(function, "is_hypothesis_test", False):
        function = getattr(function, "__func__", function)
        stated = function._hypothesis_internal_use_settings  # noqa: SLF001  hypothesis has no other way to change it
        fewer = settings(stated, max_examples=min(stated.max_examples, _MOST_EXAMPLES))
        function._hypothesis_internal_use_settings = fewer  # noqa: SLF001
