from django.db import models

from accounts.models import Account, User
from keygen_site.models import Resource
from licensing.models.licenses import License


class LicenseUser(Resource):
    """The attachment of a user to a license, which someone else or no one owns."""

    account = models.ForeignKey(Account, models.CASCADE, related_name="+", db_index=False)
    license = models.ForeignKey(License, models.CASCADE, related_name="license_users", db_index=False)
    user = models.ForeignKey(User, models.CASCADE, related_name="license_users")

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(fields=["license", "user"], name="licensing_licenseuser_unique"),
        ]

    class JSONAPIMeta:
        resource_name = "license-users"

    def __str__(self) -> str:
        return f"{self.user} on {self.license}"
