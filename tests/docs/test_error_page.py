"""Every error has a section on the page of errors, and the command line leads there."""

import re
from importlib import import_module
from pathlib import Path

from xfworker.api.cli.main import main
from xfworker.domain.errors import XFWorkerError

PAGE = Path(__file__).resolve().parents[2] / "docs" / "reference" / "errors.md"


def classes(kind=XFWorkerError):
    yield kind
    for child in kind.__subclasses__():
        yield from classes(child)


def test_every_error_has_a_section_with_cause_and_cure():
    for module in ("adapters.genuine.errors", "api.capture.errors", "services.images.statistics"):
        import_module(f"xfworker.{module}")
    sections = dict(
        re.findall(r"^## (\S+)\n(.*?)(?=^## |\Z)", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    )
    own = [kind for kind in classes() if kind.__module__.startswith("xfworker.") and not kind.__name__.startswith("_")]
    for kind in own:
        section = sections[kind.code]
        if "code" in vars(kind):
            assert f"`{kind.__name__}`" in section
        assert kind is XFWorkerError or ("**Cause:**" in section and "**Cure:**" in section)
    assert set(sections) == {kind.code for kind in own}


def test_the_command_line_names_the_section(tmp_path, capsys):
    assert main(["image", "info", str(tmp_path / "none.aim")]) == 1
    place = re.search(r" \[docs: reference/errors\.md#(\S+)\]\n\Z", capsys.readouterr().err)
    assert place
    assert f"\n## {place[1]}\n" in PAGE.read_text(encoding="utf-8")
