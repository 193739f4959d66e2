"""
A process that has imported what scripts import, and becomes a script in a fork of itself as often as it is asked to.

As a program it is started by :class:`~xfworker.adapters.process.fork_server.ForkServer` with the interpreter, the
options and the start-up environment of the scripts. It never starts a thread, never sees what a job is told (its
environment, its token): the fork reads that itself, from a pipe. What a script must not share with others is new in
each fork: its session, its random numbers (``random`` reseeds itself after a fork; numpy and ``multiprocessing``, whose
seeds and keys are made at import, are never imported here), its temporary folder, its connections. What stays the same
for all scripts of one such process is the seed of ``hash()``, which decides about the order of sets.

A request is the script's id, with a pipe to read the call from and the pipe for the output; the answer is the number of
the process, which is by then a child of whoever started this one, so that its end is seen there as any child's.
Linux only.
"""

import sys

if __name__ == "__main__" and not sys.flags.safe_path:
    # The folder of this file: the modules beside it must not be taken for others of their names.
    del sys.path[0]

import ctypes
import gc
import importlib
import importlib.machinery
import json
import os
import socket
import types
from pathlib import Path
from typing import Any

ID_VARIABLE = "_XF_SCRIPT_ID"
ID_LENGTH = 32
_DESCRIPTORS = 2
_LINUX_ONLY = "scripts are forked on Linux only"
_NEVER_SHARED = ("numpy", "multiprocessing")


def loaded(functions: list[str]) -> dict[str, Any]:
    """
    Import and call what is to be there, and say what came of it.

    Args:
        functions: ``module:function``, called without arguments.

    Returns:
        ``modules``, the names on top level that are taken now, and ``files``, which files they came from with the time
        of their last change; or ``error``, why scripts cannot be forked from here.
    """
    try:
        for name in functions:
            module, _, function = name.partition(":")
            getattr(importlib.import_module(module), function)()
    except Exception as error:  # noqa: BLE001  whatever it is, scripts start without this process then
        return {"error": f"{type(error).__name__}: {error}"}
    shared = [name for name in _NEVER_SHARED if name in sys.modules]
    if shared:
        return {"error": f"{', '.join(shared)} was imported, which scripts cannot share"}
    if len(list(Path("/proc/self/task").iterdir())) > 1:
        return {"error": "a thread was started"}
    standard = str(Path(os.__file__).parent)
    files: dict[str, int] = {}
    for module_of in list(sys.modules.values()):
        path = getattr(module_of, "__file__", None)
        # The standard library changes with the interpreter only; packages may lie in a folder of its own.
        if path and (not path.startswith(standard) or "-packages" in path):
            files[path] = Path(path).stat().st_mtime_ns
    return {"modules": sorted({name.partition(".")[0] for name in sys.modules}), "files": files}


def serve(control: socket.socket) -> dict[str, Any]:
    """Answer requests until their sender is gone, which ends this process; return in each fork, with its call."""
    if sys.platform == "win32":
        raise OSError(_LINUX_ONLY)
    while True:
        request, descriptors, _, _ = socket.recv_fds(control, ID_LENGTH, _DESCRIPTORS)
        if len(request) < ID_LENGTH or len(descriptors) < _DESCRIPTORS:
            os._exit(0)
        call, output = descriptors
        read, write = os.pipe()
        try:
            between = os.fork()
        except OSError:
            between = -1
        if between == 0:
            # The script is the child of a process that ends at once, so that it becomes the runner's child.
            try:
                if os.fork():
                    os._exit(0)
            except OSError:
                os._exit(1)
            control.close()
            os.close(read)
            return _begun(request, call, output, write)
        for descriptor in (call, output, write):
            os.close(descriptor)
        number = os.read(read, 32)
        os.close(read)
        if between > 0:
            os.waitpid(between, 0)
        control.sendall((number or b"0") + b"\n")


def _begun(script_id: bytes, call: int, output: int, write: int) -> dict[str, Any]:
    """Become a process of its own, say so, and wait for what it is to do."""
    try:
        if sys.platform == "win32":
            raise OSError(_LINUX_ONLY)  # noqa: TRY301  as what else keeps it from running
        os.setsid()
        library = ctypes.CDLL(None)
        library.getenv.restype = ctypes.c_void_p
        # Where the system looks when somebody asks for the environment of this process and of its forks.
        ctypes.memmove(library.getenv(ID_VARIABLE.encode()), script_id, ID_LENGTH)
        os.dup2(output, 1)
        os.dup2(output, 2)
        os.close(output)
        os.write(write, str(os.getpid()).encode())
        os.close(write)
        with open(call, "rb") as pipe:
            return json.loads(pipe.read())  # type: ignore[no-any-return, unused-ignore]  # written by ForkServer
    except Exception:  # noqa: BLE001  the runner is gone, or starts the script otherwise
        os._exit(1)


def become(call: dict[str, Any]) -> dict[str, Any]:
    """Make this process what the interpreter makes of itself before it runs a script; give the script's globals."""
    coerced = os.environ.get("LC_CTYPE")  # which the interpreter sets itself in the C locale (PEP 538)
    os.environ.clear()
    os.environ.update(call["environment"])
    if coerced is not None:
        os.environ.setdefault("LC_CTYPE", coerced)
    os.chdir(call["directory"])
    script, *arguments = call["arguments"]
    sys.argv = [script, *arguments]
    sys.orig_argv = call["command"]
    if not sys.flags.safe_path:
        sys.path.insert(0, str(Path(script).resolve().parent))
    if "tempfile" in sys.modules:
        sys.modules["tempfile"].tempdir = None  # type: ignore[attr-defined]  # it may have been asked for already
    main = types.ModuleType("__main__")
    main.__dict__.update(
        __annotations__={},
        __file__=script,
        __cached__=None,
        __builtins__=sys.modules["builtins"],
        __loader__=importlib.machinery.SourceFileLoader("__main__", script),
    )
    sys.modules["__main__"] = main
    gc.enable()
    return main.__dict__


def show_only_the_script() -> None:
    """Leave this file's own frame out of what is said of the error that is being raised."""
    hook = sys.excepthook

    def show(kind: type[BaseException], error: BaseException, trace: types.TracebackType | None) -> None:
        while trace is not None and trace.tb_frame.f_code.co_filename == __file__:
            trace = trace.tb_next
        hook(kind, error.with_traceback(trace), trace)

    sys.excepthook = show


if __name__ == "__main__":
    _control = socket.socket(fileno=int(sys.argv[1]))
    _result = loaded(sys.argv[2:])
    _control.sendall(json.dumps(_result).encode() + b"\n")
    if "error" in _result:
        sys.exit(1)
    del _result
    gc.collect()
    # What is there now is never looked at again, so its pages stay shared with the forks.
    gc.freeze()
    gc.disable()
    _globals = become(serve(_control))
    try:
        _code = compile(Path(_globals["__file__"]).read_bytes(), _globals["__file__"], "exec", dont_inherit=True)
        exec(_code, _globals)  # noqa: S102  running scripts is what this is for
    except BaseException:
        show_only_the_script()
        raise
