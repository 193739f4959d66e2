"""What the browser tests look at: two people, a project of one of them, jobs with every kind of value."""

import struct
import zlib
from urllib.parse import quote

import attrs
import numpy as np

from xfworker.adapters.http.limits import HttpLimits
from xfworker.adapters.http.transport import HttpTransport
from xfworker.adapters.http.xf_server import BASE, HttpXFServer
from xfworker.adapters.images.registry import image_formats
from xfworker.api.composition.local_platform import LocalPlatform
from xfworker.domain.change import Change
from xfworker.domain.files import Scope, record_resource
from xfworker.domain.image.description import ImageInfo
from xfworker.domain.image.pixel_type import PixelType
from xfworker.domain.job_outcome import Ending, Outcome
from xfworker.domain.job_state import JobState
from xfworker.domain.records import Job, Project, Run, Task, TaskType, TaskTypeKind, Worker, Workflow
from xfworker.ports.job_queue import Lease

PASSWORD = "correct horse"
HOSTILE = "a'&<img src=x onerror=alert(1)>.txt".replace("<", "(").replace(">", ")")
"""As much of a hostile name as the file store lets in."""

REPORT = b"""<!doctype html><title>report</title><p id=said>nothing</p><script>
let said = [];
try { said.push('cookie:' + document.cookie.length) } catch (e) { said.push('cookie refused') }
try { said.push('parent:' + parent.document.title) } catch (e) { said.push('parent refused') }
fetch('/').then(() => said.push('fetched'), () => said.push('fetch refused')).finally(() => {
  document.getElementById('said').textContent = said.join(', ')
})
</script>"""
LOG = b"start\n\x1b[31mred words\x1b[0m\n 10 %\r 55 %\r100 %\ndone\n"
CSV = "name;volume;density\n" + "".join(f"v{i};{i * 1.5};{900 - i}\n" for i in range(40))


@attrs.define
class Site:
    """The server, and what is on it."""

    platform: LocalPlatform
    anna: HttpXFServer
    project: int
    workflow: int
    scan: int
    measure: int
    judge: int
    run: int
    measured: int
    running: int
    failed: int
    person: int
    lease: Lease

    @property
    def url(self) -> str:
        return self.platform.embedded.endpoint.url

    def link(self, path: str = "/") -> str:
        """A link that signs the owner in, once."""
        made = self.platform.transport.request("POST", f"{BASE}/page-links", doing="link").json()
        return f"{self.url}{made['path']}?next={quote(path, safe='')}"

    def store(self, source: str, serial: int, name: str, content: bytes) -> dict[str, object]:
        resource = record_resource(source, serial, name)
        token = self.platform.server.file_token([Scope("write", resource)])
        path = self.platform.folder / "upload.bin"
        path.write_bytes(content)
        self.platform.files.upload(token, path, resource)
        return {"source": source, "job_serial": serial, "filename": name}


def make_site(platform: LocalPlatform) -> Site:
    for name in ("anna", "bob"):
        body = {"name": name, "password": PASSWORD}
        platform.transport.request("POST", f"{BASE}/accounts", doing="add", json_body=body)
    # Who has come in from an address before is not kept out by others who guess passwords there.
    _, login = (
        platform.transport.request(
            "POST", f"{BASE}/login", doing="log in", json_body={"name": name, "password": PASSWORD}
        ).json()
        for name in ("bob", "anna")
    )
    limits = HttpLimits(connect_seconds=5.0, attempts=2, patience_seconds=10.0)
    anna = HttpXFServer(HttpTransport(platform.embedded.endpoint.url, token=login["token"], limits=limits))
    project = anna.create(Project(name="Bones <b>of</b> mice")).serial
    workflow = anna.create(Workflow(project_serial=project, name="Femur")).serial
    threshold = {
        "key": "threshold",
        "label": "Threshold",
        "type": "Int",
        "default": 320,
        "minimum": 0,
        "maximum": 1000,
        "supported_modes": ["ui"],
    }
    side = {"key": "side", "type": "String", "enum": ["left", "right"]}
    scan_inputs = [threshold, {"key": "table", "type": "CSV", "supported_modes": ["none", "ui"]}]
    scan = _task(anna, workflow, "Scan", TaskTypeKind.SOURCE, inputs=scan_inputs, outputs=[])
    measure = _task(anna, workflow, "Measure", TaskTypeKind.PROCESSING, inputs=[], outputs=None)
    judged = [side, {"key": "good", "type": "Bool"}, {"key": "note", "type": "String", "supported_modes": ["none"]}]
    judge = _task(anna, workflow, "Judge", TaskTypeKind.INTERACTIVE, inputs=[], outputs=judged)
    anna.update(Workflow, workflow, Change(values={"/state": "Active"}))
    admin = platform.server
    run = admin.create(Run(workflow_serial=workflow, name="mouse 1", entity={"uuid": "u-1", "name": "Mickey"})).serial
    job = admin.create(Job(task_serial=measure, run_serial=run, state=JobState.READY))
    done = admin.create(Job(task_serial=measure, run_serial=run, state=JobState.READY, name="all kinds"))
    failed = admin.create(Job(task_serial=scan, run_serial=run, state=JobState.READY, inputs={"threshold": 4}))
    person = admin.create(Job(task_serial=judge, run_serial=run, state=JobState.READY_FOR_INTERACTIVE))
    worker = platform.queue.register(Worker(name="bench", metadata={"local": True})).serial
    lease = platform.queue.claim(worker, job_serial=failed.serial)
    assert lease is not None
    platform.queue.end(lease, Outcome(ending=Ending.CRASHED, message="ValueError: no bone <script>alert(1)</script>"))
    lease = platform.queue.claim(worker, job_serial=job.serial)
    assert lease is not None
    site = Site(
        platform=platform,
        anna=anna,
        project=project,
        workflow=workflow,
        scan=scan,
        measure=measure,
        judge=judge,
        run=run,
        measured=done.serial,
        running=job.serial,
        failed=failed.serial,
        person=person.serial,
        lease=lease,
    )
    site.store("job_log", job.serial, "log.txt", LOG)
    said = {"/metadata/progress_percentage": 40, "/metadata/estimated_duration_seconds": 3600}
    admin.update(Job, job.serial, Change(values=said, bump=False))
    _finish(site, worker, done.serial)
    return site


def make_other(site: Site) -> int:
    """Another run's result of the same task: other numbers, another table, the same image and picture."""
    admin = site.platform.server
    run = admin.create(Run(workflow_serial=site.workflow, name="mouse 2", entity={"uuid": "u-2", "name": "Minnie"}))
    job = admin.create(Job(task_serial=site.measure, run_serial=run.serial, state=JobState.READY_FOR_INTERACTIVE))
    table = site.store("job_result", job.serial, "values.csv", CSV.replace("v3;4.5", "v3;4.75").encode())
    first = admin.get(Job, site.measured).outputs
    outputs = {
        **{key: first[key] for key in ("volume_image", "picture", "is_good")},
        "volume": 2.7,
        "words": "plain",
        "table": {**first["table"], **table},
        "count": 3,
    }
    units = {"/metadata/output_units": {"volume": "mm³"}}
    admin.update(Job, job.serial, Change(values={"/outputs": outputs, "/state": "Done", **units}))
    return job.serial


def _task(server, workflow, name, kind, *, inputs, outputs) -> int:
    interface = {"inputs": inputs, **({} if outputs is None else {"outputs": outputs})}
    task_type = server.create(TaskType(name=f"Test.{name}", kind=kind, interface=interface))
    modes = [{"key": item["key"], "mode": "ui"} for item in inputs]
    task = Task(workflow_serial=workflow, task_type_serial=task_type.serial, name=name, inputs=modes)
    return server.create(task).serial


def _finish(site: Site, worker: int, serial: int) -> None:
    lease = site.platform.queue.claim(worker, job_serial=serial)
    assert lease is not None
    files = {
        "table": ("CSV", "values.csv", CSV.encode()),
        "picture": ("Bitmap", "slice.png", _png()),
        "report": ("HTMLDocument", "report.html", REPORT),
        "other": ("ForeignFile", HOSTILE, b"text"),
    }
    outputs = {
        key: {"type": kind, **site.store("job_result", serial, name, content)}
        for key, (kind, name, content) in files.items()
    }
    outputs |= {
        "volume_image": _image(site, serial),
        "volume": 2.25,
        "words": "<b>bold</b>",
        "is_good": True,
        "sample": {"type": "Entity", "uuid": "u-1", "name": "Mickey"},
        "odd": {"type": "Unheard", "x": [1, 2]},
        "snapshot": {"type": "Snapshot", "bitmap": outputs["picture"]},
    }
    values = {"/outputs": outputs, "/state": "Done", "/metadata/output_units": {"volume": "mm³"}}
    site.platform.server.update(Job, serial, Change(values=values))
    site.platform.queue.end(lease, Outcome(ending=Ending.FINISHED, exit_code=0))


def _image(site: Site, serial: int) -> dict[str, object]:
    folder = site.platform.folder / "image"
    folder.mkdir()
    z, y, x = np.indices((40, 48, 56))
    distance = np.sqrt((z - 20) ** 2 + (y - 24) ** 2 + (x - 28) ** 2)
    voxels = (np.where(distance < 18, 900 - 20 * distance, 50) + 3 * x).astype(np.int16)
    path = folder / "scan.omni"
    size = voxels.shape[::-1]
    pixel_type = PixelType(str(voxels.dtype))
    info = ImageInfo(
        path=path, format="OMNI", size=size, pixel_type=pixel_type, pixels_path=path, spacing_mm=(0.06,) * 3
    )
    with image_formats().writer(path, info) as writer:
        writer.write(voxels)
    names = sorted(file.name for file in folder.iterdir())
    for name in names:
        reference = site.store("job_result", serial, name, (folder / name).read_bytes())
    beside = [name for name in names if name != path.name]
    return {"type": "Image", **reference, "filename": path.name, "size": list(size), "filenames": beside}


def _png() -> bytes:
    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    rows = b"".join(b"\0" + bytes((x * y) % 256 for x in range(64)) for y in range(64))
    header = struct.pack(">IIBBBBB", 64, 64, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
