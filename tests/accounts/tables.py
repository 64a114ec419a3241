"""Tables of who may do something to whom, compared as a whole."""

from collections.abc import Callable, Iterable

from django.db import transaction


def undone(work: Callable[[], object]) -> object:
    """Return the result of a function whose changes to the database are rolled back."""
    with transaction.atomic():
        result = work()
        transaction.set_rollback(True)
    return result


def listed(table: str) -> dict[str, set[str]]:
    """Parse a table with a line for each actor: its name, a colon, the names of the targets it reaches."""
    lines = (line.partition(":") for line in table.strip().splitlines())
    return {actor.strip(): set(names.split()) for actor, _, names in lines}


def crossed(table: str) -> dict[tuple[str, str], str]:
    """Parse a table of letters with a column for each target into `(actor, target) -> letters`; a dot is none."""
    (_, *targets), *lines = (line.split() for line in table.strip().splitlines())
    return {
        (actor, target): cell.strip(".") for actor, *cells in lines for target, cell in zip(targets, cells, strict=True)
    }


def offenders(expected: dict, found: dict) -> list[str]:
    """Return the lines in which two tables differ."""
    assert expected.keys() == found.keys()
    return [f"{key}: expected {expected[key]}, found {found[key]}" for key in expected if expected[key] != found[key]]


def done(letters: Iterable[str], attempt: Callable[[str], bool]) -> str:
    """Return the letters for which an attempt succeeds. Each attempt is rolled back."""
    return "".join(letter for letter in letters if undone(lambda: attempt(letter)))  # noqa: B023 it runs in this turn
