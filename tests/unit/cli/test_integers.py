"""Integers among arguments are taken as they are written."""

import pytest

from xfworker.api.cli.main import main


@pytest.mark.parametrize(
    "words",
    [
        ["run", "delete", "2.5"],
        ["run", "priority", "High", "1", "2.5"],
        ["run", "list", "--workflow", "2.5"],
        ["job", "show", "2.5"],
        ["job", "restart", "1", "2.5"],
        ["workflow", "start", "2.5"],
        ["image", "crop", "a.omni", "b.omni", "--pos", "2.5", "1", "1"],
        ["image", "downsample", "a.omni", "b.omni", "2.5"],
    ],
)
def test_a_fraction_is_not_the_integer_beside_it(words, capsys):
    assert main(words) == 2
    assert "2.5 is not an integer" in " ".join(capsys.readouterr().err.replace("│", " ").split())
