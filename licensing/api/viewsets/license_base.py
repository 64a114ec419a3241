"""The base of the viewset of licenses: look-up and permissions of users."""

from typing import Any, cast

from rest_framework.response import Response

from accounts.api.base import APIViewSet
from accounts.errors import Unauthorized
from accounts.permissions import Forbidden
from keygen_site.jsonapi.errors import EndpointNotFound, NotFound
from keygen_site.paths import spans_segments
from licensing.api.serializers.licenses import LicenseSerializer
from licensing.models import License

# The identifier of a license is its id or its key, and a key may contain any character, even slashes.
ANY_TEXT = r"(?s:.+?)"

# The rules for bearers of the role user (contract: licenses 9). They may take these actions on licenses that they own:
UNLESS_POLICY_IS_PROTECTED = frozenset({"destroy", "revoke", "renew"})
UNLESS_LICENSE_IS_PROTECTED = frozenset({"check_in", "check_out", "check_out_file", "increment_usage", "change_policy"})
# and these also on licenses that they are attached to.
FOR_ATTACHED = frozenset({"check_out", "check_out_file"})


class LicenseAddressed(APIViewSet):
    """Base of the viewsets whose URLs name a license by its id or its key.

    A key may have slashes, even unescaped ones. If no license has such a key, the URL is one that does not exist, such
    as `/licenses/:id/nothing`.
    """

    def handle_exception(self, exc: Exception) -> Response:
        request = self.request
        if isinstance(exc, NotFound | Unauthorized) and spans_segments(request._request):
            # As for any unknown URL, the response says nothing about the account and the bearer, and is not signed.
            request.account = cast(Any, request._request).account = None
            vars(request).pop("_user", None)
            exc = EndpointNotFound()
        return super().handle_exception(exc)


class LicenseBase(LicenseAddressed):
    """Base of the viewset of licenses and of its mixins."""

    queryset = License.objects.with_api_fields()
    serializer_class = LicenseSerializer
    lookup_value_regex = ANY_TEXT

    def authorize(self, row: License | None = None) -> None:
        super().authorize(row)
        bearer = self.request.user
        if bearer is None:  # anonymous: validates a key
            return
        if bearer.role == "license" and self.action == "list":
            raise Forbidden
        if bearer.role == "user" and row is not None:
            self._authorize_user(row)

    def _authorize_user(self, license: License) -> None:
        if self.action in UNLESS_POLICY_IS_PROTECTED:
            protected = license.policy.protected
        elif self.action in UNLESS_LICENSE_IS_PROTECTED:
            protected = license.is_protected
        else:
            return
        if protected or (license.owner_id != self.request.user.id and self.action not in FOR_ATTACHED):
            raise Forbidden
