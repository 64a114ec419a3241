"""Components: the parts of machines, such as a mainboard."""

from collections.abc import Collection
from typing import TYPE_CHECKING

from django.core.exceptions import ValidationError
from django.db import models

from accounts.models import Account
from keygen_site.db.fields import DigestField, ShortTextField
from keygen_site.db.metadata import validate_metadata
from keygen_site.models import Resource
from licensing.models.machine_queries import ComponentQuerySet
from licensing.models.machines import Machine, fingerprint_errors

if TYPE_CHECKING:
    from uuid import UUID


class Component(Resource):
    """A named part of a machine with a fingerprint of its own. No limit counts it.

    `licensing.machine_parts` has the rules that concern other rows.
    """

    account = models.ForeignKey(Account, models.CASCADE, related_name="components", db_index=False)
    machine = models.ForeignKey(Machine, models.CASCADE, related_name="components", db_index=False)
    fingerprint = models.TextField()
    digest = DigestField(of="fingerprint")
    name = ShortTextField(max_length=255)
    metadata = models.JSONField(default=dict, blank=True, validators=[validate_metadata])

    error_order = ("fingerprint", "name", "metadata")

    objects = ComponentQuerySet.as_manager()

    if TYPE_CHECKING:
        account_id: "UUID"
        machine_id: "UUID"

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(fields=["machine", "digest"], name="licensing_component_unique_in_machine"),
        ]
        indexes = [
            models.Index(fields=["account", "id"], name="licensing_component_listed"),
            models.Index(fields=["account", "digest"], name="licensing_component_digest"),
        ]

    class JSONAPIMeta:
        resource_name = "components"
        noun = "machine component"  # in errors

    def __str__(self) -> str:
        return self.name

    def clean_fields(self, exclude: Collection[str] | None = None) -> None:
        super().clean_fields({*(exclude or ()), "fingerprint"})  # `clean()` checks it

    def clean(self) -> None:
        """The rules of a new fingerprint that concern no other rows. It never changes afterwards."""
        if self._state.adding and (errors := fingerprint_errors(self.fingerprint)):
            raise ValidationError({"fingerprint": errors})

    @property
    def policy_id(self) -> "UUID":
        return self.machine.license.policy_id
