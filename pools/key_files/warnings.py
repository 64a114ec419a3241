"""Warnings about a file of keys: features that all lines share, and lines that are unlike the rest."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class FileWarning:
    """An observation about a file that a person should look at before its keys are added.

    Attributes:
        code: e.g. `quoted`.
        message: in plain words, with the way out.
        is_serious: whether lines are almost certainly no keys. Such a file is refused unless warnings are accepted.
        count: the number of lines; 0 if the warning is about the file.
        lines: the numbers of the first of these lines, at most five.
        samples: their texts.
        file: the index of the file.
    """

    code: str
    message: str
    is_serious: bool = False
    count: int = 0
    lines: tuple[int, ...] = ()
    samples: tuple[str, ...] = ()
    file: int = 0

    def as_dict(self) -> dict[str, Any]:
        """The members of a report."""
        return {
            "code": self.code,
            "message": self.message,
            "serious": self.is_serious,
            "count": self.count,
            "lines": list(self.lines),
            "samples": list(self.samples),
        }


class FileProfile:
    """The features of a file's keys, collected in flat memory while the file is read."""

    def __init__(self, file: int = 0) -> None:
        self.file = file

    def add(self, texts: Sequence[str], numbers: Sequence[int]) -> None:
        """Add some keys with the numbers of their lines, in the order of the file."""

    def warnings(self, pool_sample: Sequence[str] = ()) -> list[FileWarning]:
        """The warnings, serious ones first.

        Args:
            pool_sample: some keys that the pool already holds.
        """
        return []
