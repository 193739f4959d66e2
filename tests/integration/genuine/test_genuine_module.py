"""The ports over a module of other JSON, and whole scripts over the ports."""

import numpy as np
import pytest

from tests.contract.suites.facade_project import ScriptProject, memory_place
from tests.integration.genuine.stand_in import KEY_MAP, stand_in
from xfworker.adapters.disk.filesystem import LocalFilesystem
from xfworker.adapters.genuine.errors import CallNotDocumented
from xfworker.adapters.genuine.file_store import GenuineFileStore
from xfworker.adapters.genuine.key_map import KeyMap, read_key_map
from xfworker.adapters.genuine.module import GenuineModule, load_genuine_module
from xfworker.adapters.genuine.xf_server import GenuineXFServer
from xfworker.api.composition.session import session
from xfworker.api.facade import omni
from xfworker.api.facade.worker_job import XFWorkerJob
from xfworker.api.settings.model import ServerSettings, Settings
from xfworker.domain.change import Change
from xfworker.domain.errors import ConfigurationError, RecordConflict, ServerFault
from xfworker.domain.files import Scope, parse_resource
from xfworker.domain.job_state import JobState
from xfworker.domain.queries import CombinedQuery, Sequence
from xfworker.domain.records import ActivityEvent, Entity, Job, Project, Run, Task, TaskType, Worker, Workflow


@pytest.fixture
def project(tmp_path):
    return ScriptProject.make(memory_place(), tmp_path)


@pytest.fixture
def key_map(tmp_path):
    path = tmp_path / "keys.toml"
    path.write_text(KEY_MAP)
    return read_key_map(path)


@pytest.fixture
def own(project):
    return project.worker(project.new_job(inputs={"image": None, "threshold": 5}))


@pytest.fixture
def stand(own):
    return stand_in(own)


@pytest.fixture
def module(stand, key_map):
    util, network, _ = stand
    return GenuineModule(util, network, key_map)


@pytest.fixture
def server(module):
    return GenuineXFServer(module)


@pytest.fixture
def files(module):
    return GenuineFileStore(module)


@pytest.fixture
def worker(server, files, module, tmp_path):
    temp = tmp_path / "own-temp"
    temp.mkdir()
    return XFWorkerJob(
        session=session(
            Settings(), server=server, files=files, arguments=module.arguments, filesystem=LocalFilesystem(temp)
        )
    )


def token(server, *scopes):
    return server.file_token([Scope(verb, parse_resource(place)) for verb, place in scopes])


# --- scripts ----------------------------------------------------------------------------------------------------


def test_a_script_fetches_computes_uploads_and_finishes(project, own, worker):
    project.put("userdata/scans/a.txt", b"12 13")
    path = worker.download_input_file(
        {"type": "ForeignFile", "source": "userdata", "virtualpath": "scans", "filename": "a.txt"}
    )
    assert path.read_bytes() == b"12 13"
    assert worker.job["inputs"]["threshold"] == 5
    table = worker.create_temp_path("sum.csv")
    table.write_text("25\n")
    worker.upload_output_file(table)
    worker.progress(50)
    worker.finish({"volume": 25.0}, units={"volume": "mm3"})
    done = project.job(own.job["serial"])
    assert (done.state, done.outputs["volume"]) == (JobState.DONE, 25.0)
    assert project.content(f"job_result/{done.serial}/{table.name}") == b"25\n"


def test_a_script_writes_an_image_and_reads_it_back(worker):
    pixels = np.arange(60, dtype=np.int16).reshape(3, 4, 5)
    image = omni.create_image(worker.create_temp_path("a.omni"), size=(5, 4, 3), pixel_type="int16")
    image.pixels[...] = pixels
    image.save()
    again = worker.get_omni_image(worker.upload_omni_output(image))
    assert np.array_equal(np.asarray(again.pixels), pixels)


# --- records ----------------------------------------------------------------------------------------------------


def test_records_are_got_listed_and_found(project, server, own):
    serial = own.job["serial"]
    assert server.get(Job, serial).state is JobState.RUNNING
    assert server.get(Project, project.project.serial).name == "mice"
    assert server.get(TaskType, project.task_type.serial).name == "Lab.Measure"
    assert [item.serial for item in server.find(Project)] == [project.project.serial]
    assert [item.name for item in server.find(Workflow)] == ["bones"]
    assert [item.serial for item in server.find(Task, {"workflow_serial": project.workflow.serial})] == [
        project.task.serial
    ]
    ready = project.new_job()
    found = server.find(Job, {"task_serial": project.task.serial, "state": (JobState.READY, JobState.DONE)})
    assert [item.serial for item in found] == [ready.serial]
    entity = project.admin.create(Entity(uuid="u-1", name="mouse"))
    assert server.entity_by_uuid("u-1").serial == entity.serial


def test_a_change_goes_through_and_a_stale_one_is_a_conflict(project, server, own):
    job = server.get(Job, own.job["serial"])
    change = Change(values={"/name": "left femur", "/metadata/note": "x"}, expected_version=job.occ_lock_version)
    changed = server.update(Job, job.serial, change)
    assert (changed.name, changed.metadata["note"]) == ("left femur", "x")
    assert project.job(job.serial).name == "left femur"
    with pytest.raises(RecordConflict, match="moved on"):
        server.update(Job, job.serial, change)
    task = server.get(Task, project.task.serial)
    assert server.update(Task, task.serial, Change(values={"/name": "renamed"})).name == "renamed"


def test_jobs_tasks_and_events_are_created(project, server):
    made = server.create(Job(task_serial=project.task.serial, state=JobState.READY, name="new"))
    assert project.job(made.serial).name == "new"
    task = Task(workflow_serial=project.workflow.serial, task_type_serial=project.task_type.serial, name="more")
    assert server.create(task).serial > project.task.serial
    assert server.create(ActivityEvent(title="hello")).title == "hello"


def test_values_of_a_sequence_are_those_of_their_jobs(project, server):
    obsolete = project.new_run(obsolete=True)
    expected = [project.done(project.task, {"volume": value}) for value in (1.5, 2.5)]
    project.done(project.task, {"volume": 9.5}, run_serial=obsolete.serial)
    values = server.output_values(Sequence(task_serial=project.task.serial, key="volume"))
    assert [(item.job_serial, item.value) for item in values] == [
        (job.serial, value) for job, value in zip(expected, (1.5, 2.5), strict=True)
    ]


@pytest.mark.parametrize(
    "ask",
    [
        lambda server: server.get(Worker, 1),
        lambda server: server.find(Entity),
        lambda server: server.find(Task),
        lambda server: server.find(Job, {"name": "x"}),
        lambda server: server.create(Project(name="x")),
        lambda server: server.combined_query(CombinedQuery(parts={"jobs": "all"})),
    ],
)
def test_what_no_documented_call_does_is_one_error(server, ask):
    with pytest.raises(CallNotDocumented, match="has no documented call to"):
        ask(server)


def test_what_the_module_raises_is_quoted_without_the_token(server, module, monkeypatch):
    with pytest.raises(ServerFault, match=r"could not get job 999: StandInError: .*999"):
        server.get(Job, 999)

    def leak(*_):
        raise OSError(f"refused: Bearer {module.arguments.server_auth}")

    monkeypatch.setattr(module.util, "get_xf_job", leak)
    with pytest.raises(ServerFault, match=r"refused: Bearer \*\*\*"):
        server.get(Job, 1)


def test_without_a_key_map_a_record_of_other_keys_is_refused_with_what_to_do(stand, own):
    util, network, _ = stand
    bare = GenuineXFServer(GenuineModule(util, network, KeyMap()))
    with pytest.raises(ServerFault, match=r"task_serial: is missing.*TaskId.*\[jobs\] of the key map"):
        bare.get(Job, own.job["serial"])


def test_a_run_is_got_by_its_serial(project, server):
    assert server.get(Run, project.new_run(name="mouse 7").serial).name == "mouse 7"


# --- files ------------------------------------------------------------------------------------------------------


def test_a_file_is_fetched_once_and_read_in_ranges(project, server, files, stand):
    project.put("userdata/a.bin", b"0123456789")
    reading = token(server, ("read", "userdata"))
    resource = parse_resource("userdata/a.bin")
    assert files.stat(reading, resource).size == 10
    assert b"".join(files.open_read(reading, resource, offset=2, length=3)) == b"234"
    assert b"".join(files.open_read(reading, resource, offset=7)) == b"789"
    assert len(stand[2].fetched) == 1


def test_folders_are_listed_and_sizes_are_asked_for_where_they_are_not_stated(project, server, files):
    project.put("userdata/scans/a.bin", b"12345")
    project.put("userdata/scans/more/b.bin", b"1")
    folder = files.list(token(server, ("list", "userdata/scans")), parse_resource("userdata/scans"))
    assert [(item.resource.filename, item.size) for item in folder.files] == [("a.bin", 5)]
    assert folder.folders == ("more",)


def test_user_data_are_written(project, server, files, tmp_path):
    source = tmp_path / "local.bin"
    source.write_bytes(b"abc")
    place = parse_resource("userdata/results/other name.bin")
    assert files.upload(token(server, ("write", "userdata")), source, place).size == 3
    assert project.content("userdata/results/other name.bin") == b"abc"


@pytest.mark.parametrize(
    "touch",
    [
        lambda files, right, source: files.upload(right, source, parse_resource("job_result/999/a")),
        lambda files, right, source: files.upload(right, source, parse_resource("task_config/1/a")),
        lambda files, right, source: files.delete(right, parse_resource("userdata/a")),
        lambda files, right, source: files.register(right, parse_resource("userdata/a"), size=1, sha256="0" * 64),
        lambda files, right, source: files.list(right, parse_resource("task_config/1")),
    ],
)
def test_files_that_no_documented_call_reaches_are_one_error(server, files, tmp_path, touch):
    source = tmp_path / "a"
    source.write_bytes(b"1")
    places = ("job_result/999", "task_config/1", "userdata")
    right = token(server, *((verb, place) for place in places for verb in ("read", "write", "list", "delete")))
    with pytest.raises(CallNotDocumented, match="has no documented call to"):
        touch(files, right, source)


# --- finding the module -----------------------------------------------------------------------------------------

FOREIGN = """
class XFWorkerArguments:
    job_serial, server_host, server_port, server_auth = 17, "xf.lab.example", "443", "secret-token"
"""


def test_the_settings_choose_the_module_by_its_folder(tmp_path):
    (tmp_path / "xfworkerutil.py").write_text(FOREIGN)
    settings = Settings(server=ServerSettings(kind="genuine", options={"module": str(tmp_path)}))
    assert session(settings).arguments.job_serial == 17


def test_the_module_is_found_on_the_search_path_behind_our_own(tmp_path, monkeypatch):
    (tmp_path / "xfworkerutil.py").write_text(FOREIGN)
    monkeypatch.syspath_prepend(tmp_path)
    assert session(Settings(server=ServerSettings(kind="genuine"))).arguments.server_host == "xf.lab.example"


def test_a_search_path_without_one_is_said(tmp_path, monkeypatch):
    monkeypatch.setattr("sys.path", [str(tmp_path)])
    with pytest.raises(ConfigurationError, match=r"no xfworkerutil on the search path.*server\.options\.module"):
        session(Settings(server=ServerSettings(kind="genuine")))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"modul": "x"}, "'modul' is not an option of the kind 'genuine'; options are module, key_map"),
        ({"module": "nowhere.py"}, "nowhere.py is not a Python module"),
        ({"module": "broken.py"}, "broken.py cannot be imported: ZeroDivisionError"),
    ],
)
def test_wrong_options_are_named(tmp_path, monkeypatch, options, message):
    (tmp_path / "broken.py").write_text("1 / 0\n")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigurationError, match=message):
        session(Settings(server=ServerSettings(kind="genuine", options=options)))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[job]\n", "'job' is not a kind of record; kinds are projects, workflows"),
        ('[jobs]\nserail = "Id"\n', "jobs has no field 'serail'; its fields are"),
        ("[jobs]\nserial = 3\n", "jobs.serial must be the name of a key, not 3"),
        ('[jobs]\nserial = "Id"\nname = "Id"\n', "two fields of jobs have one name"),
        ('jobs = "Id"\n', "jobs is not a table"),
        ("[jobs]\nvalues = 3\n", "jobs.values.values must be a table"),
        ("[jobs\n", "cannot be read"),
    ],
)
def test_a_wrong_key_map_is_refused_with_its_place(tmp_path, text, message):
    path = tmp_path / "keys.toml"
    path.write_text(text)
    with pytest.raises(ConfigurationError, match=message):
        load_genuine_module(tmp_path / "own.py", tmp_path / "none.py", path)
