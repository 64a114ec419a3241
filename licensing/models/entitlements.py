"""Entitlements, and their attachments to policies and licenses (contract: entitlements-groups 2 to 6)."""

from collections.abc import Collection
from typing import Self
from uuid import UUID

from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import Q
from django.db.models.functions import Lower

from accounts.bearers import Bearer
from accounts.models import Account
from keygen_site.db.fields import ShortTextField
from keygen_site.db.metadata import validate_metadata
from keygen_site.db.text_search import filter_equal
from keygen_site.db.uuids import parse_uuid
from keygen_site.models import Resource
from licensing.models.licenses import License
from licensing.models.policies import Policy
from licensing.models.products import RESERVED_IDENTIFIERS

MAX_CODE_LENGTH = 255


class EntitlementQuerySet(models.QuerySet["Entitlement"]):
    def visible_to(self, bearer: Bearer) -> Self:
        """The entitlements that a bearer may see: staff and products all, licenses and users those that they have.

        A user has those of the licenses that it owns or is attached to (contract: entitlements-groups 3.1).
        """
        entitlements = self.filter(account=bearer.account_id)
        if bearer.is_staff or bearer.role == "product":
            return entitlements
        match bearer.role:
            case "license":
                return entitlements.of_licenses(License.objects.filter(pk=bearer.id))
            case "user":
                return entitlements.of_licenses(License.objects.for_user(bearer.id))
        return entitlements.none()

    def of_policy(self, policy_id: UUID) -> Self:
        """The entitlements that are attached to a policy."""
        return self.filter(pk__in=PolicyEntitlement.objects.filter(policy=policy_id).values("entitlement"))

    def of_license(self, license_id: UUID) -> Self:
        """The entitlements of a license, its own and its policy's, each once."""
        return self.of_licenses(License.objects.filter(pk=license_id))

    def of_licenses(self, licenses: models.QuerySet[License]) -> Self:
        """The entitlements of some licenses, their own and their policies', each once."""
        own = LicenseEntitlement.objects.filter(license__in=licenses.values("pk"))
        inherited = PolicyEntitlement.objects.filter(policy__in=licenses.values("policy"))
        return self.filter(Q(pk__in=own.values("entitlement")) | Q(pk__in=inherited.values("entitlement")))

    def by_identifier(self, identifier: str) -> Self:
        """Entitlements whose id or code is `identifier`: at most one in an account, as no code looks like a UUID."""
        uuid = parse_uuid(identifier)
        return self.filter(Q(pk=uuid) if uuid else Q(code=identifier))


class Entitlement(Resource):
    """A named feature of the account's products, with a code that clients ask for in validations.

    It has no effect of its own. Attached to a policy, all licenses of the policy have it.
    """

    account = models.ForeignKey(Account, models.CASCADE, related_name="entitlements", db_index=False)
    name = ShortTextField(max_length=255)
    code = ShortTextField(max_length=MAX_CODE_LENGTH)
    metadata = models.JSONField(default=dict, blank=True, validators=[validate_metadata])

    error_order = ("code", "name", "metadata")

    objects = EntitlementQuerySet.as_manager()

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint("account", Lower("code"), name="licensing_entitlement_code_unique"),
        ]
        indexes = [models.Index(fields=["account", "id"], name="licensing_entitlement_listed")]

    class JSONAPIMeta:
        resource_name = "entitlements"
        identifiers = "id or code"

    def __str__(self) -> str:
        return self.name

    def clean_fields(self, exclude: Collection[str] | None = None) -> None:
        super().clean_fields({*(exclude or ()), "code"})  # `clean()` checks it, in the contract's order

    def clean(self) -> None:
        """The rules of a code (contract: entitlements-groups 2)."""
        if errors := self._code_errors():
            raise ValidationError({"code": errors})

    def _code_errors(self) -> list[ValidationError]:
        errors = []
        if self.code in RESERVED_IDENTIFIERS:
            errors.append(ValidationError("is reserved", code="not_allowed"))
        if filter_equal(self.account.entitlements.exclude(pk=self.pk), "code", self.code).exists():
            errors.append(ValidationError("has already been taken", code="taken"))
        if len(self.code) > MAX_CODE_LENGTH:
            detail = f"is too long (maximum is {MAX_CODE_LENGTH} characters)"
            errors.append(ValidationError(detail, code="too_long"))
        if parse_uuid(self.code):
            errors.append(ValidationError("is invalid", code="invalid"))
        return errors


class PolicyEntitlement(Resource):
    """The attachment of an entitlement to a policy: all its licenses have it."""

    account = models.ForeignKey(Account, models.CASCADE, related_name="+", db_index=False)
    entitlement = models.ForeignKey(Entitlement, models.CASCADE, related_name="policy_entitlements")
    policy = models.ForeignKey(Policy, models.CASCADE, related_name="policy_entitlements", db_index=False)

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(fields=["policy", "entitlement"], name="licensing_policyentitlement_unique"),
        ]

    class JSONAPIMeta:
        resource_name = "policy-entitlements"

    def __str__(self) -> str:
        return f"{self.entitlement} of {self.policy}"


class LicenseEntitlement(Resource):
    """The attachment of an entitlement to a single license."""

    account = models.ForeignKey(Account, models.CASCADE, related_name="+", db_index=False)
    entitlement = models.ForeignKey(Entitlement, models.CASCADE, related_name="license_entitlements")
    license = models.ForeignKey(License, models.CASCADE, related_name="license_entitlements", db_index=False)

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(fields=["license", "entitlement"], name="licensing_licenseentitlement_unique"),
        ]

    class JSONAPIMeta:
        resource_name = "license-entitlements"

    def __str__(self) -> str:
        return f"{self.entitlement} of {self.license}"
