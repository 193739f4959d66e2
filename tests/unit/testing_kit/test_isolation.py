"""A script that runs inside a test leaves the test's process as it was."""

import decimal
import logging
import os
import random
import signal
import socket
import sys

import numpy as np
import pytest

CHANGES = """
import decimal, logging, os, random, signal, socket, sys
import numpy as np
import xfworkerutil

worker = xfworkerutil.XFWorkerJob()
found = {
    "precision": decimal.getcontext().prec,
    "divide": np.geterr()["divide"],
    "level": logging.getLogger().level,
    "handlers": len(logging.getLogger().handlers),
}
os.umask(0o000)
decimal.getcontext().prec = 3
np.seterr(all="raise")
np.set_printoptions(precision=1)
np.random.seed(1)
random.seed(1)
socket.setdefaulttimeout(1.0)
sys.setrecursionlimit(5000)
logging.basicConfig(level=logging.DEBUG)
logging.disable(logging.ERROR)
logging.getLogger("lab").setLevel(logging.ERROR)
logging.getLogger("new").addHandler(logging.NullHandler())
for number in (signal.SIGINT, signal.SIGTERM, *([signal.SIGUSR1] if hasattr(signal, "SIGUSR1") else [])):
    signal.signal(number, signal.SIG_IGN)
worker.finish(found)
"""


def state():
    mask = os.umask(0o077)
    os.umask(mask)
    return {
        "umask": mask,
        "decimal": decimal.getcontext().prec,
        "numpy": np.geterr(),
        "print": np.get_printoptions(),
        "seeds": (random.getstate(), tuple(np.random.get_state()[1])),  # noqa: NPY002  what scripts seed
        "socket": socket.getdefaulttimeout(),
        "recursion": sys.getrecursionlimit(),
        "handlers": list(logging.getLogger().handlers),
        "levels": (logging.getLogger().level, logging.getLogger("lab").level, logging.root.manager.disable),
        "new": list(logging.getLogger("new").handlers),
        "signals": {number: signal.getsignal(number) for number in signal.valid_signals()},
    }


@pytest.fixture
def script(tmp_path):
    path = tmp_path / "task.py"
    path.write_text(CHANGES)
    return path


def test_nothing_that_a_script_changes_reaches_the_next_test(run_task, script):
    logging.getLogger("lab").setLevel(logging.INFO)
    random.seed(7)
    before = state()
    run_task(script)
    assert state() == before


def test_a_script_begins_as_in_a_process_of_its_own(run_task, script):
    with decimal.localcontext() as context, np.errstate(all="ignore"):
        context.prec = 5
        logging.getLogger().setLevel(logging.ERROR)
        outputs = run_task(script).outputs
        assert decimal.getcontext().prec == 5
    logging.getLogger().setLevel(logging.WARNING)
    assert outputs == {"precision": 28, "divide": "warn", "level": logging.WARNING, "handlers": 0}
