"""Every list of the console as a CSV file: all rows that its filters let through, not only those of a page."""

import re
from collections.abc import Iterator, Sequence
from html import unescape
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.utils import display_for_field, display_for_value, label_for_field, lookup_field
from django.contrib.admin.views.main import ERROR_FLAG
from django.core.exceptions import ObjectDoesNotExist, PermissionDenied
from django.http import HttpRequest, HttpResponseRedirect, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.html import strip_tags
from django.utils.text import slugify
from django.views.decorators.http import require_POST

from accounts.admin.actions import audit_context_of, operator_of
from accounts.models import Activity, Subject
from keygen_site.spreadsheets import BYTE_ORDER_MARK, defuse_formula, format_csv

MAX_ROWS = 100_000
LOADED_ROWS = 500
_TIME = re.compile(r'<time datetime="([^"]+)"')


class CsvListMixin:
    """Mixin of a list. Its file has the columns of the list, and the id of each row."""

    opts: Any
    admin_site: Any

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(require_POST(self.csv_view))
        name = f"{self.opts.app_label}_{self.opts.model_name}_csv"
        return [path("csv/", view, name=name), *super().get_urls()]  # type: ignore[misc]

    def csv_view(self, request: HttpRequest) -> HttpResponseBase:
        """The rows of the list with the filters of the URL. That they were exported is recorded."""
        if not self.has_view_permission(request):  # type: ignore[attr-defined]
            raise PermissionDenied
        try:
            changelist = self.get_changelist_instance(request)  # type: ignore[attr-defined]
        except IncorrectLookupParameters:
            return HttpResponseRedirect(f"{self._list_url()}?{ERROR_FLAG}=1")
        rows = changelist.queryset
        ids = list(rows.values_list("pk", flat=True)[: MAX_ROWS + 1])
        if len(ids) > MAX_ROWS:
            text = f"This list has more than {MAX_ROWS:,} rows. Narrow it down with its filters, then export it again."
            messages.error(request, text)
            query = request.GET.urlencode()
            return HttpResponseRedirect(f"{self._list_url()}{'?' * bool(query)}{query}")
        section: str = getattr(self, "section", "") or str(self.opts.verbose_name_plural).capitalize()
        record_export(request, section, len(ids))
        columns = [name for name in changelist.list_display if name != "action_checkbox"]
        return csv_response(section, self._lines(rows, ids, columns))

    def _list_url(self) -> str:
        return reverse(f"admin:{self.opts.app_label}_{self.opts.model_name}_changelist")

    def rows_for_csv(self, rows: Sequence[Any]) -> Sequence[Any]:
        """Some rows of the file, with all that their columns need. Override it."""
        return rows

    def _lines(self, rows: Any, ids: list[Any], columns: list[str]) -> Iterator[str]:
        labels = [label_for_field(name, self.opts.model, model_admin=self) for name in columns]  # type: ignore[call-overload]
        yield BYTE_ORDER_MARK + format_csv([["id", *(defuse_formula(str(label)) for label in labels)]])
        # By their ids, so that the order is that of the list and no cursor stays open.
        for start in range(0, len(ids), LOADED_ROWS):
            some = ids[start : start + LOADED_ROWS]
            found = {row.pk: row for row in self.rows_for_csv(list(rows.filter(pk__in=some).order_by()))}
            present = (found[pk] for pk in some if pk in found)
            yield format_csv([str(row.pk), *(self._cell(row, name) for name in columns)] for row in present)

    def _cell(self, row: Any, name: str) -> str:
        """A column of a row as text: times in ISO 8601, no HTML, and nothing that a spreadsheet would run."""
        try:
            field, attribute, value = lookup_field(name, row, self)  # type: ignore[arg-type]
        except ObjectDoesNotExist:
            return ""
        if hasattr(value, "isoformat"):
            return str(value.isoformat())
        if isinstance(value, bool):
            return "yes" if value else "no"
        if value is None:
            return ""
        if field is None:
            shown = display_for_value(value, "", getattr(attribute, "boolean", False))
        else:
            shown = str(value) if field.remote_field else display_for_field(value, field, "")
        return defuse_formula(text_of(str(shown)) if hasattr(shown, "__html__") else str(shown))


def text_of(html: str) -> str:
    """The text of a cell of a list. A time is in ISO 8601."""
    if time := _TIME.search(html):
        return time[1]
    return " ".join(unescape(strip_tags(html)).split())


def csv_response(title: str, lines: Iterator[str]) -> StreamingHttpResponse:
    """A streamed CSV file, named by its title and the day."""
    name = f"{slugify(title) or 'list'}-{timezone.now():%Y-%m-%d}.csv"
    headers = {"Content-Disposition": f'attachment; filename="{name}"', "Cache-Control": "no-store"}
    return StreamingHttpResponse(lines, content_type="text/csv; charset=utf-8", headers=headers)


def record_export(request: HttpRequest, title: str, count: int | None = None, account: UUID | None = None) -> Activity:
    """Record that the operator exported a list. The text of a search is not recorded: it may be a key.

    Args:
        count: the number of rows, if it is known beforehand.
        account: the account that the list is limited to, for a superuser.
    """
    filters = {name: str(value) for name, value in request.GET.items() if name not in ("q", "p", "o")}
    details: Activity.Details = {"filter": filters} if filters else {}
    if count is not None:
        details["count"] = count
    subject = Subject("list", name=title, account_id=operator_of(request).account_id or account)
    return Activity.objects.record(Activity.Event.EXPORTED, subject, audit_context_of(request), details=details)
