"""The job that a script works on."""

from contextlib import contextmanager
from typing import Any, ContextManager, Dict, Iterator, NoReturn

from xfworker.api.composition.provided_session import current_session
from xfworker.api.facade.connection import Connection
from xfworker.api.facade.exception_hook import ExceptionHook
from xfworker.api.facade.job_context import check_fields, log_line
from xfworker.api.facade.job_dask import JobDask
from xfworker.api.facade.job_files import JobFiles
from xfworker.api.facade.job_outputs import JobOutputs
from xfworker.api.facade.job_spawning import JobSpawning
from xfworker.api.logging import show_standard_log
from xfworker.domain.change import Change, pointer
from xfworker.domain.conversion import from_json, to_json
from xfworker.domain.errors import FileError, UsageError, XFWorkerError
from xfworker.domain.job import Job
from xfworker.services.script import lifecycle, progress
from xfworker.services.script.plain_json import plain_json
from xfworker.services.script.session import Session
from xfworker.services.script.uncaught import printable


class XFWorkerJob(JobFiles, JobOutputs, JobSpawning, JobDask):
    """
    The job that a script works on. Make one at the start of the script, and call :meth:`finish` at its end.

    Making one reads the environment, loads the job, makes the working directory and sees to it that an uncaught
    exception becomes the job's error message.

    Attributes:
        job: The job's record as a dict; ``job["inputs"]`` holds the inputs by key, ``None`` where one is not set.
        working_dir: The job's temporary directory.
    """

    def __init__(self, *, session: Session | None = None) -> None:
        """
        Load the job.

        Args:
            session: The ports to work with; by default those that the environment and the settings name.

        Raises:
            ConfigurationError: An environment variable or a setting is missing or malformed.
            ServerError: The server cannot be asked.
            RecordNotFound: There is no such job.
        """
        self._hook = ExceptionHook(self._report_uncaught)
        self._hook.install()
        provided = session or current_session()
        super().__init__(provided or _session_of_environment())
        if provided is None:
            show_standard_log()
        self._started_at = self._session.clock.monotonic()
        self._estimates = progress.Throttle(self._session.clock, self._send_estimate, self._lock)

    def __repr__(self) -> str:
        return f"<job {self._session.arguments.job_serial} in {self.working_dir.path}>"

    # --- the record ---------------------------------------------------------------------------------------------

    def load_job(self) -> Dict[str, Any]:
        """
        Load the job from the server again; edits that were not saved are dropped.

        Returns:
            The job's record, which is :attr:`job`.
        """
        with self._lock:
            self.job.take(to_json(self._session.server.get(Job, self._session.arguments.job_serial)))
            return self.job

    def save_job(self, **kwargs: Any) -> Dict[str, Any]:
        """
        Save the edits of :attr:`job`, and these fields instead of what it holds.

        What others changed in the meantime stays, except where this save says otherwise: the same edits are applied to
        the fresher record.

        Args:
            **kwargs: Fields of the job.

        Returns:
            The job's record as the server has it then, which is :attr:`job`.

        Raises:
            UsageError: A name is not a field of a job.
            RecordConflict: Others were quicker every time that this was tried.
        """
        return self._save(kwargs)

    def server_connection(self) -> ContextManager[Connection]:
        """
        Give a connection to the XF Server for a ``with`` block.

        Connections are kept alive and shared with the job, so opening one costs nothing.
        """
        return self._opened_connection()

    @contextmanager
    def _opened_connection(self) -> Iterator[Connection]:
        yield self._connection()

    # --- while it works -----------------------------------------------------------------------------------------

    def progress(self, percentage: float, *, save: bool = True) -> None:
        """
        Report how far the job is; its estimated duration follows from the time that it took so far.

        It may be called as often as one likes: it is sent to the server at most about once a second, and the last value
        is saved with the next save. A server that is away for a while does not fail the job.

        Args:
            percentage: From 0 to 100; what lies beyond is clamped.
            save: Whether to report it now, rather than with the next save.

        Raises:
            UsageError: The percentage is not a number.
        """
        done = progress.check_percentage(percentage)
        elapsed = self._session.clock.monotonic() - self._started_at
        with self._lock:
            self._metadata()[progress.PERCENTAGE] = done
            seconds = progress.estimated_duration_seconds(done, elapsed)
            if seconds is not None:
                self._metadata()[progress.ESTIMATE] = seconds
            self._offer_estimate(save=save)

    def set_estimated_duration(self, estimated_duration_in_seconds: float, *, save: bool = True) -> None:
        """
        Report how long the job will take in all.

        Args:
            estimated_duration_in_seconds: From its start to its end.
            save: Whether to report it now (at most about once a second), rather than with the next save.

        Raises:
            UsageError: It is not a finite number of at least 0.
        """
        seconds = progress.check_duration(estimated_duration_in_seconds)
        with self._lock:
            self._metadata()[progress.ESTIMATE] = seconds
            self._offer_estimate(save=save)

    def set_error_message(self, message: str, *, save: bool = True) -> None:
        """
        Set the error message that people read on the job; the script goes on.

        Args:
            message: The message.
            save: Whether to save it now, rather than with the next save.

        Raises:
            UsageError: There is no message.
        """
        if message is None:
            raise UsageError("set_error_message needs a message; clear_error_message removes the one that is there")
        with self._lock:
            self._metadata()[lifecycle.ERROR_MESSAGE] = self._clean(message)
            if save:
                self._save()

    def clear_error_message(self, *, save: bool = True) -> None:
        """
        Remove the error message from the job.

        Args:
            save: Whether to save that now, rather than with the next save.
        """
        with self._lock:
            self._metadata().pop(lifecycle.ERROR_MESSAGE, None)
            if save:
                self._save()

    def set_output_units(self, units: dict[str, str], *, save: bool = True) -> None:
        """
        Set the units of the outputs.

        Args:
            units: The unit of each output by its key, such as ``{"volume": "mm3"}``; :meth:`finish` refuses those of
                outputs that it is not given.
            save: Whether to save them now, rather than with the next save.

        Raises:
            UsageError: It is not a dict of strings.
        """
        with self._lock:
            self._units = self._metadata()[lifecycle.OUTPUT_UNITS] = lifecycle.units_of(units)
            if save:
                self._save()

    def hook_exceptions(self) -> None:
        """
        See to it that an uncaught exception becomes the job's error message.

        Making the job did that already; call it once more after other code has set ``sys.excepthook``: that hook is
        then called first.
        """
        self._hook.install()

    def get_debug_info(self) -> str:
        """Describe the job, the server, the machine and the installed parts, without any secret or input value."""
        from xfworker.api.facade.job_debug import debug_info

        return self._redacted(debug_info(self._session, self.job, self.working_dir))

    # --- how it ends --------------------------------------------------------------------------------------------

    def finish(self, outputs: Dict[str, Any], units: Dict[str, str] = None) -> None:
        """
        End the job well: store the outputs and the state ``Done`` in one step, then remove the working directory.

        Args:
            outputs: A value for every output of the task type: a number, a string, a bool, a composite parameter,
                or ``None`` where there is no value. Numbers, arrays and times of numpy, pandas and their like are
                converted, or refused with their path.
            units: The unit of each output by its key.

        Raises:
            InvalidParameter: Outputs do not fit the task type's interface, cannot be saved, or name files of this job
                that were not uploaded; all errors are listed, nothing is stored and the working directory stays.
            UsageError: The job was finished before, ``outputs`` is not a dict, or units were given, here or by
                :meth:`set_output_units`, of other outputs.
        """
        if self._ended:
            raise UsageError("finish: this job has been finished already; call it once, at the end of the script")
        if not isinstance(outputs, dict):
            raise UsageError(f"finish takes a dict of outputs by key, not {type(outputs).__name__} {outputs!r:.80}")
        lifecycle.check_units(self._units if units is None else units, outputs)
        check_fields(Job, self.job.came, self.job.added(), "finish")
        plain = plain_json(outputs, "outputs")
        if any(isinstance(value, dict | list) for value in plain.values()):
            from xfworker.services.script.stored_outputs import require_stored

            require_stored(self._session, self.working_dir, plain)
        with self._lock:
            metadata = dict(self._metadata())
            if units is not None:
                metadata[lifecycle.OUTPUT_UNITS] = lifecycle.units_of(units)
            if progress.PERCENTAGE in metadata:
                metadata[progress.PERCENTAGE] = 100.0
            edits = self.job.edits({"metadata": metadata, "outputs": {}})
            fresh = lifecycle.finish_job(self._session, edits, plain, expected_version=self.job["occ_lock_version"])
            self.job.take(to_json(fresh))
            self._end()
        for violation in fresh.metadata.get("output_faults") or ():
            log_line(f"the outputs do not fit the task type's interface: {violation}")
        try:
            self.working_dir.remove()
        except FileError as error:
            log_line(f"the outputs are stored, but the working directory could not be removed: {error}")

    def error(self, message: str) -> NoReturn:
        """
        End the script with an error: save the message and exit.

        The job becomes ``Failed`` as soon as its worker sees the exit. The working directory stays.

        Args:
            message: What people read on the job.
        """
        from xfworker.domain.script_exit import ScriptExit

        text = self._clean(message)
        log_line(f"error: {text}")
        try:
            self._save_error_message(text)
        except XFWorkerError as error:
            log_line(f"the error message could not be saved on the job: {error}")
        self._end()
        raise SystemExit(int(ScriptExit.ERROR_REPORTED))

    def switch_to_interactive_mode(self, error_message: str = None) -> NoReturn:
        """
        Hand the job over to a person and exit: this job and later ones of its task are ``ReadyForInteractive``.

        Args:
            error_message: Why a person is needed.

        Raises:
            RecordConflict: Others changed the task every time that this was tried.
        """
        from xfworker.domain.script_exit import ScriptExit

        with self._lock:
            message = None if error_message is None else self._clean(error_message)
            fresh = lifecycle.hand_over(
                self._session, from_json(Job, self.job), self.job.edits(), error_message=message
            )
            self.job.take(to_json(fresh))
            self._end()
        raise SystemExit(int(ScriptExit.HANDED_OVER))

    # --- inside -------------------------------------------------------------------------------------------------

    def _end(self) -> None:
        self._ended = True
        self._estimates.end()
        self._hook.remove()
        self._close_dask()

    def _offer_estimate(self, *, save: bool) -> None:
        if save and not self._ended:
            error = self._estimates.offer()
            if error is not None:
                log_line(f"progress was not reported to the server, the job goes on: {error}")

    def _send_estimate(self) -> None:
        own = {pointer("metadata", key) for key in (progress.ESTIMATE, progress.PERCENTAGE)}
        edits = self.job.edits()
        estimate = Change(values={text: value for text, value in edits.values.items() if text in own}, bump=False)
        if estimate:
            serial = self._session.arguments.job_serial
            self.job.take(to_json(self._session.server.update(Job, serial, estimate)), saved=estimate)

    def _save_error_message(self, message: str) -> None:
        with self._lock:
            waiting = self._metadata()
            keys = (progress.ESTIMATE, progress.PERCENTAGE)
            also = {key: waiting[key] for key in keys if key in waiting}
            lifecycle.save_error_message(self._session, message, also=also)

    def _report_uncaught(self, message: str) -> None:
        if hasattr(self, "job") and not self._ended:
            self._save_error_message(self._clean(message))

    def _clean(self, message: Any) -> str:
        return self._redacted(printable(str(message)))

    def _redacted(self, text: str) -> str:
        secret = self._session.arguments.server_auth
        return text.replace(secret, "[token]") if secret else text


def _session_of_environment() -> Session:
    from xfworker.api.composition.session import session

    return session()
