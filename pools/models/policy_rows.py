"""Queryset of models with an index by policy and id."""

from typing import Any, Self, TypeVar

from django.db import connection, models

_Row = TypeVar("_Row", bound=models.Model)


class PolicyRowsQuerySet(models.QuerySet[_Row]):
    """Queryset of a model with a foreign key `policy`."""

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
        return rows.order_by("policy_id", "id")
