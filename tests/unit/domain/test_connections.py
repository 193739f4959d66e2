"""Where the inputs of a task that is to follow another one come from, as long as nobody chooses."""

import pytest

from xfworker.domain.connections import first_source, output_fits, sources_behind
from xfworker.domain.records import Task, TaskType
from xfworker.domain.workflow_graph import Step


def behind(outputs, inputs, **chosen):
    declared = {"outputs": [{"key": key, "type": kind} for key, kind in outputs.items()]}
    step = Step(Task(serial=7, workflow_serial=1, task_type_serial=1), TaskType(name="T", interface=declared))
    return sources_behind(step, TaskType(name="U", interface={"inputs": inputs}), **chosen)


def connected(key, output):
    return {"key": key, "mode": "output", "task_serial": 7, "output_key": output}


@pytest.mark.parametrize(
    ("input_type", "output_type", "fits"),
    [
        ("Image", "Image", True), ("Image", "Mesh", False), ("", "Mesh", True), ("Sequence", "Float", True),
        ("Float", "Int", True), ("Int", "Float", False),
    ],
)  # fmt: skip
def test_an_input_takes_an_output_of_its_type_and_a_float_an_integer_as_well(input_type, output_type, fits):
    assert output_fits(input_type, output_type) is fits


def test_each_output_goes_to_the_first_input_that_it_fits_and_a_person_gives_the_rest():
    inputs = [{"key": key, "type": kind} for key, kind in (("a", "Image"), ("b", "Image"), ("c", "Float"))]
    sources = behind({"n": "Int", "image": "Image"}, inputs)
    assert sources == [connected("a", "image"), {"key": "b", "mode": "ui"}, connected("c", "n")]


def test_what_somebody_chose_stays_and_what_it_takes_is_not_given_twice():
    inputs = [{"key": "a", "type": "Image"}, {"key": "b", "type": "Image"}]
    chosen = connected("a", "image")
    sources = behind({"image": "Image"}, inputs, stated={"a": chosen}, taken={"image"})
    assert sources == [chosen, {"key": "b", "mode": "ui"}]


def test_an_input_that_takes_no_output_gets_none():
    [source] = behind({"image": "Image"}, [{"key": "a", "type": "Image", "supported_modes": ["none", "ui"]}])
    assert source == {"key": "a", "mode": "ui"}


@pytest.mark.parametrize(
    ("modes", "source"),
    [
        (None, {"mode": "ui"}),
        (["define_on_first"], {"mode": "define_on_first", "template": None}),
        (["define_on_first", "none"], {"mode": "none"}),
        (["output"], {"mode": "ui"}),
    ],
)
def test_until_somebody_chooses_an_input_comes_from_a_person_where_it_may(modes, source):
    assert first_source("a", {} if modes is None else {"supported_modes": modes}) == {"key": "a", **source}
