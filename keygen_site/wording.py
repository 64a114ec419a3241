"""Numbers in sentences: `1 key was added`, `2,000 keys were added`."""


def count_of(number: int, noun: str) -> str:
    """A number with its noun, in the plural unless it is one."""
    ending = "es" if noun.endswith("s") else "s"
    return f"{number:,} {noun}{'' if number == 1 else ending}"


def was(number: int) -> str:
    """The verb that fits a number of things."""
    return "was" if number == 1 else "were"
