"""The column of the keys, by the names of the columns, and the columns that say whether a key is used."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from pools.key_files.errors import Candidate, ColumnAmbiguous, FileUnreadable, option
from pools.key_files.key_texts import escape_text
from pools.key_files.names import (
    KEY_NAMES,
    OWN_KEY_NAMES,
    OWN_OTHER_NAMES,
    WEAK_KEY_NAMES,
    find_state_kind,
    fold_name,
    says_used,
)
from pools.key_files.options import ReadOptions, UsedRows

_SHOWN_CHARACTERS, _SHOWN_NAMES, _SAMPLES, _MAX_CANDIDATES = 60, 20, 3, 50
POPPED_NAME = "popped"


@dataclass(frozen=True)
class Columns:
    """The columns of a file.

    Attributes:
        names: of all columns, or none without a header.
        count: the number of columns.
        key: the index of the column with the keys.
        states: the index and name of each state column.
    """

    names: tuple[str, ...]
    count: int
    key: int
    states: tuple[tuple[int, str], ...] = ()

    def name(self, index: int) -> str:
        """The name of a column, or else its number."""
        return (self.names[index].strip() if index < len(self.names) else "") or str(index + 1)

    @property
    def ignored(self) -> tuple[str, ...]:
        states = {index for index, _ in self.states}
        return tuple(
            self.name(index)
            for index in range(self.count)
            if index != self.key and index not in states and (not self.names or self.names[index].strip())
        )

    @property
    def state_names(self) -> tuple[str, ...]:
        return tuple(self.name(index) for index, _ in self.states)

    def find_used(self, row: Sequence[str]) -> tuple[str, str] | None:
        """The name and the text of the first cell that says that the row's key is used."""
        for index, name in self.states:
            if index < len(row) and says_used(name, row[index]):
                return self.name(index), row[index].strip()
        return None

    def find_popped(self, row: Sequence[str]) -> str:
        """The text of the column `popped`, or else that of a state column that is a time."""
        for index, name in self.states:
            if fold_name(name) == POPPED_NAME and index < len(row) and row[index].strip():
                return row[index].strip()
        return ""


def find_columns(
    names: Sequence[str], options: ReadOptions, samples: Callable[[int], Iterator[str]], noun: str = "column"
) -> Columns:
    """Find the columns of a file with a header.

    Args:
        names: the cells of the header.
        samples: the first cells of a column below the header, by its index.

    Raises:
        ColumnAmbiguous: none or several may hold the keys.
        FileUnreadable: the column that was told does not exist.
    """
    folded = [fold_name(name) for name in names]
    if options.column is not None:
        key = find_told(options.column, names, samples, noun)
    else:
        key = _find_known(names, folded, samples, noun)
    states = tuple((index, name) for index, name in enumerate(names) if index != key and find_state_kind(name))
    return Columns(tuple(names), len(names), key, () if options.used_rows is UsedRows.IGNORE else states)


def find_number(column: str) -> int | None:
    """The number of a column that was told by its number, from 1. None if it was told by a name."""
    digits = column.strip()
    return (int(digits) if len(digits) < 10 else 0) if digits.isdecimal() else None


def find_told(column: str, names: Sequence[str], samples: Callable[[int], Iterator[str]], noun: str = "column") -> int:
    """The index of a column by the name or the number that was told.

    Raises:
        ColumnAmbiguous: several have the name.
        FileUnreadable: none has it.
    """
    exact = [index for index, name in enumerate(names) if name.strip() == column.strip()]
    loose = [index for index, name in enumerate(names) if fold_name(column) and fold_name(name) == fold_name(column)]
    found = exact or loose
    if len(found) > 1:
        raise ColumnAmbiguous(
            f"{len(found)} {noun}s are called {column[:_SHOWN_CHARACTERS]!r}. Say which one has the keys by its "
            f"number: {option('column', str(found[0] + 1))}",
            make_candidates(found, names, samples),
        )
    if found:
        return found[0]
    number = find_number(column)
    if number and number <= len(names):
        return number - 1
    known = escape_text(", ".join(name.strip()[:_SHOWN_CHARACTERS] for name in names[:_SHOWN_NAMES]))
    raise FileUnreadable(f"The file has no {noun} {column[:_SHOWN_CHARACTERS]!r}: it has {len(names)} {noun}s: {known}")


def make_candidates(
    indexes: Sequence[int], names: Sequence[str], samples: Callable[[int], Iterator[str]]
) -> list[Candidate]:
    """The columns that the user may choose from, with samples."""
    candidates = []
    for index in indexes[:_MAX_CANDIDATES]:
        shown: list[str] = []
        for cell in samples(index):
            if cell.strip() and len(shown) < _SAMPLES:
                shown.append(escape_text(cell.strip()[:_SHOWN_CHARACTERS]))
        name = names[index].strip()[:_SHOWN_CHARACTERS] if index < len(names) else ""
        candidates.append(Candidate(escape_text(name), index + 1, tuple(shown)))
    return candidates


def _find_known(names: Sequence[str], folded: Sequence[str], samples: Callable[[int], Iterator[str]], noun: str) -> int:
    own = [index for index, name in enumerate(folded) if name in OWN_KEY_NAMES]
    if set(folded) >= OWN_OTHER_NAMES and len(own) == 1:
        return own[0]
    strong = [index for index, name in enumerate(folded) if name in KEY_NAMES]
    weak = [index for index, name in enumerate(folded) if name in WEAK_KEY_NAMES]
    if len(strong) + len(weak) == 1:
        return (strong or weak)[0]
    if strong or weak:
        found = sorted(strong + weak)
        shown = " and ".join(repr(escape_text(names[index].strip()[:_SHOWN_CHARACTERS])) for index in found[:5])
        said = f"Several {noun}s may have the keys: {shown}."
    else:
        found = [index for index in range(len(names)) if names[index].strip() or any(map(str.strip, samples(index)))]
        if len(names) == 1 and noun == "column":
            return 0
        said = f"It is not certain which {noun} has the keys: no name is known."
    raise ColumnAmbiguous(
        f"{said} Say which one has them: {option('column', 'NAME')}", make_candidates(found, names, samples)
    )
