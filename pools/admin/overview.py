"""The overview: the pools that need keys, the totals, the keys handed out by product, all pools, the last activity."""

from typing import Any, cast
from uuid import UUID

from django.contrib import admin
from django.core.paginator import Paginator
from django.db.models import Case, Exists, OuterRef, QuerySet, Value, When
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone

from accounts.admin.actions import operator_of
from accounts.admin.sealed_text import open_search, search_url
from accounts.admin.site import Console
from accounts.models import Account, User
from keygen_site.db.uuids import parse_uuid
from licensing.models import License, Policy, Product
from pools.admin.activity_lines import recent_lines
from pools.admin.inbox import (
    MAX_COUNTED_KEYS_OF_PAGE,
    PAGE_SIZE,
    PAGES,
    count_other_items,
    describe_needy,
    permissions_of,
    visible_pools,
)
from pools.models import Key
from pools.services.charts import BAR_DAYS, Totals, summarize_demand
from pools.services.low_pools import find_needy_pools
from pools.services.statistics import CHART_DAYS, MAX_COUNTED_KEYS, PoolSummary, countable_keys, summarize_pools

MAX_SHOWN_NEEDY = 5
MAX_KNOWN_NEEDY = 1_000  # that come first in the list of pools; all are counted
MAX_COUNTED_LICENSES = 10_000
MAX_PRODUCT_CHOICES = 200
CHART_LABELS = {30: "30 days", 90: "90 days", 364: "1 year"}


def overview(request: HttpRequest) -> HttpResponse:
    """The first page after the sign-in. A POST is the filter of pools by name."""
    if request.method == "POST":
        return HttpResponseRedirect(f"{search_url(request, 'pool')}#pools")
    user = operator_of(request)
    context: dict[str, Any] = {**admin.site.each_context(request), **permissions_of(user), **PAGES}
    context |= {"title": "Overview", "subtitle": None, "may_view": user.has_perm("licensing.view_policy")}
    if context["may_view"]:
        context |= _content(request, user)
    return TemplateResponse(request, "admin/index.html", context)


def _content(request: HttpRequest, user: User) -> dict[str, Any]:
    pools = visible_pools(user)
    all_needy = find_needy_pools(pools).values_list("pk", flat=True)
    needy = list(all_needy[: MAX_KNOWN_NEEDY + 1])
    needy_count = len(needy) if len(needy) <= MAX_KNOWN_NEEDY else all_needy.count()
    days = _days_of(request)
    totals, chart = summarize_demand(pools, days)
    page, summaries, filters = _list_pools(request, user, pools, needy)
    context = {
        "needy": describe_needy(Policy.objects.filter(pk__in=needy[:MAX_SHOWN_NEEDY])),
        "needy_count": needy_count,
        "inbox_count": needy_count + count_other_items(user),
        "totals": totals,
        "changes": _changes(totals),
        "same_day_name": f"last {timezone.now():%a}",
        "licenses": _count_licenses(user),
        "chart": chart,
        "days": days,
        "chart_label": CHART_LABELS[days],
        "chart_lengths": CHART_LABELS.items(),
        "page": page,
        "page_numbers": page.paginator.get_elided_page_range(page.number),
        "summaries": summaries,
        "stock": _stock(user, page, summaries, is_filtered=bool(filters["product"] or filters["name"])),
        **filters,
    }
    if user.has_perm("pools.view_keyevent"):
        context["activity"] = recent_lines(request)
    if not chart.total:
        context["first_steps"] = _first_steps(request, user, pools)
    return context


def _of_account(rows: Any, user: User) -> Any:
    return rows if user.is_superuser else rows.filter(account=user.account_id)


def _days_of(request: HttpRequest) -> int:
    days = request.GET.get("days", "")
    return int(days) if days in map(str, BAR_DAYS) else CHART_DAYS


def _changes(totals: Totals) -> dict[str, int | None]:
    """By how many percent the totals differ from those of the week before. None where there were none."""

    def percent(now: int, before: int) -> int | None:
        return round(100 * (now - before) / before) if before else None

    return {"today": percent(totals.today, totals.same_day), "week": percent(totals.week, totals.week_before)}


def _count_licenses(user: User) -> dict[str, Any] | None:
    if not user.has_perm("licensing.view_license"):
        return None
    accounts: Any = Account.objects.values("pk") if user.is_superuser else [user.account_id]  # indexes begin with it
    licenses = License.objects.filter(account__in=accounts).order_by()
    count = licenses.values("pk")[: MAX_COUNTED_LICENSES + 1].count()
    expiring = licenses.expiring().values("pk")[:MAX_COUNTED_LICENSES].count()
    return {"count": min(count, MAX_COUNTED_LICENSES), "more": count > MAX_COUNTED_LICENSES, "expiring": expiring}


def _list_pools(
    request: HttpRequest, user: User, pools: QuerySet[Policy], needy: list[UUID]
) -> tuple[Any, list[PoolSummary], dict[str, Any]]:
    """A page of the pools that pass the filters, those that need keys first."""
    product = parse_uuid(request.GET.get("product", ""))
    name = open_search(request, request.GET.get("pool", "")).strip()[:255]
    products = _of_account(Product.objects.filter(Exists(pools.filter(product=OuterRef("pk")))), user)
    shown = pools
    if product:
        shown = shown.filter(product=product)
    if name:
        shown = shown.filter(name__icontains=name)
    is_needy = Case(When(pk__in=needy[:MAX_KNOWN_NEEDY], then=Value(0)), default=Value(1))
    page = Paginator(shown.order_by(is_needy, "product__name", "name", "id"), PAGE_SIZE).get_page(request.GET.get("p"))
    ids = [policy.pk for policy in page]
    summaries = summarize_pools(Policy.objects.filter(pk__in=ids), max_counted=_most_counted(len(ids)))
    if page.paginator.num_pages > 1:  # pages have the order of the database, and only these keys are counted
        summaries.sort(key=lambda summary: ids.index(summary.policy.pk))
    filters = {
        "product": product,
        "name": name,
        "view": "cards" if request.GET.get("view") == "cards" else "table",
        "products": list(products.order_by("name").values_list("pk", "name")[:MAX_PRODUCT_CHOICES]),
    }
    return page, summaries, filters


def _most_counted(pools: int) -> int:
    """How far the keys of each pool of a page are counted: MAX_COUNTED_KEYS_OF_PAGE in all, in round numbers."""
    share = MAX_COUNTED_KEYS_OF_PAGE // max(pools, 1)
    return min(MAX_COUNTED_KEYS, share // 10_000 * 10_000)


def _stock(user: User, page: Any, summaries: list[PoolSummary], *, is_filtered: bool) -> dict[str, Any]:
    """The number of available keys of all pools, as far as it is counted."""
    if page.paginator.num_pages == 1 and not is_filtered:
        more = any(summary.more for summary in summaries)
        return {"available": sum(summary.available for summary in summaries), "more": more}
    count = _of_account(countable_keys().order_by(), user).values("pk")[: MAX_COUNTED_KEYS_OF_PAGE + 1].count()
    return {"available": min(count, MAX_COUNTED_KEYS_OF_PAGE), "more": count > MAX_COUNTED_KEYS_OF_PAGE}


def _first_steps(request: HttpRequest, user: User, pools: QuerySet[Policy]) -> dict[str, Any] | None:
    """The steps up to the first key that is handed out. None once one was."""
    popped = Key.objects.filter(policy=OuterRef("pk"), popped__isnull=False).order_by()
    if pools.filter(Exists(popped)).exists():
        return None
    filled = pools.filter(Exists(Key.objects.for_policy(OuterRef("pk")))).order_by("id").first()
    pool = filled or pools.order_by("id").select_related("account").first()
    product = pool.product if pool else _of_account(Product.objects.order_by("id"), user).first()
    steps: dict[str, Any] = {"product": product, "pool": pool, "filled": filled}
    if pool:
        base = request.build_absolute_uri("/").rstrip("/")
        steps["address"] = f"{base}/v1/accounts/{pool.account.slug}/policies/{pool.pk}/pool"
        steps["token_page"] = f"{reverse('admin:licensing_product_token')}?id={pool.product_id}"
    return steps


cast(Console, admin.site).add_page("", overview, "index")
