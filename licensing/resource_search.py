"""The members by which products, policies and licenses are searched (contract: search 3)."""

from dataclasses import dataclass
from uuid import UUID

from django.db.models import Q

from accounts.models import User
from accounts.searchable import Id, Member, Metadata, Related, Rows, Text
from accounts.user_search import EMAIL
from licensing.models import License, LicenseUser, Policy, Product

NAME = Text("name")
PRODUCT = Related("product", Product, NAME)


class Key(Member):
    """A whole key, also one of which only the hash is stored."""

    def matching(self, term: str, account_id: UUID) -> Q:
        licenses = License.objects.filter(account=account_id).order_by()
        hashed = licenses.with_hashed_key(term)
        return Q(pk__in=licenses.with_key(term).values("pk")) | Q(pk__in=hashed.values("pk"))

    def find_by_index(self, rows: Rows, term: str, account_id: UUID) -> Rows | None:
        return rows.filter(self.matching(term, account_id))


@dataclass(frozen=True)
class Holder(Related):
    """A user who owns a license or is attached to it. `path` leads to the owner.

    Attributes:
        license: the path to the license.
    """

    license: str = "pk"

    def matching(self, term: str, account_id: UUID) -> Q:
        users = self.related(term, account_id)
        attached = LicenseUser.objects.filter(user__in=users).order_by().values("license")
        return Q(**{f"{self.path}__in": users}) | Q(**{f"{self.license}__in": attached})


PRODUCT_MEMBERS = {"id": Id(), "name": NAME, "metadata": Metadata()}
POLICY_MEMBERS = {"id": Id(), "name": NAME, "metadata": Metadata(), "product": PRODUCT}
LICENSE_MEMBERS = {
    "id": Id(),
    "key": Key(),
    "name": Text("name", is_indexed=True),
    "metadata": Metadata(),
    "product": PRODUCT,
    "policy": Related("policy", Policy, NAME),
    "owner": Related("owner", User, EMAIL, by_parts=False),
    "user": Holder("owner", User, EMAIL, by_parts=False),
}
MACHINE_MEMBERS = {
    "id": Id(),
    "fingerprint": Text("fingerprint"),
    "name": NAME,
    "metadata": Metadata(),
    "product": Related("license__product", Product, NAME),
    "policy": Related("license__policy", Policy, NAME),
    "license": Related("license", License, Text("name", is_indexed=True)),
    "owner": Related("owner", User, EMAIL, by_parts=False),
    "user": Holder("license__owner", User, EMAIL, by_parts=False, license="license"),
}
ENTITLEMENT_MEMBERS = {"id": Id(), "code": Text("code"), "name": NAME}
