"""
The text that is submitted for a pilot.

``{{name}}`` stands for a value. A line with ``{{name?}}`` is left out where the value is empty or 0.
"""

import re
from collections.abc import Mapping

from xfworker.domain.errors import UsageError

_PLACEHOLDER = re.compile(r"\{\{\s*(?P<name>[A-Za-z_]\w*)(?P<optional>\?)?\s*\}\}")
_NOT_ONE = re.compile(r"\{\{[^{}\n]*\}\}")
_NOTHING = frozenset({"", "0"})


def filled(template: str, values: Mapping[str, object], what: str) -> str:
    """
    Put values into a template.

    Args:
        template: The template.
        values: The values by name. A name that only optional placeholders have need not be there.
        what: Which template it is, for messages.

    Raises:
        UsageError: With every placeholder that has no value.
    """
    lines = []
    unknown: dict[str, None] = {}
    for line in template.splitlines():
        names = {found["name"]: found["optional"] for found in _PLACEHOLDER.finditer(line)}
        unknown |= dict.fromkeys(name for name, optional in names.items() if name not in values and not optional)
        unknown |= dict.fromkeys(found[0] for found in _NOT_ONE.finditer(line) if not _PLACEHOLDER.fullmatch(found[0]))
        given = {name: str(values.get(name, "")) for name in names}
        if not any(optional and given[name] in _NOTHING for name, optional in names.items()):
            lines.append(_PLACEHOLDER.sub(lambda found, given=given: given[found["name"]], line))  # type: ignore[misc]
    if unknown:
        raise UsageError(
            f"{what} has placeholders without a value: {', '.join(unknown)}; there are "
            f"{', '.join(sorted(values))}, and what --value NAME=TEXT adds"
        )
    return "\n".join(lines) + "\n"
