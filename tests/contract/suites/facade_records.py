"""The functions about records, queries, tokens and the activity log: one behaviour at least for each."""

import pytest

import xfworkerutil
from xfworker.domain.errors import (
    FileError,
    InvalidFilename,
    InvalidParameter,
    InvalidRecord,
    PermissionDenied,
    RecordConflict,
    RecordNotFound,
    UsageError,
)
from xfworker.domain.job_state import JobState
from xfworker.domain.records import ActivityEvent, Entity, Job, Project, Run, Task, Workflow


class FacadeRecordsContract:
    @pytest.fixture
    def worker(self, script_project):
        return script_project.worker()

    @pytest.fixture
    def conn(self, worker):
        with worker.server_connection() as connection:
            yield connection

    # --- reading ---

    def test_get_xf_job(self, script_project, worker, conn):
        job = xfworkerutil.get_xf_job(conn, worker.job["serial"])
        assert job == worker.job
        assert xfworkerutil.get_xf_job(conn, str(job["serial"])) == job

    def test_get_xf_job_of_another_project_is_not_found(self, script_project, conn):
        elsewhere = script_project.admin.create(Project(name="other"))
        workflow = script_project.admin.create(Workflow(project_serial=elsewhere.serial))
        task = script_project.admin.create(
            Task(workflow_serial=workflow.serial, task_type_serial=script_project.task_type.serial)
        )
        hidden = script_project.new_job(task)
        with pytest.raises(RecordNotFound):
            xfworkerutil.get_xf_job(conn, hidden.serial)

    def test_get_xf_jobs_by_task_and_workflow(self, script_project, worker, conn):
        other = script_project.new_task()
        first, second = script_project.done(other, {}, sort_order="a"), script_project.done(other, {}, sort_order="b")
        assert [job["serial"] for job in xfworkerutil.get_xf_jobs_by_task(conn, other.serial)] == [
            first.serial,
            second.serial,
        ]
        found = {
            job["serial"] for job in xfworkerutil.get_xf_jobs_by_workflow(conn, str(script_project.workflow.serial))
        }
        assert found == {first.serial, second.serial, worker.job["serial"]}

    def test_get_xf_task_and_tasks_by_workflow(self, script_project, conn):
        assert xfworkerutil.get_xf_task(conn, script_project.task.serial)["name"] == "measure"
        other = script_project.new_task()
        found = xfworkerutil.get_xf_tasks_by_workflow(conn, script_project.workflow.serial)
        assert [task["serial"] for task in found] == [script_project.task.serial, other.serial]

    def test_get_xf_workflow_and_workflows_by_project(self, script_project, conn):
        assert xfworkerutil.get_xf_workflow(conn, script_project.workflow.serial)["name"] == "bones"
        found = xfworkerutil.get_xf_workflows_by_project(conn, script_project.project.serial)
        assert [workflow["serial"] for workflow in found] == [script_project.workflow.serial]

    def test_get_xf_workflow_run(self, script_project, conn):
        run = script_project.new_run(name="mouse 1")
        assert xfworkerutil.get_xf_workflow_run(conn, run.serial)["name"] == "mouse 1"

    def test_get_xf_project_and_projects(self, script_project, conn):
        assert xfworkerutil.get_xf_project(conn, script_project.project.serial)["name"] == "mice"
        assert [project["serial"] for project in xfworkerutil.get_xf_projects(conn)] == [script_project.project.serial]

    def test_get_xf_task_type_and_task_types(self, script_project, conn):
        assert xfworkerutil.get_xf_task_type(conn, script_project.task_type.serial)["name"] == "Lab.Measure"
        assert script_project.task_type.serial in {item["serial"] for item in xfworkerutil.get_xf_task_types(conn)}

    def test_get_xf_db_entity_by_uuid(self, script_project, conn):
        entity = script_project.admin.create(Entity(uuid=f"entity-{script_project.project.serial}", name="mouse"))
        assert xfworkerutil.get_xf_db_entity_by_uuid(conn, entity.uuid)["name"] == "mouse"
        with pytest.raises(RecordNotFound):
            xfworkerutil.get_xf_db_entity_by_uuid(conn, "nobody")
        for wrong in ("", "\ud800", "a\0b", "u" * 100_000, None):
            with pytest.raises(UsageError, match="UUID as a string"):
                xfworkerutil.get_xf_db_entity_by_uuid(conn, wrong)

    def test_an_entity_that_a_finished_job_put_out_is_found_by_its_uuid(self, script_project, conn):
        uuid = f"sample-{script_project.project.serial}"
        script_project.done(script_project.new_task(), {"sample": {"type": "Entity", "uuid": uuid, "name": "femur"}})
        assert xfworkerutil.get_xf_db_entity_by_uuid(conn, uuid)["name"] == "femur"

    @pytest.mark.parametrize("serial", [None, "abc", "", "-1", 0, -1, 1.5, True, [1], {}, "1 ", "\u0661", "9" * 50])
    def test_what_is_no_serial_is_refused_before_anything_is_asked(self, conn, serial):
        with pytest.raises(UsageError, match="serial"):
            xfworkerutil.get_xf_job(conn, serial)

    @pytest.mark.parametrize("wrong", [None, "conn", 3, object()])
    def test_what_is_no_connection_is_refused(self, wrong):
        with pytest.raises(UsageError, match="server_connection"):
            xfworkerutil.get_xf_job(wrong, 1)

    # --- creating and updating ---

    def test_create_xf_job(self, script_project, conn):
        made = xfworkerutil.create_xf_job(
            conn,
            {"task_serial": script_project.task.serial, "state": "Ready", "name": "new", "serial": 99},
        )
        kept = script_project.job(made["serial"])
        assert (kept.name, kept.state, kept.inputs) == ("new", JobState.READY, {"image": None, "threshold": 3})

    def test_create_xf_job_refuses_a_name_that_is_not_a_field_as_save_job_does(self, script_project, conn):
        with pytest.raises(UsageError, match="a job has no field 'sort_ordre'; its fields are attempt"):
            xfworkerutil.create_xf_job(conn, {"task_serial": script_project.task.serial, "sort_ordre": "a1"})
        with pytest.raises(UsageError, match="a task has no field 'nmae'"):
            xfworkerutil.create_xf_task(conn, {"workflow_serial": 1, "task_type_serial": 1, "nmae": "x"})

    def test_a_job_is_made_of_a_copy_of_another_with_what_only_a_newer_server_knows(self, script_project, conn):
        newer = script_project.admin.create(
            Job(task_serial=script_project.task.serial, state=JobState.WAITING, extra={"foreign": [1]})
        )
        job = xfworkerutil.get_xf_job(conn, newer.serial)
        job["name"] = "copy"
        assert xfworkerutil.create_xf_job(conn, job)["foreign"] == [1]

    @pytest.mark.parametrize("job", [{}, {"task_serial": "x"}, {"task_serial": 10**9}, {"task_serial": True}])
    def test_create_xf_job_names_every_fault(self, conn, job):
        with pytest.raises(InvalidRecord, match="task_serial"):
            xfworkerutil.create_xf_job(conn, job)

    @pytest.mark.parametrize("job", [None, 3, "x", [1]])
    def test_create_xf_job_takes_a_dict(self, conn, job):
        with pytest.raises(UsageError, match="as a dict"):
            xfworkerutil.create_xf_job(conn, job)

    def test_create_xf_task(self, script_project, conn):
        wanted = {
            "workflow_serial": script_project.workflow.serial,
            "task_type_serial": script_project.task_type.serial,
            "name": "second",
        }
        assert script_project.admin.get(Task, xfworkerutil.create_xf_task(conn, wanted)["serial"]).name == "second"

    def test_create_xf_task_refuses_what_it_would_say_to_nobody(self, script_project, conn):
        wanted = {
            "workflow_serial": script_project.workflow.serial,
            "task_type_serial": script_project.task_type.serial,
        }
        inputs = [{"key": "thershold", "mode": "fixed", "fixed_value": 5}]
        with pytest.raises(
            InvalidRecord, match=r"'thershold' is not an input of Lab\.Measure; its inputs are image, threshold"
        ):
            xfworkerutil.create_xf_task(conn, wanted | {"inputs": inputs})

    def test_update_xf_job_sends_what_differs_and_bumps(self, script_project, worker, conn):
        job = xfworkerutil.get_xf_job(conn, worker.job["serial"])
        script_project.place.admin.get(Project, script_project.project.serial)
        job["metadata"]["remark"] = "mine"
        fresh = xfworkerutil.update_xf_job(conn, job, name="left")
        assert fresh["occ_lock_version"] == job["occ_lock_version"] + 1
        assert (fresh["name"], fresh["metadata"]["remark"]) == ("left", "mine")
        assert job["name"] == ""

    def test_update_xf_job_without_bump(self, worker, conn):
        job = xfworkerutil.get_xf_job(conn, worker.job["serial"])
        fresh = xfworkerutil.update_xf_job(conn, job, bump_occ_lock_version=False, name="left")
        assert (fresh["name"], fresh["occ_lock_version"]) == ("left", job["occ_lock_version"])

    def test_update_xf_job_of_a_plain_dict_sends_all_of_it(self, worker, conn):
        job = dict(xfworkerutil.get_xf_job(conn, worker.job["serial"]))
        job["name"] = "plain"
        assert xfworkerutil.update_xf_job(conn, job)["name"] == "plain"

    def test_update_xf_job_that_moved_on_is_a_conflict_with_both_records(self, script_project, worker, conn):
        job = xfworkerutil.get_xf_job(conn, worker.job["serial"])
        script_project.edit(job["serial"], name="theirs")
        with pytest.raises(RecordConflict) as caught:
            xfworkerutil.update_xf_job(conn, job, name="mine")
        assert caught.value.current["name"] == "theirs"
        assert caught.value.attempted["name"] == "mine"
        assert caught.value.attempted["serial"] == job["serial"]
        assert script_project.job(job["serial"]).name == "theirs"

    @pytest.mark.parametrize("job", [None, 5, {}, {"serial": 1}, {"serial": 1, "occ_lock_version": "1"}])
    def test_update_xf_job_of_what_is_no_record_is_refused(self, conn, job):
        with pytest.raises(UsageError):
            xfworkerutil.update_xf_job(conn, job)

    def test_update_xf_job_refuses_unknown_and_server_fields(self, worker, conn):
        with pytest.raises(UsageError, match="no field 'nmae'"):
            xfworkerutil.update_xf_job(conn, worker.job, nmae="x")
        with pytest.raises(UsageError, match="occ_lock_version"):
            xfworkerutil.update_xf_job(conn, worker.job, occ_lock_version=3)
        with pytest.raises(InvalidRecord, match="name"):
            xfworkerutil.update_xf_job(conn, worker.job, name=3)

    def test_update_xf_task_is_guarded_by_the_workflow(self, script_project, conn):
        version = xfworkerutil.get_xf_workflow(conn, script_project.workflow.serial)["occ_lock_version"]
        task = xfworkerutil.get_xf_task(conn, script_project.task.serial)
        assert xfworkerutil.update_xf_task(conn, task, version, name="renamed")["name"] == "renamed"
        assert xfworkerutil.get_xf_workflow(conn, script_project.workflow.serial)["occ_lock_version"] == version + 1
        with pytest.raises(RecordConflict) as caught:
            xfworkerutil.update_xf_task(conn, task, version, name="again")
        assert caught.value.current["name"] == "renamed"
        with pytest.raises(UsageError, match="workflow_occ_lock_version"):
            xfworkerutil.update_xf_task(conn, task, None, name="again")

    def test_update_xf_workflow(self, script_project, conn):
        workflow = xfworkerutil.get_xf_workflow(conn, script_project.workflow.serial)
        fresh = xfworkerutil.update_xf_workflow(conn, workflow, name="femora")
        assert fresh["name"] == "femora"
        with pytest.raises(RecordConflict):
            xfworkerutil.update_xf_workflow(conn, workflow, name="again")

    def test_update_xf_project(self, script_project, conn):
        project = xfworkerutil.get_xf_project(conn, script_project.project.serial)
        fresh = xfworkerutil.update_xf_project(conn, project, metadata={"grant": "17"})
        assert fresh["metadata"] == {"grant": "17"}
        with pytest.raises(RecordConflict):
            xfworkerutil.update_xf_project(conn, project, name="again")

    # --- sequences and the combined query ---

    def sequence(self, task, key="volume"):
        return {"type": "Sequence", "task_serial": task.serial, "key": key}

    def test_a_sequence_holds_the_values_of_done_jobs_in_sort_order(self, script_project, conn):
        task = script_project.new_task()
        script_project.done(task, {"volume": 2}, sort_order="b")
        script_project.done(task, {"volume": 1.5}, sort_order="a")
        script_project.done(task, {"other": 9}, sort_order="c")
        script_project.done(task, {"volume": None}, sort_order="d")
        script_project.new_job(task, state=JobState.WAITING)
        obsolete = script_project.new_run(obsolete=True)
        script_project.done(task, {"volume": 7}, sort_order="e", run_serial=obsolete.serial)
        assert xfworkerutil.get_xf_parameter_sequence(conn, self.sequence(task)) == [1.5, 2]
        floats = xfworkerutil.get_xf_parameter_float_sequence(conn, self.sequence(task))
        assert floats == [1.5, 2.0]
        assert all(type(value) is float for value in floats)

    def test_a_value_that_is_no_float_is_told_with_its_job(self, script_project, conn):
        task = script_project.new_task()
        wrong = script_project.done(task, {"volume": "much"})
        assert xfworkerutil.get_xf_parameter_sequence(conn, self.sequence(task)) == ["much"]
        with pytest.raises(InvalidParameter, match=f"job {wrong.serial}.*'much'"):
            xfworkerutil.get_xf_parameter_float_sequence(conn, self.sequence(task))

    def test_pairs_are_made_within_runs_in_the_order_of_the_first(self, script_project, conn):
        one, two = script_project.new_task("one"), script_project.new_task("two")
        runs = [script_project.new_run(name=str(number)) for number in range(4)]
        script_project.done(one, {"volume": 30}, sort_order="c", run_serial=runs[2].serial)
        script_project.done(one, {"volume": 10}, sort_order="a", run_serial=runs[0].serial)
        script_project.done(one, {"volume": 20}, sort_order="b", run_serial=runs[1].serial)
        script_project.done(two, {"volume": 3}, sort_order="a", run_serial=runs[2].serial)
        script_project.done(two, {"volume": 1}, sort_order="b", run_serial=runs[0].serial)
        script_project.done(two, {"volume": 4}, sort_order="c", run_serial=runs[3].serial)
        pairs = xfworkerutil.get_xf_parameter_paired_sequences(conn, self.sequence(one), self.sequence(two))
        assert pairs == ([10, 30], [1, 3])
        floats = xfworkerutil.get_xf_parameter_paired_float_sequences(conn, self.sequence(one), self.sequence(two))
        assert floats == ([10.0, 30.0], [1.0, 3.0])

    def test_a_value_that_is_in_no_pair_need_not_be_a_float(self, script_project, conn):
        one, two = script_project.new_task("one"), script_project.new_task("two")
        runs = [script_project.new_run() for _ in range(2)]
        script_project.done(one, {"volume": "lonely"}, run_serial=runs[0].serial)
        script_project.done(one, {"volume": 1}, run_serial=runs[1].serial)
        script_project.done(two, {"volume": 2}, run_serial=runs[1].serial)
        found = xfworkerutil.get_xf_parameter_paired_float_sequences(conn, self.sequence(one), self.sequence(two))
        assert found == ([1.0], [2.0])

    def test_two_outputs_of_one_task_are_paired_by_job(self, script_project, conn):
        task, run = script_project.new_task(), script_project.new_run()
        script_project.done(task, {"volume": 1}, sort_order="a", run_serial=run.serial)
        script_project.done(task, {"volume": 2, "mass": 20}, sort_order="b", run_serial=run.serial)
        script_project.done(task, {"volume": 3, "mass": 30}, sort_order="c")
        both = self.sequence(task), self.sequence(task, "mass")
        assert xfworkerutil.get_xf_parameter_paired_float_sequences(conn, *both) == ([2.0, 3.0], [20.0, 30.0])

    def test_an_empty_sequence_is_empty(self, script_project, conn):
        task = script_project.new_task()
        assert xfworkerutil.get_xf_parameter_float_sequence(conn, self.sequence(task)) == []
        both = xfworkerutil.get_xf_parameter_paired_sequences(conn, self.sequence(task), self.sequence(task))
        assert both == ([], [])

    @pytest.mark.parametrize(
        "wrong",
        [
            *(None, {}, 3, {"type": "Image", "task_serial": 1, "key": "a"}, {"task_serial": 1}),
            *({"task_serial": 1, "key": key} for key in ("", "\ud800", "a\0", "k" * 100_000)),
            *({"task_serial": serial, "key": "a"} for serial in (0, -1, 10**30, "1", True)),
        ],
    )
    def test_what_is_no_sequence_is_refused(self, conn, wrong):
        with pytest.raises((InvalidParameter, UsageError), match="sequence"):
            xfworkerutil.get_xf_parameter_sequence(conn, wrong)

    def test_a_sequence_of_a_task_that_is_not_there_is_not_found(self, conn):
        with pytest.raises(RecordNotFound):
            xfworkerutil.get_xf_parameter_sequence(conn, {"type": "Sequence", "task_serial": 10**9, "key": "a"})

    def test_a_combined_query_answers_several_questions(self, script_project, worker, conn):
        found = xfworkerutil.get_xf_combined_query(
            conn,
            job_serial=worker.job["serial"],
            task_types="narrowed",
            projects="all",
            tasks=str(script_project.task.serial),
            jobs="narrowed",
            workers="all",
        )
        assert set(found) == {"task_types", "projects", "tasks", "jobs", "workers"}
        assert [item["serial"] for item in found["task_types"]] == [script_project.task_type.serial]
        assert [item["serial"] for item in found["projects"]] == [script_project.project.serial]
        assert [item["serial"] for item in found["tasks"]] == [script_project.task.serial]
        assert [item["serial"] for item in found["jobs"]] == [worker.job["serial"]]

    def test_a_combined_query_of_a_serial_alone_answers_what_it_narrows(self, script_project, worker, conn):
        found = xfworkerutil.get_xf_combined_query(conn, job_serial=worker.job["serial"])
        assert {part: [item["serial"] for item in items] for part, items in found.items()} == {
            "projects": [script_project.project.serial],
            "workflows": [script_project.workflow.serial],
            "tasks": [script_project.task.serial],
            "jobs": [worker.job["serial"]],
            "task_types": [script_project.task_type.serial],
        }
        found = xfworkerutil.get_xf_combined_query(
            conn, project_serial=script_project.project.serial, workflows="narrowed"
        )
        assert [item["serial"] for item in found["workflows"]] == [script_project.workflow.serial]

    def test_a_combined_query_for_nothing_or_by_nonsense_is_refused(self, conn):
        with pytest.raises(UsageError, match="nothing was asked"):
            xfworkerutil.get_xf_combined_query(conn)
        for selector in ("some", "", "1,", "9" * 30, "-1"):
            with pytest.raises(InvalidParameter, match="selector"):
                xfworkerutil.get_xf_combined_query(conn, jobs=selector)
        with pytest.raises(UsageError):
            xfworkerutil.get_xf_combined_query(conn, jobs=object())
        with pytest.raises(RecordNotFound):
            xfworkerutil.get_xf_combined_query(conn, job_serial=10**9)

    def test_a_part_that_nothing_narrows_is_not_answered_with_all_there_is(self, script_project, worker, conn):
        task_type = script_project.task_type.serial
        for given in ({}, {"task_type_serial": task_type}):
            with pytest.raises(InvalidParameter, match="jobs: no serial is given that narrows"):
                xfworkerutil.get_xf_combined_query(conn, **given, jobs="narrowed")
        with pytest.raises(InvalidParameter, match="workers"):
            xfworkerutil.get_xf_combined_query(conn, job_serial=worker.job["serial"], workers="narrowed")

    # --- file tokens ---

    def test_a_job_result_token_of_ones_own_job_allows_to_write(self, worker, conn):
        token = xfworkerutil.get_xf_job_result_token(conn, worker.job["serial"], "a.raw")
        assert {scope.verb for scope in token.scopes} == {"read", "list", "write"}
        assert {str(scope.resource) for scope in token.scopes} == {f"job_result/{worker.job['serial']}/a.raw"}
        assert token.token not in repr(token)

    def test_a_job_result_token_of_another_job_allows_to_look(self, script_project, conn):
        other = script_project.new_job()
        token = xfworkerutil.get_xf_job_result_token(conn, str(other.serial))
        assert {scope.verb for scope in token.scopes} == {"read", "list"}
        with pytest.raises(PermissionDenied):
            xfworkerutil.get_xf_job_result_token(conn, 10**9)

    @pytest.mark.parametrize("name", ["../x", "a/b", "", "NUL"])
    def test_a_token_for_a_name_that_is_none_is_refused(self, worker, conn, name):
        with pytest.raises(InvalidFilename):
            xfworkerutil.get_xf_job_result_token(conn, worker.job["serial"], name)

    def test_tokens_for_logs_and_configuration_files(self, script_project, worker, conn):
        log = xfworkerutil.get_xf_job_log_token(conn, worker.job["serial"])
        assert str(log.scopes[0].resource) == f"job_log/{worker.job['serial']}"
        task = xfworkerutil.get_xf_task_config_token(conn, script_project.task.serial, "a.json")
        assert str(task.scopes[0].resource) == f"task_config/{script_project.task.serial}/a.json"
        task_type = xfworkerutil.get_xf_task_type_config_token(conn, script_project.task_type.serial)
        assert str(task_type.scopes[0].resource) == f"task_type_config/{script_project.task_type.serial}"
        workflow = xfworkerutil.get_xf_workflow_config_token(conn, script_project.workflow.serial)
        assert str(workflow.scopes[0].resource) == f"workflow_config/{script_project.workflow.serial}"
        assert {scope.verb for scope in workflow.scopes} == {"read", "list"}

    def test_a_token_for_a_dependency_package(self, script_project, conn):
        from xfworker.domain.records import DependencyPackage

        package = script_project.admin.create(DependencyPackage(name="Core.Type.Base", version="1.0.0.0"))
        token = xfworkerutil.get_xf_dependency_package_config_token(conn, package.serial, "metadata.json")
        assert str(token.scopes[0].resource) == f"dependency_package_config/{package.serial}/metadata.json"

    def test_a_token_for_user_data(self, conn):
        token = xfworkerutil.get_xf_userdata_token(conn, [("list", "@xfuserdata/scans/"), ("read", "scans/a.isq")])
        assert [(scope.verb, str(scope.resource)) for scope in token.scopes] == [
            ("list", "userdata/scans"),
            ("read", "userdata/scans/a.isq"),
        ]

    @pytest.mark.parametrize(
        "scopes",
        [None, [], "list", ["list"], [("list",)], [("burn", "a")], [(1, 2)], [("list", "../a")], [("list", "a", "b")]],
    )
    def test_scopes_that_are_none_are_refused(self, conn, scopes):
        with pytest.raises((UsageError, FileError)):
            xfworkerutil.get_xf_userdata_token(conn, scopes)

    def test_a_token_for_the_files_of_a_parameter(self, script_project, worker, conn):
        serial = worker.job["serial"]
        parameter = {
            "type": "SomethingNew",
            "inner": {"source": "job_result", "job_serial": serial, "filename": "a"},
            "files": [{"source": "userdata", "virtualpath": "x/b", "filename": "b"}],
        }
        token = xfworkerutil.get_parameter_file_token(conn, parameter)
        assert {str(scope.resource) for scope in token.scopes} == {f"job_result/{serial}/a", "userdata/x/b"}
        with pytest.raises(InvalidParameter, match="no files"):
            xfworkerutil.get_parameter_file_token(conn, {"type": "Entity", "uuid": "u", "name": "n"})

    # --- the activity log ---

    def test_an_event_carries_level_type_source_and_payload(self, script_project, worker, conn):
        made = xfworkerutil.create_activity_log_event(
            conn,
            "counted bones",
            level=xfworkerutil.ActivityLogLevel.WARNING,
            type="Count",
            source="Test",
            payload={"n": 3},
        )
        kept = script_project.admin.get(ActivityEvent, made["serial"])
        assert (kept.title, kept.level, kept.type, kept.source, kept.payload) == (
            "counted bones",
            "WARNING",
            "Count",
            "Test",
            {"n": 3},
        )
        assert kept.job_serial == worker.job["serial"]
        assert made["user"]

    def test_an_event_has_the_documented_defaults(self, conn):
        made = xfworkerutil.create_activity_log_event(conn, "hello")
        assert (made["level"], made["type"], made["source"], made["payload"]) == (
            "INFO",
            "Message",
            "XamFlowTaskType",
            {},
        )

    @pytest.mark.parametrize(
        "wrong",
        [
            {"title": ""},
            {"title": None},
            {"title": "x", "level": "LOUD"},
            {"title": "x", "payload": [1]},
            {"title": "x", "type": 3},
            {"title": "x", "source": None},
        ],
    )
    def test_a_malformed_event_is_refused(self, conn, wrong):
        with pytest.raises(UsageError, match="create_activity_log_event"):
            xfworkerutil.create_activity_log_event(conn, **wrong)

    def test_activity_log_message(self, script_project, worker):
        worker.activity_log_message("half way", level=xfworkerutil.ActivityLogLevel.DEBUG)
        found = script_project.admin.find(ActivityEvent, {"job_serial": worker.job["serial"], "title": "half way"})
        assert [event.level for event in found] == ["DEBUG"]

    # --- the job's own record and run ---

    def test_get_current_task_and_run_entity(self, script_project):
        run = script_project.new_run(entity={"uuid": "u-1", "name": "mouse 1"})
        worker = script_project.worker(script_project.new_job(run_serial=run.serial))
        assert worker.get_current_task()["serial"] == script_project.task.serial
        assert worker.get_run_entity() == {"uuid": "u-1", "name": "mouse 1"}

    def test_a_job_without_a_run_has_no_entity(self, script_project):
        assert script_project.worker(script_project.new_job()).get_run_entity() is None

    def test_the_entity_of_a_run_can_be_found_by_its_uuid(self, script_project):
        run = script_project.admin.get(Run, script_project.new_run().serial)
        worker = script_project.worker(script_project.new_job(run_serial=run.serial))
        with worker.server_connection() as connection:
            found = xfworkerutil.get_xf_db_entity_by_uuid(connection, worker.get_run_entity()["uuid"])
        assert found["uuid"] == run.entity["uuid"]
