from django.contrib import admin

from licensing.models import License, Policy, Product


@admin.register(Product)
class ProductAdmin(admin.ModelAdmin):
    """What is sold."""

    list_display = ["name", "code", "account", "created"]
    list_select_related = ["account"]
    search_fields = ["name", "code"]


@admin.register(Policy)
class PolicyAdmin(admin.ModelAdmin):
    """The terms of licenses. Whether a policy has a pool is settled when it is made."""

    list_display = ["name", "product", "account", "use_pool", "created"]
    list_select_related = ["product", "account"]
    list_filter = ["use_pool"]
    search_fields = ["name"]

    def get_readonly_fields(self, request, policy=None):
        return ["account", "product", "use_pool", "scheme", "encrypted"] if policy else []


@admin.register(License)
class LicenseAdmin(admin.ModelAdmin):
    """Licenses are looked at here: they are issued through the API, and their keys stay out of lists."""

    list_display = ["id", "name", "policy", "owner", "suspended", "expiry", "created"]
    list_select_related = ["policy", "owner"]
    exclude = ["key"]

    def has_add_permission(self, request):
        return False

    def has_change_permission(self, request, license=None):
        return False

    def has_delete_permission(self, request, license=None):
        return False
