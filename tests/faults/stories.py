"""Short stories in which a call fails: what they do, what was acknowledged as done, and what may be left of them."""

import os
import time
from contextlib import nullcontext

import numpy as np

from xfworker.adapters.disk.filesystem import LocalFilesystem
from xfworker.adapters.disk.partial_uploads import PartialUploads
from xfworker.adapters.images import abandoned_files
from xfworker.adapters.memory.clock import ManualClock
from xfworker.adapters.memory.token_signer import MemoryTokenSigner
from xfworker.adapters.transfer import journal
from xfworker.adapters.transfer.partial_file import PARTIAL_PREFIX
from xfworker.api.composition.backups import make_backup, restore_backup
from xfworker.api.composition.image_formats import image_formats
from xfworker.api.composition.platform import PlatformStorage, file_store, opened_platform, opened_records
from xfworker.domain.change import Change
from xfworker.domain.errors import FileNotInStore, XFWorkerError
from xfworker.domain.files import AuthorizationToken, Scope, record_resource, userdata_resource
from xfworker.domain.image.description import ImageInfo
from xfworker.domain.image.pixel_type import PixelType
from xfworker.domain.job_arguments import JobArguments
from xfworker.domain.job_outcome import Ending, Outcome
from xfworker.domain.job_state import JobState
from xfworker.domain.package import PACKAGE
from xfworker.domain.records import (
    Job,
    Project,
    Run,
    Task,
    TaskType,
    TaskTypeKind,
    Worker,
    Workflow,
    WorkflowState,
)
from xfworker.services.images.conversion import convert
from xfworker.services.packages.cache import PackageCache
from xfworker.services.packages.checkin import check_in
from xfworker.services.platform.platform import Platform
from xfworker.services.platform.principal import ADMIN
from xfworker.services.script.lifecycle import finish_job
from xfworker.services.script.outputs import output_resource
from xfworker.services.script.session import Session

_CONTENT = bytes(range(256)) * 40
_MONTH_SECONDS = 30 * 24 * 3600.0


def may(resource):
    verbs = ("read", "write", "list", "delete")
    return AuthorizationToken(url="", token="", scopes=tuple(Scope(verb, resource) for verb in verbs))


class Story:
    """
    One story; each try is played in a folder of its own.

    Attributes:
        folder: What it does to the disk, it does here.
        acknowledged: What it was answered to be done.
    """

    refusals = (XFWorkerError,)
    """How it may end: on a person's own disk by Python's error as well, of which the command line makes a sentence."""
    step = 3
    """Every so many calls fail in the default suite; `make faults` lets each of them fail."""

    def __init__(self, folder):
        self.folder = folder
        self.acknowledged = {}
        self.prepare()

    def prepare(self):
        """Do what is there before; nothing fails here."""

    def play(self):
        """Do it, from the beginning or after it failed somewhere; a second time it must succeed."""
        raise NotImplementedError

    def check(self):
        """Assert that what was acknowledged is there, and nothing by half."""

    def sweep(self):
        """Do what is done now and then about what was left."""

    def left(self):
        """Give what is left that nobody needs, a month later."""
        for path in self.folder.rglob("*"):
            if not path.is_symlink():
                os.utime(path, (time.time() - _MONTH_SECONDS,) * 2)
        self.sweep()
        return [str(path.relative_to(self.folder)) for path in self.folder.rglob("*") if is_temporary(path)]

    def close(self):
        """Let go of it."""


def is_temporary(path):
    return path.name.startswith(PARTIAL_PREFIX) or "incoming" in path.parts[-2:-1] or "uploads" in path.parts[-2:-1]


# --- files --------------------------------------------------------------------------------------------------------


class UploadAndDownload(Story):
    """A file is stored, replaced, listed, fetched and deleted."""

    def prepare(self):
        self.storage = PlatformStorage(data=self.folder / "data")
        self.files = file_store(self.storage)
        self.resource = userdata_resource("scans/one.bin")
        self.token = may(self.resource)
        self.source = self.folder / "source.bin"
        self.source.write_bytes(_CONTENT)
        self.old = b"what was there before"
        (self.folder / "old.bin").write_bytes(self.old)
        self.files.upload(self.token, self.folder / "old.bin", self.resource)
        self.target = self.folder / "fetched" / "one.bin"
        self.target.parent.mkdir()

    def play(self):
        stat = self.files.upload(self.token, self.source, self.resource)
        self.acknowledged["content"] = _CONTENT
        assert stat.size == len(_CONTENT)
        folder = userdata_resource("scans")
        assert [found.resource for found in self.files.list(may(folder), folder).files] == [self.resource]
        fetched = self.files.download(self.token, self.resource, self.target)
        self.acknowledged["fetched"] = _CONTENT
        assert fetched.size == stat.size

    def check(self):
        content = b"".join(self.files.open_read(self.token, self.resource))
        assert content == _CONTENT or (content == self.old and not self.acknowledged), "half a file, or a lost one"
        if self.target.exists():
            assert self.target.read_bytes() == _CONTENT
        assert self.target.exists() or "fetched" not in self.acknowledged

    def sweep(self):
        PartialUploads(self.files).sweep()
        journal.sweep(self.target.parent)


class ResumableUpload(UploadAndDownload):
    """A file comes in three parts, each by a request of its own."""

    def prepare(self):
        super().prepare()
        self.uploads = PartialUploads(self.files)
        self.identifier = None

    def play(self):
        if self.identifier is None:
            upload = self.uploads.create(self.resource, len(_CONTENT), metadata="", sha256=None)
            self.identifier = upload.identifier
        try:
            upload = self.uploads.load(self.identifier)
        except FileNotInStore:
            self.identifier = None
            self.play()
            return
        while upload.completed is None:
            incoming = self.uploads.open(upload)
            try:
                incoming.write(_CONTENT[upload.offset : upload.offset + 4000])
            finally:
                offset = self.uploads.keep(upload, incoming)
            if offset < len(_CONTENT):
                upload = self.uploads.load(self.identifier)
                continue
            incoming = self.uploads.open(upload)
            self.uploads.complete(upload, incoming, incoming.digests(), nullcontext)
            self.acknowledged["content"] = _CONTENT


class Conversion(Story):
    """An image on disk becomes one of another format, in place of one that is there."""

    refusals = (XFWorkerError, OSError)

    def prepare(self):
        self.formats = image_formats()
        self.source, self.target = self.folder / "scan.aim", self.folder / "scan.omni"
        self.array = np.arange(6 * 5 * 4, dtype="<i2").reshape(6, 5, 4)
        self._write(self.source, self.array)
        self._write(self.target, self.array[::-1])
        self.kept = {path: path.read_bytes() for path in (self.target, self.folder / "scan.raw")}

    def _write(self, path, array):
        nowhere = self.folder / "nowhere"
        info = ImageInfo(
            path=nowhere,
            format="array",
            size=array.shape[::-1],
            pixel_type=PixelType.of_numpy_code(array.dtype.str),
            pixels_path=nowhere,
            spacing_mm=(0.1, 0.1, 0.1),
        )
        with self.formats.writer(path, info) as writer:
            writer.write(np.ascontiguousarray(array))

    def play(self):
        convert(self.formats, self.source, self.target)
        self.acknowledged["converted"] = True

    def check(self):
        assert np.array_equal(self._read(self.source), self.array)
        for path, content in self.kept.items():
            if not path.exists():
                # The disk took the file away from its name, then did nothing more: it lies beside, and nothing is lost.
                [aside, *_] = [one for one in self.folder.glob(f"{PARTIAL_PREFIX}*") if one.read_bytes() == content]
                aside.rename(path)
        is_new = np.array_equal(self._read(self.target), self.array)
        assert is_new or (np.array_equal(self._read(self.target), self.array[::-1]) and not self.acknowledged)

    def _read(self, path):
        with self.formats.reader(path) as reader:
            return np.array(reader.read(0, 6))

    def sweep(self):
        abandoned_files.sweep(self.folder)
        journal.sweep(self.folder)


# --- servers ------------------------------------------------------------------------------------------------------


class Restart(Story):
    """A server starts over what another one left, which was killed with a job under way and an upload begun."""

    def prepare(self):
        self.storage = PlatformStorage(data=self.folder / "data")
        with opened_platform(self.storage) as platform:
            server = platform.server_for(ADMIN)
            self.project = server.create(Project(name="kept")).serial
            self.token = platform.admin_token()

    def play(self):
        with opened_platform(self.storage, files=file_store(self.storage)) as platform:
            platform.join({})
            platform.begin_serving()
            platform.maintain()
            server = platform.server_for(platform.authenticate(self.token))
            made = server.create(Project(name="new"))
            self.acknowledged[made.serial] = made.name

    def check(self):
        with opened_platform(self.storage) as platform:
            server = platform.server_for(platform.authenticate(self.token))
            kept = {project.serial: project.name for project in server.find(Project)}
        assert kept.items() >= {self.project: "kept", **self.acknowledged}.items()


class Backup(Story):
    """A backup is made and restored over data that went on meanwhile."""

    refusals = (XFWorkerError, OSError)
    step = 40

    def prepare(self):
        self.storage = PlatformStorage(data=self.folder / "data")
        with opened_platform(self.storage) as platform:
            self.project = platform.server_for(ADMIN).create(Project(name="kept")).serial
        self.files = file_store(self.storage)
        self.resource = userdata_resource("one.bin")
        source = self.folder / "one.bin"
        source.write_bytes(_CONTENT)
        self.files.upload(may(self.resource), source, self.resource)
        self.number = 0

    def play(self):
        self.number += 1
        target = self.folder / f"backup-{self.number}"
        summary = make_backup(self.storage, target)
        self.acknowledged[target] = summary
        restored = restore_backup(self.storage, target)
        assert restored == summary

    def check(self):
        for target in self.folder.glob("backup-*"):
            # What stands under its name is whole.
            restored = PlatformStorage(data=self.folder / f"restored-{target.name}")
            restore_backup(restored, target)
            assert restored.secret_path.read_bytes() == self.storage.secret_path.read_bytes()
            with opened_platform(restored) as platform:
                assert platform.server_for(ADMIN).get(Project, self.project).name == "kept"
        assert all(target.exists() for target in self.acknowledged)
        assert b"".join(self.files.open_read(may(self.resource), self.resource)) == _CONTENT
        with opened_platform(self.storage) as platform:
            assert platform.server_for(ADMIN).get(Project, self.project).name == "kept"


class PackageInstall(Story):
    """A package is checked in, and fetched by a worker."""

    refusals = (XFWorkerError, OSError)
    step = 30

    def prepare(self):
        self.storage = PlatformStorage(data=self.folder / "data")
        self.records = opened_records(self.storage)
        self.files = file_store(self.storage)
        clock = ManualClock()
        platform = Platform(self.records, clock, MemoryTokenSigner(clock), files=self.files)
        self.server = platform.server_for(ADMIN)
        self.package = self.folder / "package"
        self.package.mkdir()
        (self.package / "metadata.json").write_text(
            '{"package_format": "XFP-TT1.0", "name": "Lab.Threshold", "version": "1.0.0.0"}'
        )
        (self.package / "interface.json").write_text('{"inputs": [], "outputs": []}')
        (self.package / "main.py").write_text("print(1)\n")
        self.cache = PackageCache(self.folder / "cache")

    def play(self):
        done = check_in(self.server, self.files, self.package)
        self.acknowledged["record"] = done.record.serial
        self.acknowledged["folder"] = self.cache.get(self.server, self.files, done.record)

    def check(self):
        for record in self.server.find(TaskType):
            assert record.metadata[PACKAGE].get("complete") is not False or record.obsolete
        if "folder" in self.acknowledged:
            assert (self.acknowledged["folder"] / "main.py").read_text() == "print(1)\n"
        if "record" in self.acknowledged:
            assert not self.server.get(TaskType, self.acknowledged["record"]).obsolete

    def sweep(self):
        PartialUploads(self.files).sweep()
        # Whatever is fetched next takes away what was left before.
        metadata = (self.package / "metadata.json").read_text()
        (self.package / "metadata.json").write_text(metadata.replace("1.0.0.0", "1.0.1.0"))
        self.cache.get(self.server, self.files, check_in(self.server, self.files, self.package).record)

    def left(self):
        return [*super().left(), *(path.name for path in (self.folder / "cache").glob(".*"))]

    def close(self):
        self.records.close()


class TwoTasks(Story):
    """A workflow of two tasks: the first makes a file, the second reads it; what they write is their own matter."""

    refusals = (XFWorkerError, OSError)
    step = 30

    def prepare(self):
        self.storage = PlatformStorage(data=self.folder / "data")
        self.files = file_store(self.storage)
        self.opened = opened_records(self.storage)
        self.records = self.opened
        self.clock = ManualClock()
        self.platform = Platform(self.records, self.clock, MemoryTokenSigner(self.clock), files=self.files)
        self.server = self.platform.server_for(ADMIN)
        project = self.server.create(Project(name="bones")).serial
        self.workflow = self.server.create(
            Workflow(project_serial=project, name="mice", state=WorkflowState.ACTIVE)
        ).serial
        self.scan = self._task("scan", TaskTypeKind.SOURCE, [])
        self.mask = self._task("mask", TaskTypeKind.PROCESSING, ["image"])
        (self.folder / "work").mkdir()
        self.worker = self.platform.queue_for(ADMIN).register(Worker(name="bench")).serial

    def _task(self, name, kind, inputs):
        interface = {"inputs": [{"key": key, "type": "ForeignFile"} for key in inputs]}
        task_type = self.server.create(TaskType(name=f"Story.{name}", kind=kind, interface=interface)).serial
        sources = [{"key": key, "mode": "output", "task_serial": self.scan, "output_key": "image"} for key in inputs]
        task = Task(workflow_serial=self.workflow, task_type_serial=task_type, name=name, inputs=sources)
        return self.server.create(task).serial

    def over(self, records):
        """Let the platform have its records through something that fails."""
        self.platform = Platform(records, self.clock, MemoryTokenSigner(self.clock), files=self.files)
        self.server = self.platform.server_for(ADMIN)

    def play(self):
        if "run" not in self.acknowledged:
            control = self.platform.control_for(ADMIN)
            run = control.start_run(self.workflow, name="mouse", idempotency_key="the run")
            self.acknowledged["run"] = run.serial
        # A lease that a failed try left lapses; what it failed is run again.
        for _ in range(20):
            self.clock.advance(15.0)
            self.platform.maintain()
        queue = self.platform.queue_for(ADMIN)
        for job in self.server.find(Job, {"state": JobState.FAILED}):
            self.platform.control_for(ADMIN).restart_job(job.serial)
        while (lease := queue.claim(self.worker)) is not None:
            self._work(lease)
            self.acknowledged[lease.job.task_serial] = queue.end(lease, Outcome(ending=Ending.FINISHED, exit_code=0))
        assert {job.task_serial for job in self.server.find(Job, {"state": JobState.DONE})} == {self.scan, self.mask}

    def _work(self, lease):
        filesystem = LocalFilesystem(self.folder / "work")
        arguments = JobArguments(
            job_serial=lease.job.serial, server_host="memory", server_port="1", server_auth=lease.server_auth
        )
        session = Session(
            server=self.platform.server_for(self.platform.authenticate(lease.server_auth)),
            files=self.files,
            filesystem=filesystem,
            images=None,
            clock=self.clock,
            arguments=arguments,
        )
        place = filesystem.make_working_directory("job_")
        try:
            given = lease.job.inputs.get("image")
            content = b"scanned"
            if given is not None:
                resource = record_resource("job_result", given["job_serial"], given["filename"])
                token = session.server.file_token([Scope("read", resource)])
                content = session.transfers.fetch(token, resource, place).read_bytes() + b" and masked"
            path = place / "result.bin"
            path.write_bytes(content)
            resource = output_resource(session, "result.bin")
            token = session.server.file_token([Scope("write", resource)])
            with self.platform.held_file_rights(token):
                session.transfers.store(token, path, resource, working_directory=place)
            named = {"type": "ForeignFile", "source": "job_result", "filename": "result.bin"}
            outputs = {"image": {**named, "job_serial": lease.job.serial}}
            finish_job(session, Change(values={}), outputs, expected_version=lease.job.occ_lock_version)
        finally:
            filesystem.remove_tree(place)

    def check(self):
        runs = self.server.find(Run)
        assert len(runs) <= 1, "the run was started twice"
        assert "run" not in self.acknowledged or [run.serial for run in runs] == [self.acknowledged["run"]]
        jobs = self.server.find(Job)
        assert len(jobs) == len({job.task_serial for job in jobs}), "a job was made twice"
        contents = {self.scan: b"scanned", self.mask: b"scanned and masked"}
        for job in jobs:
            if job.state is JobState.DONE:
                resource = record_resource("job_result", job.serial, "result.bin")
                assert b"".join(self.files.open_read(may(resource), resource)) == contents[job.task_serial]
        for task, job in self.acknowledged.items():
            if isinstance(job, Job):
                [kept] = self.server.find(Job, {"task_serial": task})
                assert kept.state is job.state

    def sweep(self):
        PartialUploads(self.files).sweep()
        for place in (self.folder / "work").iterdir():
            LocalFilesystem(place.parent).remove_tree(place)  # as a worker does with what jobs of long ago left

    def close(self):
        self.opened.close()


STORIES = (UploadAndDownload, ResumableUpload, Conversion, Restart, Backup, PackageInstall, TwoTasks)
