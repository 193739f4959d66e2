"""The notebooks of the examples run from top to bottom, and show what they say."""

import os
import sys
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

NOTEBOOKS = Path(__file__).resolve().parents[2] / "examples" / "notebooks"


@pytest.fixture
def executed(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))
    notebook = nbformat.read(NOTEBOOKS / "first_look.ipynb", as_version=4)
    NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(tmp_path)}}).execute()
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def shown(cell):
    return {kind: value for output in cell.outputs for kind, value in output.get("data", {}).items()}


def test_the_first_look_runs_and_shows_images_and_figures(executed):
    image, bone = (next(cell for cell in executed if cell.source.endswith(name)) for name in ("\nimage", "\nbone"))
    for cell in (image, bone):
        assert "<img" in shown(cell)["text/html"]
    assert "240" in shown(image)["text/html"]
    statistics = next(cell for cell in executed if "statistics" in cell.source)
    assert "mean=881.04" in shown(statistics)["text/plain"]
    inputs = next(cell for cell in executed if cell.source.startswith("import xfworkerutil"))
    assert "400" in shown(inputs)["text/plain"]
