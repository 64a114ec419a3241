"""What can be looked at below a policy or a product."""

from accounts.api import AccountViewSet
from accounts.permissions import Forbidden
from keygen_site.api import ListMixin, RetrieveMixin
from licensing.models import License
from licensing.serializers.licenses import LicenseSerializer
from licensing.viewsets.license_base import ANY_TEXT


class ForStaffAndProduct:
    """Mixin: below a policy or a product only staff and the product itself may look.

    A license or user that may read licenses, say, does so at their own address (contract: keys 5.3, 5.4).
    """

    def authorize(self):
        super().authorize()
        if self.request.user.role in ("license", "user"):
            raise Forbidden


class NestedViewSet(ForStaffAndProduct, RetrieveMixin, ListMixin, AccountViewSet):
    """What is below a policy or a product, to be looked at."""


class NestedLicenseViewSet(NestedViewSet):
    """Licenses, each named by its id or its key."""

    queryset = License.objects.shown()
    serializer_class = LicenseSerializer
    permissions = {"list": "license.read", "retrieve": "license.read"}
    lookup_value_regex = ANY_TEXT
