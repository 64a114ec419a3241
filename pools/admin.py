from django.contrib import admin

from pools.models import Key, KeyEvent, KeyImport


class ReadOnlyAdmin(admin.ModelAdmin):
    """Looked at here, never edited."""

    def has_add_permission(self, request):
        return False

    def has_change_permission(self, request, row=None):
        return False

    def has_delete_permission(self, request, row=None):
        return False


@admin.register(Key)
class KeyAdmin(ReadOnlyAdmin):
    """Keys are added to a pool and leave it by pop; here they are masked."""

    list_display = ["masked", "policy", "popped", "withdrawn", "created"]
    list_select_related = ["policy"]
    list_filter = [("popped", admin.EmptyFieldListFilter)]
    fields = ["masked", "policy", "key_import", "popped", "withdrawn", "created"]
    show_full_result_count = False


@admin.register(KeyImport)
class KeyImportAdmin(ReadOnlyAdmin):
    list_display = ["name", "policy", "added", "operator", "created"]
    list_select_related = ["policy"]


@admin.register(KeyEvent)
class KeyEventAdmin(ReadOnlyAdmin):
    """The ledger."""

    list_display = ["created", "event", "policy_id", "license_id", "operator", "reference"]
    list_filter = ["event"]
    fields = ["event", "policy_id", "license_id", "bearer_type", "bearer_id", "operator", "reference", "request_id"]
    show_full_result_count = False
