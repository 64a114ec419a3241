"""Sums over machines, which licenses show and their limits bound."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.db.models import BigIntegerField, Count, F, Sum
from django.db.models.expressions import Combinable

from keygen_site.db.literals import Literal

_NAMES = ("cores", "memory", "disk")
_HALF = 2**32  # sums are computed in two halves: the sum of two numbers of 63 bits overflows on SQLite


@dataclass(frozen=True)
class Totals:
    """The number of some machines, and the sums over them; a machine without a value counts as 0."""

    count: int = 0
    cores: int = 0
    memory: int = 0
    disk: int = 0


def sums() -> dict[str, Any]:
    """SQL: the aggregates that `totals_of()` reads."""
    found: dict[str, Combinable] = {"count": Count("pk")}
    # Not shifts of bits: PostgreSQL does not shift a number of 4 bytes by 32.
    half = Literal(_HALF, output_field=BigIntegerField())
    for name in _NAMES:
        found[f"{name}_high"] = Sum(F(name) / half)
        found[f"{name}_low"] = Sum(F(name) % half)
    return found


def totals_of(found: Mapping[str, Any] | None) -> Totals:
    """The totals from the values of `sums()`; without values there are no machines."""
    if not found:
        return Totals()
    numbers = (int(found[f"{name}_high"] or 0) * _HALF + int(found[f"{name}_low"] or 0) for name in _NAMES)
    return Totals(found["count"], *numbers)
