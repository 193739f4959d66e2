"""What a script hands over at the edges of what is taken: odd numbers, odd paths, metadata, a process of its own."""

import datetime as dt
import os
import re
import signal
import sys
import threading
import uuid

import numpy as np
import pytest

from xfworker.adapters.disk.filesystem import LocalFilesystem
from xfworker.adapters.memory.clock import ManualClock
from xfworker.domain.errors import (
    FileError,
    InvalidParameter,
    LeaseLost,
    ServerUnreachable,
    UsageError,
)
from xfworker.services.script.inputs import pixel_filenames, userdata_file_resource
from xfworker.services.script.plain_json import plain_json
from xfworker.services.script.progress import Throttle
from xfworker.services.script.spawning import ensure_task_type, job_spawn_key
from xfworker.services.script.working_directory import WorkingDirectory
from xfworker.services.stop_signals import receiving_stop_signals, stop_signals

DOCUMENT = b'{"pixels": {"filename": "a.raw"}, "additional_pixels_filenames": ["b.raw", "../c"]}'


@pytest.mark.parametrize("error", [None, LeaseLost("another worker has the job"), ServerUnreachable("no route")])
def test_what_was_held_back_is_sent_later_and_what_goes_wrong_then_is_not_the_scripts(error):
    clock, later, sent = ManualClock(), [], []

    def send():
        sent.append(clock.monotonic())
        if error is not None and len(sent) > 1:
            raise error

    throttle = Throttle(clock, send, after=lambda seconds, call: later.append((seconds, call)))
    assert throttle.offer() is None
    assert throttle.offer() is None
    ((seconds, call),) = later
    clock.advance(seconds)
    call()
    assert len(sent) == 2
    # Only a server that is away is asked once more.
    assert len(later) == (2 if isinstance(error, ServerUnreachable) else 1)


def test_spawned_jobs_of_one_content_have_one_key_whatever_the_form_of_their_lists(script_platform):
    def key(value):
        return job_spawn_key(script_platform.new_job().__class__(task_serial=1, inputs={"x": value}), 0)

    assert key((1, [2])) == key([1, (2,)]) != key([1, [3]])


@pytest.mark.parametrize(
    ("metadata", "said"),
    [
        ({"name": "Lab.X", "version": 3}, "version: expected four numbers such as '1.0.0.0', got 3"),
        ({"name": "Lab.X", "version": "one"}, "version: "),
        ({"name": "Lab X", "version": "1.0.0.0"}, "name: expected 1 to 50 letters, digits and dots, got 'Lab X'"),
        ({"name": "Lab.X", "version": "1.0.0.0", "kind": "Other"}, "kind: expected one of Processing"),
    ],
)
def test_metadata_of_a_task_type_that_are_wrong_are_named(script_platform, metadata, said):
    with pytest.raises(InvalidParameter, match="the metadata are wrong") as caught:
        ensure_task_type(script_platform.admin, metadata, {})
    assert any(fault.startswith(said) for fault in caught.value.faults), caught.value.faults


def test_a_task_type_is_found_among_its_versions_and_made_where_only_others_are_there(script_platform):
    server = script_platform.admin
    made = [ensure_task_type(server, {"name": "Lab.V", "version": f"1.0.0.{n}"}, {}).serial for n in range(3)]
    assert len(set(made)) == 3
    assert ensure_task_type(server, {"name": "Lab.V", "version": "1.0.0.1"}, {}).serial == made[1]


@pytest.mark.parametrize(
    ("name", "content", "names"),
    [
        ("a.omni", DOCUMENT, ["a.raw", "b.raw"]),
        ("a.omni", b"{", []),
        ("a.omni", b"[]", []),
        ("a.aim", b'{"pixels": {"filename": "a.raw"}}', []),
    ],
)
def test_the_files_of_pixels_are_those_that_a_document_names_safely(tmp_path, name, content, names):
    (tmp_path / name).write_bytes(content)
    assert pixel_filenames(tmp_path / name) == names
    assert pixel_filenames(tmp_path / "gone.omni") == []


@pytest.mark.parametrize("virtualpath", ["", None, 5])
def test_a_virtual_path_that_is_none_is_refused(worker, virtualpath):
    path = worker.create_temp_path("a.txt")
    path.write_text("x")
    with pytest.raises(UsageError, match=r"takes a virtual path such as 'reports/a\.csv'"):
        worker.upload_xf_userdata_file(path, virtualpath)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such files")
def test_what_is_neither_file_nor_directory_is_not_stored(worker):
    path = worker.create_temp_path("pipe")
    os.mkfifo(path)
    with pytest.raises(FileError, match="it is a pipe, a device or a socket; write its content to a file first"):
        worker.upload_output_file(path)


class Convertible:
    """A value of a library that numpy knows how to read."""

    def __init__(self, value):
        self.value = value

    def __array__(self, dtype=None, copy=None):
        if isinstance(self.value, Exception):
            raise self.value
        return np.asarray(self.value, dtype)


class Scalar:
    """A value of a library whose number is taken out of it."""

    dtype = "special"

    def item(self):
        return 5


class Nothing:
    """A value with a type of numbers and no way to them."""

    dtype = "special"


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        (uuid.UUID(int=5), "00000000-0000-0000-0000-000000000005"),
        (Convertible([1, 2]), [1, 2]),
        (Scalar(), 5),
        (dt.time(1, 2, tzinfo=dt.UTC), "01:02:00+00:00"),
    ],
)
def test_values_of_other_libraries_are_saved_as_their_numbers(value, plain):
    assert plain_json({"x": value}, "outputs") == {"x": plain}


@pytest.mark.parametrize(
    "value",
    [Convertible(object()), Convertible(ValueError("lazy")), Convertible(TypeError("lazy")), Nothing(), 3 + 4j],
)
def test_values_without_numbers_are_refused_with_their_place(value):
    with pytest.raises(InvalidParameter, match=r"cannot be saved as JSON: outputs\.x|cannot be saved as JSON: .*x"):
        plain_json({"x": value}, "outputs")


def test_a_working_directory_takes_a_prefix_and_paths_that_are_strings(tmp_path):
    with pytest.raises(UsageError, match="a working directory's prefix is a string, not 5"):
        WorkingDirectory(LocalFilesystem(tmp_path), 5)
    directory = WorkingDirectory(LocalFilesystem(tmp_path), "job_")
    assert repr(directory) == f"<working directory {directory.path}>"
    for path in (5, "a\0b"):
        with pytest.raises(UsageError, match="is_under takes a path"):
            directory.is_under(path)
    assert directory.is_under(directory.path / "a")
    assert not directory.is_under(tmp_path)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_process_that_was_forked_has_names_and_a_folder_of_its_own(tmp_path):
    directory = WorkingDirectory(LocalFilesystem(tmp_path), "job_")
    path = directory.create_temp_path("seg.omni")
    child = os.fork()
    if child == 0:  # what goes wrong there would go on with the tests
        try:
            lines = [directory.create_temp_path("seg.omni").name, directory.directory.name]
            (tmp_path / "forked").write_text("\n".join(lines))
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    assert (tmp_path / "forked").read_text().splitlines() == [f"seg_{child}.omni", f"process-{child}"]
    assert (path.name, directory.directory) == ("seg.omni", directory.path)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signal")
@pytest.mark.parametrize(("handler", "stops"), [(signal.SIG_IGN, False), (signal.SIG_DFL, True)])
def test_a_closed_terminal_stops_a_program_that_was_not_started_with_nohup(handler, stops):
    before = signal.signal(signal.SIGHUP, handler)
    try:
        assert (signal.SIGHUP in stop_signals()) is stops
    finally:
        signal.signal(signal.SIGHUP, before)
    assert {signal.SIGINT, signal.SIGTERM} <= set(stop_signals())


def test_signals_that_come_while_the_main_thread_holds_what_their_receiver_needs_are_received_later():
    lock, received, before = threading.Lock(), [], signal.getsignal(signal.SIGTERM)

    def receive(name):
        assert lock.acquire(timeout=20)
        received.append((name, threading.current_thread() is threading.main_thread()))
        lock.release()

    with receiving_stop_signals(receive):
        with lock:
            signal.raise_signal(signal.SIGTERM)
            signal.raise_signal(signal.SIGINT)
        assert signal.getsignal(signal.SIGTERM) is not before
    assert received == [("SIGTERM", False), ("SIGINT", False)]
    assert signal.getsignal(signal.SIGTERM) is before


def test_on_windows_ctrl_break_stops_a_program(monkeypatch):
    monkeypatch.setattr("xfworker.services.stop_signals.sys.platform", "win32")
    monkeypatch.setattr("xfworker.services.stop_signals.signal.SIGBREAK", 21, raising=False)
    assert stop_signals() == [signal.SIGINT, signal.SIGTERM, 21]


@pytest.mark.parametrize("virtualpath", ["scans/", "scans\\", "", 5])
def test_a_folder_in_user_data_is_not_a_file(virtualpath):
    with pytest.raises(InvalidParameter, match=f"{re.escape(repr(virtualpath))} (is not a path of a|names no) file"):
        userdata_file_resource(virtualpath)
