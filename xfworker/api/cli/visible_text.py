"""Text as it may stand on a terminal: names, messages and units come from anybody."""

import re

_OBEYED = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u2028-\u202e\u2066-\u2069]")
"""Control characters, line ends that are none here, and what turns the direction of the text behind it."""


def visible(text: str) -> str:
    """Write as escapes what a terminal would obey instead of showing it, or show elsewhere than where it stands."""
    return _OBEYED.sub(lambda found: f"\\u{ord(found[0]):04x}", text.replace("\r\n", "\n"))
