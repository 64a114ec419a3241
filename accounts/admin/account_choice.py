"""Forms in which a superuser chooses the account of a new row."""

from typing import Any

from django.http import HttpRequest

from accounts.admin.actions import operator_of
from accounts.admin.base import ConsoleAdmin


class AccountChoice(ConsoleAdmin):
    """Pages whose form begins with the account: only superusers see it, and it stays as it is."""

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        fieldsets: Any = [(title, dict(options)) for title, options in super().get_fieldsets(request, obj)]
        if not operator_of(request).is_superuser:
            fieldsets[0][1]["fields"] = fieldsets[0][1]["fields"][1:]
        return fieldsets

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        return ["account"] if obj else []
