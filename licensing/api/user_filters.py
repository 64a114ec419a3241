"""Filters of lists of users by their licenses (contract: platform 8.5)."""

from django.db.models import OuterRef, Q

from accounts.models import User
from keygen_site.db.conditions import HasRow
from keygen_site.db.uuids import parse_uuid
from keygen_site.jsonapi.filters import BooleanFilter, FilterSet, QueryFilter
from keygen_site.jsonapi.lookups import Rows
from licensing.models import License, LicenseUser
from licensing.models.license_queries import LicenseQuerySet

MAX_COLLECTED_LICENSES = 10_000


def holders_for_page(licenses: LicenseQuerySet) -> Q:
    """Condition for users who hold one of the licenses, for a page of a list.

    Counts the licenses first. Up to MAX_COLLECTED_LICENSES, the database collects their holders and sorts them. For
    more licenses it reads the users in order and checks each one until the page is full.
    """
    licenses = licenses.order_by()
    attachments = LicenseUser.objects.filter(license__in=licenses.values("pk")).order_by()
    if licenses[: MAX_COLLECTED_LICENSES + 1].count() <= MAX_COLLECTED_LICENSES:
        owners = licenses.filter(owner__isnull=False).values("owner")
        return Q(pk__in=owners.union(attachments.values("user")))
    return Q(HasRow(licenses.filter(owner=OuterRef("pk")))) | Q(HasRow(attachments.filter(user=OuterRef("pk"))))


class HolderFilter(QueryFilter):
    """Users who hold a license of which a field has this id, among the licenses that the bearer may see."""

    def narrow(self, queryset: Rows, value: str) -> Rows:
        uuid = parse_uuid(value)
        if uuid is None:
            return queryset.none()
        licenses = License.objects.visible_to(self.parent.request.user).filter(**{self.field_name: uuid})
        return queryset.filter(holders_for_page(licenses))


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
