from typing import Any

from django.contrib import admin
from django.http import HttpRequest

from accounts.admin.base import ConsoleAdmin, format_time
from accounts.admin.token_pages import MakeToken
from licensing.models import Product


@admin.register(Product)
class ProductAdmin(ConsoleAdmin):
    """The products of an account."""

    confirmed_actions = [MakeToken()]
    hint = "There is no product yet. Add what you sell; its policies and their pools come next."
    list_display = ["name", "code", "since"]
    list_select_related = ["account"]
    search_fields = ["name", "code"]
    fields = ["account", "name", "code", "url", "distribution_strategy", "platforms", "metadata"]

    def get_fields(self, request: HttpRequest, product: Product | None = None) -> list[Any]:
        return self.fields if request.user.is_superuser else self.fields[1:]

    def get_readonly_fields(self, request: HttpRequest, product: Product | None = None) -> list[str]:
        return ["account"] if product else []

    @admin.display(description="since", ordering="id")
    def since(self, product: Product) -> str:
        return format_time(product.created)
