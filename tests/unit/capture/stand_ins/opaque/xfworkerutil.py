"""A stand-in for the module of the platform: parameters, rows, jobs and rights are objects of classes."""

import json
import os
import shutil
import tempfile
import uuid
from contextlib import contextmanager
from pathlib import Path

_HOME = Path(os.environ["STAND_IN_HOME"])


class Row:
    """A record that is read by keys and has no others of a mapping's methods."""

    __slots__ = ("_cells",)

    def __init__(self, **cells):
        self._cells = cells

    def __getitem__(self, key):
        return self._cells[key]

    def __contains__(self, key):
        return key in self._cells

    def __len__(self):
        return len(self._cells)


class Parameter:
    """An output, with what it is as attributes."""

    def __init__(self, kind, **fields):
        self.kind = kind
        for name, value in fields.items():
            setattr(self, name, value)

    def to_json(self):
        return {"kind": self.kind, "id": getattr(self, "guid", None), "name": getattr(self, "label", None)}


class Job:
    def __init__(self, record):
        self._record = record

    def __getitem__(self, key):
        return self._record[key]


class Ticket:
    """A right to files; the ticket itself is private."""

    def __init__(self):
        self._ticket = "tok-7f3a9c7f3a9c" + uuid.uuid4().hex
        self.valid_seconds = 60


class TemporaryWorkingDirectory:
    def __init__(self, prefix):
        self.path = Path(tempfile.mkdtemp(prefix=prefix))

    def create_temp_path(self, filename):
        return self.path / filename


class XFWorkerArguments:
    job_serial = property(lambda self: int(os.environ["STAND_IN_JOB"]))
    server_auth = property(lambda self: {"user": "worker-17", "ticket": os.environ["STAND_IN_AUTH"]})
    server_host = property(lambda self: "xf.hospital.example")
    server_port = property(lambda self: 8443)


class XFWorkerJob:
    def __init__(self):
        self._directory = TemporaryWorkingDirectory("opaque")
        self._outputs = []

    @property
    def job(self):
        return Job(json.loads((_HOME / f"jobs/{XFWorkerArguments().job_serial}.json").read_text()))

    @property
    @contextmanager
    def working_dir(self):
        yield self._directory.path

    @contextmanager
    def server_connection(self):
        yield ("connection", Ticket())

    def create_temp_path(self, filename):
        return self._directory.create_temp_path(filename)

    def download_input_file(self, input_parameter, *, copy_even_on_direct_access=False):
        target = self._directory.path / Path(input_parameter["virtualpath"]).name
        shutil.copyfile(_HOME / "user" / input_parameter["virtualpath"], target)
        return target

    def find_xf_task_type(self, connection, name):
        return Row(nr=11, name=name)

    def spawn_xf_task_basic(self, connection, task_type, task_name=None, spawn_key=None):
        return Row(nr=task_type["nr"] + 1)

    def spawn_xf_job_basic(
        self, connection, task_type, task, source_job_serial=None, state="Done", inputs={}, outputs={}
    ):
        return Row(nr=uuid.uuid4().int % 1000, outputs=outputs)

    def create_output_entity(self, uuid, name):
        return Parameter("Entity", guid=uuid, label=name)

    def create_output_foreign_file(self, filename):
        return Parameter("File", at=("job", filename))

    def upload_output_file(self, local_path):
        (_HOME / "results").mkdir(exist_ok=True)
        shutil.copyfile(local_path, _HOME / "results" / Path(local_path).name)

    def upload_xf_userdata_file(self, local_path, virtualpath):
        shutil.copyfile(local_path, _HOME / "user" / Path(virtualpath).name)

    def progress(self, percentage, *, save=True):
        return None

    def finish(self, outputs, units=None):
        assert all(isinstance(value, Parameter | int | float) for value in outputs.values())


def get_xf_userdata_token(conn, scopes):
    return conn[1], 60


def get_xf_jobs_by_task(conn, task_serial):
    return map(lambda n: Row(nr=n, volume=n / 4), range(3))
