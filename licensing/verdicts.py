"""Verdicts: the results of validations."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Verdict:
    """The result of a validation: `valid`, a `detail` for people, and a `code` for programs."""

    valid: bool
    detail: str
    code: str
