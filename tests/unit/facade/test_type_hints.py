import inspect
import subprocess
import sys
import typing

import pytest

import xfworkerutil
from xfworker.api.facade import omni

METHODS = [name for name, _ in inspect.getmembers(xfworkerutil.XFWorkerJob, inspect.isfunction) if name[0] != "_"]
FUNCTIONS = [name for name in xfworkerutil.__all__ if inspect.isfunction(getattr(xfworkerutil, name))]


@pytest.mark.parametrize("name", METHODS)
def test_the_hints_of_every_method_can_be_asked_for(name):
    typing.get_type_hints(getattr(xfworkerutil.XFWorkerJob, name))


@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_hints_of_every_function_can_be_asked_for(name):
    typing.get_type_hints(getattr(xfworkerutil, name))


def test_an_image_is_an_omni_image():
    assert typing.get_type_hints(xfworkerutil.XFWorkerJob.get_omni_image)["return"] is omni.Image


def test_hints_do_not_make_scripts_wait_for_what_opens_images():
    code = "import sys, xfworkerutil; xfworkerutil.XFWorkerJob; print('xfworker.api.facade.omni' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
