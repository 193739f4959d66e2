"""The worker as a scheduled task, as docs/windows.md says it."""

import os
import re
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from xfworker.api.cli.main import command_line

DOCUMENT = Path(__file__).parents[2] / "docs" / "windows.md"
NAMES = {"task": "http://schemas.microsoft.com/windows/2004/02/mit/task"}


@pytest.fixture
def described():
    return re.search(r"```xml\n(.*?)```", DOCUMENT.read_text("utf-8"), re.DOTALL)[1]


def test_the_task_runs_a_command_that_there_is(described):
    action = ET.fromstring(described).find("task:Actions/task:Exec", NAMES)
    words = action.findtext("task:Arguments", None, NAMES).split()
    command, bound, _ = command_line(words[:1]).parse_args(words, exit_on_error=False)
    assert action.findtext("task:Command", None, NAMES).endswith("\\xfworker.exe")
    assert command.__module__ == "xfworker.api.cli.worker"
    assert str(bound.arguments["data"]) == "D:\\xfworker"


@pytest.mark.skipif(
    sys.platform != "win32" or "XFWORKER_TEST_SERVERS" not in os.environ,
    reason="it registers a task with the system, which is done under wine only",
)
def test_the_system_takes_the_task(described, tmp_path):
    description = tmp_path / "my worker.xml"
    description.write_text(described, "utf-8")
    remove = ["schtasks", "/delete", "/f", "/tn", "xfworker-test"]
    subprocess.run(remove, check=False, timeout=60)  # what a run that was ended left
    # Its output is a file: the desktop of wine that it may start goes on, and would keep a pipe open.
    with (tmp_path / "said").open("xb") as said:
        create = ["schtasks", "/create", "/tn", "xfworker-test", "/xml", str(description)]
        created = subprocess.run(create, check=False, timeout=60, stdout=said, stderr=said)
    assert created.returncode == 0, (tmp_path / "said").read_bytes()
    for code in (0, 1):  # the second time it is gone
        assert subprocess.run(remove, check=False, timeout=60).returncode == code
