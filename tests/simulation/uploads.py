"""Uploads in several requests, by the store of partial uploads itself: cut, gone on with at any server, or refused."""

from contextlib import contextmanager
from types import SimpleNamespace
from unittest.mock import patch

from attrs import define

from xfworker.adapters.disk import partial_uploads
from xfworker.adapters.disk.file_store import FolderFileStore
from xfworker.adapters.disk.partial_uploads import PartialUploads
from xfworker.adapters.transfer import upload_description
from xfworker.domain.errors import NotEnoughSpace, TransferInterrupted

_PIECES = 3


@define(eq=False)
class ServerUploads:
    """What one server process does with uploads; what has arrived lies in a folder that all servers share."""

    world: object
    platform: object
    uploads: PartialUploads

    @classmethod
    def of(cls, world, platform):
        store = FolderFileStore(world.folder / "store") if world.disk is None else world.files
        return cls(world, platform, PartialUploads(store))

    def create(self, token, resource, size):
        verified = self.platform.verify_file_token(token.token)
        verified.require("write", resource)
        self.sweep_now_and_then()
        identifier = self.uploads.create(resource, size, metadata="", sha256=None).identifier
        self.world.uploaded_at[identifier] = self.world.timeline.now
        return identifier

    def offset(self, token, identifier):
        """Give how much of an upload has arrived, and whether its file is published."""
        upload = self._load(token, identifier)
        return upload.offset, upload.completed is not None

    def append(self, token, identifier, offset, piece, *, is_cut, is_full):
        """Take one piece; the last one publishes the file."""
        upload = self._load(token, identifier)
        if offset != upload.offset:
            raise TransferInterrupted(f"the upload stands at {upload.offset}, not at {offset}")
        if upload.completed is not None:
            return
        self.world.uploaded_at[identifier] = self.world.timeline.now
        incoming = self.uploads.open(upload)
        incoming.write(piece[: len(piece) // 2] if is_cut or is_full else piece)
        arrived = self.uploads.keep(upload, incoming)
        if is_full:
            self.uploads.remove(upload)
            raise NotEnoughSpace(f"cannot store {upload.resource}: the disk of the file store is full")
        if is_cut:
            raise TransferInterrupted(f"cannot store {upload.resource}: the link broke")
        if arrived == upload.size:
            incoming = self.uploads.open(upload)
            digests = incoming.digests(sha256=True)
            self.uploads.complete(upload, incoming, digests, lambda: self._permit(token, upload))

    def sweep_now_and_then(self):
        """Do what the service does behind each of its requests."""
        if self.uploads.sweep_is_due():
            self.uploads.sweep()

    def _load(self, token, identifier):
        verified = self.platform.verify_file_token(token.token)
        upload = self.uploads.load(identifier)
        verified.require("write", upload.resource)
        return upload

    @contextmanager
    def _permit(self, token, upload):
        content = upload.data.read_bytes()
        with self.platform.held_file_rights(token):
            self.world.check_published(upload.resource, content)
            yield
            if self.world.disk is None:
                self.world.files.put(upload.resource, content)


@contextmanager
def simulated_upload_times(world):
    """Let what decides that an upload is too old count by simulated time."""

    def last_change(path):
        # What came back with the power, and was no upload by pieces, is first seen when it is looked for.
        return world.uploaded_at.setdefault(path.name, world.timeline.now)

    clock = SimpleNamespace(time=lambda: world.timeline.now, monotonic=lambda: world.timeline.now)
    with (
        patch.object(partial_uploads, "time", clock),
        patch.object(partial_uploads, "_last_change", last_change),
        patch.object(upload_description, "time", clock),
    ):
        yield


def upload_in_pieces(wire, retry, token, content, resource):
    """Store bytes as a client of tus does: begin, ask how much is there, send what is missing, and so on."""
    world, host = wire.world, wire.host
    identifier = retry.with_retries(
        lambda: wire.once(
            "begin upload", lambda platform: world.uploads[platform].create(token, resource, len(content))
        ),
        host.clock(),
        f"store {resource}",
    )
    retries = retry.begin(host.clock(), f"store {resource}")
    size = len(content) // _PIECES + 1
    while True:
        try:
            offset, is_there = wire.once(
                "upload offset", lambda platform: world.uploads[platform].offset(token, identifier)
            )
            if is_there:
                return
            is_slow = world.luck.strikes(f"{host.name}/piece slow", world.chances["upload slow"])
            host.timeline.sleep(world.luck.between(f"{host.name}/piece", 0.01, 300.0 if is_slow else 5.0))
            _send(wire, token, identifier, offset, content[offset : offset + size])
        except retry.on as error:
            retries.wait(error)
        else:
            retries.progressed()


def _send(wire, token, identifier, offset, piece):
    world, host = wire.world, wire.host
    is_cut = world.luck.strikes(f"{host.name}/piece cut", 5 * world.chances["request lost"])
    is_full = world.luck.strikes(f"{host.name}/file store full", world.chances["disk full"])

    def append(platform):
        uploads = world.uploads[platform]
        return uploads.append(token, identifier, offset, piece, is_cut=is_cut, is_full=is_full)

    wire.once("piece", append)
