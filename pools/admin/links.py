"""Names of rows as HTML, as links where the operator may open their pages."""

from collections.abc import Callable
from typing import Any

from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from accounts.admin.customers import user_url
from accounts.models import Token, User
from licensing.models import License, Policy, Product
from pools.models import Key, KeyImport

# The page of each model, and the permission that it needs.
PAGES: dict[type[Any], tuple[str, str]] = {
    Key: ("pools_key_change", "pools.view_key"),
    KeyImport: ("pools_keyimport_change", "pools.view_keyimport"),
    License: ("licensing_license_change", "licensing.view_license"),
    Policy: ("pools_pool_change", "licensing.view_policy"),
    Product: ("licensing_product_change", "licensing.view_product"),
    Token: ("accounts_token_change", "accounts.view_token"),
    User: ("accounts_user_change", "accounts.view_user"),
}


class Links:
    """Makes links for an operator.

    Args:
        may: whether the operator has a permission. By default none, so that all names are plain.
    """

    def __init__(self, may: Callable[[str], bool] = lambda permission: False) -> None:
        self.may = may

    def to(self, row: Any, text: str = "") -> SafeString:
        """The name of a row.

        Args:
            text: in place of the row's own name.
        """
        tag = "<code>{}</code>" if isinstance(row, Key) else "<bdi>{}</bdi>"
        name = format_html(tag, text or _name_of(row))
        page, permission = PAGES[type(row)]
        if not self.may(permission):
            return name
        url = user_url(row) if isinstance(row, User) else reverse(f"admin:{page}", args=[row.pk])
        return format_html('<a href="{}">{}</a>', url, name)


def _name_of(row: Any) -> str:
    return row.email if isinstance(row, User) else str(row)
