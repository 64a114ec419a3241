"""Bases of the read-only viewsets below a policy, a product or a user."""

from typing import Any

from accounts.api.base import APIViewSet
from accounts.permissions import Forbidden
from keygen_site.jsonapi.viewsets import ListMixin, RetrieveMixin
from licensing.api.serializers.licenses import LicenseSerializer
from licensing.api.viewsets.license_base import ANY_TEXT, LicenseAddressed
from licensing.models import License


class StaffAndProductOnly(APIViewSet):
    """Mixin: refuses licenses and users.

    They may read the resources that they see, but only at the resources' own URLs (contract: keys 5.3, 5.4).
    """

    def authorize(self, row: Any = None) -> None:
        super().authorize(row)
        if self.request.user.role in ("license", "user"):
            raise Forbidden

    def find_row(self, *, locked: bool) -> Any:
        self.authorize()  # 403, whether or not the row exists
        return super().find_row(locked=locked)


class NestedViewSet(StaffAndProductOnly, RetrieveMixin, ListMixin):
    """Resources below another one, readable by staff and products."""


class NestedLicenseViewSet(RetrieveMixin, ListMixin, LicenseAddressed):
    """Licenses below another resource."""

    queryset = License.objects.with_api_fields()
    serializer_class = LicenseSerializer
    lookup_value_regex = ANY_TEXT
