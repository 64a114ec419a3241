"""Accounts: the tenants."""

from typing import Self
from uuid import UUID

from django.core.exceptions import ValidationError
from django.core.validators import RegexValidator
from django.db import models
from django.db.models import Q

from keygen_site.db.fields import ShortTextField
from keygen_site.db.uuids import parse_uuid
from keygen_site.models import Resource


class AccountQuerySet(models.QuerySet["Account"]):
    def by_identifier(self, identifier: str) -> Self:
        """Accounts whose id or slug is `identifier`: at most one, as no slug looks like a UUID."""
        uuid = parse_uuid(identifier)
        return self.filter(Q(pk=uuid) if uuid else Q(slug=identifier))


class Account(Resource):
    """A tenant. Everything else belongs to one."""

    class Status(models.TextChoices):
        """Only a subscribed account is served; the operator of the server sets it (contract: platform 7.5)."""

        SUBSCRIBED = "SUBSCRIBED", "Active"
        PAUSED = "PAUSED", "Paused"
        CANCELED = "CANCELED", "Canceled"

    name = ShortTextField(max_length=255)
    slug = ShortTextField(
        max_length=255,
        unique=True,
        validators=[
            RegexValidator(
                r"\A[a-z0-9][a-z0-9-]*\Z",
                "can only contain lowercase letters, numbers and dashes (but cannot start with dash)",
            ),
        ],
    )
    api_version = models.CharField(max_length=8, default="1.8")
    protected = models.BooleanField(default=False)
    status = models.CharField(max_length=16, choices=Status, default=Status.SUBSCRIBED)
    mask_keys = models.BooleanField(
        "mask keys",
        default=False,
        db_default=False,
        help_text="In the API, show the keys of pools masked to roles that may not pop them: sales agents, support "
        "agents and read-only users.",
    )
    # The values of the settings by key, so that new users and licenses need no query for them.
    setting_values = models.JSONField(null=True, editable=False)
    # Whether tokens that moved in with the account may still have their old digests: `accounts.moved_tokens`.
    has_moved_tokens = models.BooleanField(default=False, db_default=False, editable=False)
    # Counts the rotations of signing keys, so that all processes notice them.
    signing_key_version = models.IntegerField(default=0, db_default=0, editable=False)

    objects = AccountQuerySet.as_manager()

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.CheckConstraint(condition=~Q(slug=""), name="accounts_account_slug_not_blank"),
        ]

    class JSONAPIMeta:
        resource_name = "accounts"

    def __str__(self) -> str:
        return self.name

    def clean(self) -> None:
        if self.slug in ("action", "actions"):
            raise ValidationError({"slug": ValidationError("is reserved", code="not_allowed")})
        if parse_uuid(self.slug.replace("-", "")):
            raise ValidationError({"slug": ValidationError("cannot resemble a UUID", code="not_allowed")})

    @property
    def account_id(self) -> UUID:
        """The account's own id: every resource has an `account_id`."""
        return self.pk

    @property
    def is_active(self) -> bool:
        return self.status == self.Status.SUBSCRIBED

    def is_named(self, identifier: str) -> bool:
        """Whether `identifier` is this account's id or slug, as in `Account.objects.by_identifier()`."""
        return identifier == self.slug or parse_uuid(identifier) == self.pk

    def permissions_of_new(self, kind: str) -> list[str] | None:
        """The permissions of a new `user` or `license`, or None for the standard ones."""
        return (self.setting_values or {}).get(f"default_{kind}_permissions")

    def remember_settings(self) -> None:
        """Store the values of the settings with the account, which is changed by them."""
        self.setting_values = dict(self.settings.values_list("key", "value"))
        self.save(update_fields=["setting_values", "updated"])

    def lock(self) -> None:
        """Lock the account until the transaction ends, against others who change its users or settings."""
        list(Account.objects.select_for_update(no_key=True).filter(pk=self.pk).values_list("pk"))
