"""The network as the real clients of records, queue and runs see it: requests of method, path and JSON."""

import json
import re

from attrs import define, field

from tests.simulation.network import Clients
from tests.simulation.routes import answered
from tests.simulation.versions import sent_by
from xfworker.adapters.http.job_queue import HttpJobQueue
from xfworker.adapters.http.workflow_control import HttpWorkflowControl
from xfworker.adapters.http.xf_server import HttpXFServer
from xfworker.adapters.wire.problem import error_from_answer

_ERRORS = 400
# As the HTTP client has it.
_PASSING = frozenset({429, 500, 502, 503, 504})


@define
class Answer:
    """What a client reads."""

    body: bytes
    error: Exception | None

    def json(self):
        return json.loads(self.body)


@define(eq=False)
class SimulatedTransport:
    """Sends a client's requests over a process's wire, as a client of its version."""

    wire: object
    bearer: str
    url: str = "https://simulated:1"
    _labels: dict = field(factory=dict)

    def request(self, method, path, *, doing, json_body=None, headers=None, repeat=None):
        world, host = self.wire.world, self.wire.host
        key = (headers or {}).get("Idempotency-Key")
        version = host.version if host.parent is None else host.parent.version
        body = sent_by(version, method, path, json_body)
        sent = method, path, None if body is None else json.dumps(body), key

        def work(platform):
            with world.moving(path.rpartition("/")[2], key):
                return answered(platform, world.version_of_server(platform), self.bearer, sent)

        def once(*, repeatable=True):
            status, media_type, content = self.wire.once(self._label(method, path), work, repeatable=repeatable)
            error = None
            if status >= _ERRORS:
                error = error_from_answer(status, media_type, content, doing=doing)
            if status in _PASSING:
                raise error
            return Answer(content, error)

        may_repeat = repeat or key or method == "GET"
        answer = self.wire.with_retries(once, doing) if may_repeat else once(repeatable=False)
        if answer.error is not None:
            raise answer.error
        return answer

    def _label(self, method, path):
        """Give what a request is called in the story, without serials."""
        label = self._labels.get(path)
        if label is None:
            label = self._labels[path] = f"{method} {re.sub(r'[0-9]+|[?].*', '', path.removeprefix('/xf/v1/'))}"
        return label

    def close(self):
        pass


def clients(wire, bearer):
    """Give the real clients of a process: of records, of the queue, and of runs."""
    transport = SimulatedTransport(wire, bearer)
    return Clients(HttpXFServer(transport), HttpJobQueue(transport), HttpWorkflowControl(transport))
