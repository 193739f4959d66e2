"""What people read about an exception that a script did not catch."""

import pytest

from xfworker.services.script.uncaught import describe_exception, printable


def through(error, *files):
    """Raise an error in the last of some files, each of which calls the next, and give it as it comes out."""

    def call():
        raise error

    for file in reversed(files):
        names = {"inner": call}
        exec(compile("def call():\n\n    inner()\n", file, "exec"), names)
        call = names["call"]
    try:
        call()
    except (Exception, KeyboardInterrupt) as raised:  # noqa: BLE001  what is given to it, whatever that is
        # Without the frame of this function, and without that which raises.
        trace = raised.__traceback__.tb_next
        frames = []
        while trace.tb_next is not None:
            frames.append(trace)
            trace = trace.tb_next
        frames[-1].tb_next = None
        return raised.with_traceback(frames[0])


LIBRARIES = [
    "/usr/lib/python3.11/json/decoder.py",
    "/env/lib/site-packages/numpy/core.py",
    "/usr/lib/dist-packages/yaml/reader.py",
    "<frozen importlib._bootstrap>",
]


@pytest.mark.parametrize("library", LIBRARIES)
def test_an_exception_names_the_line_of_the_script_and_not_of_the_library_below_it(library):
    error = through(ValueError("bad"), "/job/main.py", "/job/measure.py", library)
    assert describe_exception(error) == "ValueError: bad (measure.py, line 3)"
    name = library.rpartition("/")[2]
    assert describe_exception(through(ValueError("bad"), library)) == f"ValueError: bad ({name}, line 3)"


def test_an_interrupt_says_what_it_was():
    error = through(KeyboardInterrupt(), "/job/main.py")
    assert describe_exception(error) == "KeyboardInterrupt: interrupted (Ctrl-C) (main.py, line 3)"
    assert describe_exception(ValueError()) == "ValueError"


def test_a_message_can_be_saved_whatever_is_in_it_and_keeps_both_ends_where_it_is_long():
    assert printable("a\0b\ud800") == "a\\0b\\ud800"
    assert printable("x" * 4000) == "x" * 4000
    assert printable("x" * 2000 + "-" + "y" * 2000) == (f"{'x' * 2000} [... 1 characters left out ...] {'y' * 2000}")
