"""Pages of keys."""

from django.contrib.postgres.expressions import ArraySubquery
from django.db import connections
from django.db.models import Func, OuterRef

from keygen_site.db.uuids import parse_uuid
from keygen_site.jsonapi.pagination import Pagination
from licensing.models import Policy


class KeyPagination(Pagination):
    """Pages of keys, as quick for a product whose keys are all old as for one whose keys are new.

    A table has no index by product. PostgreSQL would walk over all newer keys of other products to find the first of
    this one; so it is asked for the first of each of the product's policies, and of those for the first.
    """

    def first(self, queryset, most):
        product = self._product()
        if product is None or connections[queryset.db].vendor != "postgresql":
            return super().first(queryset, most)
        order = queryset.query.order_by
        direction = "-" if order[0].startswith("-") else ""
        of_each = queryset.for_policy(OuterRef("pk")).order_by(f"{direction}policy_id", *order).values("pk")[:most]
        policies = Policy.objects.filter(product=product)
        found = policies.annotate(key=Func(ArraySubquery(of_each), function="unnest")).values("key")
        return list(queryset.filter(pk__in=found)[:most])

    def _product(self):
        """The product that all keys of the list have to be of, or None; a policy says it more closely."""
        query, bearer = self.request.query_params, self.request.user
        if query.get("policy"):
            return None
        return bearer.id if bearer.role == "product" else parse_uuid(query.get("product", ""))
