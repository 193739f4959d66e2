"""A stand-in for the module of the platform: slots, properties, named tuples, iterators, connections with state."""

import json
import os
import shutil
import sys
import tempfile
from collections import namedtuple
from enum import IntEnum
from functools import wraps
from pathlib import Path

import omni
from snsclient import Sns

_HOME = Path(os.environ["STAND_IN_HOME"])
VERSION = (3, 1)

Paired = namedtuple("Paired", "left right")
TaskType = namedtuple("TaskType", "number package")


class ActivityLogLevel(IntEnum):
    INFO = 20
    WARNING = 30


class ServiceFault(RuntimeError):
    def __init__(self, code, text):
        super().__init__(code, text)
        self.code = code

    def __str__(self):
        return f"fault {self.code}"


class Record(dict):
    """A record whose keys are attributes too."""

    __getattr__ = dict.__getitem__


def counted(method):
    @wraps(method)
    def wrapper(self, *args, **kwargs):
        self.calls += 1
        return method(self, *args, **kwargs)

    return wrapper


class Connection:
    __slots__ = ("_secret", "calls", "url")

    def __init__(self, secret):
        self._secret, self.url, self.calls = secret, "https://xf.hospital.example/api", 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        return False


class XFWorkerArguments:
    __slots__ = ()
    job_serial = property(lambda self: int(os.environ["STAND_IN_JOB"]))
    server_auth = property(lambda self: os.environ["STAND_IN_AUTH"])
    server_host = property(lambda self: "xf.hospital.example")
    server_port = property(lambda self: "8443")


class TemporaryWorkingDirectory:
    __slots__ = ("_taken", "path")

    def __init__(self, prefix):
        self.path, self._taken = Path(tempfile.mkdtemp(prefix=prefix)), set()

    def create_temp_path(self, filename):
        name = filename
        while name in self._taken:
            name = f"{len(self._taken)}-{filename}"
        self._taken.add(name)
        return self.path / name

    def create_related_path(self, path, postfix):
        return self.create_temp_path(Path(path).stem + postfix)

    def remove(self):
        shutil.rmtree(self.path)


class _Base:
    __slots__ = ("_record", "calls", "working_dir")

    @property
    def job(self):
        return self._record

    def create_temp_path(self, filename):
        return self.working_dir.create_temp_path(filename)

    def create_related_path(self, path, postfix):
        return self.working_dir.create_related_path(path, postfix)


class XFWorkerJob(_Base):
    __slots__ = ()

    def __init__(self):
        self.calls = 0
        self.working_dir = TemporaryWorkingDirectory("xf-")
        self._record = Record(json.loads((_HOME / f"jobs/{XFWorkerArguments().job_serial}.json").read_text()))
        self.hook_exceptions()

    def hook_exceptions(self):
        before = sys.excepthook
        sys.excepthook = lambda kind, error, trace: before(kind, error, trace)

    def _save(self):
        (_HOME / f"jobs/{XFWorkerArguments().job_serial}.json").write_text(json.dumps(self._record))

    @counted
    def server_connection(self):
        return Connection(XFWorkerArguments().server_auth)

    @counted
    def get_omni_image(self, input_parameter, *, copy_even_on_direct_access=False, download_only_metadata=False):
        for suffix in (".omni", ".raw"):
            name = Path(input_parameter["file"]).with_suffix(suffix).name
            shutil.copyfile(_HOME / "files" / name, self.working_dir.path / name)
        path = self.working_dir.path / input_parameter["file"]
        return omni.Image(path, json.loads(path.read_text()))

    @counted
    def download_xf_userdata_file(self, virtualpath, *, copy_even_on_direct_access=False):
        raise ServiceFault(44, virtualpath)

    @counted
    def upload_output_file(self, local_path):
        (_HOME / "results").mkdir(exist_ok=True)
        shutil.copyfile(local_path, _HOME / "results" / Path(local_path).name)

    def upload_xf_userdata_file(self, local_path, virtualpath):
        (_HOME / "user" / virtualpath).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(local_path, _HOME / "user" / virtualpath)

    def upload_omni_output(self, image):
        self.upload_output_file(image.metadata_path)
        return Record(kind="Image", uri=f"result://{image.metadata_path.name}", extent=image.size_3d_tuple)

    def create_output_foreign_file(self, filename):
        return Record(kind="ForeignFile", uri=f"result://{filename}", name=filename)

    create_output_csv = create_output_html_document = create_output_foreign_file

    def create_output_entity(self, uuid, name):
        return Record(kind="Entity", identity=(uuid, name))

    def find_xf_task_type(self, connection, name):
        return TaskType(11, name)

    def spawn_xf_task_basic(
        self,
        connection,
        task_type,
        task_name=None,
        spawn_key=None,
        task_inputs=[],
        task_metadata={},
        upgrade_task_types=None,
    ):
        return Record(number=5, of=task_type.number)

    def spawn_xf_job_basic(
        self,
        connection,
        task_type,
        task,
        source_job_serial=None,
        state="Done",
        inputs={},
        outputs={},
        sort_order=None,
        metadata=None,
    ):
        connection.calls += 1
        return Record(number=100 + connection.calls, outputs=outputs)

    def get_existing_job_sort_orders(self, connection):
        return iter(["a", "c"])

    def activity_log_message(self, title, *, level=ActivityLogLevel.INFO):
        return None

    def progress(self, percentage, *, save=True):
        self._record["percent"] = percentage

    def set_output_units(self, units, *, save=True):
        self._record["units"] = units

    def finish(self, outputs, units=None):
        self._record.update(state="Done", outputs=outputs)
        self._save()
        self.working_dir.remove()

    def error(self, message):
        raise SystemExit(7)


class Token(str):
    __slots__ = ()


def get_xf_userdata_token(conn, scopes):
    return Token("tok-" + "7f3a9c" * 4 + scopes[0][1].replace("/", ":"))


class Jobs:
    """The jobs of a task, page after page."""

    __slots__ = ("_left",)

    def __init__(self, count):
        self._left = list(range(count))

    def __iter__(self):
        return self

    def __next__(self):
        if not self._left:
            raise StopIteration
        return Record(number=self._left.pop(0), done=True)


def get_xf_jobs_by_task(conn, task_serial):
    return Jobs(3)


def get_xf_parameter_float_sequence(conn, sequence):
    return (1.0, 2.0, 4.5)


def get_xf_parameter_paired_float_sequences(conn, sequence1, sequence2):
    return Paired([1.0, 2.0, 4.5], [30.0, 40.0, float("inf")])


def get_xf_default_sns_server_connection_params(conn):
    return Record(host="sns.hospital.example", port=5432, user="reader01", password="hunter2!")


def get_sns_server_connection(sns_conn_params):
    return Sns(sns_conn_params)
