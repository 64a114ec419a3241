"""What can be looked at below a policy, a product or a user."""

from accounts.api.base import APIViewSet
from accounts.models import User
from accounts.permissions import Forbidden
from keygen_site.jsonapi.viewsets import ListMixin, RetrieveMixin
from licensing.api.serializers.licenses import LicenseSerializer
from licensing.api.viewsets.license_base import ANY_TEXT
from licensing.models import License


class StaffAndProductOnly:
    """Mixin: only staff and the product that it is of may look.

    A license or user that may read licenses, say, does so at their own address (contract: keys 5.3, 5.4).
    """

    def authorize(self):
        super().authorize()
        if self.request.user.role in ("license", "user"):
            raise Forbidden


class OfUser:
    """Mixin of what is below a user, whom the address names by id or e-mail."""

    def find_parent(self):
        self.user = self.find(User.objects.visible_to(self.request.user), self.kwargs["user"])


class NestedViewSet(StaffAndProductOnly, RetrieveMixin, ListMixin, APIViewSet):
    """What is below a policy, a product or a user, to be looked at."""


class NestedLicenseViewSet(NestedViewSet):
    """Licenses, each named by its id or its key."""

    queryset = License.objects.with_api_fields()
    serializer_class = LicenseSerializer
    permissions = {"list": "license.read", "retrieve": "license.read"}
    lookup_value_regex = ANY_TEXT
