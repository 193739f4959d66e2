"""The network between the processes: calls that are lost, answered late, answered twice or not at all."""

from attrs import define, field

from tests.simulation.luck import Risks
from tests.simulation.records import ServerDiedError
from tests.simulation.uploads import upload_in_pieces
from xfworker.domain.errors import FileError, ServerError, ServerTimeout, ServerUnreachable, TransferInterrupted
from xfworker.services.retry_policy import RetryPolicy

# As the HTTP client does it.
_RETRY = RetryPolicy(on=(ServerError,), attempts=5, first_wait_seconds=0.2, longest_wait_seconds=8.0)
_FILE_RETRY = RetryPolicy(
    on=(TransferInterrupted, ServerError), attempts=5, first_wait_seconds=0.5, longest_wait_seconds=30.0
)
_TIMEOUT_SECONDS = 30.0


@define(eq=False)
class Clients:
    """What a process asks servers by."""

    server: object
    queue: object
    control: object


def direct_clients(wire, bearer):
    """Give clients that call the servers' services without any message in between, which is quicker to play."""
    return Clients(RemoteServer(wire, bearer), RemoteQueue(wire, bearer), RemoteControl(wire, bearer))


@define(eq=False)
class RequestRisks:
    """What may befall a request before it is worked on, and its answer."""

    before: Risks
    after: Risks

    @classmethod
    def of(cls, chances, *killed):
        return cls(
            Risks.of(chances, *killed, "request lost", "request late", "server slow"),
            Risks.of(chances, *killed, "request doubled", "answer lost"),
        )


@define(eq=False)
class Wire:
    """One process's way to the servers."""

    world: object
    host: object
    _places: dict = field(factory=dict)

    def ask(self, doing, work):
        """Ask a server by ``work``, which gets its platform, and again where the answer does not come."""
        return self.with_retries(lambda: self.once(doing, work), doing)

    def with_retries(self, once, doing):
        return _RETRY.with_retries(once, self.host.clock(), doing)

    def once(self, doing, work, *, repeatable=True):
        """Ask once; what may not be repeated comes once at most."""
        world, host, timeline = self.world, self.host, self.host.timeline
        risks = world.risks_of(host)
        there, back = self._places_of(doing)
        host.require_alive()
        trouble, number = world.luck.befalls(there, risks.before)
        if trouble == "process killed":
            host.kill()
            host.require_alive()
        timeline.sleep(0.001 + 0.05 * number)
        machine = host if host.parent is None else host.parent
        server = world.server_for(machine)
        if server is None:
            timeline.sleep(1.0)
            raise ServerUnreachable(f"could not {doing}: no server answers")
        if trouble is not None:
            self._on_its_way(trouble, doing, work, server)
        answer = self._answer(server, doing, work)
        trouble, number = world.luck.befalls(back, risks.after)
        if trouble == "request doubled" and repeatable:
            self._double(back, work)
        if trouble == "answer lost" or world.is_unanswered(machine):
            timeline.sleep(_TIMEOUT_SECONDS)
            raise ServerTimeout(f"could not {doing}: no answer")
        timeline.sleep(0.001 + 0.05 * number)
        if trouble == "process killed":
            host.kill()
            host.require_alive()
        return answer

    def _places_of(self, doing):
        places = self._places.get(doing)
        if places is None:
            place = f"{self.host.name}/{doing}"
            places = self._places[doing] = place, f"{place} answered"
        return places

    def _on_its_way(self, trouble, doing, work, server):
        """What befalls a request before it is worked on: it is lost, comes much later, or comes late."""
        luck, timeline, place = self.world.luck, self.host.timeline, f"{self.host.name}/{doing}"
        if trouble == "request late":
            # It waits in some queue on its way; whoever asked may have given up, or have asked again.
            timeline.call(luck.between(f"{place} how late", 1.0, 300.0), lambda: self._stray(work))
        if trouble == "server slow":
            timeline.sleep(luck.between(f"{place} how slow", 0.5, 50.0))
            if server.answers:
                return
        else:
            timeline.sleep(_TIMEOUT_SECONDS)
        raise ServerTimeout(f"could not {doing}: no answer")

    def _answer(self, server, doing, work):
        try:
            return work(server.platform)
        except ServerDiedError:
            self.world.server_died(server)
            self.host.timeline.sleep(1.0)
            raise ServerTimeout(f"could not {doing}: the connection broke") from None

    def _double(self, place, work):
        """Let a request come a second time: at once, or behind others that were sent after it."""
        luck = self.world.luck
        if luck.choice(f"{place} twice", (True, False)):
            self._stray(work)
        else:
            self.host.timeline.call(luck.between(f"{place} again after", 0.01, 60.0), lambda: self._stray(work))

    def _stray(self, work):
        """A request that comes a second time, or late; nobody hears the answer."""
        server = self.world.server_for(None)
        if server is None:
            return
        try:
            work(server.platform)
        except ServerDiedError:
            self.world.server_died(server)
        except Exception as error:  # noqa: BLE001  it is the answer of a request that nobody waits for
            self.world.note_stray(error)


@define(eq=False)
class RemoteQueue:
    """The job queue, over the wire."""

    wire: Wire
    bearer: str

    def _ask(self, doing, work):
        return self.wire.ask(doing, lambda platform: work(platform.queue_for(platform.authenticate(self.bearer))))

    def register(self, worker):
        return self._ask("register", lambda queue: queue.register(worker))

    def claim(self, worker_serial, *, job_serial=None, offer=None):
        key = self.wire.world.new_key()
        return self._ask(
            "claim", lambda queue: queue.claim(worker_serial, job_serial=job_serial, offer=offer, claim_key=key)
        )

    def heartbeat(self, leases):
        return self._ask("heartbeat", lambda queue: queue.heartbeat(leases))

    def end(self, lease, outcome):
        return self._ask("end", lambda queue: queue.end(lease, outcome))


@define(eq=False)
class RemoteServer:
    """The XF Server, over the wire."""

    wire: Wire
    bearer: str

    def _ask(self, doing, work):
        return self.wire.ask(doing, lambda platform: work(platform.server_for(platform.authenticate(self.bearer))))

    def get(self, kind, serial):
        return self._ask(f"get {kind.noun}", lambda server: server.get(kind, serial))

    def find(self, kind, where=None):
        return self._ask(f"find {kind.noun}", lambda server: server.find(kind, where))

    def create(self, record, *, idempotency_key=None):
        key = idempotency_key or self.wire.world.new_key()
        return self._ask(f"create {record.noun}", lambda server: server.create(record, idempotency_key=key))

    def update(self, kind, serial, change):
        counts = change.expected_version is not None or "/state" in change.values
        key = self.wire.world.new_key() if counts else None
        return self._ask(f"update {kind.noun}", lambda server: server.update(kind, serial, change, idempotency_key=key))

    def output_values(self, sequence):
        return self._ask("output values", lambda server: server.output_values(sequence))

    def file_token(self, scopes):
        return self._ask("file token", lambda server: server.file_token(scopes))

    def close(self):
        pass


@define(eq=False)
class RemoteControl:
    """Workflow control, over the wire."""

    wire: Wire
    bearer: str

    def _ask(self, doing, work):
        return self.wire.ask(doing, lambda platform: work(platform.control_for(platform.authenticate(self.bearer))))

    def start_run(self, workflow_serial, **options):
        key = self.wire.world.new_key()
        return self._ask(
            "start run", lambda control: control.start_run(workflow_serial, **options, idempotency_key=key)
        )

    def restart_job(self, job_serial):
        return self._move("restart", lambda control, key: control.restart_job(job_serial, idempotency_key=key))

    def abort_job(self, job_serial):
        return self._move("abort", lambda control, key: control.abort_job(job_serial, idempotency_key=key))

    def _move(self, what, move):
        world = self.wire.world
        key = world.new_key()

        def once(platform):
            with world.moving(what, key):
                return move(platform.control_for(platform.authenticate(self.bearer)), key)

        return self.wire.ask(f"{what} job", once)


@define(eq=False)
class RemoteFiles:
    """The file store, over the wire: the token is asked for at the beginning, and again when a file is published."""

    wire: Wire

    def _ask(self, doing, work):
        clock = self.wire.host.clock()
        return _FILE_RETRY.with_retries(lambda: self.wire.once(doing, work), clock, doing)

    def stat(self, token, resource):
        return self._ask("stat", lambda platform: self._store.stat(platform.verify_file_token(token.token), resource))

    def download(self, token, resource, target, *, progress=None):
        world, host = self.wire.world, self.wire.host

        def fetch(platform):
            return self._store.download(platform.verify_file_token(token.token), resource, target)

        stat = self._ask("download", fetch)
        if world.luck.strikes(f"{host.name}/disk full at download", world.chances["disk full"]):
            target.unlink()
            raise FileError(f"cannot fetch {resource}: the disk is full")
        return stat

    def open_read(self, token, resource, *, offset=0, length=None):
        return self._ask(
            "read",
            lambda platform: self._store.open_read(
                platform.verify_file_token(token.token), resource, offset=offset, length=length
            ),
        )

    def upload(self, token, source, resource, *, progress=None):
        world, host = self.wire.world, self.wire.host
        content = source.read_bytes()
        if resource.source == "job_result" and world.luck.switched_on("uploads in pieces"):
            upload_in_pieces(self.wire, _FILE_RETRY, token, content, resource)
            return self._ask(
                "stat", lambda platform: self._store.stat(platform.verify_file_token(token.token), resource)
            )

        def once():
            self.wire.once("begin upload", lambda platform: platform.verify_file_token(token.token))
            for _ in range(2):
                is_slow = world.luck.strikes(f"{host.name}/upload slow", world.chances["upload slow"])
                most = 300.0 if is_slow else 5.0
                host.timeline.sleep(world.luck.between(f"{host.name}/upload", 0.01, most))
                if world.luck.strikes(f"{host.name}/upload broken", world.chances["request lost"]):
                    raise TransferInterrupted(f"cannot store {resource}: the link broke")
            return self.wire.once("publish", publish)

        def publish(platform):
            platform.verify_file_token(token.token).require("write", resource)
            with platform.held_file_rights(token):
                world.check_published(resource, content)
                return self._store.put(resource, content)

        return _FILE_RETRY.with_retries(once, host.clock(), f"store {resource}")

    def direct_access_path(self, token, resource, *, for_writing=False):
        return None

    def list(self, token, folder):
        return self._ask("list", lambda platform: self._store.list(platform.verify_file_token(token.token), folder))

    @property
    def _store(self):
        return self.wire.world.files

    def close(self):
        pass
