"""What the import of the module costs: which heavy modules it must not bring along."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HEAVY = (
    "numpy",
    "urllib3",
    "asyncio",
    "structlog",
    "ssl",
    "attrs",
    "attr",
    "cattrs",
    "rich",
    "litestar",
    "http.client",
)


def modules_after(code):
    probe = f"{code}\nimport sys\nprint('\\n'.join(sys.modules))"
    done = subprocess.run([sys.executable, "-c", probe], check=True, cwd=ROOT, capture_output=True, text=True)
    return set(done.stdout.split())


@pytest.mark.parametrize("name", HEAVY)
def test_importing_the_module_leaves_heavy_modules_alone(name):
    assert name not in modules_after("import xfworkerutil")


# Making classes takes time: the records, queries and files that a script may never ask for come with the question.
@pytest.mark.parametrize(
    "name",
    [
        *("numpy", "rich", "litestar", "PIL", "tomllib", "asyncio", "structlog"),
        *("xfworker.domain.records", "xfworker.domain.queries", "xfworker.domain.files"),
    ],
)
def test_making_a_job_class_leaves_what_it_does_not_need_alone(name):
    assert name not in modules_after("import xfworkerutil; xfworkerutil.XFWorkerJob")


@pytest.mark.parametrize("name", ["tomllib", "difflib", "typing_extensions", "cattrs", "subprocess"])
def test_settings_in_variables_bring_along_only_what_reads_them(name):
    code = "from xfworker.api.settings.file import load_settings\n"
    assert name not in modules_after(f"{code}load_settings({{'XFWORKER_HTTP_ATTEMPTS': '5'}})")


def test_the_import_reads_no_environment():
    code = "import os; os.environ = None; os.getenv = None\nimport xfworkerutil"
    assert "xfworkerutil" in modules_after(code)
