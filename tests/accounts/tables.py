"""Tables of who may do something to whom, compared as a whole."""

from collections.abc import Callable, Iterable

from django.db import transaction


def undone(work: Callable[[], object]) -> object:
    """The result of some work, of which nothing stays in the database."""
    with transaction.atomic():
        result = work()
        transaction.set_rollback(True)
    return result


def listed(table: str) -> dict[str, set[str]]:
    """A table with a line for each actor: its name, a colon, the names of those it reaches."""
    lines = (line.partition(":") for line in table.strip().splitlines())
    return {actor.strip(): set(names.split()) for actor, _, names in lines}


def crossed(table: str) -> dict[tuple[str, str], str]:
    """A table of letters with a column for each target: `(actor, target) -> letters`, a dot for none."""
    (_, *targets), *lines = (line.split() for line in table.strip().splitlines())
    return {
        (actor, target): cell.strip(".") for actor, *cells in lines for target, cell in zip(targets, cells, strict=True)
    }


def offenders(expected: dict, found: dict) -> list[str]:
    """The lines in which two tables differ."""
    assert expected.keys() == found.keys()
    return [f"{key}: expected {expected[key]}, found {found[key]}" for key in expected if expected[key] != found[key]]


def done(letters: Iterable[str], attempt: Callable[[str], bool]) -> str:
    """Those letters for which an attempt succeeds; nothing of the attempts stays."""
    return "".join(letter for letter in letters if undone(lambda: attempt(letter)))  # noqa: B023 it runs in this turn
