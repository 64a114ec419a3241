"""System checks of `manage.py check --deploy` for the access to the console."""

from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Tags, Warning, register


@register(Tags.security, deploy=True)
def check_second_factor(app_configs: Any, **options: Any) -> list[CheckMessage]:
    """Report superusers without a second factor: a password alone would open all pools of all accounts."""
    if settings.REQUIRE_SECOND_FACTOR != "none":
        return []
    hint = "Set REQUIRE_SECOND_FACTOR to superusers or staff, or remove it."
    return [Warning("Superusers can sign in with a password alone.", hint=hint, id="accounts.W001")]
