"""The shapes of texts: letters and digits are alike, other characters stay."""

import re
import unicodedata
from collections.abc import Iterator, Sequence

# Of a shape with more punctuation, only the kinds of it count: texts of base64 would all have different shapes.
_MAX_PUNCTUATION = 10


class _Classes(dict[int, str]):
    """A table for `str.translate`: letters become A or a, digits 9, other characters stay."""

    def __missing__(self, code: int) -> str:
        character = chr(code)
        match unicodedata.category(character):
            case "Lu" | "Lt":
                value = "A"
            case "Nd":
                value = "9"
            case category if category[0] in "LMN":
                value = "a"
            case _:
                value = character
        self[code] = value
        return value


CLASSES = _Classes()
ALIKE = str.maketrans("Aa9", "xxx")
_RUNS = re.compile("x+")
_PUNCTUATION_ONLY = {ord("x"): None}


def shape(text: str) -> str:
    return text.translate(CLASSES).translate(ALIKE)


def reduce_shapes(shapes: Sequence[str]) -> Iterator[str]:
    """Shapes without the numbers of letters and digits; of one with much punctuation only the kinds of it."""
    punctuation = "\n".join(shapes).translate(_PUNCTUATION_ONLY).split("\n")
    for shape, signs in zip(shapes, punctuation, strict=True):
        yield _RUNS.sub("x", shape) if len(signs) <= _MAX_PUNCTUATION else "~" + "".join(sorted(set(signs)))
