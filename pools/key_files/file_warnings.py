"""Warnings about files of keys, and lines that they are about."""

from dataclasses import dataclass, field
from typing import Any

from keygen_site.wording import count_of
from pools.key_files.look_alikes import NumberedText

MAX_EXAMPLES = 5


@dataclass(frozen=True)
class FileWarning:
    """An observation about a file that a person should look at before its keys are added.

    Attributes:
        code: e.g. `quoted`.
        message: in plain words, with the way out.
        is_serious: whether lines are almost certainly no keys. Such a file is refused unless warnings are accepted.
        count: the number of lines; 0 if the warning is about the file.
        lines: the numbers of the first of these lines, at most MAX_EXAMPLES.
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


@dataclass
class Group:
    """The number of some lines, and the first of them."""

    count: int = 0
    examples: list[NumberedText] = field(default_factory=list)

    @property
    def is_hungry(self) -> bool:
        return len(self.examples) < MAX_EXAMPLES


def warn_of(
    code: str, group: Group, singular: str, plural: str, advice: str = "", *, is_serious: bool = False
) -> FileWarning:
    """A warning about some lines."""
    first = group.examples[0].number
    message = f"Line {first:,} {singular}" if group.count == 1 else f"{count_of(group.count, 'line')} {plural}"
    if group.count > 1:
        message = f"{message.removesuffix('.')} (the first is line {first:,})."
    return FileWarning(
        code,
        f"{message}{' ' * bool(advice)}{advice}",
        is_serious,
        group.count,
        tuple(each.number for each in group.examples),
        tuple(each.text for each in group.examples),
    )
