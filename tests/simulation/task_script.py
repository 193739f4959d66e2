"""The script of every task, written as people write theirs: by the documented module alone."""

from pathlib import Path

import numpy as np
from attrs import define

import xfworkerutil
from tests.simulation.contents import IMAGE, RESULT, WRITTEN, content_of, read_content
from tests.simulation.spawning import PACKAGE
from tests.simulation.versions import NEW_KEYS
from xfworker.api.composition.provided_session import provided_session
from xfworker.api.facade.omni import create_image
from xfworker.domain.errors import RecordConflict

IMAGES = 0.25
"""In which part of the laboratories results are images."""


@define(eq=False)
class Script:
    """
    One attempt of a task's script.

    It reads the files of its inputs, reports progress, writes a message into the activity log, counts itself on a
    record that all scripts share, stores a file, and finishes with a value that follows from its inputs. A short one
    takes the values of its inputs as they are, and has none of the rest.
    """

    world: object
    session: object

    def run(self):
        """Do what the script does; it ends by coming back, or as scripts end."""
        with provided_session(self.session):
            worker = xfworkerutil.XFWorkerJob()
        is_whole = self.world.runs_whole_script(worker.job["serial"])
        value = self._computed_value(worker, reads_files=is_whole)
        for percentage in (30, 60) if is_whole else (60,):
            self._work()
            self._crash("crash")
            if is_whole:
                worker.progress(percentage)
        if self._strikes("error", "script crash"):
            worker.error("the image is empty")
        outputs = outputs_of(worker.job, value)
        if is_whole:
            self._do_the_rest(worker, outputs, value)
        if worker.job["run_serial"] is not None and self._strikes("hands over", "script hands over"):
            worker.switch_to_interactive_mode()
        worker.finish(outputs)
        if self._strikes("lingers", "script lingers"):
            self.session.clock.sleep(self._between("how long", 1.0, 400.0))
        self._crash("crash at exit")

    def _do_the_rest(self, worker, outputs, value):
        job = worker.job
        self._log_itself(worker)
        self._count_itself(worker)
        if self.world.is_task("d", job["task_serial"]) and self.world.luck.switched_on("spawning"):
            self._spawn(worker)
        is_image = self.world.luck.switched_on("images", IMAGES)
        outputs["out"] |= _stored_image(worker, value) if is_image else _stored_result(worker, value)
        worker.set_output_units({"out": unit_of(job["serial"], job["attempt"])}, save=False)

    def _computed_value(self, worker, *, reads_files):
        value = 1
        inputs = worker.job["inputs"]
        for key in sorted(inputs):
            given = inputs[key]
            if isinstance(given, dict) and given.get("type") == "Sequence":
                with worker.server_connection() as connection:
                    read = xfworkerutil.get_xf_parameter_sequence(connection, given)
                value += sum(item["value"] for item in read)
            elif isinstance(given, dict) and "job_serial" in given:
                reads = reads_files and "filename" in given
                value += self._read_input(worker, given) if reads else given["value"]
        return value

    def _read_input(self, worker, given):
        """Read the value out of an input's file or image, which is complete or not there at all."""
        if Path(given["filename"]).suffix == Path(IMAGE).suffix:
            with provided_session(self.session):  # for its image formats
                content = worker.get_omni_image(given).pixels.tobytes()
        else:
            path = Path(worker.download_input_file(given))
            if not worker.working_dir.is_under(path):
                self._work()  # and then read it where it lies, whatever came there meanwhile
            content = path.read_bytes()
        *_, value = read_content(content)
        return value

    def _log_itself(self, worker):
        title = title_of(worker.job["serial"], worker.job["attempt"])
        worker.activity_log_message(title)
        self.world.logged[title] = self.world.timeline.now

    def _count_itself(self, worker):
        """Add one to a number that others add to at the same time."""
        world, serial = self.world, worker.job["workflow_serial"]
        with worker.server_connection() as connection:
            for _ in range(60):
                workflow = xfworkerutil.get_xf_workflow(connection, serial)
                assert workflow.items() >= NEW_KEYS.items(), f"{workflow} lost what a newer client said of it"
                workflow["metadata"]["count"] = workflow["metadata"].get("count", 0) + 1
                world.counting[serial] += 1
                try:
                    xfworkerutil.update_xf_workflow(connection, workflow)
                except RecordConflict:
                    world.counting[serial] -= 1
                    self.session.clock.sleep(self._between("count", 0.01, 1.0))
                    continue
                world.counted[serial] += 1
                return

    def _spawn(self, worker):
        """Spawn the task of a workflow's spawned jobs, and a job of it that joins the run of this one."""
        with worker.server_connection() as connection:
            task_type = worker.find_xf_task_type(connection, PACKAGE)
            task = worker.spawn_xf_task_basic(connection, task_type, "spawned")
            serial = worker.job["serial"]
            worker.spawn_xf_job_basic(connection, task_type, task, source_job_serial=serial, state="Ready")
        self.world.spawned_by.add(serial)

    # --- what befalls it ----------------------------------------------------------------------------------------

    def _work(self):
        longest = self.world.work_seconds_of(self.session.arguments.job_serial)
        self.session.clock.sleep(self._between("work", 0.1, longest))

    def _crash(self, what):
        if self._strikes(what, "script crash"):
            raise SystemExit(1)

    def _strikes(self, what, chance):
        return self.world.luck.strikes(f"{self.session.clock.host.name}/{what}", self.world.chances[chance])

    def _between(self, what, least, most):
        return self.world.luck.between(f"{self.session.clock.host.name}/{what}", least, most)


def outputs_of(job, value):
    """Give a job's outputs: its value, and what becomes the template of later jobs where it is the first."""
    serial = job["serial"]
    # Where records were lost with a disk, and a backup was restored, there may be another attempt of this number.
    attempt = {"job_serial": serial, "attempt": job["attempt"], "started_at": job["started_at"]}
    out = {"type": "ForeignFile", **attempt, "value": value}
    return {"out": out, **({"template": f"of job {serial}"} if "template" in job["inputs"] else {})}


def unit_of(serial, attempt):
    """Give the unit that an attempt says its output has, so that it is seen which attempt said it."""
    return f"mm of attempt {attempt} at job {serial}"


def title_of(serial, attempt):
    """Give the message that an attempt writes into the activity log."""
    return f"attempt {attempt} at job {serial} measures"


def _stored_result(worker, value):
    path = worker.create_temp_path(RESULT)
    path.write_bytes(content_of(worker.job, value))
    worker.upload_output_file(path)
    return worker.create_output_foreign_file(path.name)


def _stored_image(worker, value):
    """Store an image whose pixels, and whose metadata, are such a content."""
    content = content_of(worker.job, value)
    image = create_image(worker.create_temp_path(IMAGE), size=[len(content), 1, 1], pixel_type="uint8")
    image.metadata[WRITTEN] = content.decode()
    image.pixels[:] = np.frombuffer(content, np.uint8)
    image.save()
    return {**worker.upload_omni_output(image), "type": "ForeignFile"}
