"""Text in pictures, in letters of 5 by 7 dots: pictures are made without any library."""

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Bytes = npt.NDArray[np.uint8]
    Dots = npt.NDArray[np.bool_]

Colour = tuple[int, int, int]

_GLYPH_ROWS, _GLYPH_COLUMNS = 7, 5
_LETTERS: Final = (
    "0:0e11131519110e 1:040c040404040e 2:0e11010204081f 3:1f02040201110e 4:02060a121f0202 5:1f101e0101110e "
    "6:0608101e11110e 7:1f010204080808 8:0e11110e11110e 9:0e11110f01020c .:00000000000c0c -:0000001f000000 "
    "+:0004041f040400 e:00000e111f100e m:00001a15151111 x:0000110a040a11 y:000011110f010e z:00001f0204081f "
    "L:1010101010101f R:1e11111e141211 P:1e11111e101010 A:0e11111f111111 S:0f10100e01011e I:0e04040404040e "
    "B:1e11111e11111e C:0e11101010110e D:1c12111111121c E:1f10101e10101f F:1f10101e101010 G:0e11101711110f "
    "H:1111111f111111 J:0702020202120c K:11121418141211 M:111b1515111111 N:11111915131111 O:0e11111111110e "
    "Q:0e11111115120d T:1f040404040404 U:1111111111110e V:11111111110a04 W:1111111515150a X:11110a040a1111 "
    "Y:1111110a040404 Z:1f01020408101f a:00000e010f110f b:1010161911111e c:00000e1010110e d:01010d1311110f "
    "f:0609081c080808 g:000f11110f010e h:10101619111111 i:04000c0404040e j:0200060202120c k:10101214181412 "
    "l:0c04040404040e n:00001619111111 o:00000e1111110e p:00001e111e1010 q:00000d130f0101 r:00001619101010 "
    "s:00000e100e011e t:08081c08080906 u:0000111111130d v:00001111110a04 w:0000111115150a /:00010204081000 "
    "[:0e08080808080e ]:0e02020202020e %:18190204081303 (:02040808080402 ):08040202020408 ^:040a1100000000 "
)
"""Letters of 5 by 7 dots, each with its rows: a byte of hexadecimal digits per row, the leftmost dot at 16."""
_GLYPHS: Final = {letter: bytes.fromhex(rows) for letter, rows in (one.split(":") for one in _LETTERS.split())}


def drawn_text(picture: "Bytes", text: str, centre: tuple[int, int], *, size: int, colour: Colour) -> None:
    """Write a text into a picture; its middle is at (row, column), a dot of its letters has ``size`` pixels."""
    mark = string_dots(text, size)
    draw(picture, mark, centre[0] - mark.shape[0] // 2, centre[1] - mark.shape[1] // 2, colour)


def string_dots(text: str, size: int) -> "Dots":
    """Give a text as dots that are set, shape (rows, columns); a dot has ``size`` pixels along either side."""
    import numpy as np

    columns = len(text) * (_GLYPH_COLUMNS + 1) - 1
    dots = np.zeros((_GLYPH_ROWS, columns), np.bool_)
    for place, letter in enumerate(text):
        for row, bits in enumerate(_GLYPHS.get(letter, bytes(_GLYPH_ROWS))):
            for column in range(_GLYPH_COLUMNS):
                dots[row, place * (_GLYPH_COLUMNS + 1) + column] = bits >> (_GLYPH_COLUMNS - 1 - column) & 1
    return dots.repeat(size, axis=0).repeat(size, axis=1)


def draw(picture: "Bytes", mark: "Dots", top: int, left: int, colour: Colour) -> None:
    """Write dots into a picture, clipped at its sides."""
    top, left = max(0, top), max(0, left)
    part = picture[top : top + mark.shape[0], left : left + mark.shape[1]]
    part[mark[: part.shape[0], : part.shape[1]], :3] = colour
