"""The job: helpers behind it do the work in threads, and every public method calls others."""

import enum
import json
import os
import shutil
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from labcore.images import Image
from labcore.server import View

_HOME = Path(os.environ["STAND_IN_HOME"])


class ActivityLogLevel(str, enum.Enum):
    INFO = "info"


class XFWorkerArguments:
    def __init__(self):
        self.job_serial = int(os.environ["STAND_IN_JOB"])
        self.server_auth = os.environ["STAND_IN_AUTH"]
        self.server_host = "xf.hospital.example"
        self.server_port = "8443"


class TemporaryWorkingDirectory:
    def __init__(self, prefix):
        self.path = Path(tempfile.mkdtemp(prefix=prefix))

    def __enter__(self):
        return self.path

    def __exit__(self, *_):
        return None

    def create_temp_path(self, filename):
        return self.path / filename

    def create_related_path(self, path, postfix):
        return self.create_temp_path(Path(path).stem + postfix)

    @contextmanager
    def subdir(self, name, max_name_len=8):
        own = TemporaryWorkingDirectory.__new__(TemporaryWorkingDirectory)
        before, self.path = self.path, self.path / name[:max_name_len]
        self.path.mkdir(exist_ok=True)
        try:
            yield own
        finally:
            self.path = before


class Session:
    def __init__(self, auth):
        self.auth_header = f"Bearer {auth}"
        self.pool = ThreadPoolExecutor(1)


class XFWorkerJob:
    def __init__(self):
        self.arguments = XFWorkerArguments()
        self.session = Session(self.arguments.server_auth)
        self.working_dir = TemporaryWorkingDirectory("lab")
        self.job = self.load_job()

    def load_job(self):
        return View(json.loads((_HOME / f"jobs/{self.arguments.job_serial}.json").read_text()))

    def hook_exceptions(self):
        sys.excepthook = sys.__excepthook__

    @contextmanager
    def server_connection(self):
        yield self.session

    def create_temp_path(self, filename):
        return self.working_dir.create_temp_path(filename)

    def create_related_path(self, path, postfix):
        return self.working_dir.create_related_path(path, postfix)

    def create_output_path(self, path, postfix):
        return self.create_related_path(path, postfix)

    def download_input_file(self, input_parameter, *, copy_even_on_direct_access=False):
        if input_parameter.get("source") == "userdata":
            return _HOME / "user" / input_parameter["virtualpath"]
        return _HOME / "files" / input_parameter["file"]

    def download_xf_userdata_file(self, virtualpath, *, copy_even_on_direct_access=False):
        raise FileNotFoundError(2, "nothing there", virtualpath)

    def get_omni_image(self, input_parameter, *, copy_even_on_direct_access=False, download_only_metadata=False):
        path = self.download_input_file(input_parameter)
        return Image(path, json.loads(path.read_text()))

    def get_ipl_image_path(self, input_parameter, *, auto_convert_from_omni=True):
        path = self.create_related_path(self.download_input_file(input_parameter), ".AIM")
        path.write_bytes(b"AIM" * 2000)
        return str(path)

    def upload_output_file(self, local_path):
        def store():
            (_HOME / "results").mkdir(exist_ok=True)
            shutil.copyfile(local_path, _HOME / "results" / Path(local_path).name)

        self.session.pool.submit(store).result()

    def upload_xf_userdata_file(self, local_path, virtualpath):
        def store():
            (_HOME / "user" / virtualpath).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(local_path, _HOME / "user" / virtualpath)

        self.session.pool.submit(store).result()

    def upload_omni_output(self, image):
        self.upload_output_file(image.metadata_path)
        return self.create_output_image(image.metadata_path.name, list(image.size_3d_tuple))

    def create_output_foreign_file(self, filename):
        return {"class": "file", "path": [str(self.arguments.job_serial), filename]}

    create_output_csv = create_output_html_document = create_output_foreign_file

    def create_output_image(self, filename, size, filenames=None, additional_files=None):
        return {"class": "image", "path": [str(self.arguments.job_serial), filename], "shape": size}

    def create_output_registration_result(self, transform, *, image1=None, image2=None, mesh1=None, mesh2=None):
        rows = [transform[4 * n : 4 * n + 4] for n in range(4)]
        return {"class": "registration", "rows": rows, "of": [dict(image1), dict(image2)]}

    def get_current_task(self):
        return View({"nr": 3, "settings": {"mask": "hand"}})

    def find_xf_task_types(self, connection, name, *, raise_if_not_any=True):
        yield View({"nr": 11, "package": name})

    def find_xf_task_type(self, connection, name):
        return next(self.find_xf_task_types(connection, name))

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
        return View({"nr": 5, "type": task_type["nr"]})

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
        return View({"nr": 77, "outputs": outputs})

    def progress(self, percentage, *, save=True):
        return None

    def finish(self, outputs, units=None):
        job = {**json.loads((_HOME / f"jobs/{self.arguments.job_serial}.json").read_text()), "outputs": outputs}
        (_HOME / f"jobs/{self.arguments.job_serial}.json").write_text(json.dumps(job))

    def error(self, message):
        raise SystemExit(9)

    def switch_to_interactive_mode(self, error_message=None):
        raise SystemExit(0)
