"""Keys as people type them: in another case, without dashes, masked, or only their last characters.

Keys are stored encrypted and found by digests of their exact text. There is no digest of a key without case and dashes:
its index would slow each import down. So a search tries the likely spellings of the typed text.
"""

import re
from collections.abc import Iterable, Sequence
from itertools import product

from keygen_site.db.fields import mask_key
from keygen_site.db.key_digests import ENDING_CHARACTERS

MAX_SPELLINGS = 200
MIN_SPELLED_LETTERS, MAX_SPELLED_CHARACTERS = 6, 256
MIN_ENDING_LETTERS, MAX_ENDING_LETTERS = 4, 8
GROUP_SIZES = range(3, 9)
UUID_GROUPS = (8, 4, 4, 4, 12)
_MASK = re.compile(r"(\S{1,4})(?:…|\.{2,}|\*+|•+)(\S{1,4})")


def letters_of(text: str) -> str:
    """The letters and digits of a text in upper case: two spellings of a key have the same."""
    return "".join(filter(str.isalnum, text)).upper()


def spell_key(text: str, samples: Iterable[str] = ()) -> list[str]:
    """The likely spellings of a key, the text as it is first.

    Args:
        samples: keys whose dashes and case the key may share.
    """
    spellings = {text: None, text.upper(): None, text.lower(): None}
    bare = "".join(filter(str.isalnum, text))
    if not bare or len(text) > MAX_SPELLED_CHARACTERS:
        return list(spellings)
    layouts = [bare, *(_group(bare, [size] * len(bare)) for size in GROUP_SIZES)]
    if len(bare) == sum(UUID_GROUPS):
        layouts.append(_group(bare, UUID_GROUPS))
    for layout in layouts:
        spellings |= {layout: None, layout.upper(): None, layout.lower(): None}
    for sample in samples:
        if spelling := _spell_like(sample, bare):
            spellings[spelling] = None
    return list(spellings)[:MAX_SPELLINGS]


def _group(bare: str, sizes: Sequence[int]) -> str:
    """A text with a dash after each group of characters."""
    groups, start = [], 0
    for size in sizes:
        if start < len(bare):
            groups.append(bare[start : start + size])
        start += size
    return "-".join(groups)


def _spell_like(sample: str, bare: str) -> str | None:
    """Letters and digits with the separators of another key, and with its case at each place; None if it has more."""
    letters = iter(bare)
    cased = [each for each in sample if each.isalpha()]
    is_lower = bool(cased) and all(each.islower() for each in cased)
    spelled = []
    for place in sample:
        if not place.isalnum():
            spelled.append(place)
            continue
        letter = next(letters, None)
        if letter is None:
            return None
        lower = place.islower() if place.isalpha() else is_lower
        spelled.append(letter.lower() if lower else letter.upper())
    return "".join(spelled) if next(letters, None) is None else None


def ending_spellings(text: str) -> list[str]:
    """The last ENDING_CHARACTERS that a key may have which ends with these letters: in any case, one may be a dash."""
    letters = letters_of(text)
    found: dict[str, None] = {}
    for places in (ENDING_CHARACTERS, ENDING_CHARACTERS - 1):
        last = letters[-places:]
        cased = ["".join(each) for each in product(*({letter, letter.lower()} for letter in last))]
        if places == ENDING_CHARACTERS:
            found |= dict.fromkeys(cased)
        else:
            found |= {f"{each[:dash]}-{each[dash:]}": None for each in cased for dash in range(places)}
    return list(found)


def parse_mask(text: str) -> str | None:
    """A masked key as `mask_key` writes it, in upper case; None if the text is none."""
    match = _MASK.fullmatch(text.strip())
    return f"{match[1]}…{match[2]}".upper() if match else None


def has_mask(key: str, mask: str) -> bool:
    """Whether a key is shown with this mask, in any case."""
    return mask_key(key).upper() == mask


def ends_with(key: str, text: str, *, may_reveal: bool) -> bool:
    """Whether a key ends with a text, ignoring case and dashes.

    Compares no more than the mask of the key shows, and for those who may reveal keys a third of it: otherwise a search
    for one more character after the other would tell the whole key, without a trace.
    """
    letters, wanted = letters_of(key), letters_of(text)
    visible = mask_key(key).rpartition("…")[2]
    known = len(letters_of(visible)) if len(visible) == ENDING_CHARACTERS else 0
    if may_reveal:
        known = max(known, MIN_ENDING_LETTERS, min(MAX_ENDING_LETTERS, len(letters) // 3))
    known = min(known, len(wanted))
    return bool(known) and letters.endswith(wanted[-known:])
