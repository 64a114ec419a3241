"""Makes, changes and deletes the settings of an account (contract: security 4)."""

from typing import Any

from django.db import transaction

from accounts.models import Account, Setting


@transaction.atomic
def create_setting(account: Account, *, key: str, value: Any) -> Setting:
    """Make a setting. It has an effect on users and licenses that are created afterwards.

    Raises:
        ValidationError: by field.
    """
    setting = Setting(account=account, key=key, value=value)
    setting.validate_and_save()
    account.remember_settings()
    return setting


@transaction.atomic
def change_setting(setting: Setting, value: Any) -> None:
    """Replace the value of a setting.

    Raises:
        ValidationError: by field.
    """
    setting.value = value
    setting.save_changes("value")
    setting.account.remember_settings()


@transaction.atomic
def delete_setting(setting: Setting) -> None:
    """Delete a setting: new users or licenses get the standard permissions again."""
    account = setting.account
    account.lock()
    setting.delete()
    account.remember_settings()
