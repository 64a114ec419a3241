"""Descriptions in the docstrings of the declarations."""

import inspect
import re

_CONTRACT = re.compile(r" ?\(contract: [^)]*\)")


def first_paragraph(declaration: type) -> str:
    """The first paragraph of a class's own docstring, without its references to the contract; empty without one."""
    text = inspect.cleandoc(vars(declaration).get("__doc__") or "")
    return _CONTRACT.sub("", " ".join(text.partition("\n\n")[0].split()))
