from django.contrib import admin

from accounts.admin.base import ConsoleAdmin, format_time
from accounts.admin.token_pages import MakeToken
from licensing.models import Product


@admin.register(Product)
class ProductAdmin(ConsoleAdmin):
    """What is sold."""

    confirmed_actions = [MakeToken()]
    hint = "There is no product yet. Add what you sell; its policies and their pools come next."
    list_display = ["name", "code", "since"]
    list_select_related = ["account"]
    search_fields = ["name", "code"]
    fields = ["account", "name", "code", "url", "distribution_strategy", "platforms", "metadata"]

    def get_fields(self, request, product=None):
        return self.fields if request.user.is_superuser else self.fields[1:]

    def get_readonly_fields(self, request, product=None):
        return ["account"] if product else []

    @admin.display(description="since", ordering="id")
    def since(self, product):
        return format_time(product.created)
