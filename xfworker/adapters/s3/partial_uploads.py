"""Uploads into a bucket that take several requests: all that is known of one is in the bucket, none in a process."""

import hashlib
import json
import secrets
import time
from collections.abc import Callable
from contextlib import nullcontext, suppress
from datetime import UTC, datetime, timedelta
from functools import partial

import obstore
from attrs import astuple, define, field

from xfworker.adapters.s3.incoming_file import S3IncomingFile
from xfworker.adapters.s3.object_errors import object_errors
from xfworker.adapters.s3.pieces import LEAST_PIECE_BYTES, Piece, PieceFolder, chain, piece_bytes
from xfworker.adapters.s3.served_files import ADDRESS_SECONDS, S3ServedFiles
from xfworker.adapters.transfer.hashing import FileHash
from xfworker.adapters.transfer.upload_description import (
    SweepTimes,
    UploadDescription,
    no_such_upload,
    require_identifier,
)
from xfworker.domain.digests import Digests
from xfworker.domain.errors import (
    ChecksumMismatch,
    FileError,
    FileNotInStore,
    JobAborted,
    LeaseLost,
    PermissionDenied,
    XFWorkerError,
)
from xfworker.domain.files import USERDATA, FileStat, Resource, require_file
from xfworker.ports.served_files import Permit

_INFO = "info.json"
_TURN = "turn.json"


@define(kw_only=True)
class S3Upload(UploadDescription):
    """
    An upload that is under way, or was completed a short while ago.

    Attributes:
        folder: Where its pieces and description are.
    """

    folder: PieceFolder

    @property
    def offset(self) -> int:
        """Bytes received so far."""
        if self.completed is not None:
            return self.size
        pieces = self.turn().arrived(self.folder)
        return pieces[-1].end if pieces else 0

    @property
    def piece_bytes(self) -> int | None:
        """How large the pieces are that a client may put into the bucket itself; ``None`` where it may not."""
        # The SHA-256 of a whole cannot be told from its pieces: whoever asks for it sends through the server.
        return None if self.sha256 is not None or self.completed is not None else piece_bytes(self.size)

    def turn(self) -> "_Turn":
        """Give whose turn it is, and what the turns before left."""
        try:
            with object_errors(f"store {self.resource}", self.resource):
                entry = json.loads(bytes(obstore.get(self.folder.store, f"{self.folder.path}/{_TURN}").bytes()))
        except FileNotInStore:
            return _Turn("")
        return _Turn(entry["name"], tuple(Piece(*piece) for piece in entry["pieces"]))

    def take_turn(self, pieces: list[Piece]) -> "_Turn":
        """Begin a turn, which ends those before, on these pieces: what they still put there does not count."""
        turn = _Turn(secrets.token_hex(8), tuple(pieces))
        entry = {"name": turn.name, "pieces": [astuple(piece) for piece in pieces]}
        self._put(_TURN, json.dumps(entry))
        return turn

    def save(self) -> None:
        """Write the description."""
        self._put(_INFO, self.to_text())

    def _put(self, name: str, text: str) -> None:
        with object_errors(f"store {self.resource}", self.resource):
            obstore.put(self.folder.store, f"{self.folder.path}/{name}", text.encode())


@define(frozen=True)
class _Turn:
    """
    The turn of one request at an upload; a newer request, at whichever server, takes it away.

    Attributes:
        name: What the names of its pieces begin with; empty before the first.
        pieces: What earlier turns left.
    """

    name: str
    pieces: tuple[Piece, ...] = ()

    def arrived(self, folder: PieceFolder) -> list[Piece]:
        """Give what has arrived, from the first byte without a gap."""
        return chain([*self.pieces, *folder.list(self.name)])


@define
class _Running:
    """A hash object, kept in memory between two requests of one turn at this server."""

    turn: str
    offset: int
    hash: FileHash


@define
class S3PartialUploads:
    """
    The uploads under way into a bucket.

    Any process that serves the bucket can go on with any of them, at the cost of reading what has arrived once more.

    Attributes:
        lifetime_seconds: How long an upload is kept after its last byte.
    """

    _store: S3ServedFiles
    lifetime_seconds: float = 24 * 3600.0
    _running: dict[str, _Running] = field(factory=dict, init=False)
    _sweeps: SweepTimes = field(factory=SweepTimes, init=False)

    def _folder(self, identifier: str, resource: Resource) -> PieceFolder:
        return PieceFolder(self._store.bucket, self._store.private("uploads", identifier), resource)

    def create(self, resource: Resource, size: int, *, metadata: str, sha256: str | None) -> S3Upload:
        identifier = secrets.token_hex(16)
        folder = self._folder(identifier, require_file(resource))
        upload = S3Upload(
            identifier=identifier, folder=folder, resource=resource, size=size, metadata=metadata, sha256=sha256
        )
        upload.save()
        return upload

    def load(self, identifier: str) -> S3Upload:
        require_identifier(identifier)
        folder = self._folder(identifier, Resource((USERDATA,)))
        try:
            with object_errors("look for an upload", folder.resource):
                text = bytes(obstore.get(folder.store, f"{folder.path}/{_INFO}").bytes())
            upload = S3Upload.from_text(identifier, text, folder=folder)
        except (FileNotInStore, ValueError):
            raise no_such_upload() from None
        upload.folder = self._folder(identifier, upload.resource)
        return upload

    def open(self, upload: S3Upload) -> S3IncomingFile:
        before = upload.turn()
        pieces = before.arrived(upload.folder)
        offset = pieces[-1].end if pieces else 0
        running = self._running.pop(upload.identifier, None)
        if running is None or (running.turn, running.offset) != (before.name, offset):
            hashed = FileHash.begin(sha256=upload.sha256 is not None)
            for piece in pieces:
                for block in upload.folder.read(piece):
                    hashed.update(block)
        else:
            hashed = running.hash
        turn = upload.take_turn(pieces)
        tail = b""
        if pieces and pieces[-1].size < LEAST_PIECE_BYTES and offset < upload.size:
            # S3 takes small parts at the end only: it is stored again with what comes behind it, and stays until then.
            tail = b"".join(upload.folder.read(pieces[-1]))
            pieces = pieces[:-1]
        return S3IncomingFile(
            upload.folder,
            partial(self._store.publish, upload.resource),
            piece_bytes=piece_bytes(upload.size),
            name=turn.name,
            pieces=pieces,
            tail=tail,
            start=hashed,
            before_piece=lambda: _require_turn(upload, turn),
        )

    def keep(self, upload: S3Upload, incoming: S3IncomingFile) -> int:
        """Put what has arrived into the store and give the new offset."""
        received = incoming.digest.settle()
        incoming.close()
        try:
            incoming.flush()
        except XFWorkerError:
            return upload.offset
        if not incoming.failed:
            self._running[upload.identifier] = _Running(incoming.name, incoming.size, received)
        return incoming.size

    def mark_verified(self, upload: S3Upload, incoming: S3IncomingFile) -> None:
        upload.verified = incoming.size
        upload.save()

    def roll_back(self, upload: S3Upload, offset: int) -> None:
        self._running.pop(upload.identifier, None)
        kept: list[Piece] = []
        for piece in upload.turn().arrived(upload.folder):
            if piece.end <= offset:
                kept.append(piece)
            elif piece.offset < offset:
                blocks = list(upload.folder.read(piece, length=offset - piece.offset))
                kept.append(upload.folder.put("kept", piece.offset, blocks))
        upload.take_turn(kept)
        upload.folder.delete_direct(kept)

    def piece_url(self, upload: S3Upload, offset: int, md5: str) -> str:
        with object_errors(f"sign an address for {upload.resource}", upload.resource):
            path = upload.folder.direct_path(offset, md5)
            return obstore.sign(self._store.bucket, "PUT", path, timedelta(seconds=ADDRESS_SECONDS))

    def complete_pieces(
        self, upload: S3Upload, digests: Digests, pieces_md5: str, permit: Permit = nullcontext
    ) -> FileStat:
        pieces = upload.turn().arrived(upload.folder)
        tags = [bytes.fromhex(piece.etag) for piece in pieces if piece.etag is not None]
        found = hashlib.md5(b"".join(tags), usedforsecurity=False).hexdigest()
        if not pieces or len(tags) != len(pieces) or pieces[-1].end != upload.size or found != pieces_md5:
            self.roll_back(upload, 0)
            raise ChecksumMismatch(f"the pieces of {upload.resource} are not those that were sent; send them again")
        return self._completed(upload, lambda: self._store.publish(upload.resource, pieces, None, digests, permit))

    def complete(
        self, upload: S3Upload, incoming: S3IncomingFile, digests: Digests, permit: Permit = nullcontext
    ) -> FileStat:
        """Publish the file under a permit; the upload stays known for a while, for a client that missed the answer."""
        incoming.close()
        return self._completed(upload, lambda: incoming.make_object(digests, permit))

    def _completed(self, upload: S3Upload, publish: Callable[[], FileStat]) -> FileStat:
        try:
            stat = publish()
        except BaseException as error:
            if isinstance(error, PermissionDenied | LeaseLost | JobAborted) or not upload.size:
                self.remove(upload)  # nobody may go on with it; who only needs a new token may
            else:
                # An upload that stands at its end would be taken for a stored file.
                self.roll_back(upload, max(upload.size - 1, 0))
            raise
        self._running.pop(upload.identifier, None)
        upload.completed = stat
        with suppress(XFWorkerError):  # the file is stored; a client that missed the answer would send it again
            upload.folder.delete()
            upload.save()
        return stat

    def remove(self, upload: S3Upload) -> None:
        self._running.pop(upload.identifier, None)
        with suppress(XFWorkerError):  # what is left is swept
            upload.folder.delete()

    def expires_at(self, upload: S3Upload) -> datetime:
        with object_errors(f"look at the upload of {upload.resource}", upload.resource):
            times = [
                meta["last_modified"].timestamp()
                for page in obstore.list(self._store.bucket, upload.folder.path + "/")
                for meta in page
            ]
        return datetime.fromtimestamp(max(times, default=time.time()) + self.lifetime_seconds, UTC)

    def sweep(self) -> int:
        limit = time.time() - self.lifetime_seconds
        newest: dict[str, float] = {}
        everything = Resource((USERDATA,))
        with object_errors("look for abandoned uploads", everything):
            for area in ("uploads", "incoming"):
                start = self._store.private(area) + "/"
                for page in obstore.list(self._store.bucket, start):
                    for meta in page:
                        folder = start + meta["path"].removeprefix(start).partition("/")[0]
                        newest[folder] = max(newest.get(folder, 0.0), meta["last_modified"].timestamp())
        old = [folder for folder, changed in newest.items() if changed < limit]
        for folder in old:
            self._running.pop(folder.rpartition("/")[2], None)
            PieceFolder(self._store.bucket, folder, everything).delete()
        return len(old)

    def sweep_is_due(self) -> bool:
        return self._sweeps.is_due(self.lifetime_seconds)


def _require_turn(upload: S3Upload, turn: _Turn) -> None:
    if upload.turn().name != turn.name:
        raise FileError("a newer request goes on with this upload, so this one ends here")
