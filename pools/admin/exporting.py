"""Exporting the keys of one pool, or of all pools of an account or a product, as a file."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, cast
from uuid import UUID

from django import forms
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils import timezone

from accounts.admin.actions import audit_context_of
from licensing.models import Product
from pools.admin.pool_base import PoolPages
from pools.key_files import ExportedKey, serialize_keys
from pools.models import KeyImport, Pool
from pools.services.exports import EXPORT_STATES, StatesLost, check_format, export_keys, export_pools

STATE_NAMES = {"available": "Available", "popped": "Handed out", "withdrawn": "Retired", "all": "All"}
PERIODS = {
    "": "Any time",
    "this month": "This month",
    "last month": "Last month",
    "last 7 days": "Last 7 days",
    "last 30 days": "Last 30 days",
}
MAX_CHOICES = 200  # of a field


def days_of(period: str, today: date) -> tuple[date | None, date | None]:
    """The first day of a period of PERIODS, and the day after its last, as far as it is bounded."""
    month = today.replace(day=1)
    match period:
        case "this month":
            return month, None
        case "last month":
            return (month - timedelta(days=1)).replace(day=1), month
        case "last 7 days":
            return today - timedelta(days=6), None
        case "last 30 days":
            return today - timedelta(days=29), None
    return None, None


def _midnight(day: date | None) -> datetime | None:
    return datetime.combine(day, time.min, UTC) if day else None


class ExportForm(forms.Form):
    state = forms.ChoiceField(label="Keys", choices=[(state, STATE_NAMES[state]) for state in EXPORT_STATES])
    period = forms.ChoiceField(
        choices=list(PERIODS.items()),
        required=False,
        help_text="When the keys were handed out or retired; for the other states, added. Days begin at midnight UTC.",
    )
    since = forms.DateField(
        required=False, label="Or from", widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d")
    )
    until = forms.DateField(
        required=False, label="To", widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d")
    )
    format = forms.ChoiceField(
        choices=[("csv", "CSV with dates, references and customers"), ("ndjson", "NDJSON"), ("text", "Keys only")]
    )
    for_spreadsheet = forms.BooleanField(
        required=False,
        initial=True,
        label="Safe for Excel",
        help_text="CSV only. A spreadsheet opens the file without changing a key or running a formula, and the file "
        "can be imported again. Clear it for a program that reads the plain texts.",
    )

    def clean(self) -> dict[str, Any]:
        values = super().clean() or {}
        since, until = values.get("since"), values.get("until")
        if values.get("period") and (since or until):
            self.add_error("period", "Choose a period or dates, not both.")
        if since and until and until < since:
            self.add_error("until", "This day is before the first one.")
        try:
            check_format(values.get("state", ""), values.get("format", ""))
        except StatesLost as error:
            self.add_error("format", f"{error.detail}.")
        return values

    def options(self) -> dict[str, Any]:
        """The arguments of `export_keys()`."""
        values = self.cleaned_data
        first, end = days_of(values["period"], timezone.now().date())
        if values["until"]:
            end = values["until"] + timedelta(days=1)
        return {"state": values["state"], "since": _midnight(values["since"] or first), "until": _midnight(end)}


class PoolExportForm(ExportForm):
    """The form of one pool, which can also export one batch."""

    key_import = forms.ModelChoiceField(KeyImport.objects.none(), required=False, label="Batch", empty_label="All")

    field_order = ["state", "period", "since", "until", "key_import", "format", "for_spreadsheet"]

    def __init__(self, *args: Any, pool: Pool, **options: Any) -> None:
        super().__init__(*args, **options)
        field = cast(forms.ModelChoiceField, self.fields["key_import"])
        field.queryset = KeyImport.objects.filter(policy=pool, loading=None)

    def options(self) -> dict[str, Any]:
        return {**super().options(), "key_import": self.cleaned_data["key_import"]}


class PoolsExportForm(ExportForm):
    """The form of several pools."""

    product = forms.ModelChoiceField(Product.objects.none(), required=False, label="Pools", empty_label="All pools")

    field_order = ["product", "state", "period", "since", "until", "format", "for_spreadsheet"]

    def __init__(self, *args: Any, products: QuerySet[Product], **options: Any) -> None:
        super().__init__(*args, **options)
        field: Any = self.fields["product"]
        field.queryset = products
        field.label_from_instance = lambda product: f"Pools of {product}"


# Buttons that fill in the form and send it.
PRESETS = {
    "Handed out last month": {"state": "popped", "period": "last month"},
    "Handed out this month": {"state": "popped", "period": "this month"},
    "Available now": {"state": "available"},
}


def data_of(request: HttpRequest) -> dict[str, Any] | None:
    """The values of the export form that was sent, or those of the preset whose button was pressed."""
    if request.method != "POST":
        return None
    if preset := PRESETS.get(request.POST.get("preset", "")):
        fixed = {"format": "csv", "for_spreadsheet": "on", "product": request.POST.get("product", "")}
        return {**fixed, **preset}
    return request.POST


class ExportPages(PoolPages):
    """The pages that export keys. An export changes no pool, and may be repeated."""

    def get_urls(self) -> list[URLPattern]:
        wrap = self.admin_site.admin_view
        return [
            path("export/", wrap(self.export_all_view), name=f"{self._name}_export_all"),
            path("<uuid:pk>/export/", wrap(self.export_view), name=f"{self._name}_export"),
            *super().get_urls(),
        ]

    def export_view(self, request: HttpRequest, pk: UUID) -> HttpResponseBase:
        """Export keys of one pool."""
        pool = self.find_pool(request, pk, "pools.export_key")
        form = PoolExportForm(data_of(request), pool=pool)
        if request.method == "POST" and form.is_valid():
            keys = export_keys(policy=pool, audit=audit_context_of(request), **form.options())
            return self._file(keys, form.cleaned_data, str(pool.pk))
        context = self.form_context(request, pool, title="Export keys", form=form, presets=PRESETS)
        return TemplateResponse(request, "admin/pools/pool/export.html", context)

    def export_all_view(self, request: HttpRequest) -> HttpResponseBase:
        """Export keys of all pools that the operator may see, or of those of a product, one pool after the other."""
        if not self.has_view_permission(request) or not request.user.has_perm("pools.export_key"):
            raise PermissionDenied
        products = self.restrict_to_account(Product.objects.all(), request, "account")
        form = PoolsExportForm(data_of(request), products=products)
        if request.method == "POST" and form.is_valid():
            pools = self.get_queryset(request).order_by("id")
            if product := form.cleaned_data["product"]:
                pools = pools.filter(product=product)
            keys = export_pools(policies=list(pools), audit=audit_context_of(request), **form.options())
            return self._file(keys, form.cleaned_data, "of-all-pools")
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": "Export keys of several pools",
            "form": form,
            "presets": PRESETS,
            "back": self.changelist_url(),
            "list_url": self.changelist_url(),
        }
        return TemplateResponse(request, "admin/pools/pool/export.html", context)

    def _file(self, keys: Iterator[ExportedKey], values: dict[str, Any], name: str) -> StreamingHttpResponse:
        format = values["format"]
        suffix = {"text": "txt"}.get(format, format)
        return StreamingHttpResponse(
            serialize_keys(keys, format, for_spreadsheet=values["for_spreadsheet"] and format == "csv"),
            content_type="application/octet-stream",
            headers={"Content-Disposition": f'attachment; filename="keys-{name}.{suffix}"'},
        )
