"""Licenses over HTTP."""

from collections.abc import Callable, Iterable
from typing import Any

from django.http.response import HttpResponseBase

from accounts.api.base import OwnOnly
from accounts.models import User
from accounts.permissions import Forbidden
from accounts.rate_limits import HOUR, RateLimit
from accounts.roles import MANAGERS
from keygen_site.jsonapi.lookups import Parent
from keygen_site.jsonapi.serializers import Values
from keygen_site.jsonapi.text import camel
from keygen_site.jsonapi.viewsets import CreateMixin, DestroyMixin, ListMixin, RetrieveMixin, UpdateMixin
from licensing.api.filters import AllLicenseFilterSet, UserLicenseFilterSet
from licensing.api.serializers.licenses import LIMIT_FIELDS
from licensing.api.viewsets.license_actions import LicenseActions
from licensing.api.viewsets.license_relationships import LicenseRelationships
from licensing.api.viewsets.nested import NestedLicenseViewSet
from licensing.models import License
from licensing.services import issue_license

# Only managers choose the id and these attributes of a new license, and with support agents its group (contract:
# licenses 3.2).
MANAGER_ATTRIBUTES = ("protected", "expiry", "suspended", *LIMIT_FIELDS)
# Per user: licenses that users make for themselves, with keys of their choice. Attempts count too: they tell whether a
# key exists.
NEW_LICENSES = RateLimit("licenses", 100, HOUR)


class LicenseViewSet(
    CreateMixin, RetrieveMixin, UpdateMixin, DestroyMixin, ListMixin, LicenseActions, LicenseRelationships
):
    """The licenses of an account (contract: licenses 1)."""

    filterset_class = AllLicenseFilterSet

    def perform(self, method: Callable[..., Any]) -> HttpResponseBase:
        bearer = self.request.user
        if self.action == "create" and bearer.role == "user":
            # Not in the transaction of an Idempotency-Key, which is rolled back if the attempt fails.
            NEW_LICENSES.hit(bearer.account_id, bearer.id)
        return super().perform(method)

    def withheld(self) -> Iterable[str]:
        if self.action == "create" and self.request.user.role not in MANAGERS:
            attributes = (f"/data/attributes/{camel(name)}" for name in MANAGER_ATTRIBUTES)
            group = [] if self.request.user.role == "support-agent" else ["/data/relationships/group"]
            return ["/data/id", *attributes, *group]
        return ()

    def check_relationships(self, document: Values) -> None:
        bearer, values, missing = self.request.user, document.values, document.missing
        if bearer.role == "user":
            owner, policy = values.get("owner"), values.get("policy")
            if owner is None or owner.pk != bearer.id or (policy and policy.protected):
                raise Forbidden
        if "policy" in missing:
            if bearer.role == "product":
                raise Forbidden
            missing.insert(missing.index("policy") + 1, "product")  # it comes with the policy (contract: licenses 3.6)
        if missing:
            self.serializer_class.refuse_missing(missing, self.defaults() | values)

    def create_row(self, values: dict[str, Any]) -> License:
        return issue_license(audit=self.audit, **values)


class UserLicenseViewSet(OwnOnly, NestedLicenseViewSet):
    """The licenses that a user owns or is attached to."""

    filterset_class = UserLicenseFilterSet
    parent = Parent("user", User.objects.all(), narrow=lambda licenses, user_id: licenses.for_user(user_id))
