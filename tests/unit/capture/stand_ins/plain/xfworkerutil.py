"""A stand-in for the module of the platform: dicts with keys of its own, plain classes, contextlib everywhere."""

import contextlib
import enum
import json
import os
import re
import shutil
import sys
import tempfile
import uuid
from pathlib import Path

import omni

__version__ = "9.1"
_HOME = Path(os.environ["STAND_IN_HOME"])


class XFError(Exception):
    def __init__(self, message, status=0):
        super().__init__(message)
        self.status = status


class NotFound(XFError):
    pass


class ActivityLogLevel(enum.Enum):
    INFO = "i"
    ERROR = "e"


class Connection:
    def __init__(self, host, auth):
        self.host, self._auth = host, auth
        self.closed = False


class AuthorizationToken:
    def __init__(self, token, scopes):
        self.token, self.scopes = token, scopes


class XFWorkerArguments:
    @property
    def job_serial(self):
        return int(os.environ["STAND_IN_JOB"])

    @property
    def server_auth(self):
        return os.environ["STAND_IN_AUTH"]

    @property
    def server_host(self):
        return "xf.hospital.example"

    @property
    def server_port(self):
        return "8443"


class TemporaryWorkingDirectory:
    def __init__(self, prefix):
        self.path = Path(tempfile.mkdtemp(prefix=prefix))
        self._current = self.path

    def create_temp_path(self, filename):
        path, number = self._current / filename, 1
        while path in _given:
            number += 1
            path = self._current / f"{number}_{filename}"
        _given.add(path)
        return path

    def create_related_path(self, path, postfix):
        return self.create_temp_path(Path(path).stem + postfix)

    def is_under(self, p):
        return self.path in Path(p).parents

    def remove(self):
        shutil.rmtree(self.path)

    @contextlib.contextmanager
    def subdir(self, name, max_name_len=8):
        before, self._current = self._current, self._current / name[:max_name_len]
        self._current.mkdir()
        try:
            yield
        finally:
            self._current = before


_given = set()


def _record(kind, number):
    return json.loads((_HOME / kind / f"{number}.json").read_text())


def _made(kind, record):
    (_HOME / kind).mkdir(exist_ok=True)
    number = len(list((_HOME / kind).glob("*.json"))) + 500
    (_HOME / kind / f"{number}.json").write_text(json.dumps({"id": number, **record}))
    return {"id": number, **record}


class XFWorkerJob:
    def __init__(self):
        self.args = XFWorkerArguments()
        self.working_dir = TemporaryWorkingDirectory("job_")
        self.load_job()
        self.hook_exceptions()

    def load_job(self):
        self.job = _record("jobs", self.args.job_serial)
        return self.job

    def save_job(self, **kwargs):
        self.job.update(kwargs)
        (_HOME / "jobs" / f"{self.args.job_serial}.json").write_text(json.dumps(self.job))
        return self.job

    def hook_exceptions(self):
        before = sys.excepthook

        def hook(kind, error, trace):
            self.set_error_message(str(error))
            before(kind, error, trace)

        sys.excepthook = hook

    @contextlib.contextmanager
    def server_connection(self):
        connection = Connection(self.args.server_host, self.args.server_auth)
        yield connection
        connection.closed = True

    def create_temp_path(self, filename):
        return self.working_dir.create_temp_path(filename)

    def create_related_path(self, path, postfix):
        return self.working_dir.create_related_path(path, postfix)

    def create_output_path(self, path, postfix):
        return self.working_dir.create_related_path(path, postfix)

    def _located(self, parameter):
        if parameter.get("source") == "userdata":
            return _HOME / "user" / parameter["virtualpath"]
        return _HOME / "files" / parameter["file"]

    def download_input_file(self, input_parameter, *, copy_even_on_direct_access=False):
        source = self._located(input_parameter)
        if not source.exists():
            raise NotFound(f"no {source.name}", 404)
        target = self.working_dir.path / source.name
        shutil.copyfile(source, target)
        return target

    def download_xf_userdata_file(self, virtualpath, *, copy_even_on_direct_access=False):
        return self.download_input_file({"source": "userdata", "virtualpath": virtualpath})

    def get_omni_image(self, input_parameter, *, copy_even_on_direct_access=False, download_only_metadata=False):
        path = self.download_input_file(input_parameter)
        if not download_only_metadata:
            self.download_input_file({**input_parameter, "file": path.with_suffix(".raw").name})
        return omni.Image(path, json.loads(path.read_text()))

    def get_ipl_image_path(self, input_parameter, *, auto_convert_from_omni=True):
        image = self.get_omni_image(input_parameter)
        path = self.create_related_path(image.metadata_path, ".AIM")
        path.write_bytes(b"AIMDATA " + image.metadata_path.with_suffix(".raw").read_bytes())
        return path

    def upload_output_file(self, local_path):
        (_HOME / "results").mkdir(exist_ok=True)
        shutil.copyfile(local_path, _HOME / "results" / Path(local_path).name)

    def upload_xf_userdata_file(self, local_path, virtualpath):
        target = _HOME / "user" / virtualpath
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(local_path, target)

    def upload_omni_output(self, image):
        self.upload_output_file(image.metadata_path)
        self.upload_output_file(image.metadata_path.with_suffix(".raw"))
        return self.create_output_image(image.metadata_path.name, list(image.size_3d_tuple))

    def _output(self, kind, filename, **more):
        return {"T": kind, "src": "job", "file": filename, "owner": self.args.job_serial, **more}

    def create_output_foreign_file(self, filename):
        return self._output("ForeignFile", filename)

    def create_output_csv(self, filename):
        return self._output("CSV", filename)

    def create_output_html_document(self, filename):
        return self._output("HTMLDocument", filename)

    def create_output_image(self, filename, size, filenames=None, additional_files=None):
        return self._output("Image", filename, dims=size)

    def create_output_entity(self, uuid, name):
        return {"T": "Entity", "guid": uuid, "label": name}

    def create_output_registration_result(self, transform, *, image1=None, image2=None, mesh1=None, mesh2=None):
        return {"T": "RegistrationResult", "matrix": transform, "a": image1, "b": image2}

    def get_current_task(self):
        return {"id": 3, "title": "Draw", "owner": {"patient_name": "Doe^Jane"}}

    def get_run_entity(self):
        return {"guid": str(uuid.UUID(int=7)), "name": "Doe^Jane"}

    def find_xf_task_types(self, connection, name, *, raise_if_not_any=True):
        return [{"id": 11, "package": name, "v": "1.0.0.0"}]

    def find_xf_task_type(self, connection, name):
        return self.find_xf_task_types(connection, name)[0]

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
        return _made("tasks", {"type": task_type["id"], "title": task_name})

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
        return _made("jobs", {"task": task["id"], "from": source_job_serial, "outputs": outputs, "order": sort_order})

    def get_existing_job_sort_orders(self, connection):
        return ["a", "b"]

    def activity_log_message(self, title, *, level=ActivityLogLevel.INFO):
        assert level in ActivityLogLevel

    def progress(self, percentage, *, save=True):
        self.job["percent"] = percentage

    def set_output_units(self, units, *, save=True):
        self.job["units"] = units

    def set_error_message(self, message, *, save=True):
        self.save_job(error=message)

    def finish(self, outputs, units=None):
        self.save_job(outputs=outputs, state="Done", units=units)
        self.working_dir.remove()

    def error(self, message):
        self.set_error_message(message)
        sys.exit(1)

    def switch_to_interactive_mode(self, error_message=None):
        self.save_job(state="ReadyForInteractive", error=error_message)
        sys.exit(0)


def get_xf_userdata_token(conn, scopes):
    return AuthorizationToken("tok-" + "7f3a9c" * 4, scopes)


def get_xf_jobs_by_task(conn, task_serial):
    return [{"id": n, "outputs": {"volume": float(n)}} for n in (1, 2, 3)]


def get_xf_parameter_float_sequence(conn, sequence):
    return [1.0, 2.0, 4.5]


def get_xf_parameter_paired_float_sequences(conn, sequence1, sequence2):
    return [1.0, 2.0, 4.5], [30.0, 40.0, 50.0]


def get_xf_default_sns_server_connection_params(conn):
    return {"host": "sns.hospital.example", "port": 5432, "user": "reader01", "password": "hunter2!"}


class _Sns:
    def __init__(self, params):
        self.params = params

    def measurements(self, sample):
        for number in (4, 5):
            yield {"number": number, "sample": sample}

    def fetch(self, number, path):
        Path(path).write_bytes(b"SNS" * number)


@contextlib.contextmanager
def get_sns_server_connection(sns_conn_params):
    yield _Sns(sns_conn_params)


def parse_version(version):
    return tuple(map(int, re.findall(r"\d+", version)))
