"""
A module ``xfworkerutil`` whose JSON has other keys and values than this package's, over a job of a platform in memory.

It is this package's own facade with every record translated, so that its rules are real ones.
"""

from types import SimpleNamespace

import xfworkerutil
from xfworker.api.facade import network
from xfworker.domain.errors import XFWorkerError

NAMES = {
    "serial": "Id",
    "occ_lock_version": "Version",
    "state": "JobState",
    "task_serial": "TaskId",
    "workflow_serial": "FlowId",
    "project_serial": "ProjectId",
    "task_type_serial": "TypeId",
    "run_serial": "RunId",
    "sort_order": "Position",
    "name": "Title",
    "job_serial": "ResultOf",
}
_THEIR_KEYS = frozenset(NAMES.values())
STATES = {"Done": "finished", "Ready": "waiting for a worker", "Running": "at work"}
KEY_MAP = """
[jobs]
serial = "Id"
occ_lock_version = "Version"
state = "JobState"
task_serial = "TaskId"
workflow_serial = "FlowId"
project_serial = "ProjectId"
run_serial = "RunId"
sort_order = "Position"
name = "Title"
[jobs.values.state]
Done = "finished"
Ready = "waiting for a worker"
Running = "at work"
[tasks]
serial = "Id"
occ_lock_version = "Version"
workflow_serial = "FlowId"
task_type_serial = "TypeId"
name = "Title"
[workflows]
serial = "Id"
occ_lock_version = "Version"
project_serial = "ProjectId"
name = "Title"
[projects]
serial = "Id"
occ_lock_version = "Version"
name = "Title"
[runs]
serial = "Id"
occ_lock_version = "Version"
workflow_serial = "FlowId"
name = "Title"
[task-types]
serial = "Id"
occ_lock_version = "Version"
name = "Title"
[entities]
serial = "Id"
occ_lock_version = "Version"
name = "Title"
[file-references]
job_serial = "ResultOf"
"""


def theirs(value):
    if isinstance(value, list):
        return [theirs(item) for item in value]
    if not isinstance(value, dict) or "occ_lock_version" not in value:
        return value
    made = {NAMES.get(key, key): item for key, item in value.items()}
    if "JobState" in made and made["JobState"] in STATES:
        made["JobState"] = STATES[made["JobState"]]
    return made


def ours(value):
    names = {name: key for key, name in NAMES.items()}
    states = {name: key for key, name in STATES.items()}
    made = {names.get(key, key): item for key, item in value.items()}
    if "state" in made:
        made["state"] = states.get(made["state"], made["state"])
    return made


class StandInError(Exception):
    """What it raises, of a class that nobody else knows."""


class Worker:
    def __init__(self, own):
        self._own = own
        self.working_dir = own.working_dir
        self.fetched = []

    def server_connection(self):
        return self._own.server_connection()

    def download_input_file(self, parameter, **more):
        self.fetched.append(parameter)
        return self._own.download_input_file(ours(parameter), **more)

    def upload_output_file(self, path):
        self._own.upload_output_file(path)

    def upload_xf_userdata_file(self, path, virtualpath):
        self._own.upload_xf_userdata_file(path, virtualpath)


def _function(name):
    def call(connection, *words, **more):
        words = [ours(word) if isinstance(word, dict) and _THEIR_KEYS & word.keys() else word for word in words]
        try:
            return theirs(getattr(xfworkerutil, name)(connection, *words, **more))
        except XFWorkerError as error:
            raise StandInError(str(error)) from error

    return call


def stand_in(own):
    """Give the stand-in for the job of a worker of this package, and its sibling ``network``."""
    module = SimpleNamespace()
    for name in xfworkerutil.__all__:
        if name.startswith(("get_xf", "create_xf", "update_xf", "create_activity")):
            setattr(module, name, _function(name))
    module.get_xf_userdata_token = xfworkerutil.get_xf_userdata_token
    module.get_xf_job_result_token = xfworkerutil.get_xf_job_result_token
    module.ActivityLogLevel = xfworkerutil.ActivityLogLevel
    worker = Worker(own)
    module.XFWorkerJob = lambda: worker
    arguments = own._session.arguments  # noqa: SLF001 - the stand-in is made of it
    module.XFWorkerArguments = lambda: arguments

    def list_files_and_folders_on_filestorage(token):
        files, folders = network.list_files_and_folders_on_filestorage(token)
        return [{"name": item["name"]} for item in files], folders

    sibling = SimpleNamespace(list_files_and_folders_on_filestorage=list_files_and_folders_on_filestorage)
    return module, sibling, worker
