import json
import os
import subprocess
import sys

import pytest

SAY = """
import sys
import structlog
from xfworker.api.logging import write_script_log
from xfworker.api.settings.model import LoggingSettings
from xfworker.services.event_log import EventLog
write_script_log(LoggingSettings(level=sys.argv[1], format=sys.argv[2]), job_serial=7)
log = EventLog("xfworker.test")
for level in ("debug", "info", "warning"):
    getattr(log, level)(f"xfworker.{level}_said")
try:
    1 / 0
except ZeroDivisionError:
    log.exception("xfworker.error_said")
assert not structlog.is_configured()
"""
LEVELS = ("debug", "info", "warning", "error", "off")


@pytest.mark.parametrize("level", LEVELS)
def test_every_level_lets_through_what_it_says(level):
    done = subprocess.run(
        [sys.executable, "-c", SAY, level, "json"], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    said = [json.loads(line) for line in done.stderr.splitlines()]
    assert [event["level"] for event in said] == list(LEVELS[LEVELS.index(level) : -1])
    assert all(event["job_serial"] == 7 for event in said)


OWN = """
import logging, sys
{before}
import structlog, xfworkerutil
worker = xfworkerutil.XFWorkerJob()
{after}
logging.getLogger("mine").info("said by logging")
structlog.get_logger().info("said by structlog")
print("configured", structlog.is_configured(), flush=True)
worker.finish({{}})
"""


def run_script(tmp_path, before="", after=""):
    (tmp_path / "task.py").write_text(OWN.format(before=before, after=after))
    environment = {name: value for name, value in os.environ.items() if not name.startswith("XF")}
    environment |= {"XFWORKER_SERVER_KIND": "memory", "XFWORKER_LOGGING_LEVEL": "error"}
    return subprocess.run(
        [sys.executable, "task.py"], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
    )


def test_what_a_script_logs_without_any_set_up_is_in_its_log(tmp_path):
    done = run_script(tmp_path)
    assert "INFO:mine:said by logging" in done.stderr
    assert "said by structlog" in done.stdout
    assert "configured False" in done.stdout


@pytest.mark.parametrize("where", ["before", "after"])
def test_what_a_script_sets_up_itself_is_left_as_it_is(tmp_path, where):
    set_up = "logging.basicConfig(level=logging.ERROR, stream=sys.stdout)"
    done = run_script(tmp_path, **{where: set_up})
    assert "said by logging" not in done.stdout + done.stderr


def test_a_script_may_set_logging_up_after_it_has_its_job(tmp_path):
    done = run_script(tmp_path, after="logging.basicConfig(format='mine: %(message)s', stream=sys.stdout)")
    assert "mine: said by logging" in done.stdout
    assert "said by logging" not in done.stderr
