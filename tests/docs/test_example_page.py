"""The page of examples shows every documented name at work."""

import re
from pathlib import Path

DOCS = Path(__file__).resolve().parents[2] / "docs"
DOCUMENTED = Path(__file__).resolve().parents[1] / "conformance" / "documented_api.txt"


def test_every_documented_name_has_an_example():
    names = re.findall(r"^(\w+)\(", DOCUMENTED.read_text(encoding="utf-8"), re.MULTILINE)
    page = (DOCS / "reference" / "examples.md").read_text(encoding="utf-8")
    code = "\n".join(re.findall(r"^```python\n(.*?)^```", page, re.MULTILINE | re.DOTALL))
    missing = [name for name in names if not re.search(rf"\b{name}\(", code)]
    # What follows an ending or belongs to the worker's own start is said in words there.
    assert missing == []
