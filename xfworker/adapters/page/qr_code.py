"""QR codes as SVG that stands in a page."""

import segno
from markupsafe import Markup

_PIXELS = 5


def qr_code(text: str) -> Markup:
    """Draw a text as a QR code, dark on light whatever the page's colours are, as cameras expect it."""
    drawn = segno.make_qr(text).svg_inline(scale=_PIXELS, dark="#000", light="#fff")
    return Markup(drawn)  # noqa: S704  numbers of segno; the text is drawn, not written
