"""Filters of lists of users by their licenses (contract: platform 8.5)."""

from django.db.models import OuterRef, Q

from accounts.models import User
from keygen_site.db.conditions import HasRow
from keygen_site.db.uuids import parse_uuid
from keygen_site.jsonapi.filters import BooleanFilter, FilterSet, QueryFilter
from keygen_site.jsonapi.lookups import Rows
from licensing.models import License
from licensing.models.holders import holders_of_licenses


class HolderFilter(QueryFilter):
    """Users who hold a license of which a field has this id, among the licenses that the bearer may see."""

    def narrow(self, queryset: Rows, value: str) -> Rows:
        uuid = parse_uuid(value)
        if uuid is None:
            return queryset.none()
        licenses = License.objects.visible_to(self.parent.request.user).filter(**{self.field_name: uuid})
        return queryset.filter(holders_of_licenses(licenses))


class OwnerFilter(BooleanFilter):
    """Users who own a license, or own none."""

    def matching(self, queryset: Rows, wanted: bool) -> Rows:
        owns = Q(HasRow(License.objects.filter(owner=OuterRef("pk"))))
        return queryset.filter(owns) if wanted else queryset.exclude(owns)


class HolderFilterSet(FilterSet):
    """The filters that `UserFilterSet` includes."""

    product = HolderFilter("product", "Only users who hold a license of this product.")
    license = HolderFilter("pk", "Only users of this license.")
    assigned = OwnerFilter(help_text="Only users who own a license, or own none.")
    active = OwnerFilter(help_text="The same as `assigned`.")

    class Meta:
        model = User
        fields: list[str] = []
