"""The console's pools: the list, the page of a pool with its tabs, and a new pool."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from django.contrib import admin, messages
from django.contrib.admin.views.main import ChangeList
from django.core.exceptions import ValidationError
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html

from accounts.admin.actions import operator_of
from accounts.admin.add_pages import AddPage
from accounts.admin.base import AccountScopedFilter
from accounts.admin.form_once import run_form_once
from accounts.admin.operators import operator_name, with_operators
from keygen_site.db.uuids import parse_uuid
from licensing.admin.policies import TermsPages
from licensing.models import Product
from pools.admin.activity_lines import LineMaker
from pools.admin.alert_forms import describe_alert
from pools.admin.alerts import AlertPages
from pools.admin.exporting import ExportPages
from pools.admin.handing_out import HandOutPages
from pools.admin.keys import with_references
from pools.admin.new_pool import DEFAULT_ALERT, NewPoolForm
from pools.admin.stock_chart import MAX_BARS, StockChart
from pools.admin.usage import UsagePages
from pools.models import Key, KeyImport, Pool
from pools.services.activity import Filters, fold, read_page
from pools.services.forecasts import Forecast
from pools.services.statistics import PoolSummary, summarize_pools
from pools.services.stock_history import in_groups, stock_history

MAX_COUNTED_KEYS_OF_LIST = 10_000  # of each pool
MAX_COUNTED_KEYS_OF_STATE = 10_000  # of a pool
SHOWN_ROWS = 25  # of a tab
SHOWN_ENTRIES = 50  # of the activity, before those of one request are folded
PERIODS = {"30": "30 days", "90": "90 days", "730": "All"}  # of the chart


@admin.register(Pool)
class PoolAdmin(AddPage, HandOutPages, ExportPages, AlertPages, UsagePages, TermsPages):
    """The pools of an account, each with a page of its own."""

    menu_name = "Pools"
    hint = "No pools yet. A pool holds the license keys of a product until they are handed out."
    change_list_template = "admin/pools/pool/change_list.html"
    change_form_template = "admin/pools/pool/terms.html"
    list_display = ["label", "product", "left", "week", "empty_about", "alert"]
    list_select_related = ["product"]
    list_filter = [("product", AccountScopedFilter)]
    search_fields = ["name", "product__name"]
    search_help_text = "Part of the pool's or the product's name"
    sortable_by = ["label", "product"]

    def get_urls(self) -> list[URLPattern]:
        wrap = self.admin_site.admin_view
        return [
            path("<uuid:pk>/imports/", wrap(self.imports_view), name=f"{self._name}_imports"),
            path("<uuid:pk>/activity/", wrap(self.activity_view), name=f"{self._name}_activity"),
            path("<uuid:pk>/terms/", wrap(self.terms_view), name=f"{self._name}_terms"),
            *super().get_urls(),
        ]

    # The list --------------------------------------------------------------------------------------------------------

    def get_changelist_instance(self, request: HttpRequest) -> ChangeList:
        changelist = super().get_changelist_instance(request)
        changelist.result_list = self.rows_for_csv(list(changelist.result_list))
        return changelist

    def rows_for_csv(self, rows: Sequence[Any]) -> Any:
        """Rows of the list or of its file, each with its `stock`."""
        pools = Pool.objects.filter(pk__in=[pool.pk for pool in rows])
        stocks = {stock.policy.pk: stock for stock in summarize_pools(pools, max_counted=MAX_COUNTED_KEYS_OF_LIST)}
        for pool in rows:
            pool.stock = stocks.get(pool.pk)
        return rows

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        context = {"may_export": request.user.has_perm("pools.export_key")}
        return super().changelist_view(request, context | (extra_context or {}))

    @admin.display(description="pool", ordering="name")
    def label(self, pool: Any) -> str:
        return format_html("<bdi>{}</bdi>", pool)

    @admin.display(description="left")
    def left(self, pool: Any) -> str:
        stock: PoolSummary | None = pool.stock
        if stock is None:
            return "–"
        number = f"{stock.available:,}{'+' if stock.more else ''}"
        if not stock.is_low:
            return number
        return format_html(
            '<span><span class="state state-{state}">{state}</span> {}</span>', number, state=_state_of(stock)
        )

    @admin.display(description="out in 7 days")
    def week(self, pool: Any) -> str:
        return f"{pool.stock.week:,}" if pool.stock else "–"

    @admin.display(description="empty about")
    def empty_about(self, pool: Any) -> str:
        expected = pool.stock and pool.stock.forecast
        if expected is None:
            return "–"
        return f"after {expected.short_text}" if pool.stock.more else expected.short_text

    @admin.display(description="alert")
    def alert(self, pool: Pool) -> str:
        return describe_alert(pool)

    # A new pool ------------------------------------------------------------------------------------------------------

    def add_page(self, request: HttpRequest) -> HttpResponse:
        """Create a pool, and its product if that is new. The next page imports its keys."""
        operator = operator_of(request)
        form = NewPoolForm(
            request.POST if request.method == "POST" else None,
            products=self.restrict_to_account(Product.objects.order_by("name"), request, "account"),
            own_account=None if operator.is_superuser else operator.account,
            may_add_product=operator.has_perm("licensing.add_product"),
            initial={"alert_at": DEFAULT_ALERT, "alert_unit": "keys"},
        )
        if request.method == "POST" and form.is_valid():
            try:
                return run_form_once(request, lambda: self._create(request, form))
            except ValidationError as error:
                for problem in error.messages:
                    form.add_error(None, problem)
        return self.render_add_page(request, form, title="New pool", template="admin/pools/pool/new.html")

    def _create(self, request: HttpRequest, form: NewPoolForm) -> HttpResponseRedirect:
        pool = form.create()
        if form.cleaned_data.get("product") is None:
            self.log_addition(request, pool.product, "Created")
        self.log_addition(request, pool, "Created")
        messages.success(request, f"Pool {pool} created. Add its keys.")
        if request.user.has_perm("pools.add_keyimport"):
            return HttpResponseRedirect(reverse("admin:pools_pendingimport_import", args=[pool.pk]))
        return HttpResponseRedirect(self.change_url(pool))

    # The page of a pool ----------------------------------------------------------------------------------------------

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """The page of a pool: its stock, forecast and keys."""
        pk = parse_uuid(object_id)
        if pk is None:
            raise Http404
        pool = self.find_pool(request, pk, "licensing.view_policy")
        context = self.page_context(request, pool, "change")
        context |= self._chart_context(request, context["stock"], context["forecast"])
        if request.user.has_perm("pools.view_key"):
            context |= {"latest": self._latest_keys(pool), "counts": _count_states(pool)}
        return TemplateResponse(request, "admin/pools/pool/page.html", context)

    def _chart_context(self, request: HttpRequest, stock: PoolSummary, expected: Forecast | None) -> dict[str, Any]:
        days = request.GET.get("days", "")
        days = days if days in PERIODS else next(iter(PERIODS))
        history = stock_history(
            stock.policy,
            available=stock.available,
            today=stock.days[-1][0],
            handed_out_today=stock.today,
            days=int(days),
        )
        size = -(-len(history.days) // MAX_BARS)
        points = in_groups(history.days, size)
        return {
            "chart": StockChart(points, size, stock.policy.low_stock_threshold, expected),
            "newest_first": points[::-1],
            "is_complete": history.is_complete,
            "periods": [(label, value) for value, label in PERIODS.items()],
            "days": days,
        }

    def _latest_keys(self, pool: Pool) -> list[Key]:
        return with_references(pool.pool.filter(popped__isnull=False, withdrawn=None).order_by("-popped")[:SHOWN_ROWS])

    def imports_view(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        """The last imports into a pool."""
        pool = self.find_pool(request, pk, "pools.view_keyimport")
        imports = with_operators(KeyImport.objects.filter(policy=pool, loading=None))[: SHOWN_ROWS + 1]
        rows = [(each, operator_name(each)) for each in imports]
        context = self.page_context(
            request, pool, "imports", imports=rows[:SHOWN_ROWS], has_more=len(rows) > SHOWN_ROWS
        )
        return TemplateResponse(request, "admin/pools/pool/imports.html", context)

    def activity_view(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        """The last activity about a pool and its keys."""
        pool = self.find_pool(request, pk, "pools.view_keyevent")
        entries = read_page(Filters(pool.account_id, policy=pool.pk), SHOWN_ENTRIES).entries
        maker = LineMaker(request, entries)
        lines = [maker.line(group) for group in fold(entries)]
        context = self.page_context(request, pool, "activity", lines=lines)
        return TemplateResponse(request, "admin/pools/pool/activity.html", context)

    def terms_view(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        """The terms of the pool's licenses: a form, or for operators who may not change them, sentences."""
        pool = self.find_pool(request, pk, "licensing.view_policy")
        return self.changeform_view(request, str(pk), "", self.page_context(request, pool, "terms"))

    def terms_url(self, policy: Any) -> str:
        return self.page_url("terms", policy)

    def response_change(self, request: HttpRequest, obj: Pool) -> HttpResponse:
        messages.success(request, "Saved.")
        return HttpResponseRedirect(self.page_url("terms", obj))


def _state_of(stock: PoolSummary) -> str:
    return "empty" if stock.is_empty else "low"


def _count_states(pool: Pool) -> list[tuple[str, str, str]]:
    """The numbers of handed-out and of retired keys, up to a bound: the state in the URL of the list, label, number."""
    keys = {
        ("popped", "Handed out"): pool.pool.filter(popped__isnull=False, withdrawn=None),
        ("withdrawn", "Retired"): Key.objects.for_policy(pool.pk).published().filter(withdrawn__isnull=False),
    }
    counts = []
    for (state, label), some in keys.items():
        number = some.order_by().values("pk")[: MAX_COUNTED_KEYS_OF_STATE + 1].count()
        more = "+" if number > MAX_COUNTED_KEYS_OF_STATE else ""
        counts.append((state, label, f"{min(number, MAX_COUNTED_KEYS_OF_STATE):,}{more}"))
    return counts
