"""The activity page of an account, newest first, and its CSV file."""

from collections.abc import Iterator
from datetime import UTC, date, datetime
from itertools import groupby
from typing import Any
from uuid import UUID

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.template.response import TemplateResponse
from django.utils import timezone
from django.utils.dateparse import parse_date
from django.views.decorators.http import require_POST

from accounts.admin.actions import operator_of
from accounts.admin.csv_lists import csv_response, record_export
from accounts.admin.sealed_text import open_search, search_url
from accounts.models import Account, Activity, Token, User
from keygen_site.db.uuids import parse_uuid
from keygen_site.spreadsheets import BYTE_ORDER_MARK, defuse_formula, format_csv
from licensing.models import Policy, Product
from pools.admin.activity_lines import Line, LineMaker, text_of
from pools.models import KeyEvent
from pools.services.activity import KINDS, PAGE_LINES, Filters, fold, read_all, read_page

TITLE = "Activity"
MAX_CHOICES = 200
RECENT_ENTRIES = 500  # that are looked at for the people and tokens to choose from
COLUMNS = ("id", "time", "who", "what", "pool", "reference", "customer", "account", "request")


def activity_view(request: HttpRequest) -> HttpResponse:
    """The activity of the operator's account; for superusers, of all accounts or of one. A POST is its filters."""
    if request.method == "POST":
        return HttpResponseRedirect(search_url(request, "reference"))
    filters, problems = read_filters(request)
    page = read_page(filters)
    groups = fold(page.entries)
    older = page.older
    if len(groups) > PAGE_LINES:
        groups = groups[:PAGE_LINES]
        older = groups[-1][-1].pk
    shown = [entry for group in groups for entry in group]
    maker = LineMaker(request, shown)
    lines = [maker.line(group) for group in groups]
    query = request.GET.copy()
    query.pop("before", None)
    context = {
        **admin.site.each_context(request),
        "title": TITLE,
        "days": [(day, list(of_day)) for day, of_day in groupby(lines, key=lambda line: _day_of(line.time))],
        "today": timezone.now().astimezone(UTC).date(),
        "problems": problems,
        "choices": _choices(request, filters),
        "filters": filters,
        "is_filtered": bool(query),
        "is_first": filters.before is None,
        "is_partial": page.is_partial and len(groups) < PAGE_LINES,
        "query": query.urlencode(),
        "older": _url(query, before=older) if older else "",
        "newest": _url(query),
        "shows_account": operator_of(request).is_superuser,
    }
    return TemplateResponse(request, "admin/activity.html", context)


@require_POST
def activity_csv_view(request: HttpRequest) -> HttpResponseBase:
    """All entries that the filters of the URL let through, as a file. This is recorded itself."""
    filters, _ = read_filters(request)
    recorded = record_export(request, TITLE, account=filters.account)
    return csv_response(TITLE, _lines_of_file(request, filters, recorded))


def _lines_of_file(request: HttpRequest, filters: Filters, recorded: Activity) -> Iterator[str]:
    """The lines of the file. Their number is recorded at the end; a file that breaks off has none."""
    yield BYTE_ORDER_MARK + format_csv([COLUMNS])
    count = 0
    for entries in read_all(filters):
        maker = LineMaker(request, entries)
        yield format_csv(_cells(maker.line([entry])) for entry in entries)
        count += len(entries)
    recorded.details = {**(recorded.details or {}), "count": count}
    recorded.save(update_fields=["details"])


def _cells(line: Line) -> list[str]:
    of_text = [text_of(line.who), text_of(line.what), text_of([line.pool]), text_of([line.reference])]
    of_text += [text_of([line.customer]), text_of([line.account])]
    return [str(line.id), line.time.isoformat(), *map(defuse_formula, of_text), line.request_id]


# Filters -------------------------------------------------------------------------------------------------------------


def read_filters(request: HttpRequest) -> tuple[Filters, list[str]]:
    """The filters of the URL, and its problems.

    Raises:
        PermissionDenied: the operator may not see the activity.
    """
    operator, query = operator_of(request), request.GET
    if not operator.has_perm("pools.view_keyevent"):
        raise PermissionDenied
    problems = []
    account = operator.account_id
    if operator.is_superuser:
        account = parse_uuid(query.get("account"))
    policy = None
    if query.get("policy"):
        policies = _of_account(request, Policy.objects.all(), account)
        policy = policies.filter(pk=parse_uuid(query["policy"])).values_list("pk", flat=True).first()
        if policy is None:
            problems.append("There is no such pool.")
    kind = query.get("kind", "")
    if kind and kind not in KINDS:
        problems.append("There is no such kind of activity.")
    days: dict[str, date | None] = {}
    for name in ("since", "until"):
        days[name] = _parse_day(query.get(name, ""))
        if query.get(name) and days[name] is None:
            problems.append("A date looks like 2026-11-27.")
    filters = Filters(
        account,
        kind=kind if kind in KINDS else "",
        policy=policy,
        who=parse_uuid(query.get("who")),
        reference=open_search(request, query.get("reference", "")).strip()[:255],
        before=parse_uuid(query.get("before")),
        **days,
    )
    return filters, problems


def _parse_day(text: str) -> date | None:
    """A day in ISO 8601, within the years that timestamps can have."""
    try:
        day = parse_date(text)
    except ValueError:
        return None
    return day if day and 1970 <= day.year <= 9000 else None


def _of_account(request: HttpRequest, rows: Any, account: UUID | None) -> Any:
    return rows.filter(account=account) if account or not operator_of(request).is_superuser else rows


def _choices(request: HttpRequest, filters: Filters) -> dict[str, Any]:
    """The choices of each filter: `(value, title, whether it is chosen)`."""
    pools = _of_account(request, Policy.objects.filter(use_pool=True), filters.account)
    names = {pk: str(name) for pk, name in pools.values_list("pk", "name")[:MAX_CHOICES]}
    if filters.policy and filters.policy not in names:
        names |= dict(Policy.objects.filter(pk=filters.policy).values_list("pk", "name"))
    choices: dict[str, Any] = {
        "kind": [(name, kind.title, name == filters.kind) for name, kind in KINDS.items()],
        "policy": _sorted(names, filters.policy),
        "who": [
            (title, _sorted(found, filters.who)) for title, found in _find_actors(request, filters).items() if found
        ],
    }
    if operator_of(request).is_superuser:
        accounts = dict(Account.objects.values_list("pk", "name")[:MAX_CHOICES])
        choices["account"] = _sorted(accounts, filters.account)
    return choices


def _sorted(names: dict[UUID, str], chosen: UUID | None) -> list[tuple[UUID, str, bool]]:
    return [(pk, name, pk == chosen) for pk, name in sorted(names.items(), key=lambda item: item[1].lower())]


def _find_actors(request: HttpRequest, filters: Filters) -> dict[str, dict[UUID, str]]:
    """The people, products and tokens of the last entries, and the chosen one."""
    people: set[UUID] = {filters.who} if filters.who else set()
    products, tokens = set(people), dict.fromkeys(people, "")
    entries: Any
    for entries in (KeyEvent.objects.all(), Activity.objects.all()):
        found = _of_account(request, entries, filters.account).order_by("-pk")
        columns = found.values_list("operator_id", "bearer_type", "bearer_id", "token_id", "token_name")
        for operator, bearer_type, bearer, token, token_name in columns[:RECENT_ENTRIES]:
            people |= {pk for pk in (operator, bearer if bearer_type == "users" else None) if pk}
            if bearer_type == "products":
                products.add(bearer)
            if token and token_name:
                tokens[token] = token_name
    if filters.who:
        tokens |= dict(
            _of_account(request, Token.objects.filter(pk=filters.who), filters.account).values_list("pk", "name")
        )
    users = _of_account(request, User.objects.filter(pk__in=people), filters.account)
    named = _of_account(request, Product.objects.filter(pk__in=products), filters.account)
    return {
        "People": dict(users.values_list("pk", "email")[:MAX_CHOICES]),
        "Products": dict(named.values_list("pk", "name")[:MAX_CHOICES]),
        "API tokens": {pk: name for pk, name in list(tokens.items())[:MAX_CHOICES] if name},
    }


def _url(query: Any, **values: object) -> str:
    changed = query.copy()
    changed.update({name: str(value) for name, value in values.items()})
    return f"?{changed.urlencode()}"


def _day_of(timestamp: datetime) -> date:
    return timestamp.astimezone(UTC).date()


_site: Any = admin.site
_site.add_page("activity/", activity_view, "activity")
_site.add_page("activity/csv/", activity_csv_view, "activity_csv")
