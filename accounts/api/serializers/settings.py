"""Settings of an account as resource objects."""

from rest_framework import serializers

from accounts.models import Setting
from keygen_site.jsonapi.sections import Section
from keygen_site.jsonapi.serializers import ResourceSerializer
from keygen_site.jsonapi.types import ValueType

_NAMES = {"type": "array", "items": {"type": "string"}}


class ValueField(serializers.Field):
    """A list of names. The model refuses any other value."""

    value_type = ValueType("array", lambda value, pointer: value, lambda value: value, _NAMES)


class SettingSerializer(ResourceSerializer):
    """A setting of the account: the permissions of new users, or of new licenses (contract: security 4)."""

    section = Section(91, "Settings", "The settings of the account. URLs name them by id or key.")

    value = ValueField()

    about = {name: f"account-settings/#account-settings-object-attrs-{name}" for name in ("key", "value")}

    class Meta:
        model = Setting
        fields = ["key", "value", "created", "updated"]
        on_create = ["key", "value"]
        on_update = ["value"]
        required = ["key", "value"]
        required_on_update = ["value"]
        descriptions = {
            "key": "What is set: `default_user_permissions` or `default_license_permissions`.",
            "value": "The names of the permissions of new users of the role `user`, or of new licenses; `*` for all "
            "that they may have. Those that exist already keep theirs.",
        }
        examples = {"key": "default_user_permissions", "value": ["user.read", "license.read", "token.generate"]}
