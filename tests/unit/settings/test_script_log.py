import json
import subprocess
import sys

import pytest

SAY = """
import sys
import structlog
from xfworker.api.logging import write_script_log
from xfworker.api.settings.model import LoggingSettings
write_script_log(LoggingSettings(level=sys.argv[1], format=sys.argv[2]), job_serial=7)
log = structlog.get_logger()
for level in ("debug", "info", "warning", "error"):
    getattr(log, level)(f"xfworker.{level}_said")
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
