"""Rows of policies, which an index by policy and id finds."""

from typing import Any, Self, TypeVar

from django.db import connection, models

_Row = TypeVar("_Row", bound=models.Model)


class PolicyRowsQuerySet(models.QuerySet[_Row]):
    """Rows with a field `policy`."""

    def for_policy(self, policy_id: Any) -> Self:
        """Rows of one policy, in the order of their ids.

        Only an index by policy and id must serve it. For `policy_id = x ORDER BY id` PostgreSQL uses the primary key as
        soon as most rows of the table are of that policy, and scans all older rows to find the first; or it walks
        through all newer rows of the account. So there the condition is a range, and the order begins with the policy.
        SQLite prefers any other index to one by a range.

        Args:
            policy_id: a UUID or an `OuterRef`.
        """
        if connection.vendor == "postgresql":
            rows = self.filter(policy__gte=policy_id, policy__lte=policy_id)
        else:
            rows = self.filter(policy=policy_id)
        return rows.order_by("policy_id", "id")
