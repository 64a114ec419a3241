"""Queryset of models with an index by policy and id."""

from collections.abc import Iterable
from typing import Any, Self, TypeVar
from uuid import UUID

from django.db import connection, models
from django.db.models import UUIDField, Value

from keygen_site.db.conditions import row_comparison

_Row = TypeVar("_Row", bound=models.Model)


class PolicyRowsQuerySet(models.QuerySet[_Row]):
    """Queryset of a model with a foreign key `policy`.

    Attributes:
        policy_id: the policy that all rows have, if `for_policy()` was called.
        bounds: the comparisons of `bounded()`, each with its id.
    """

    policy_id: Any = None
    bounds: tuple[tuple[str, UUID], ...] = ()

    def for_policy(self, policy_id: Any) -> Self:
        """Rows of one policy, in the order of their ids.

        Makes the database use the index by policy and id. For `policy_id = x ORDER BY id`, PostgreSQL may scan the
        primary key or the index of the account instead, and read many rows of other policies. A range condition, and an
        order that begins with the policy, rule these indexes out. SQLite uses the index for an equality only.

        Args:
            policy_id: a UUID or an `OuterRef`.
        """
        if connection.vendor == "postgresql":
            rows = self.filter(policy__gte=policy_id, policy__lte=policy_id)
        else:
            rows = self.filter(policy=policy_id)
        rows.policy_id = policy_id
        return rows._bound_in_index(self.bounds).order_by("policy_id", "id")

    def bounded(self, comparison: str, id: UUID) -> Self:
        """Rows whose ids compare so with a bound: `lt`, `gt` or `gte`."""
        rows = self._bound_in_index([(comparison, id)]) if self._has_range else self.filter(**{f"id__{comparison}": id})
        rows.bounds = *self.bounds, (comparison, id)
        return rows

    @property
    def _has_range(self) -> bool:
        return self.policy_id is not None and connection.vendor == "postgresql"

    def _bound_in_index(self, bounds: Iterable[tuple[str, UUID]]) -> Self:
        """Compare policy and id: for a range of policies, PostgreSQL would read the index of the whole pool.

        It estimates the number of rows by the policy alone. For `<` it would expect hardly any row of the account's
        first policy, and sort all of the pool; so the comparison is `<=` or `>=`.
        """
        rows = self
        if self._has_range:
            is_expression = hasattr(self.policy_id, "resolve_expression")
            policy_id = self.policy_id if is_expression else Value(self.policy_id, UUIDField())
            for comparison, id in bounds:
                inclusive, step = {"lt": ("lte", -1), "gt": ("gte", 1), "gte": ("gte", 0)}[comparison]
                bound = Value(UUID(int=max(id.int + step, 0)), UUIDField())
                rows = rows.filter(row_comparison(inclusive, "policy_id", policy_id, bound))
        return rows

    def _clone(self) -> Self:
        clone: Self = super()._clone()  # type: ignore[misc]
        clone.policy_id, clone.bounds = self.policy_id, self.bounds
        return clone
