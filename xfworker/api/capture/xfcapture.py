"""
Records a job while it runs on its worker, so that it can be run again on a desk without any server.

Lay this file beside the script in its task type package, and import it first::

    import xfcapture
    import xfworkerutil

Whatever module of that name is found is recorded at its documented names: calls, results, exceptions, and the files
that calls give and take. At ``finish``, ``error``, a hand-over or an uncaught exception one file goes to user data, or
to the folder that ``XFCAPTURE_FOLDER`` names. ``xfworker run --capture FILE`` runs the job from it.

What goes wrong in here is noted in the capture and never reaches the job. Tokens, passwords and addresses of servers
are stored as marks, not as values. It needs the standard library of Python 3.9 or later and nothing else.

The constants below are the settings of this package; environment variables of the same names go before them.
"""

from __future__ import annotations

import array
import atexit
import base64
import collections.abc
import contextlib
import datetime
import decimal
import enum
import functools
import hashlib
import importlib.util
import inspect
import json
import mmap
import os
import platform
import re
import shutil
import stat
import sys
import tempfile
import threading
import time
import traceback
import types
import urllib.parse
import uuid
import weakref
import zipfile
import zlib
from pathlib import Path, PurePath
from typing import Any, Callable, Dict, Iterator, List, Optional, Set, Tuple

XFCAPTURE_FOLDER = ""
"""A local folder or share for captures; where it is empty they go to user data."""
XFCAPTURE_USERDATA = "xfcapture"
"""The folder of user data that captures go to."""
XFCAPTURE_FILE_MB = "256"
"""Files larger than this are described (name, size), and their content is left out."""
XFCAPTURE_TOTAL_MB = "2048"
"""The most that all files of a capture may hold together."""
XFCAPTURE_IMAGES = "full"
"""``full``, or ``metadata`` to leave the pixels of all images out."""
XFCAPTURE_BLANK_NAMES = ""
"""Anything but nothing or ``0`` blanks patient names and indices where documented keys hold them."""
XFCAPTURE_OFF = ""
"""Anything but nothing or ``0`` records nothing."""

FORMAT = "XFCAP1.0"
MODULES = ("xfworkerutil", "omni", "network", "xfsortorder")

DOCUMENTED_FUNCTIONS = (
    "create_activity_log_event create_parameter create_xf_job create_xf_task format_version "
    "get_parameter_file_references get_parameter_file_token get_sns_server_connection get_xf_combined_query "
    "get_xf_db_entity_by_uuid get_xf_default_sns_server_connection_params get_xf_dependency_package_config_token "
    "get_xf_job get_xf_job_log_token get_xf_job_result_token get_xf_jobs_by_task get_xf_jobs_by_workflow "
    "get_xf_parameter_float_sequence get_xf_parameter_paired_float_sequences get_xf_parameter_paired_sequences "
    "get_xf_parameter_sequence get_xf_project get_xf_projects get_xf_task get_xf_task_config_token get_xf_task_type "
    "get_xf_task_type_config_token get_xf_task_types get_xf_tasks_by_workflow get_xf_userdata_token get_xf_workflow "
    "get_xf_workflow_config_token get_xf_workflow_run get_xf_workflows_by_project parse_version update_xf_job "
    "update_xf_project update_xf_task update_xf_workflow"
).split()
_CLASSES = ("ActivityLogLevel", "TemporaryWorkingDirectory", "XFWorkerArguments", "XFWorkerJob")
_JOB = "XFWorkerJob"
_ENDS = {
    "XFWorkerJob.finish": "finished",
    "XFWorkerJob.error": "error",
    "XFWorkerJob.switch_to_interactive_mode": "handed over",
}
_ONLY_LOOKS = re.compile(
    r"^Calibration\.|\.(progress|set_estimated_duration|is_under|pixel_calibrations_of_unit_type|get_debug_info"
    r"|create_temp_path|create_related_path|__getitem__|__len__|__contains__)$"
)
"""Calls after which nothing is looked for that they may have changed: scripts make thousands of them."""
_PATH_PARAMETERS = {"local_path", "path", "metadata_path", "derived_omni_path", "derived_raw_path", "p"}
_PATH_RESULTS = re.compile(r"\.(download_|get_ipl_image_path|create_temp_path|create_related_path|create_output_path)")
_CALIBRATION = ("type", "unit_type", "unit_name", "slope", "intercept", "indirect_base_unit_type")
_CALIBRATION_METHODS = (
    "raw_to_calibrated",
    "calibrated_to_raw",
    "raw_stddev_to_calibrated_stddev",
    "raw_variance_to_calibrated_variance",
)
_IMAGE = (
    "additional_pixels_filenames axes default_pixel_calibration_unit_type metadata_path pixels_count size_3d_tuple"
).split()
_IMAGE_LAYOUT = (
    "size shape spacing spacing_mm voxel_size voxel_size_mm pixel_size pixel_spacing element_size_mm origin origin_mm "
    "pixel_type dtype data_type pixels_dtype byte_order kind is_segments pixels_path raw_path"
).split()

_SECRET_CALL = re.compile(
    r"(^|\.)(get_\w*token|server_connection|get_sns_server_connection|get_xf_default_sns_server_connection_params"
    r"|server_auth|server_host|server_port)(\.__enter__)?$"
)
_SECRET_CLASS = re.compile(r"connection|token|authori|credential|workerarguments|session", re.IGNORECASE)
_SECRET_PARAMETER = re.compile(r"conn_params|connection_params|password|credential", re.IGNORECASE)
_SECRET_KEY = re.compile(
    r"(pass(word|wd|phrase)|(^|_)pwd$|token|secret|credential|authori[sz]ation|(^|_)auth($|_)|server_auth|api_?key"
    r"|private_?key|access_?key|bearer|cookie|signature)",
    re.IGNORECASE,
)
_ADDRESS_KEY = re.compile(
    r"host|server|address|(^|_)(url|uri|user(name)?|login|account|database|dsn)($|_)", re.IGNORECASE
)
_SECRET_VARIABLE = re.compile(r"AUTH|TOKEN|PASSW|SECRET|CREDENTIAL|COOKIE|API_?KEY|PRIVATE_?KEY", re.IGNORECASE)
_TOKEN_TEXTS = (
    re.compile(r"(?i)([?&](?:[a-z_-]*token|sig|signature|auth|jwt|api_?key|password)=)[^&\s\"'<>]{4,}"),
    re.compile(r"(?i)(\bbearer\s+)[a-z0-9._~+/=-]{8,}"),
    re.compile(r"(\b)eyJ[\w-]{8,}\.[\w-]{4,}\.[\w-]*"),
    re.compile(r"(\b\w+://)[^\s/@:]+:[^\s/@]+(?=@)"),
)
"""Where a token or password stands in a text by what is around it, whether it is known or not."""
_PERSONAL_KEY = re.compile(
    r"^(patient_?name|patient|name_of_patient|patient_?(id|index)|index_?patient|index_?measurement|original_?file"
    r"(name)?|birth_?date|date_of_birth)$",
    re.IGNORECASE,
)
_PERSONAL_LINE = re.compile(
    rb"(?im)^((?:!\s*)?(?:Patient Name|Index Patient|Index Measurement|Original file)\b[ \t:=]*)([^\r\n\0]+)"
)
_PERSONAL_JSON = re.compile(
    rb'(?i)("(?:patient[_ ]?name|patient|patient[_ ]?(?:id|index)|index[_ ]?patient|index[_ ]?measurement'
    rb'|original[_ ]?file(?:name)?|birth[_ ]?date)"\s*:\s*")((?:[^"\\]|\\.)*)(")'
)

_MEGA = 1024 * 1024
_DEEPEST = 24
_MOST_NODES = 200_000
_MOST_CALLS = 200_000
_MOST_CALL_BYTES = 256 * _MEGA
_LONGEST_STRING = 4 * _MEGA
_LOG_HALF = 2 * _MEGA
_MOST_PACKAGE_FILES = 5_000
_MOST_NOTES = 200
_RESERVE = 1024 * _MEGA
_HEAD = _MEGA
_SETTLED_NS = 2_000_000_000
_STANDARD = frozenset(
    "builtins typing functools contextlib enum collections abc types pathlib __main__ __mp_main__ dataclasses "
    "threading datetime uuid io os re json numpy".split()
)
_DUNDERS = ("__enter__", "__exit__", "__iter__", "__next__", "__getitem__", "__len__", "__contains__", "__call__")

_local = threading.local()


def _setting(name: str) -> str:
    return os.environ.get(name, str(globals()[name])).strip()


def _is_on(name: str) -> bool:
    return _setting(name) not in ("", "0")


def _say(text: str) -> None:
    with contextlib.suppress(Exception):
        sys.stderr.write("xfcapture: %s\n" % text)


class _Call:
    """One recorded call; its JSON is made when the capture is written, because iterators grow until then."""

    __slots__ = ("at", "key", "number", "row", "times", "weight")

    def __init__(self, number: int, row: Dict[str, Any], at: float) -> None:
        self.number, self.row, self.at, self.times, self.weight, self.key = number, row, at, 1, 0, ""


class _Secrets:
    """What must not stand in a capture, and how it is taken out."""

    def __init__(self) -> None:
        self.values: Dict[str, str] = {}
        self.words: Set[str] = set()
        self.public: Set[str] = set()

    def add(self, value: Any, name: str, certain: bool) -> None:
        """Learn a value; one that is not certainly secret counts only where it looks like an address or a token."""
        if isinstance(value, bytes):
            value = value.decode("latin-1")
        if not isinstance(value, str) or len(value) < 4 or value.lower() in ("none", "true", "false"):
            return
        if not certain:
            if value in self.public or value.lower() in ("localhost", "https", "http") or value.isdigit():
                return
            is_address = re.match(r"^\w+://", value) is not None or ("." in value and len(value) >= 6)
            if not (is_address or _looks_random(value) or _ADDRESS_KEY.search(name)):
                return
            if value.isalpha():
                # A bare word stands in texts and scripts for other reasons as well.
                self.words.add(value)
                return
        self.values.setdefault(value, name)
        account, colon, password = value.rpartition(":")
        if certain and colon and account and len(password) >= 6 and "/" not in value:
            self.values.setdefault(password, name)

    def is_secret(self, text: str) -> bool:
        return text in self.values

    def forms(self) -> List[str]:
        """Give every spelling of every secret, the longest first."""
        found = set()
        for value in list(self.values):
            found.add(value)
            if len(value) >= 6:
                found.add(urllib.parse.quote(value, safe=""))
                found.add(base64.b64encode(value.encode("utf-8", "replace")).decode().rstrip("="))
                found.add(json.dumps(value)[1:-1])
        return sorted((form for form in found if len(form) >= 4), key=len, reverse=True)


class _Recorder:
    """Records the calls of one process."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.started = time.time()
        self.is_on = True
        self.process = os.getpid()
        self.is_child = False
        self.calls: List[_Call] = []
        self.call_bytes = 0
        self.latest: Dict[str, _Call] = {}
        self.notes: List[str] = []
        self.objects: Dict[int, Tuple[int, Any]] = {}
        self.object_numbers = 0
        self.states: Dict[int, str] = {}
        self.secret_objects: Set[int] = set()
        self.folders: Dict[str, int] = {}
        self.files: Dict[str, Dict[str, Any]] = {}
        self.hashed: Dict[Tuple[str, int, int, int], str] = {}
        self.stored_bytes = 0
        self.signatures: Dict[str, Any] = {}
        self.names: Dict[str, Any] = {}
        self.modules: Dict[str, Any] = {}
        self.owned: Set[str] = set(MODULES)
        self.instrumented: Set[type] = set()
        self.documented: Dict[type, str] = {}
        self.classes: Dict[str, Any] = {}
        self.originals: Dict[str, Any] = {}
        self.secrets = _Secrets()
        self.worker: Any = None
        self.serial: Optional[int] = None
        self.outcome: Dict[str, Any] = {"ending": "no finish"}
        self.written_at: Optional[int] = None
        self.delivered = ""
        self.log_head: List[str] = []
        self.log_tail: List[str] = []
        self.log_sizes = [0, 0]
        self.active: Set[int] = set()
        self.nodes = 0
        self.file_limit = self._megabytes("XFCAPTURE_FILE_MB", 256)
        self.total_limit = self._megabytes("XFCAPTURE_TOTAL_MB", 2048)
        self.spool: Optional[Path] = None
        self.virtualpath = ""

    # --- beginning ------------------------------------------------------------------------------------------------

    def begin(self) -> None:
        """Take a folder for files, watch the log and the end of the script."""
        spool = os.environ.get("XFCAPTURE_SPOOL", "")
        folder, _, parent = spool.rpartition("|")
        if folder and Path(folder).is_dir() and parent != str(os.getpid()):
            self.spool, self.is_child = Path(folder), True
            return
        try:
            self.spool = Path(tempfile.mkdtemp(prefix="xfcapture_"))
            os.environ["XFCAPTURE_SPOOL"] = "%s|%d" % (self.spool, os.getpid())
        except OSError as error:
            self.note("no folder for the content of files could be made: %s" % error)
        for name, value in list(os.environ.items()):
            if _SECRET_VARIABLE.search(name) and len(value) >= 6 and name != "XFCAPTURE_SPOOL":
                self.secrets.add(value, name, True)
        self._watch_output()
        self.hook_exceptions()
        thread_hook = threading.excepthook

        def in_thread(arguments: Any) -> None:
            with contextlib.suppress(Exception):
                self.note("an exception ended a thread: %s: %s" % (arguments.exc_type.__name__, arguments.exc_value))
            thread_hook(arguments)

        threading.excepthook = in_thread
        atexit.register(self.at_exit)
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(
                before=self.lock.acquire, after_in_parent=self.lock.release, after_in_child=self._forked
            )

    def note(self, text: str) -> None:
        """Keep a sentence about what is missing in the capture, once."""
        if text not in self.notes and len(self.notes) < _MOST_NOTES:
            self.notes.append(text)

    def fault(self, doing: str) -> None:
        """Note the exception that is being handled as a fault of the recorder."""
        error = sys.exc_info()[1]
        with contextlib.suppress(Exception):
            self.note("%s failed in the recorder: %s: %s" % (doing, type(error).__name__, str(error)[:300]))

    def _megabytes(self, name: str, default: int) -> int:
        try:
            return max(int(float(_setting(name)) * _MEGA), 0)
        except ValueError:
            self.note("%s is not a number of megabytes, so it is %d" % (name, default))
            return default * _MEGA

    def _forked(self) -> None:
        # Only the thread that forked is here; a lock that another one held would never be released.
        self.lock = threading.RLock()
        self.is_child = True
        self.process = os.getpid()
        self.calls, self.latest = [], {}

    def _watch_output(self) -> None:
        for name in ("stdout", "stderr"):
            stream = getattr(sys, name, None)
            if stream is None:
                continue
            try:
                stream.write = self._watched(stream.write)
            except Exception:
                self.fault("watching %s" % name)

    def _watched(self, write: Callable[[str], Any]) -> Callable[[str], Any]:
        def watched(text: str) -> Any:
            with contextlib.suppress(Exception):
                if isinstance(text, str) and os.getpid() == self.process:
                    self._log(text)
            return write(text)

        return watched

    def _log(self, text: str) -> None:
        if self.log_sizes[0] < _LOG_HALF:
            self.log_head.append(text[:_LOG_HALF])
            self.log_sizes[0] += len(text)
            return
        self.log_tail.append(text[-_LOG_HALF:])
        self.log_sizes[1] += len(text)
        while len(self.log_tail) > 1 and self.log_sizes[1] - len(self.log_tail[0]) > _LOG_HALF:
            self.log_sizes[1] -= len(self.log_tail.pop(0))

    # --- endings --------------------------------------------------------------------------------------------------

    def hook_exceptions(self) -> None:
        """Be the first to see an uncaught exception, in front of whoever took the hook over since."""
        current = sys.excepthook
        if getattr(current, "_xfcapture", None) is self:
            return

        def uncaught(kind: Any, error: Any, trace: Any) -> None:
            if getattr(_local, "uncaught", None) is error:
                sys.__excepthook__(kind, error, trace)  # type: ignore[arg-type,unused-ignore]
                return
            _local.uncaught = error
            try:
                self.uncaught(kind, error, trace)
            finally:
                current(kind, error, trace)

        uncaught._xfcapture = self  # type: ignore[attr-defined]
        sys.excepthook = uncaught

    def uncaught(self, kind: Any, error: Any, trace: Any) -> None:
        """Write the capture of a script that ends by an exception."""
        try:
            if os.getpid() != self.process or self.is_child:
                return
            text = "".join(traceback.format_exception(kind, error, trace))
            self._log(text)
            self.outcome = {"ending": "exception", "exception": self.exception(error), "traceback": text}
            self.deliver()
        except Exception:
            self.fault("writing the capture of an uncaught exception")

    def at_exit(self) -> None:
        """Write the capture where nothing else did."""
        try:
            if os.getpid() != self.process or self.is_child or not self.is_on:
                return
            if self.written_at is None or (self.written_at < len(self.calls) and _setting("XFCAPTURE_FOLDER")):
                self.deliver()
        except Exception:
            self.fault("writing the capture at the end")
            _say(self.notes[-1] if self.notes else "the capture could not be written")
        finally:
            self.is_on = False
            if self.spool is not None:
                shutil.rmtree(str(self.spool), ignore_errors=True)

    # --- wrapping -------------------------------------------------------------------------------------------------

    def wrap_module(self, module: Any) -> None:
        """Wrap the documented names of a module, where they are."""
        name = module.__name__
        names = self._names_of(module)
        described: Dict[str, Any] = {}
        for public in names:
            try:
                value = getattr(module, public)
            except Exception:
                continue
            try:
                described[public] = self._wrap_name(module, public, value)
            except Exception:
                self.fault("wrapping %s.%s" % (name, public))
        with self.lock:
            self.names[name] = {public: what for public, what in described.items() if what is not None}
            version = getattr(module, "__version__", None)
            self.modules[name] = {
                "file": PurePath(getattr(module, "__file__", None) or "").name,
                "version": str(version) if version is not None else None,
                "sha256": _digest_of_module(module),
            }

    def _names_of(self, module: Any) -> List[str]:
        published = getattr(module, "__all__", None)
        own = list(published) if isinstance(published, (list, tuple)) else [n for n in dir(module) if n[:1] != "_"]
        if module.__name__ == "xfworkerutil":
            # Only the documented names, and what scripts need to name its errors and constants.
            documented = [*DOCUMENTED_FUNCTIONS, *_CLASSES]
            simple = [n for n in own if isinstance(n, str) and n not in documented and _is_plain(module, n)]
            return documented + simple
        return [n for n in own if isinstance(n, str) and n[:1] != "_"]

    def _wrap_name(self, module: Any, public: str, value: Any) -> Any:
        if isinstance(value, type):
            top = (value.__module__ or "").partition(".")[0]
            if issubclass(value, BaseException):
                return {"$": "exception class", "bases": [c.__name__ for c in value.__mro__[1:-1]]}
            if issubclass(value, enum.Enum):
                return {"$": "enum class", "members": {m.name: self.encode(m.value) for m in value}}
            if top in _STANDARD:
                return None
            self.owned.add(top)
            self.documented[value] = public
            self.instrument(value)
            return {"$": "class"}
        if isinstance(value, types.ModuleType):
            return None
        if callable(value):
            top = (getattr(value, "__module__", None) or module.__name__).partition(".")[0]
            if top in _STANDARD and module.__name__ != "xfworkerutil":
                return None
            if top not in _STANDARD:
                self.owned.add(top)
            full = "%s.%s" % (module.__name__, public)
            self.originals[full] = value
            setattr(module, public, self._wrapped(full, value, "function"))
            return {"$": "function"}
        if isinstance(value, (str, int, float, bool, tuple, type(None))):
            return self.encode(value)
        return None

    def instrument(self, cls: type) -> None:
        """Wrap the public members of a class of the recorded modules, and of its bases among them."""
        for part in cls.__mro__:
            top = (part.__module__ or "").partition(".")[0]
            if part in self.instrumented or top not in self.owned or issubclass(part, (BaseException, enum.Enum, type)):
                continue
            self.instrumented.add(part)
            self.classes.setdefault(
                self._class_name(cls), {"bases": [c.__name__ for c in cls.__mro__[1:-1]], "members": {}}
            )
            self.classes[self._class_name(cls)]["members"].update(_members(part))
            for name, member in list(vars(part).items()):
                if name[:1] == "_" and name not in _DUNDERS and name != "__init__":
                    continue
                if name in _DUNDERS and issubclass(part, (dict, list, tuple, str, int, float)):
                    continue
                try:
                    wrapped = self._wrapped_member(part, name, member)
                    if wrapped is not None:
                        setattr(part, name, wrapped)
                except Exception:
                    self.fault("wrapping %s.%s" % (part.__name__, name))

    def _wrapped_member(self, cls: type, name: str, member: Any) -> Any:
        full = "%s.%s" % (cls.__name__, name)
        if isinstance(member, (staticmethod, classmethod)):
            function = member.__func__
            if isinstance(member, staticmethod):
                return staticmethod(self._wrapped(full, function, "function"))
            return classmethod(self._wrapped(full, function, "classmethod"))
        if isinstance(member, property):
            if member.fget is None:
                return None
            return property(self._wrapped(full, member.fget, "get"), member.fset, member.fdel, member.__doc__)
        if isinstance(member, functools.cached_property):

            def cached(owner: Any) -> Any:
                return member.__get__(owner, type(owner))

            def assigned(owner: Any, value: Any) -> None:
                vars(owner)[name] = value

            return property(self._wrapped(full, cached, "get"), assigned, None, member.__doc__)
        if isinstance(member, types.FunctionType):
            self.originals.setdefault(full, member)
            return self._wrapped(full, member, "init" if name == "__init__" else "method")
        return None

    def _wrapped(self, name: str, function: Callable[..., Any], kind: str) -> Callable[..., Any]:
        recorder = self

        @functools.wraps(function)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            if not recorder.is_on or getattr(_local, "busy", False) or recorder.is_own_call():
                return function(*args, **kwargs)
            return recorder.call(name, function, kind, args, kwargs)

        return wrapper

    def is_own_call(self) -> bool:
        """Return whether the caller of a wrapped name is the recorded module itself, which is not what is recorded."""
        caller = sys._getframe(2).f_globals.get("__name__") or ""
        return caller.partition(".")[0] in self.owned

    # --- calls ----------------------------------------------------------------------------------------------------

    def call(self, name: str, function: Any, kind: str, args: Tuple[Any, ...], kwargs: Dict[str, Any]) -> Any:
        """Make a call and record it."""
        _local.busy = True
        try:
            try:
                recorded = self._begun(name, function, kind, args, kwargs)
            except Exception:
                recorded = None
                self.fault("recording the arguments of %s" % name)
            try:
                result = function(*args, **kwargs)
            except BaseException as error:
                self._failed(recorded, error, args)
                raise
            if kind == "init" and recorded is not None:
                result = args[0]
            try:
                given = self._ended(recorded, kind, result, args)
            except Exception:
                self.fault("recording the result of %s" % name)
                given = result
            return None if kind == "init" else given
        finally:
            _local.busy = False
            if kind == "init" or name.endswith(".hook_exceptions"):
                with contextlib.suppress(Exception):
                    if not self.is_child:
                        self.hook_exceptions()

    def _begun(
        self, name: str, function: Any, kind: str, args: Tuple[Any, ...], kwargs: Dict[str, Any]
    ) -> Optional[Dict[str, Any]]:
        with self.lock:
            if len(self.calls) >= _MOST_CALLS or self.call_bytes > _MOST_CALL_BYTES:
                self.note("more calls were made than a capture holds; the later ones are not in it")
                return None
            owner = args[0] if kind in ("method", "get", "init") and args else None
            if owner is not None:
                name = "%s.%s" % (self._class_name(type(owner)), name.rpartition(".")[2])
            if kind == "init":
                name = name.rpartition(".")[0]
            row: Dict[str, Any] = {"call": name}
            if kind == "get":
                row["kind"] = "get"
            if owner is not None and kind != "init":
                row["self"] = self._reference(owner)
            self.nodes = 0
            fresh = name.rpartition(".")[2].startswith("upload")
            row["args"] = self._arguments(name, function, kind, args, kwargs, fresh)
            if name in _ENDS and not self.is_child:
                self._ending(name, row)
            row["$at"] = time.time() - self.started
            if kind != "get" and not _ONLY_LOOKS.search(name):
                row["$paths"] = {path: _stamp(path) for path in self._touched(args, kwargs)}
                row["$kwargs"] = kwargs
            return row

    def _arguments(
        self, name: str, function: Any, kind: str, args: Tuple[Any, ...], kwargs: Dict[str, Any], fresh: bool
    ) -> Any:
        skipped = 0 if kind == "function" else 1
        if name not in self.signatures:
            self.signatures[name] = self._signature(function, skipped)
        try:
            bound = inspect.signature(function).bind(*args, **kwargs)
            named = list(bound.arguments.items())[skipped:]
        except (TypeError, ValueError):
            return {"*": [self.encode(a) for a in args[skipped:]], **{k: self.encode(v) for k, v in kwargs.items()}}
        encoded = {}
        for parameter, value in named:
            if isinstance(value, str):
                is_secret = self.secrets.is_secret(value)
                if not is_secret:
                    self.secrets.public.add(value)
                if parameter in _PATH_PARAMETERS and not is_secret and _is_file(value):
                    encoded[parameter] = {**self._path(PurePath(value), fresh), "text": True}
                    continue
            else:
                self._remember_public(value, 0)
            is_secret = _SECRET_PARAMETER.search(parameter) is not None
            if is_secret:
                self._harvest(value, parameter, 1)
            encoded[parameter] = self.encode(value, fresh=fresh, secret=is_secret)
        return encoded

    def _remember_public(self, value: Any, depth: int) -> None:
        if isinstance(value, str) and not self.secrets.is_secret(value):
            self.secrets.public.add(value)
        elif depth < 4 and isinstance(value, (list, tuple)):
            for item in value:
                self._remember_public(item, depth + 1)
        elif depth < 4 and type(value) is dict:
            for key, item in value.items():
                if not (isinstance(key, str) and (_SECRET_KEY.search(key) or _ADDRESS_KEY.search(key))):
                    self._remember_public(item, depth + 1)

    def _signature(self, function: Any, skipped: int) -> Any:
        try:
            parameters = list(inspect.signature(function).parameters.values())[skipped:]
        except (TypeError, ValueError):
            return None
        listed = []
        for parameter in parameters:
            item: Dict[str, Any] = {"name": parameter.name, "kind": parameter.kind.name}
            if parameter.default is not parameter.empty:
                item["default"] = self.encode(parameter.default)
            listed.append(item)
        return listed

    def _ended(self, row: Optional[Dict[str, Any]], kind: str, result: Any, args: Tuple[Any, ...]) -> Any:
        if row is None:
            return result
        with self.lock:
            name = row["call"]
            self.nodes = 0
            given = result
            is_secret = _SECRET_CALL.search(name) is not None
            if is_secret:
                self._harvest(result, name, 0)
                self._own(result)
            if kind == "init":
                row["result"] = self.encode(result)
                if name == _JOB:
                    self.worker = result
                    self._learn_arguments()
            elif _is_iterator(result) and not self._is_owned(type(result)):
                row["result"] = {"$": "iterator", "items": [], "complete": False}
                given = self._iterated(result, row["result"])
            elif _is_context(result):
                row["result"] = self.encode(result, secret=is_secret)
                given = _Context(self, result, name)
            elif isinstance(result, str) and _PATH_RESULTS.search("." + name):
                row["result"] = {**self._path(PurePath(result), False), "text": True}
            else:
                row["result"] = self.encode(result, secret=is_secret)
            self._after(row, args)
            self._keep(row)
            return given

    def _touched(self, args: Tuple[Any, ...], kwargs: Dict[str, Any]) -> List[str]:
        """List the files that a call may write: those at paths among its arguments, and those of its images."""
        values = [*args, *kwargs.values()]
        found = _paths(values)
        for value in values:
            if self._is_owned(type(value)) and self._class_name(type(value)) == "Image":
                found += self._image_paths(value)
        return found

    def _failed(self, row: Optional[Dict[str, Any]], error: BaseException, args: Tuple[Any, ...]) -> None:
        try:
            if row is None:
                return
            with self.lock:
                row["raised"] = self.exception(error)
                self._after(row, args)
                self._keep(row)
                if row["call"] in _ENDS and not isinstance(error, SystemExit):
                    # It did not end there after all.
                    self.outcome = {"ending": "no finish"}
                    self.written_at = None
        except Exception:
            self.fault("recording an exception")

    def _after(self, row: Dict[str, Any], args: Tuple[Any, ...]) -> None:
        """Record what a call changed: files at paths that it was given, and the data of its object."""
        if "$paths" not in row:
            return
        before = row.pop("$paths")
        touched = {
            **before,
            **{path: None for path in self._touched(args, row.pop("$kwargs", {})) if path not in before},
        }
        changed = [path for path, stamp in touched.items() if _stamp(path) not in (stamp, None)]
        if changed:
            row["wrote"] = [self._path(PurePath(path), True) for path in changed]
        if "self" not in row or not args:
            return
        state = self._new_state(args[0], False)
        if state is not None:
            row["after"] = state

    def _keep(self, row: Dict[str, Any]) -> None:
        """Keep a row, or count it with the same one that was the latest of its kind."""
        at = row.pop("$at", time.time() - self.started)
        line = json.dumps(row)
        asked = json.dumps([row["call"], row.get("self"), row["args"]])
        key = hashlib.sha1(line.encode()).hexdigest()
        latest = self.latest.get(asked)
        is_open = isinstance(row.get("result"), dict) and row["result"].get("$") == "iterator"
        if latest is not None and latest.key == key and not is_open:
            latest.times += 1
            return
        number = len(self.calls) + 1
        call = _Call(number, row, at)
        call.key, call.weight = key, len(line)
        if self.is_child:
            self._keep_in_child(row)
        else:
            self.calls.append(call)
            self.call_bytes += len(line)
        self.latest[asked] = call

    def _keep_in_child(self, row: Dict[str, Any]) -> None:
        if self.spool is None:
            return
        try:
            with open(str(self.spool / ("calls-%d.jsonl" % os.getpid())), "a", encoding="utf-8") as lines:
                lines.write(json.dumps({"$at": time.time(), "row": row, "files": self.files}) + "\n")
        except OSError:
            self.fault("recording a call of another process")

    def _iterated(self, source: Any, described: Dict[str, Any]) -> Iterator[Any]:
        iterator = iter(source)
        try:
            while True:
                before = getattr(_local, "busy", False)
                _local.busy = True
                try:
                    item = next(iterator)
                except StopIteration:
                    described["complete"] = True
                    return
                finally:
                    _local.busy = before
                try:
                    _local.busy = True
                    with self.lock:
                        self.nodes = 0
                        if len(described["items"]) < _MOST_CALLS:
                            described["items"].append(self.encode(item))
                except Exception:
                    self.fault("recording what an iterator gave")
                finally:
                    _local.busy = before
                yield item
        finally:
            close = getattr(source, "close", None)
            if close is not None and not described["complete"]:
                close()

    def record_entered(self, name: str, context: Any, entered: Any) -> None:
        """Record what a context manager gave to its ``with`` block."""
        try:
            with self.lock:
                self.nodes = 0
                is_secret = _SECRET_CALL.search(name) is not None
                if is_secret:
                    self._harvest(entered, name, 0)
                    self._own(entered)
                row = {
                    "call": name + ".__enter__",
                    "self": self._reference(context),
                    "args": {},
                    "result": self.encode(entered, secret=is_secret),
                }
                self._keep(row)
        except Exception:
            self.fault("recording what %s gave" % name)

    # --- values ---------------------------------------------------------------------------------------------------

    def encode(self, value: Any, *, secret: bool = False, depth: int = 0, fresh: bool = False, key: str = "") -> Any:
        """Give a value as JSON; see docs/capture.md for the forms."""
        self.nodes += 1
        if depth > _DEEPEST or self.nodes > _MOST_NODES:
            return {"$": "omitted", "reason": "it is nested too deeply" if depth > _DEEPEST else "it is too large"}
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, enum.Enum):
            return {
                "$": "enum",
                "class": type(value).__name__,
                "name": value.name,
                "value": self.encode(value.value, depth=depth + 1),
            }
        if secret and isinstance(value, (str, bytes, int, float, PurePath)) and not key.endswith("serial"):
            is_certain = depth == 0 or _SECRET_KEY.search(key) is not None
            if not is_certain and isinstance(value, str) and value in self.secrets.public:
                return str(value)
            self.secrets.add(value, key, is_certain)
            return {"$": "secret", "type": type(value).__name__, "name": key}
        if isinstance(value, str):
            if self.secrets.is_secret(value):
                return {"$": "secret", "type": "str", "name": self.secrets.values[value]}
            if key and _SECRET_KEY.search(key) and value:
                self.secrets.add(value, key, True)
                return {"$": "secret", "type": "str", "name": key}
            if len(value) > _LONGEST_STRING:
                return {"$": "omitted", "reason": "a string of %d characters" % len(value)}
            return str(value)
        if isinstance(value, int):
            return int(value)
        if isinstance(value, float):
            number = float(value)
            return number if number - number == 0 else {"$": "float", "value": repr(number)}
        if isinstance(value, (bytes, bytearray, memoryview)):
            return self._bytes(bytes(value), "bytes")
        if isinstance(value, PurePath):
            return self._path(value, fresh)
        if id(value) in self.active:
            return {"$": "omitted", "reason": "it contains itself"}
        self.active.add(id(value))
        try:
            return self._composite(value, secret, depth + 1, fresh, key)
        finally:
            self.active.discard(id(value))

    def _composite(self, value: Any, secret: bool, depth: int, fresh: bool, outer: str) -> Any:
        def inner(item: Any, key: str = "") -> Any:
            return self.encode(item, secret=secret, depth=depth, fresh=fresh, key=key or outer)

        kind = type(value)
        if isinstance(value, list) and kind is list:
            return [inner(item) for item in value]
        if isinstance(value, collections.abc.Mapping):
            return self._dict(value, inner)
        if isinstance(value, tuple):
            fields = getattr(kind, "_fields", None)
            encoded: Dict[str, Any] = {"$": "tuple", "items": [inner(item) for item in value]}
            if kind is not tuple and isinstance(fields, tuple):
                encoded.update({"class": kind.__name__, "fields": list(fields)})
            return encoded
        if isinstance(value, (list, set, frozenset)):
            items = sorted(value, key=repr) if isinstance(value, (set, frozenset)) else value
            name = "list" if isinstance(value, list) else "frozenset" if isinstance(value, frozenset) else "set"
            return {"$": name, "items": [inner(item) for item in items]}
        simple = _simple(value)
        if simple is not None:
            return simple
        if isinstance(value, type):
            return {"$": "name", "name": "%s.%s" % (value.__module__, value.__qualname__)}
        if isinstance(value, BaseException):
            return self.exception(value)
        if isinstance(value, array.array):
            return self._bytes(value.tobytes(), "bytes")
        if kind.__module__.partition(".")[0] == "numpy" and hasattr(value, "dtype"):
            return self._array(value)
        if callable(value) and not self._is_owned(kind) and not hasattr(kind, "__enter__"):
            return {"$": "name", "name": getattr(value, "__qualname__", kind.__name__)}
        return self._object(value, secret, depth, fresh)

    def _dict(self, value: Any, inner: Callable[..., Any]) -> Any:
        items = list(value.items())
        names = [key for key, item in items if isinstance(key, str) and isinstance(item, (str, int, bytes))]
        if any(_SECRET_KEY.search(n) for n in names) and any(_ADDRESS_KEY.search(n) for n in names):
            # An account with its server: all of it are parameters of a connection.
            self._harvest(value, "parameters", 1)
            items = [(key, self.encode(item, secret=True, key=str(key))) for key, item in items]
            return {str(key): item for key, item in items}
        plain = all(isinstance(key, str) for key, _ in items) and "$" not in value
        if plain and type(value) is dict:
            return {key: inner(item, key) for key, item in items}
        encoded: Dict[str, Any] = {
            "$": "dict",
            "items": [[inner(key), inner(item, key if isinstance(key, str) else "")] for key, item in items],
        }
        if type(value) is not dict:
            encoded["class"] = type(value).__name__
        return encoded

    def _reference(self, value: Any) -> int:
        known = self.objects.get(id(value))
        if known is not None:
            held = known[1]() if isinstance(known[1], weakref.ref) else known[1]
            if held is value:
                return known[0]
        self.object_numbers += 1
        number = self.object_numbers
        try:
            reference: Any = weakref.ref(value)
        except TypeError:
            reference = value
        self.objects[id(value)] = (number, reference)
        return number

    def _is_owned(self, cls: type) -> bool:
        """Return whether objects of a class are recorded: it is of the recorded modules, or derived from theirs."""
        return (cls.__module__ or "").partition(".")[0] in self.owned or any(c in self.documented for c in cls.__mro__)

    def _own(self, value: Any) -> None:
        """Record what a connection is asked as well, whichever module its class is of."""
        for part in type(value).__mro__[:-1]:
            top = (part.__module__ or "").partition(".")[0]
            if top not in _STANDARD and not _is_standard(top):
                self.owned.add(top)

    def _class_name(self, cls: type) -> str:
        for part in cls.__mro__:
            if part in self.documented:
                return self.documented[part]
        return cls.__name__

    def _object(self, value: Any, secret: bool, depth: int, fresh: bool) -> Any:
        cls = type(value)
        number = self._reference(value)
        encoded: Dict[str, Any] = {"$": "object", "id": number, "class": self._class_name(cls)}
        if self._is_owned(cls):
            self.instrument(cls)
            # What holds tokens is secret however it was come by.
            state = self._new_state(value, fresh, secret=secret, depth=depth)
            if state is not None:
                encoded["state"] = state
        elif _is_context(value):
            encoded["context"] = True
        return encoded

    def _new_state(self, value: Any, fresh: bool, *, secret: bool = False, depth: int = 0) -> Any:
        """Give the data of an object where it is not what was recorded last, else None."""
        number = self._reference(value)
        if not self._is_owned(type(value)):
            return None
        if secret or _SECRET_CLASS.search(type(value).__name__) is not None:
            self.secret_objects.add(number)
        added = id(value) not in self.active
        self.active.add(id(value))
        try:
            state = self._state(value, number in self.secret_objects, depth, fresh)
        finally:
            if added:
                self.active.discard(id(value))
        line = hashlib.sha1(json.dumps(_without_states(state)).encode()).hexdigest()
        if self.states.get(number) == line and not _has_states(state):
            return None
        self.states[number] = line
        return state

    def _state(self, value: Any, secret: bool, depth: int, fresh: bool) -> Dict[str, Any]:
        state: Dict[str, Any] = {}
        for name, item in _data(value):
            if name[:1] != "_":
                state[name] = self.encode(item, secret=secret, depth=depth + 1, fresh=fresh, key=name)
        shape = self._class_name(type(value))
        before = getattr(_local, "busy", False)
        _local.busy = True
        try:
            if shape == "Image":
                state["$image"] = self._image(value, depth, fresh)
            elif shape == "Calibration":
                state["$calibration"] = self._calibration(value)
            elif shape in ("TemporaryWorkingDirectory",) and "path" not in state:
                state.update(self._facts(value, ("path",), depth))
            elif shape == _JOB:
                state.update(
                    {n: f for n, f in self._facts(value, ("job", "working_dir"), depth).items() if n not in state}
                )
        finally:
            _local.busy = before
        return state

    def _facts(self, value: Any, names: Any, depth: int) -> Dict[str, Any]:
        facts = {}
        for name in names:
            try:
                fact = getattr(value, name)
            except Exception:  # what the object does not say is not recorded
                continue
            if not callable(fact) and not _is_context(fact):
                facts[name] = self.encode(fact, depth=depth + 1)
        return facts

    def _image(self, image: Any, depth: int, fresh: bool) -> Dict[str, Any]:
        facts = self._facts(image, _IMAGE, depth)
        present = [n for n in _IMAGE_LAYOUT if hasattr(type(image), n) or n in dict(_data(image))]
        facts.update(self._facts(image, present, depth))
        unit_type = facts.get("default_pixel_calibration_unit_type")
        if isinstance(unit_type, str):
            try:
                lines = list(image.pixel_calibrations_of_unit_type(unit_type))
                facts["calibrations"] = [self._calibration(line) for line in lines]
            except Exception:
                self.note("an image does not give its calibrations of its default unit type")
        facts["files"] = self._image_files(image, fresh)
        return facts

    def _image_files(self, image: Any, fresh: bool) -> List[Any]:
        """Give the files of an image: those that it names, and those that its metadata file's name goes with."""
        files: List[Any] = []
        for text in self._image_paths(image):
            if _is_file(text):
                files.append(self._path(PurePath(text), fresh, is_pixels=len(files) > 0))
        return files

    def _image_paths(self, image: Any) -> List[str]:
        before = getattr(_local, "busy", False)
        _local.busy = True
        try:
            main = getattr(image, "metadata_path", None)
            named = getattr(image, "additional_pixels_filenames", None)
        except Exception:
            return []
        finally:
            _local.busy = before
        found: List[Path] = []
        if isinstance(main, (str, PurePath)):
            path = Path(main)
            found.append(path)
            if isinstance(named, (list, tuple)):
                found += [path.parent / PurePath(n).name for n in named if isinstance(n, str)]
            with contextlib.suppress(OSError):
                found += sorted(p for p in path.parent.iterdir() if p.stem == path.stem and p != path)[:64]
        found += [Path(item) for _, item in _data(image) if isinstance(item, PurePath)]
        return list(dict.fromkeys(map(str, found)))

    def _calibration(self, calibration: Any) -> Dict[str, Any]:
        facts = self._facts(calibration, _CALIBRATION, 0)
        for name in _CALIBRATION_METHODS:
            method = getattr(calibration, name, None)
            if method is None:
                continue
            try:
                facts["%s(0, 1)" % name] = [float(method(0.0)), float(method(1.0))]
            except Exception:
                self.note("a calibration does not answer %s" % name)
        return facts

    def exception(self, error: BaseException) -> Dict[str, Any]:
        """Give an exception as JSON."""
        encoded: Dict[str, Any] = {
            "$": "exception",
            "class": type(error).__name__,
            "module": type(error).__module__,
            "bases": [c.__name__ for c in type(error).__mro__[1:-1]],
            "message": str(error),
            "args": [a if isinstance(a, (str, int, float, bool, type(None))) else repr(a) for a in error.args],
        }
        if isinstance(error, SystemExit):
            encoded["code"] = error.code if isinstance(error.code, (int, str)) else None
        data = {n: v for n, v in vars(error).items() if n[:1] != "_" and isinstance(v, (str, int, float, bool))}
        if data:
            encoded["state"] = data
        return encoded

    def _array(self, value: Any) -> Dict[str, Any]:
        kind = str(value.dtype.str)
        shape = [int(n) for n in value.shape]
        if not shape and not hasattr(value, "__setitem__"):
            return {"$": "scalar", "dtype": kind, "value": self.encode(value.item())}
        encoded: Dict[str, Any] = {"$": "array", "dtype": kind, "shape": shape}
        filename = getattr(value, "filename", None)
        if filename is not None and isinstance(getattr(value, "base", None), mmap.mmap):
            encoded.update({"file": self._path(PurePath(str(filename)), False, is_pixels=True)})
            encoded["offset"] = int(value.offset)
            encoded["mode"] = str(getattr(value, "mode", "r"))
            return encoded
        if value.dtype.hasobject:
            return {**encoded, "omitted": "it holds objects"}
        if value.nbytes > self.file_limit:
            return {**encoded, "omitted": "it is larger than XFCAPTURE_FILE_MB"}
        content = self._bytes(value.tobytes(), "bytes")
        return {**encoded, **{k: v for k, v in content.items() if k != "$"}}

    def _bytes(self, content: bytes, kind: str) -> Dict[str, Any]:
        for secret in self.secrets.values:
            if len(content) <= 4096 and secret.encode("utf-8", "replace") == content:
                return {"$": "secret", "type": "bytes", "name": self.secrets.values[secret]}
        if len(content) <= 4096:
            return {"$": kind, "base64": base64.b64encode(content).decode()}
        key = hashlib.sha256(content).hexdigest()
        if key not in self.files:
            self.files[key] = self._stored(key, len(content), [content])
        return {"$": kind, "sha256": key, "size": len(content)}

    # --- files ----------------------------------------------------------------------------------------------------

    def _path(self, path: PurePath, fresh: bool, *, is_pixels: bool = False) -> Dict[str, Any]:
        text = str(path)
        parent = os.path.dirname(text)
        folder = self.folders.setdefault(parent, len(self.folders))
        encoded: Dict[str, Any] = {"$": "path", "name": os.path.basename(text) or text, "folder": folder}
        try:
            found = os.stat(text)
        except (OSError, ValueError):
            return encoded
        if stat.S_ISDIR(found.st_mode):
            encoded["is_folder"] = True
            encoded["folder"] = self.folders.setdefault(text, len(self.folders))
        elif stat.S_ISREG(found.st_mode):
            encoded["file"] = self._file(text, found, fresh, is_pixels)
        return encoded

    def _file(self, path: str, found: os.stat_result, fresh: bool, is_pixels: bool) -> Dict[str, Any]:
        described: Dict[str, Any] = {"size": found.st_size}
        if found.st_size > self.file_limit:
            described["omitted"] = "it is larger than XFCAPTURE_FILE_MB"
        elif is_pixels and _setting("XFCAPTURE_IMAGES") == "metadata":
            described["omitted"] = "XFCAPTURE_IMAGES leaves pixels out"
        else:
            stamp = (path, found.st_size, found.st_mtime_ns, found.st_ino)
            key = None if fresh else self.hashed.get(stamp)
            if key is None:
                try:
                    key = self._read(path, found.st_size)
                except OSError as error:
                    self.note("%s could not be read: %s" % (os.path.basename(path), error.strerror or error))
                    described["omitted"] = "it could not be read"
                    return described
                if time.time_ns() - found.st_mtime_ns > _SETTLED_NS:
                    self.hashed[stamp] = key
            described["sha256"] = key
            if "omitted" in self.files.get(key, {}):
                described["omitted"] = self.files[key]["omitted"]
        return described

    def _read(self, path: str, size: int) -> str:
        digest = hashlib.sha256()
        with open(path, "rb") as source:
            for piece in iter(lambda: source.read(_MEGA), b""):
                digest.update(piece)
        key = digest.hexdigest()
        if key not in self.files:
            with open(path, "rb") as source:
                self.files[key] = self._stored(key, size, iter(lambda: source.read(_MEGA), b""))
        return key

    def _stored(self, key: str, size: int, pieces: Any) -> Dict[str, Any]:
        """Copy a content into the spool folder, or say why not."""
        if self.spool is None:
            return {"size": size, "omitted": "there was no folder for it"}
        if self.stored_bytes + size > self.total_limit:
            self.note("files are left out: together they are larger than XFCAPTURE_TOTAL_MB")
            return {"size": size, "omitted": "all files together are larger than XFCAPTURE_TOTAL_MB"}
        try:
            disk = shutil.disk_usage(str(self.spool))
            scarce = disk.free - size < min(_RESERVE, disk.total // 4)
        except OSError:
            scarce = True
        if scarce:
            # The job may need what is left.
            self.note("files are left out: the disk for temporary files has little room left")
            return {"size": size, "omitted": "there was no room for it"}
        target = self.spool / key
        partial = self.spool / ("%s.%d.part" % (key, os.getpid()))
        digest, written = hashlib.sha256(), 0
        try:
            with open(str(partial), "wb") as copy:
                for piece in pieces:
                    copy.write(piece)
                    digest.update(piece)
                    written += len(piece)
            if digest.hexdigest() != key:
                self.note("a file changed while it was copied, so its content is left out")
                return {"size": size, "omitted": "it changed while it was copied"}
            os.replace(str(partial), str(target))
        except OSError as error:
            self.note("the content of files is left out: %s" % (error.strerror or error))
            return {"size": size, "omitted": "there was no room for it"}
        finally:
            with contextlib.suppress(OSError):
                os.unlink(str(partial))
        self.stored_bytes += written
        return {"size": written}

    # --- secrets --------------------------------------------------------------------------------------------------

    def _learn_arguments(self) -> None:
        """Learn the worker's token and addresses, so that they are found wherever else they stand."""
        try:
            arguments = getattr(sys.modules.get("xfworkerutil"), "XFWorkerArguments", None)
            if arguments is None:
                return
            known = arguments()
            for name in ("server_auth", "server_host"):
                with contextlib.suppress(Exception):
                    self._harvest(getattr(known, name), name, 0)
            with contextlib.suppress(Exception):
                self.serial = int(known.job_serial)
        except Exception:
            self.fault("asking for the worker's arguments")

    def _harvest(self, value: Any, name: str, depth: int) -> None:
        """Learn the secrets in a token, a connection or its parameters."""
        if depth > 4 or value is None:
            return
        if isinstance(value, (str, bytes)):
            self.secrets.add(value, name, depth == 0 or _SECRET_KEY.search(name) is not None)
            if depth == 0 and isinstance(value, str) and value[:1] in "{[":
                with contextlib.suppress(ValueError):
                    self._harvest(json.loads(value), name, depth + 1)
        elif isinstance(value, dict):
            for key, item in list(value.items())[:200]:
                self._harvest(item, str(key), depth + 1)
        elif isinstance(value, (list, tuple)):
            for item in list(value)[:200]:
                # The name of a call says nothing of the items of its result.
                self._harvest(item, "" if depth == 0 else name, depth + 1)
        elif self._is_owned(type(value)) or depth == 0:
            for key, item in _data(value)[:100]:
                if depth == 0 or _SECRET_KEY.search(key) or _ADDRESS_KEY.search(key):
                    self._harvest(item, key, depth + 1)

    # --- the file -------------------------------------------------------------------------------------------------

    def _ending(self, name: str, row: Dict[str, Any]) -> None:
        """Write the capture before the job is ended: afterwards a worker may have no right to store files any more."""
        self.outcome = {"ending": _ENDS[name], "args": row["args"]}
        try:
            self.deliver(pending=row)
        except Exception:
            self.fault("writing the capture")
            _say("the capture could not be written: %s" % self.notes[-1])

    def deliver(self, pending: Optional[Dict[str, Any]] = None) -> None:
        """Write the capture and bring it to its folder or to user data."""
        before = getattr(_local, "busy", False)
        _local.busy = True
        try:
            with self.lock:
                self._deliver(pending)
        finally:
            _local.busy = before

    def _deliver(self, pending: Optional[Dict[str, Any]]) -> None:
        if not self.delivered:
            serial = "job" if self.serial is None else "job-%d" % self.serial
            moment = datetime.datetime.now(datetime.timezone.utc).strftime("%Y%m%dT%H%M%SZ")
            self.delivered = "%s-%s-%d.xfcap" % (serial, moment, os.getpid())
        folder = _setting("XFCAPTURE_FOLDER")
        if folder:
            target = self._written(Path(folder), pending)
            if target is not None:
                _say("captured in %s" % target)
            return
        upload = self.originals.get("XFWorkerJob.upload_xf_userdata_file") or getattr(
            type(self.worker), "upload_xf_userdata_file", None
        )
        with tempfile.TemporaryDirectory(prefix="xfcapture_file_") as scratch:
            target = self._written(Path(scratch), pending)
            if target is None:
                return
            why = "there is no job that could store it"
            if self.worker is not None and upload is not None:
                virtualpath = "%s/%s" % (_setting("XFCAPTURE_USERDATA").strip("/"), self.delivered)
                try:
                    upload(self.worker, target, virtualpath)
                except Exception as error:
                    why = "%s: %s" % (type(error).__name__, error)
                else:
                    self.virtualpath = virtualpath
                    _say("captured in user data as %s" % virtualpath)
                    return
            self.note("the capture could not be stored in user data: %s" % why)
            kept = Path(tempfile.gettempdir()) / self.delivered
            shutil.copyfile(str(target), str(kept) + ".part")
            os.replace(str(kept) + ".part", str(kept))
            _say("the capture could not be stored in user data (%s); it is in %s" % (self._clean_text(why), kept))

    def _written(self, folder: Path, pending: Optional[Dict[str, Any]]) -> Optional[Path]:
        """Write and verify the file; where the disk is full, with less in it."""
        target = folder / self.delivered
        for largest in (None, 64 * 1024, -1):
            partial = folder / (".%s.%d.part" % (self.delivered, os.getpid()))
            try:
                folder.mkdir(parents=True, exist_ok=True)
                self._write(partial, pending, largest)
                _verify(partial)
                os.replace(str(partial), str(target))
            except (OSError, zipfile.BadZipFile, zlib.error, ValueError) as error:
                with contextlib.suppress(OSError):
                    partial.unlink()
                self.note("the capture could not be written with all files: %s" % error)
                why = str(error)
            else:
                self.written_at = len(self.calls) + (1 if pending is not None else 0)
                return target
        _say("the capture could not be written to %s: %s" % (folder, self._clean_text(why)))
        return None

    def _write(self, path: Path, pending: Optional[Dict[str, Any]], largest: Optional[int]) -> None:
        rows = self._rows(pending)
        forms = self.secrets.forms()
        clean = _Cleaner(forms, _is_on("XFCAPTURE_BLANK_NAMES"), self.folders, self.secrets.words)
        rows = [clean.value(row) for row in rows]
        entries: List[Dict[str, Any]] = []
        contents: Dict[str, Any] = {}
        with zipfile.ZipFile(str(path), "w", allowZip64=True) as archive:
            for key, described in sorted(self.files.items()):
                contents[key] = dict(described)
                source = None if self.spool is None else self.spool / key
                if "omitted" in described or source is None:
                    continue
                if largest is not None and described["size"] > largest:
                    contents[key]["omitted"] = "there was no room for it"
                    continue
                with open(str(source), "rb") as file:
                    entry = _add(archive, "files/%s" % key, clean.pieces(file))
                contents[key]["entry"] = entry["entry"]
                if entry["sha256"] != key:
                    contents[key]["blanked"] = True
                entries.append(entry)
            for name, file_path in self._package() if largest != -1 else ():
                try:
                    with open(str(file_path), "rb") as file:
                        entries.append(_add(archive, "package/%s" % name, clean.pieces(file)))
                except OSError as error:
                    self.note("%s of the package is left out: %s" % (name, error.strerror or error))
            lines = "".join(json.dumps(row) + "\n" for row in rows)
            entries.append(_add(archive, "calls.jsonl", [lines.encode()]))
            log = "".join(self.log_head)
            if self.log_tail:
                log += "\n[...]\n" + "".join(self.log_tail)
            entries.append(_add(archive, "log.txt", [clean.text(log).encode("utf-8", "backslashreplace")]))
            manifest = clean.value(self._manifest(len(rows)))
            manifest.update({"files": contents, "entries": entries})
            _add(archive, "capture.json", [json.dumps(manifest, indent=1).encode()])
        with open(str(path), "rb+") as file:
            os.fsync(file.fileno())

    def _rows(self, pending: Optional[Dict[str, Any]]) -> List[Dict[str, Any]]:
        rows = [(call.at, {**call.row, "times": call.times}) for call in self.calls]
        if self.spool is not None:
            for path in sorted(self.spool.glob("calls-*.jsonl")):
                with open(str(path), encoding="utf-8") as lines:
                    for line in lines:
                        with contextlib.suppress(ValueError, KeyError):
                            item = json.loads(line)
                            process = path.stem.partition("-")[2]
                            rows.append((item["$at"] - self.started, {**item["row"], "process": process, "times": 1}))
                            for key, described in item["files"].items():
                                self.files.setdefault(key, described)
        if pending is not None:
            row = {k: v for k, v in pending.items() if k not in ("$at", "$paths", "$kwargs")}
            rows.append((time.time() - self.started, {**row, "result": {"$": "pending"}, "times": 1}))
        rows.sort(key=lambda pair: pair[0])
        return [{"number": n, "at": round(at, 3), **row} for n, (at, row) in enumerate(rows, 1)]

    def _manifest(self, calls: int) -> Dict[str, Any]:
        import importlib.metadata

        packages: Dict[str, str] = {}
        with contextlib.suppress(Exception):
            for distribution in importlib.metadata.distributions():
                name = distribution.metadata["Name"]
                if name:
                    packages[str(name)] = str(distribution.version)
        script = getattr(sys.modules.get("__main__"), "__file__", None)
        return {
            "format": FORMAT,
            "created_at": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
            "job_serial": self.serial,
            "outcome": self.outcome,
            "calls": calls,
            "script": None if script is None else PurePath(script).name,
            "modules": self.modules,
            "names": self.names,
            "classes": self.classes,
            "folders": self._folders(),
            "signatures": self.signatures,
            "environment": {
                "python": platform.python_version(),
                "implementation": platform.python_implementation(),
                "platform": platform.platform(),
                "packages": dict(sorted(packages.items())),
            },
            "limits": {"file_bytes": self.file_limit, "total_bytes": self.total_limit},
            "images": _setting("XFCAPTURE_IMAGES"),
            "names_blanked": _is_on("XFCAPTURE_BLANK_NAMES"),
            "notes": list(self.notes),
        }

    def _folders(self) -> Dict[str, Any]:
        """Say which folders lie in which, without their paths."""
        described: Dict[str, Any] = {}
        for text, number in self.folders.items():
            above = [(len(t), t, n) for t, n in self.folders.items() if text.startswith(t.rstrip("\\/") + os.sep) and t]
            if above:
                _, outer, outer_number = max(above)
                inside = text[len(outer) :].strip("\\/").replace(os.sep, "/")
                described[str(number)] = {"in": outer_number, "as": inside}
            else:
                described[str(number)] = {}
        return described

    def _package(self) -> List[Tuple[str, Path]]:
        """List the files of the package: all where it says that it is one, else the modules beside the script."""
        script = getattr(sys.modules.get("__main__"), "__file__", None)
        own = Path(__file__).resolve().parent
        folder = own if script is None else Path(script).resolve().parent
        listed: List[Tuple[str, Path]] = []
        if (folder / "metadata.json").is_file():
            for path in sorted(folder.rglob("*")):
                parts = path.relative_to(folder).parts
                if any(part[:1] == "." or part == "__pycache__" for part in parts) or not _is_file(path):
                    continue
                if path.stat().st_size > self.file_limit or len(listed) >= _MOST_PACKAGE_FILES:
                    self.note("files of the package are left out: they are too large or too many")
                    continue
                listed.append(("/".join(parts), path))
        else:
            listed = [(p.name, p) for p in sorted(folder.glob("*.py"))[:200] if p.stat().st_size <= 4 * _MEGA]
        if script is not None and all(name != PurePath(script).name for name, _ in listed) and _is_file(script):
            listed.append((PurePath(script).name, Path(script)))
        return listed

    def _clean_text(self, text: str) -> str:
        return _Cleaner(self.secrets.forms(), False).text(text)


class _Context:
    """Stands for a context manager of the standard library (``contextlib``), and records what it gives."""

    def __init__(self, recorder: _Recorder, source: Any, name: str) -> None:
        self._recorder, self._source, self._name = recorder, source, name

    def __enter__(self) -> Any:
        before = getattr(_local, "busy", False)
        _local.busy = True
        try:
            entered = self._source.__enter__()
            self._recorder.record_entered(self._name, self._source, entered)
        finally:
            _local.busy = before
        return entered

    def __exit__(self, kind: Any, error: Any, trace: Any) -> Any:
        before = getattr(_local, "busy", False)
        _local.busy = True
        try:
            return self._source.__exit__(kind, error, trace)
        finally:
            _local.busy = before

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._source(*args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._source, name)


class _Cleaner:
    """Takes secrets, and on request the names of patients, out of what is written."""

    def __init__(
        self,
        forms: List[str],
        blank_names: bool,
        folders: Optional[Dict[str, int]] = None,
        words: Optional[Set[str]] = None,
    ) -> None:
        self._words = words or set()
        self._folders = {text: number for text, number in (folders or {}).items() if len(text) >= 8}
        texts = sorted(self._folders, key=len, reverse=True)
        self._paths = re.compile("|".join(map(re.escape, texts))) if texts else None
        self._blank_names = blank_names
        self._binary = [form.encode("utf-8", "replace") for form in forms if len(form) >= 6]
        self._binary += [form.encode("utf-16-le", "replace") for form in forms if len(form) >= 6]
        self._pattern = re.compile("|".join(re.escape(form) for form in forms)) if forms else None

    def text(self, text: str) -> str:
        if self._blank_names:
            text = _PERSONAL_LINE.sub(_blanked, text.encode("utf-8", "surrogatepass")).decode("utf-8", "surrogatepass")
        if self._pattern is not None:
            text = self._pattern.sub("[secret]", text)
        for pattern in _TOKEN_TEXTS:
            text = pattern.sub(lambda match: match.group(1) + "[secret]", text)
        if self._paths is not None:
            text = self._paths.sub(lambda match: "[folder %d]" % self._folders[match.group(0)], text)
        return text

    def value(self, value: Any, key: str = "") -> Any:
        if isinstance(value, str):
            if self._blank_names and _PERSONAL_KEY.match(key.replace(" ", "_")):
                return " " * len(value)
            return "[secret]" if value in self._words and _ADDRESS_KEY.search(key) else self.text(value)
        if isinstance(value, dict):
            cleaned = {self.text(k): self.value(v, k) for k, v in value.items()}
            if self._blank_names and str(value.get("call", "")).endswith("get_run_entity"):
                result = cleaned.get("result")
                if isinstance(result, dict) and isinstance(result.get("name"), str):
                    cleaned["result"] = {**result, "name": " " * len(result["name"])}
            return cleaned
        if isinstance(value, list):
            return [self.value(item, key) for item in value]
        if self._blank_names and isinstance(value, int) and _PERSONAL_KEY.match(key.replace(" ", "_")):
            return value if isinstance(value, bool) else 0
        return value

    def pieces(self, file: Any) -> Iterator[bytes]:
        """Give a file's content in pieces of the same total size, with secrets and names blanked."""
        carried = max([len(form) for form in self._binary] or [1]) - 1
        held = b""
        is_head = True
        for piece in iter(lambda: file.read(_HEAD), b""):
            if is_head and self._blank_names:
                piece = _without_person(piece)
            is_head = False
            held += piece
            for form in self._binary:
                if form in held:
                    held = held.replace(form, b"*" * len(form))
            if len(held) > carried:
                yield held[: len(held) - carried]
                held = held[len(held) - carried :]
        if held:
            yield held


def _looks_random(text: str) -> bool:
    """Return whether a string looks like a token rather than like a word, a name or a path."""
    if len(text) < 8 or re.search(r"\s", text):
        return False
    kinds = [re.search(kind, text) is not None for kind in (r"[0-9]", r"[a-z]", r"[A-Z]")]
    if "/" in text or "\\" in text:
        return len(text) >= 24 and all(kinds)
    return sum(kinds) >= 2 and (kinds[0] or len(text) >= 16)


def _blanked(match: Any) -> bytes:
    return bytes(match.group(1)) + b" " * len(match.group(2))


def _without_person(head: bytes) -> bytes:
    if head[:16] == b"CTDATA-HEADER_V1" and len(head) >= 168:
        # An ISQ: indices of patient and measurement at bytes 28 and 112, the name at byte 128.
        head = head[:28] + bytes(4) + head[32:112] + bytes(4) + head[116:128] + b" " * 40 + head[168:]
    head = _PERSONAL_LINE.sub(_blanked, head)
    return _PERSONAL_JSON.sub(lambda m: m.group(1) + b" " * len(m.group(2)) + m.group(3), head)


def _is_standard(top: str) -> bool:
    """Return whether a module is of Python itself."""
    known = getattr(sys, "stdlib_module_names", None)  # Python 3.10 and later
    if known is not None:
        return top in known
    file = getattr(sys.modules.get(top), "__file__", None)
    return file is None or os.path.dirname(os.__file__) == os.path.dirname(
        os.path.dirname(file) if "__init__" in file else file
    )


def _simple(value: Any) -> Optional[Dict[str, Any]]:
    """Give values of the standard library's small classes."""
    if isinstance(value, datetime.datetime):
        return {"$": "datetime", "value": value.isoformat()}
    if isinstance(value, datetime.date):
        return {"$": "date", "value": value.isoformat()}
    if isinstance(value, datetime.time):
        return {"$": "time", "value": value.isoformat()}
    if isinstance(value, datetime.timedelta):
        return {"$": "timedelta", "value": value.total_seconds()}
    if isinstance(value, uuid.UUID):
        return {"$": "uuid", "value": str(value)}
    if isinstance(value, decimal.Decimal):
        return {"$": "decimal", "value": str(value)}
    if isinstance(value, complex):
        return {"$": "complex", "value": [repr(value.real), repr(value.imag)]}
    if isinstance(value, range):
        return {"$": "range", "value": [value.start, value.stop, value.step]}
    return None


def _without_states(value: Any) -> Any:
    """Give encoded data with references to other objects only, whose own data may have been stated before."""
    if isinstance(value, dict):
        left_out = ("state",) if value.get("$") == "object" else ()
        return {k: _without_states(v) for k, v in value.items() if k not in left_out}
    return [_without_states(item) for item in value] if isinstance(value, list) else value


def _has_states(value: Any) -> bool:
    if isinstance(value, dict):
        return (value.get("$") == "object" and "state" in value) or any(map(_has_states, value.values()))
    return isinstance(value, list) and any(map(_has_states, value))


def _data(value: Any) -> List[Tuple[str, Any]]:
    """Give the instance attributes of an object, those in slots as well; no code of its class is run for it."""
    found: Dict[str, Any] = {}
    for cls in reversed(type(value).__mro__):
        slots = cls.__dict__.get("__slots__", ())
        for name in (slots,) if isinstance(slots, str) else slots:
            descriptor = cls.__dict__.get(name)
            if isinstance(descriptor, types.MemberDescriptorType):
                with contextlib.suppress(AttributeError):
                    found[name] = descriptor.__get__(value, cls)
    try:
        found.update(object.__getattribute__(value, "__dict__"))
    except AttributeError:
        pass
    return [(name, item) for name, item in found.items() if isinstance(name, str)]


def _members(cls: type) -> Dict[str, str]:
    """Say of each public member of a class whether it is a method or data."""
    found = {}
    for name, member in vars(cls).items():
        if name[:1] != "_" or name in _DUNDERS:
            is_data = isinstance(member, (property, functools.cached_property, types.MemberDescriptorType))
            found[name] = "data" if is_data or not (callable(member) or hasattr(member, "__func__")) else "method"
    return found


def _is_plain(module: Any, name: str) -> bool:
    try:
        value = getattr(module, name)
    except Exception:
        return False
    if isinstance(value, type):
        return issubclass(value, (BaseException, enum.Enum))
    return isinstance(value, (str, int, float, bool, tuple))


def _is_iterator(value: Any) -> bool:
    return hasattr(type(value), "__next__") and hasattr(type(value), "__iter__") and not hasattr(value, "read")


def _is_context(value: Any) -> bool:
    """Return whether it is a context manager made by ``contextlib``; paths and open files are others."""
    return isinstance(value, contextlib.AbstractContextManager) and type(value).__module__ == "contextlib"


def _paths(values: List[Any]) -> List[str]:
    """List the paths among arguments, also in lists."""
    found = []
    for value in values:
        if isinstance(value, PurePath):
            found.append(str(value))
        elif isinstance(value, (list, tuple)):
            found += [str(item) for item in value[:100] if isinstance(item, PurePath)]
        elif isinstance(value, str) and len(value) < 4096 and os.path.isabs(value):
            found.append(value)
    return found


def _stamp(path: str) -> Optional[Tuple[int, int, int]]:
    try:
        found = os.stat(path)
    except (OSError, ValueError):
        return None
    return (found.st_size, found.st_mtime_ns, found.st_ino) if stat.S_ISREG(found.st_mode) else None


def _is_file(path: Any) -> bool:
    try:
        return stat.S_ISREG(os.stat(str(path)).st_mode)
    except (OSError, ValueError):
        return False


def _digest_of_module(module: Any) -> Optional[str]:
    try:
        with open(module.__file__, "rb") as file:
            return hashlib.sha256(file.read(8 * _MEGA)).hexdigest()
    except Exception:
        return None


def _add(archive: zipfile.ZipFile, name: str, pieces: Any) -> Dict[str, Any]:
    info = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
    info.external_attr = 0o644 << 16
    pieces = iter(pieces)
    first = next(pieces, b"")
    sample = first[: 64 * 1024]
    info.compress_type = (
        zipfile.ZIP_DEFLATED if len(zlib.compress(sample, 1)) < 0.9 * len(sample) else zipfile.ZIP_STORED
    )
    digest, size = hashlib.sha256(), 0
    with archive.open(info, "w", force_zip64=True) as entry:
        piece: Optional[bytes] = first
        while piece:
            entry.write(piece)
            digest.update(piece)
            size += len(piece)
            piece = next(pieces, None)
    return {"entry": name, "size": size, "sha256": digest.hexdigest()}


def _verify(path: Path) -> None:
    """Read a capture back; raise where it is not what was written."""
    with zipfile.ZipFile(str(path)) as archive:
        for entry in json.loads(archive.read("capture.json"))["entries"]:
            digest = hashlib.sha256()
            with archive.open(entry["entry"]) as content:
                for piece in iter(lambda: content.read(_MEGA), b""):
                    digest.update(piece)
            if digest.hexdigest() != entry["sha256"]:
                raise ValueError("%s is not what was written" % entry["entry"])


class _Finder:
    """Wraps the recorded modules as they are imported."""

    def __init__(self, recorder: _Recorder) -> None:
        self._recorder = recorder
        self._searching: Set[str] = set()

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:  # noqa: ARG002  Python's protocol
        if name not in MODULES or name in self._searching:
            return None
        self._searching.add(name)
        try:
            spec = importlib.util.find_spec(name)
        except (ImportError, ValueError):
            return None
        finally:
            self._searching.discard(name)
        if spec is not None and spec.loader is not None and hasattr(spec.loader, "exec_module"):
            wrapped: Any = _Loader(self._recorder, spec.loader)
            spec.loader = wrapped
        return spec


class _Loader:
    def __init__(self, recorder: _Recorder, loader: Any) -> None:
        self._recorder, self._loader = recorder, loader

    def create_module(self, spec: Any) -> Any:
        return self._loader.create_module(spec)

    def exec_module(self, module: Any) -> None:
        if module.__spec__ is not None:
            module.__spec__.loader = self._loader
        module.__loader__ = self._loader
        self._loader.exec_module(module)
        try:
            self._recorder.wrap_module(module)
        except Exception:
            self._recorder.fault("wrapping %s" % module.__name__)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)


def _start() -> Optional[_Recorder]:
    try:
        if _is_on("XFCAPTURE_OFF"):
            return None
        recorder = _Recorder()
        recorder.begin()
        finder: Any = _Finder(recorder)
        sys.meta_path.insert(0, finder)
        for name in MODULES:
            if name in sys.modules:
                recorder.note("%s had been imported before xfcapture; import xfcapture first" % name)
                recorder.wrap_module(sys.modules[name])
        return recorder
    except Exception as error:
        _say("nothing is recorded: %s: %s" % (type(error).__name__, error))
        return None


# Only under its own bare name: this module is also a file of a package that only copies it.
_recorder = _start() if __name__ == "xfcapture" else None
