"""An XF Server that records its requests, and fails or loses a race where a test wants it to."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from attrs import define

from xfworker.domain.change import Change
from xfworker.domain.files import AuthorizationToken, Scope
from xfworker.domain.queries import CombinedQuery, OutputValue
from xfworker.domain.queries import Sequence as ParameterSequence
from xfworker.domain.records import Entity, Record
from xfworker.ports.clock import Clock
from xfworker.ports.xf_server import XFServer
from xfworker.testing.faults import Faults
from xfworker.testing.requests import Request, RequestLog

RecordT = TypeVar("RecordT", bound=Record)
Answer = TypeVar("Answer")


@define(frozen=True, kw_only=True)
class RecordingServer:
    """
    A server behind which another one does the work.

    Attributes:
        server: The server that answers.
        faults: What goes wrong.
        requests: Where requests are recorded.
        clock: Is waited on where the link is slow.
        get_ahead: Changes a record as another client would, so that the change that comes next is too late.
    """

    server: XFServer
    faults: Faults
    requests: RequestLog
    clock: Clock
    get_ahead: Callable[[type[Record], int], None]

    def get(self, kind: type[RecordT], serial: int) -> RecordT:
        """See :meth:`xfworker.ports.xf_server.XFServer.get`."""
        return self._ask("get", f"{kind.noun} {serial}", lambda: self.server.get(kind, serial))

    def find(self, kind: type[RecordT], where: Mapping[str, Any] | None = None) -> list[RecordT]:
        """See :meth:`xfworker.ports.xf_server.XFServer.find`."""
        conditions = ", ".join(f"{key}={value}" for key, value in (where or {}).items())
        return self._ask("find", f"{kind.collection} {conditions}".rstrip(), lambda: self.server.find(kind, where))

    def create(self, record: RecordT, *, idempotency_key: str | None = None) -> RecordT:
        """See :meth:`xfworker.ports.xf_server.XFServer.create`."""
        return self._ask("create", record.noun, lambda: self.server.create(record, idempotency_key=idempotency_key))

    def update(self, kind: type[RecordT], serial: int, change: Change) -> RecordT:
        """See :meth:`xfworker.ports.xf_server.XFServer.update`."""

        def change_it() -> RecordT:
            if change.expected_version is not None and self.faults.take_conflict():
                self.get_ahead(kind, serial)
            return self.server.update(kind, serial, change)

        return self._ask("update", f"{kind.noun} {serial}", change_it)

    def output_values(self, sequence: ParameterSequence) -> list[OutputValue]:
        """See :meth:`xfworker.ports.xf_server.XFServer.output_values`."""
        target = f"{sequence.key} of task {sequence.task_serial}"
        return self._ask("output_values", target, lambda: self.server.output_values(sequence))

    def combined_query(self, query: CombinedQuery) -> dict[str, list[Record]]:
        """See :meth:`xfworker.ports.xf_server.XFServer.combined_query`."""
        return self._ask("combined_query", ", ".join(query.parts), lambda: self.server.combined_query(query))

    def entity_by_uuid(self, uuid: str) -> Entity:
        """See :meth:`xfworker.ports.xf_server.XFServer.entity_by_uuid`."""
        return self._ask("entity_by_uuid", uuid, lambda: self.server.entity_by_uuid(uuid))

    def file_token(self, scopes: Sequence[Scope]) -> AuthorizationToken:
        """See :meth:`xfworker.ports.xf_server.XFServer.file_token`."""
        scope_names = ", ".join(f"{scope.verb} {scope.resource}" for scope in scopes)
        return self._ask("file_token", scope_names, lambda: self.server.file_token(scopes))

    def global_config(self) -> dict[str, Any]:
        """See :meth:`xfworker.ports.xf_server.XFServer.global_config`."""
        return self._ask("global_config", "", self.server.global_config)

    def close(self) -> None:
        """Do nothing: whoever made the server closes it."""

    def _ask(self, operation: str, target: str, ask: Callable[[], Answer]) -> Answer:
        try:
            if seconds := self.faults.seconds(operation):
                self.clock.sleep(seconds)
            self.faults.meet(operation, target)
            answer = ask()
        except Exception as error:
            self.requests.add(Request(operation=operation, target=target, error=type(error).__name__))
            raise
        self.requests.add(Request(operation=operation, target=target))
        return answer
