"""Pages of keys."""

from typing import Any
from uuid import UUID

from django.contrib.postgres.expressions import ArraySubquery
from django.db import connection
from django.db.models import Func, OuterRef

from keygen_site.db.uuids import parse_uuid
from keygen_site.jsonapi.pagination import Pagination
from licensing.models import Policy


class KeyPagination(Pagination):
    """Pages of keys, as quick for a product whose keys are all old as for one whose keys are new.

    The table has no index by product. PostgreSQL would scan all newer keys of other products to find the first of this
    one. So the query finds the first keys of each of the product's policies, and the first of those.
    """

    def first(self, queryset: Any, limit: int) -> list[Any]:
        product = self._product_id()
        if product is None or connection.vendor != "postgresql":
            return super().first(queryset, limit)
        order = queryset.query.order_by
        direction = "-" if order[0].startswith("-") else ""
        of_each = queryset.for_policy(OuterRef("pk")).order_by(f"{direction}policy_id", *order).values("pk")[:limit]
        policies = Policy.objects.filter(product=product)
        found = policies.annotate(key=Func(ArraySubquery(of_each), function="unnest")).values("key")
        return list(queryset.filter(pk__in=found)[:limit])

    def _product_id(self) -> UUID | None:
        """The product that all keys of the list must belong to. None without one, and if the list is of a policy."""
        query, bearer = self.request.query_params, self.request.user
        if query.get("policy"):
            return None
        return bearer.id if bearer.role == "product" else parse_uuid(query.get("product", ""))
