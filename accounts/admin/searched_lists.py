from typing import Any

from django.contrib.admin.views.main import SEARCH_VAR
from django.db import connection
from django.db.models import UUIDField
from django.db.models.functions import Coalesce
from django.http import HttpRequest

from accounts.admin.actions import operator_of


class SearchedListMixin:
    """Mixin of a list whose search returns ids, by which SQLite then finds the rows.

    COALESCE keeps the account's indexes out of the plan: for `account_id = x AND id IN (…)` SQLite, which has no
    statistics, reads all rows of the account.
    """

    def restrict_to_account(self, rows: Any, request: HttpRequest, account_path: str | None = None) -> Any:
        operator = operator_of(request)
        is_search = bool(request.GET.get(SEARCH_VAR, "").strip())
        if account_path or operator.is_superuser or not is_search or connection.vendor != "sqlite":
            return super().restrict_to_account(rows, request, account_path)  # type: ignore[misc]
        whose = Coalesce("account_id", "account_id", output_field=UUIDField())
        return rows.alias(whose=whose).filter(whose=operator.account_id)
