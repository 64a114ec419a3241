"""What the viewsets of licenses share."""

from accounts.api.base import APIViewSet
from accounts.permissions import Forbidden
from licensing.models import License

# A license is named by its id or by its key, and a key may have any characters, slashes too.
ANY_TEXT = r"(?s:.+?)"
# What users may do to licenses that they own, unless the terms, or the license itself, are protected (contract:
# licenses 9).
UNLESS_POLICY_IS_PROTECTED = frozenset({"destroy", "revoke", "renew"})
UNLESS_LICENSE_IS_PROTECTED = frozenset({"check_in", "check_out", "check_out_file", "increment_usage", "change_policy"})
# Of these, what users may do who do not own the license but are attached to it.
FOR_ATTACHED = frozenset({"check_out", "check_out_file"})
# Actions that read a license, change it and write it back.
HOLDING = frozenset(
    {
        "partial_update",
        "destroy",
        "revoke",
        "suspend",
        "reinstate",
        "renew",
        "check_in",
        "reset_usage",
        "change_policy",
        "change_owner",
        "change_former_owner",
    }
)


class LicenseBase(APIViewSet):
    """Finds the license that an address names."""

    queryset = License.objects.with_api_fields()
    lookup_value_regex = ANY_TEXT

    def look_up(self):
        """The license, held if the action changes it; whether the bearer may act is not asked here."""
        queryset = self.get_queryset()
        if self.action in HOLDING:
            queryset = queryset.select_for_update(of=("self",))
        return self.find(queryset, self.kwargs["pk"])

    def get_object(self):
        license = self.look_up()
        self.authorize_for(license)
        return license

    def authorize_for(self, license):
        """Refuse whoever may not do this, or not to this license."""
        self.authorize()
        bearer = self.request.user
        if bearer.role != "user" or self.action not in UNLESS_POLICY_IS_PROTECTED | UNLESS_LICENSE_IS_PROTECTED:
            return
        terms = license.policy.protected if self.action in UNLESS_POLICY_IS_PROTECTED else license.is_protected
        if terms or (license.owner_id != bearer.id and self.action not in FOR_ATTACHED):
            raise Forbidden
