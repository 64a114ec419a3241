"""The settings of an account."""

from typing import Self

from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import Q

from accounts.bearers import Bearer
from accounts.models.accounts import Account
from accounts.permission_names import ALL, GRANTABLE
from keygen_site.db.uuids import parse_uuid
from keygen_site.models import Resource


class SettingQuerySet(models.QuerySet["Setting"]):
    def visible_to(self, bearer: Bearer) -> Self:
        """The settings that a bearer may know of: only staff (contract: security 4.2)."""
        return self.filter(account=bearer.account_id) if bearer.is_staff else self.none()

    def by_identifier(self, identifier: str) -> Self:
        """Settings whose id or key is `identifier`: at most one in an account."""
        uuid = parse_uuid(identifier)
        return self.filter(Q(pk=uuid) if uuid else Q(key=identifier))


class Setting(Resource):
    """A setting of an account: the permissions of its new users, or of its new licenses (contract: security 4).

    `accounts.account_settings` makes, changes and deletes them.
    """

    class Key(models.TextChoices):
        LICENSE_PERMISSIONS = "default_license_permissions"
        USER_PERMISSIONS = "default_user_permissions"

    account = models.ForeignKey(Account, models.CASCADE, related_name="settings", db_index=False)
    key = models.TextField()
    value = models.JSONField()

    error_order = ("key", "value")

    objects = SettingQuerySet.as_manager()

    class Meta:
        ordering = ["-id"]
        verbose_name = "account setting"
        constraints = [
            models.UniqueConstraint(fields=["account", "key"], name="accounts_setting_key_unique_in_account"),
        ]

    class JSONAPIMeta:
        resource_name = "settings"
        identifiers = "id or key"

    def __str__(self) -> str:
        return self.key

    @property
    def name(self) -> str:
        """The name in the activity."""
        return self.key

    def clean(self) -> None:
        problems = {"key": self._key_error(), "value": self.value_error()}
        if any(problems.values()):
            raise ValidationError({name: problem for name, problem in problems.items() if problem})

    def lock_for_rules(self) -> None:
        """Lock the account, so that two requests do not make the same setting."""
        self.account.lock()

    def _key_error(self) -> ValidationError | None:
        if self.key not in self.Key.values:
            return ValidationError(f"must be one of: {', '.join(self.Key.values)}", code="not_allowed")
        others = Setting.objects.filter(account=self.account_id, key=self.key).exclude(pk=self.pk)
        return ValidationError("has already been taken", code="taken") if others.exists() else None

    def value_error(self) -> ValidationError | None:
        """Why the value is none of the key, or None."""
        if self.key not in self.Key.values or not isinstance(self.value, list):
            return ValidationError("must be a valid setting", code="not_allowed")
        role = "license" if self.key == self.Key.LICENSE_PERMISSIONS else "user"
        names = [each for each in self.value if isinstance(each, str)]
        if len(set(names)) == len(self.value) and set(names) <= GRANTABLE[role] | {ALL}:
            return None
        return ValidationError(f"must be an array of valid {role} permissions", code="not_allowed")
