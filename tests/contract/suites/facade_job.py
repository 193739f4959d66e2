"""The job's own methods: saving, telling, ending, spawning, and building output parameters."""

import math
import sys
import threading

import numpy as np
import pytest

import xfworkerutil
from xfworker.api.facade import xfsortorder
from xfworker.domain.errors import InvalidParameter, InvalidRecord, RecordConflict, RecordNotFound, UsageError
from xfworker.domain.job_state import JobState
from xfworker.domain.records import Job, Run, Task, TaskType, Workflow
from xfworker.domain.script_exit import ScriptExit

IMAGE = {"type": "Image", "source": "job_result", "job_serial": 1, "filename": "a.omni", "size": [3, 2, 1]}
MESH = {"type": "Mesh", "source": "job_result", "job_serial": 1, "filename": "a.stl"}
BITMAP = {"type": "Bitmap", "source": "job_result", "job_serial": 1, "filename": "a.png"}
UNIT = [1.0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1]


class FacadeJobContract:
    @pytest.fixture(autouse=True)
    def hooks(self):
        before = sys.excepthook, threading.excepthook
        yield
        sys.excepthook, threading.excepthook = before

    @pytest.fixture
    def worker(self, script_project):
        return script_project.worker()

    @pytest.fixture
    def conn(self, worker):
        with worker.server_connection() as connection:
            yield connection

    # --- saving and ending ---

    def test_save_job_keeps_what_others_saved_meanwhile(self, script_project, worker):
        script_project.edit(worker.job["serial"], metadata__theirs=1)
        worker.job["metadata"]["mine"] = 2
        worker.save_job(name="left")
        kept = script_project.job(worker.job["serial"])
        assert kept.metadata == {"theirs": 1, "mine": 2}
        assert kept.name == "left"
        assert worker.load_job() == worker.job

    def test_the_metadata_methods_save(self, script_project, worker):
        worker.set_error_message("dark")
        worker.set_output_units({"volume": "mm3"})
        worker.set_estimated_duration(30)
        worker.progress(50)
        metadata = script_project.job(worker.job["serial"]).metadata
        assert metadata["error_message"] == "dark"
        assert metadata["output_units"] == {"volume": "mm3"}
        assert metadata["estimated_duration_seconds"] >= 0
        worker.clear_error_message()
        assert "error_message" not in script_project.job(worker.job["serial"]).metadata

    def test_finish_ends_the_job(self, script_project, worker):
        script_project.edit(worker.job["serial"], metadata__theirs=1)
        worker.progress(99)
        worker.finish({"volume": 1.25}, {"volume": "mm3"})
        kept = script_project.job(worker.job["serial"])
        assert (kept.state, kept.outputs, kept.metadata["theirs"]) == (JobState.DONE, {"volume": 1.25}, 1)
        assert kept.finished_at is not None
        assert not worker.working_dir.path.exists()

    def test_finish_with_outputs_that_do_not_fit_lists_all_faults(self, script_project, worker):
        with pytest.raises(InvalidParameter) as caught:
            worker.finish({"volum": 1, "volume": -2})
        assert "volum:" in str(caught.value)
        assert "below the minimum 0" in str(caught.value)
        assert len(caught.value.faults) == 2
        assert script_project.job(worker.job["serial"]).state is JobState.RUNNING
        worker.finish({"volume": 2})

    def test_error_ends_the_script(self, script_project, worker):
        with pytest.raises(SystemExit) as end:
            worker.error("no bone")
        assert end.value.code == ScriptExit.ERROR_REPORTED
        assert script_project.job(worker.job["serial"]).metadata["error_message"] == "no bone"

    def test_switch_to_interactive_mode_hands_over(self, script_project, worker):
        with pytest.raises(SystemExit) as end:
            worker.switch_to_interactive_mode("draw")
        assert end.value.code == ScriptExit.HANDED_OVER
        assert script_project.job(worker.job["serial"]).state is JobState.READY_FOR_INTERACTIVE
        assert (
            script_project.admin.get(Task, script_project.task.serial).initial_state is JobState.READY_FOR_INTERACTIVE
        )

    def test_hook_exceptions_saves_an_uncaught_one(self, script_project, worker, capsys):
        worker.hook_exceptions()
        sys.excepthook(ValueError, ValueError("boom"), None)
        assert script_project.job(worker.job["serial"]).metadata["error_message"] == "ValueError: boom"

    def test_debug_info_tells_no_secret(self, worker):
        assert f"job: {worker.job['serial']}" in worker.get_debug_info()
        assert worker.session.arguments.server_auth not in worker.get_debug_info()

    def test_many_threads_save_and_nothing_is_lost(self, script_project, worker):
        jobs = [worker]

        def save(number):
            for step in range(5):
                with worker.server_connection() as connection:
                    while True:
                        job = xfworkerutil.get_xf_job(connection, jobs[0].job["serial"])
                        job["metadata"][f"{number}-{step}"] = True
                        try:
                            xfworkerutil.update_xf_job(connection, job)
                            break
                        except RecordConflict:
                            continue

        threads = [threading.Thread(target=save, args=(number,)) for number in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(script_project.job(worker.job["serial"]).metadata) == 30

    # --- task types ---

    def test_task_types_come_newest_first_by_number(self, script_project, worker, conn):
        name = f"Spawn.Versions{script_project.project.serial}"
        for version in ("1.9.0.0", "1.10.0.0", "1.2.30.0"):
            script_project.admin.create(TaskType(name=name, version=version))
        script_project.admin.create(TaskType(name=name, version="9.0.0.0", obsolete=True))
        found = worker.find_xf_task_types(conn, name)
        assert [item["version"] for item in found] == ["1.10.0.0", "1.9.0.0", "1.2.30.0"]
        assert worker.find_xf_task_type(conn, name)["version"] == "1.10.0.0"

    def test_a_task_type_that_is_not_there_is_told_by_name(self, worker, conn):
        with pytest.raises(RecordNotFound, match=r"Not\.There"):
            worker.find_xf_task_type(conn, "Not.There")
        with pytest.raises(RecordNotFound):
            worker.find_xf_task_types(conn, "Not.There")
        assert worker.find_xf_task_types(conn, "Not.There", raise_if_not_any=False) == []
        with pytest.raises(UsageError):
            worker.find_xf_task_type(conn, None)

    def test_a_task_type_is_spawned_once(self, script_project, worker, conn):
        metadata = {"name": f"Spawned.T{script_project.project.serial}", "version": "1.0.0.0", "display_name": "Mice"}
        interface = {"inputs": [], "outputs": [{"key": "scan", "type": "ForeignFile"}]}
        first = worker.spawn_xf_task_type_basic(conn, metadata, interface)
        assert worker.spawn_xf_task_type_basic(conn, metadata, interface)["serial"] == first["serial"]
        assert (first["interface"], first["metadata"]["display_name"]) == (interface, "Mice")
        with pytest.raises(UsageError, match="higher version"):
            worker.spawn_xf_task_type_basic(conn, metadata, {"inputs": [], "outputs": []})

    @pytest.mark.parametrize(
        "metadata",
        [{}, {"name": "a b", "version": "1.0.0.0"}, {"name": "A", "version": "1.0"}, {"name": "A", "version": 1}],
    )
    def test_a_task_type_needs_a_name_and_a_version(self, worker, conn, metadata):
        with pytest.raises(InvalidParameter, match="metadata are wrong"):
            worker.spawn_xf_task_type_basic(conn, metadata, {})

    # --- tasks ---

    def spawned_type(self, script_project, version="1.0.0.0", name="Spawn.Task"):
        interface = {"outputs": [{"key": "scan", "type": "String"}]}
        record = script_project.admin.create(
            TaskType(name=f"{name}{script_project.project.serial}", version=version, interface=interface)
        )
        return {"serial": record.serial, "name": record.name, "version": version}

    def test_a_task_is_spawned_once(self, script_project, worker, conn):
        task_type = self.spawned_type(script_project)
        first = worker.spawn_xf_task_basic(conn, task_type, "Scans", "scans", task_metadata={"a": 1})
        again = worker.spawn_xf_task_basic(conn, task_type, "Scans", "scans")
        assert again["serial"] == first["serial"]
        assert (first["name"], first["spawn_key"], first["inputs"]) == ("Scans", "scans", [])
        assert first["metadata"]["a"] == 1
        assert first["workflow_serial"] == script_project.workflow.serial
        other = worker.spawn_xf_task_basic(conn, task_type, "Scans", "others")
        assert other["serial"] != first["serial"]

    def test_without_a_spawn_key_it_follows_from_type_and_name(self, script_project, worker, conn):
        task_type = self.spawned_type(script_project)
        first = worker.spawn_xf_task_basic(conn, task_type)
        assert first["name"] == task_type["name"]
        assert worker.spawn_xf_task_basic(conn, task_type)["serial"] == first["serial"]
        assert worker.spawn_xf_task_basic(conn, task_type, "Left")["serial"] != first["serial"]

    def test_a_task_keeps_its_version_until_it_may_be_upgraded(self, script_project, worker, conn):
        old, new = self.spawned_type(script_project, "1.9.0.0"), self.spawned_type(script_project, "1.10.0.0")
        task = worker.spawn_xf_task_basic(conn, old, spawn_key="k")
        assert worker.spawn_xf_task_basic(conn, new, spawn_key="k")["task_type_serial"] == old["serial"]
        version = script_project.admin.get(Workflow, script_project.workflow.serial).occ_lock_version
        upgraded = worker.spawn_xf_task_basic(conn, new, spawn_key="k", upgrade_task_types=[old, new])
        assert (upgraded["serial"], upgraded["task_type_serial"]) == (task["serial"], new["serial"])
        assert script_project.admin.get(Workflow, script_project.workflow.serial).occ_lock_version == version + 1
        kept = worker.spawn_xf_task_basic(conn, old, spawn_key="k", upgrade_task_types=[old, new])
        assert kept["task_type_serial"] == new["serial"]

    def test_a_spawn_key_of_another_package_is_not_taken_over(self, script_project, worker, conn):
        worker.spawn_xf_task_basic(conn, self.spawned_type(script_project), spawn_key="k")
        with pytest.raises(UsageError, match="spawn key 'k'"):
            worker.spawn_xf_task_basic(conn, self.spawned_type(script_project, name="Another"), spawn_key="k")

    def test_threads_that_spawn_the_same_task_make_one(self, script_project, worker, conn):
        task_type = self.spawned_type(script_project)
        serials = []

        def spawn():
            serials.append(worker.spawn_xf_task_basic(conn, task_type, spawn_key="race")["serial"])

        threads = [threading.Thread(target=spawn) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(serials) == 8
        assert len(set(serials)) == 1

    # --- jobs ---

    @pytest.fixture
    def spawning(self, script_project, worker, conn):
        task_type = self.spawned_type(script_project)
        return task_type, worker.spawn_xf_task_basic(conn, task_type, "Scans")

    def test_a_done_job_is_spawned_with_a_run_and_an_entity_of_its_own(self, script_project, worker, conn, spawning):
        entity = worker.create_output_entity("uuid-1", "mouse 1")
        interface_free = worker.spawn_xf_task_basic(
            conn, worker.spawn_xf_task_type_basic(conn, {"name": "Free", "version": "1.0.0.0"}, {}), "Free"
        )
        job = worker.spawn_xf_job_basic(
            conn, {"serial": interface_free["task_type_serial"]}, interface_free, outputs={"entity": entity, "n": 1}
        )
        kept = script_project.job(job["serial"])
        assert (kept.state, kept.outputs["n"], kept.workflow_serial) == (
            JobState.DONE,
            1,
            script_project.workflow.serial,
        )
        run = script_project.admin.get(Run, kept.run_serial)
        assert run.source_job_serial == kept.serial
        assert run.entity == {"uuid": "uuid-1", "name": "mouse 1"}

    def test_a_run_of_several_jobs_is_spawned(self, script_project, worker, conn, spawning):
        task_type, task = spawning
        second = worker.spawn_xf_task_basic(conn, task_type, "Second")
        first_job = worker.spawn_xf_job_basic(conn, task_type, task, outputs={"scan": "a"})
        second_job = worker.spawn_xf_job_basic(
            conn, task_type, second, source_job_serial=first_job["serial"], outputs={"scan": "b"}
        )
        assert second_job["run_serial"] == first_job["run_serial"]
        other = worker.spawn_xf_job_basic(conn, task_type, task, outputs={"scan": "c"})
        assert other["run_serial"] != first_job["run_serial"]
        entities = [script_project.admin.get(Run, job["run_serial"]).entity["uuid"] for job in (first_job, other)]
        assert entities[0] != entities[1]
        made = {job["serial"] for job in (first_job, second_job, other)} | {worker.job["serial"]}
        assert {
            job.serial for job in script_project.admin.find(Job, {"workflow_serial": script_project.workflow.serial})
        } == made

    def test_a_script_that_runs_again_does_not_spawn_again(self, script_project, conn, worker, spawning):
        task_type, task = spawning

        def script(job):
            with job.server_connection() as connection:
                spawned = []
                for scan in ("a", "b", "b"):
                    entity = job.create_output_entity(f"fresh-{len(spawned)}-{id(job)}", scan)
                    first = job.spawn_xf_job_basic(
                        connection, task_type, task, inputs={"entity": entity}, outputs={"scan": scan}
                    )
                    spawned.append(first["serial"])
                return spawned

        first = script(worker)
        with pytest.raises(SystemExit):
            worker.error("again")
        assert script(script_project.run_again(worker.job["serial"])) == first
        assert len(set(first)) == 3

    def test_sort_orders_are_listed_and_there_is_room_between_them(self, script_project, worker, conn, spawning):
        task_type, task = spawning
        existing = worker.get_existing_job_sort_orders(conn)
        assert existing == [worker.job["sort_order"]]
        for order in xfsortorder.between_many(None, existing[0], 3):
            worker.spawn_xf_job_basic(conn, task_type, task, outputs={"scan": order}, sort_order=order)
        worker.spawn_xf_job_basic(conn, task_type, task, outputs={"scan": "last"})
        found = worker.get_existing_job_sort_orders(conn)
        assert found == sorted(found)
        assert found.index(existing[0]) == 3
        assert len(set(found)) == 5

    def test_the_outputs_of_a_spawned_job_must_fit(self, worker, conn, spawning):
        task_type, task = spawning
        with pytest.raises(InvalidParameter, match=r"scan.*nonsense|nonsense.*scan"):
            worker.spawn_xf_job_basic(conn, task_type, task, outputs={"scan": 3, "nonsense": 1})

    @pytest.mark.parametrize(
        "wrong",
        [
            {"task": None},
            {"task": {}},
            {"task_type": 3},
            {"source_job_serial": "x"},
            {"inputs": [1]},
            {"outputs": None},
            {"metadata": 3},
        ],
    )
    def test_wrong_arguments_of_a_spawned_job_are_told(self, worker, conn, spawning, wrong):
        task_type, task = spawning
        with pytest.raises(UsageError, match="spawn_xf_job_basic"):
            worker.spawn_xf_job_basic(conn, **{"task_type": task_type, "task": task, **wrong})

    def test_a_task_and_a_task_type_that_are_mixed_up_are_told(self, worker, conn, spawning):
        task_type, task = spawning
        with pytest.raises(UsageError, match="task_type must be the record of a task type; this is that of task"):
            worker.spawn_xf_job_basic(conn, task, task_type)
        with pytest.raises(UsageError, match="task must be the record of a task; this is that of task type"):
            worker.spawn_xf_job_basic(conn, task_type, task_type)
        with pytest.raises(UsageError, match="task_type must be"):
            worker.spawn_xf_task_basic(conn, task)
        with pytest.raises(UsageError, match="upgrade_task_types is a list"):
            worker.spawn_xf_task_basic(conn, task_type, upgrade_task_types=task_type)

    def test_a_state_that_no_new_job_has_is_refused(self, worker, conn, spawning):
        task_type, task = spawning
        for state in ("Running", "Finished", 3):
            with pytest.raises(InvalidRecord, match="state"):
                worker.spawn_xf_job_basic(conn, task_type, task, state=state, outputs={"scan": "a"})

    def test_documented_mutable_defaults_stay_empty(self, script_project, worker, conn, spawning):
        task_type, task = spawning
        job = worker.spawn_xf_job_basic(conn, task_type, task, state="Waiting")
        job["inputs"]["x"] = 1
        job["outputs"]["x"] = 1
        worker.spawn_xf_task_basic(conn, task_type, "t")["metadata"]["x"] = 1
        xfworkerutil.create_activity_log_event(conn, "x")["payload"]["x"] = 1
        for function in (worker.spawn_xf_job_basic, worker.spawn_xf_task_basic):
            assert not [default for default in function.__func__.__defaults__ if default not in (None, "Done", {}, [])]
        assert xfworkerutil.create_activity_log_event.__kwdefaults__["payload"] == {}

    def test_a_spawned_job_can_be_given_results(self, script_project, worker, conn, spawning):
        task_type, task = spawning
        job = worker.spawn_xf_job_basic(conn, task_type, task, outputs={"scan": "a"})
        token = xfworkerutil.get_xf_job_result_token(conn, job["serial"])
        assert "write" in {scope.verb for scope in token.scopes}
        assert script_project.admin.get(Job, job["serial"]).metadata["spawned_by_job"] == worker.job["serial"]

    # --- output parameters ---

    def test_output_parameters_that_are_files_name_the_job(self, worker):
        own = {"source": "job_result", "job_serial": worker.job["serial"]}
        for method, type_name in (
            (worker.create_output_bitmap, "Bitmap"),
            (worker.create_output_csv, "CSV"),
            (worker.create_output_foreign_file, "ForeignFile"),
            (worker.create_output_html_document, "HTMLDocument"),
            (worker.create_output_snapshot_metadata, "SnapshotMetadata"),
            (worker.create_output_video, "Video"),
            (worker.create_output_mesh, "Mesh"),
        ):
            assert method("a.bin") == {"type": type_name, **own, "filename": "a.bin"}

    def test_output_parameters_hold_their_parts(self, worker):
        own = {"source": "job_result", "job_serial": worker.job["serial"]}
        files = [{"source": "userdata", "virtualpath": "x/b.raw", "filename": "b.raw"}]
        assert worker.create_output_image("a.omni", [3, 2, 1], ["a.raw"], files) == {
            "type": "Image",
            **own,
            "filename": "a.omni",
            "size": [3, 2, 1],
            "filenames": ["a.raw"],
            "additional_files": files,
        }
        assert worker.create_output_contours("a.gobj", IMAGE)["image"] == IMAGE
        assert worker.create_output_entity("u", "mouse") == {"type": "Entity", "uuid": "u", "name": "mouse"}
        assert worker.create_output_image_pair_list([[IMAGE, IMAGE]])["pairs"] == [[IMAGE, IMAGE]]
        voi = worker.create_output_image_voi([-1, 0, 2], [4, 5, 6], IMAGE, "left", "bone")
        assert (voi["pos"], voi["size"], voi["name"], voi["category"]) == ([-1, 0, 2], [4, 5, 6], "left", "bone")
        assert "name" not in worker.create_output_image_voi([0, 0, 0], [1, 1, 1], IMAGE)
        assert worker.create_output_mesh("a.stl", ["b"], files)["filenames"] == ["b"]
        result = worker.create_output_registration_result(UNIT, image1=IMAGE, mesh2=MESH)
        assert (result["transform"], result["image1"], result["mesh2"]) == (UNIT, IMAGE, MESH)
        assert "image2" not in result
        rotated = worker.create_output_rotated_image_voi([0, 0, 0], [1, 2, 3], [10, 20, 30], [0, 0, 0.5], IMAGE)
        assert rotated["rotation"] == [0, 0, 0.5]
        snapshot = worker.create_output_snapshot(BITMAP, image=IMAGE)
        assert set(snapshot) == {"type", "bitmap", "image"}
        assert worker.create_output_gi_result(snapshot, IMAGE)["gi_image"] == IMAGE
        assert worker.create_output_spectra(IMAGE, IMAGE)["wavelength_image"] == IMAGE
        assert worker.create_output_video("a.mp4", BITMAP)["bitmap"] == BITMAP

    @pytest.mark.parametrize(
        "transform",
        [
            UNIT,
            UNIT[:12],
            [UNIT[:4], UNIT[4:8], UNIT[8:12], UNIT[12:]],
            (UNIT[:4], UNIT[4:8], UNIT[8:12]),
            np.eye(4),
            np.eye(4, dtype=np.float32)[:3],
            np.eye(4)[:3].ravel(),
        ],
    )
    def test_a_transform_may_be_flat_nested_or_an_array_and_lack_its_last_row(self, worker, transform, capsys):
        assert worker.create_output_registration_result(transform)["transform"] == UNIT
        added = np.size(transform) == 12
        assert ("the row 0 0 0 1 was added" in capsys.readouterr().err) == added

    @pytest.mark.parametrize("rotation", [np.eye(3), np.eye(3).tolist(), np.eye(3).ravel()])
    def test_a_rotation_may_be_a_matrix(self, worker, rotation):
        made = worker.create_output_rotated_image_voi([0, 0, 0], [1, 2, 3], [10, 20, 30], rotation, IMAGE)
        assert made["rotation"] == [1, 0, 0, 0, 1, 0, 0, 0, 1]

    @pytest.mark.parametrize(
        ("method", "arguments", "path"),
        [
            ("create_output_registration_result", ([1.0] * 15,), "transform"),
            ("create_output_registration_result", ([[1.0] * 4, [1.0] * 3, [1.0] * 5],), "transform"),
            ("create_output_registration_result", (np.eye(3),), "transform"),
            ("create_output_rotated_image_voi", ([0, 0, 0], [1] * 3, [1] * 3, [[1, 0], [0, 1]], IMAGE), "rotation"),
            ("create_output_registration_result", ([*UNIT[:15], math.nan],), r"transform\[15\]"),
            ("create_output_registration_result", ("abc",), "transform"),
            ("create_output_image_voi", ([0, 0, 0], [1, -1, 1], IMAGE), r"size\[1\]"),
            ("create_output_image_voi", ([0, 0.5, 0], [1, 1, 1], IMAGE), r"pos\[1\]"),
            ("create_output_image_voi", ([0, 0], [1, 1, 1], IMAGE), "pos"),
            ("create_output_image_voi", ([0, 0, 0], [1, 1, 1], BITMAP), "image"),
            ("create_output_image_voi", ([0, 0, 0], [1, 1, 1], IMAGE, 3), "name"),
            ("create_output_image_pair_list", ([[IMAGE, IMAGE, IMAGE]],), r"pairs\[0\]"),
            ("create_output_image_pair_list", ([[IMAGE, IMAGE], [IMAGE, MESH]],), r"pairs\[1\]\[1\]"),
            ("create_output_image_pair_list", (IMAGE,), "pairs"),
            ("create_output_rotated_image_voi", ([0, 0, 0], [1, 0, 1], [1, 1, 1], [0, 0, 0], IMAGE), r"size_mm\[1\]"),
            ("create_output_rotated_image_voi", ([0, 0, 0], [1, 1, 1], [1, 1, 1], [0, 0], IMAGE), "rotation"),
            ("create_output_image", ("a.omni", [3, 0, 1]), r"size\[1\]"),
            ("create_output_image", ("a.omni", "3x2"), "size"),
            ("create_output_image", ("a.omni", [3, 2, 1], ["../a"]), r"filenames\[0\]"),
            ("create_output_image", ("a.omni", [3, 2, 1], None, [{"source": "x"}]), r"additional_files\[0\]"),
            ("create_output_image", ("../a.omni", [3, 2, 1]), "filename"),
            ("create_output_bitmap", ("a/b.png",), "filename"),
            ("create_output_bitmap", (None,), "filename"),
            ("create_output_contours", ("a.gobj", None), "image"),
            ("create_output_contours", ("a.gobj", {"type": "Image"}), "image"),
            ("create_output_entity", ("", "x"), "uuid"),
            ("create_output_entity", ("u", 3), "name"),
            ("create_output_snapshot", (None,), "bitmap"),
            ("create_output_snapshot", (BITMAP, None, MESH), "image2"),
            ("create_output_gi_result", (BITMAP, IMAGE), "snapshot"),
            ("create_output_spectra", (IMAGE, 3), "wavelength_image"),
            ("create_output_video", ("a", IMAGE), "bitmap"),
        ],
    )
    def test_wrong_shapes_are_refused_with_their_path(self, worker, method, arguments, path):
        with pytest.raises(InvalidParameter, match=f"{method}.*{path}"):
            getattr(worker, method)(*arguments)
