"""The page about an account that was imported from keygen-api: the imported rows, and those to check by hand."""

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.http import Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.views.decorators.http import require_POST

from accounts.admin.actions import operator_of
from accounts.admin.csv_lists import csv_response, record_export
from accounts.models import Account, User
from keygen_site.db.uuids import parse_uuid
from keygen_site.spreadsheets import BYTE_ORDER_MARK, defuse_formula, format_csv
from licensing.models import License, Policy, Product
from pools.admin.links import Links
from pools.models import Key, Move

Finding = dict[str, Any]  # see `Move.findings`

TITLE = "Moved from keygen-api"
ROWS_PER_PAGE = 50
COLUMNS = ("id", "kind", "name", "imported", "reason")
# The classes whose rows have pages in the console.
_LINKED: dict[str, type[Any]] = {"Key": Key, "License": License, "Policy": Policy, "Product": Product, "User": User}
MASKED = ("Key", "License")  # classes whose rows are named by their masked keys
_NEXT_WORD = re.compile(r"(?<=[a-z])(?=[A-Z])")


@dataclass(frozen=True)
class RowLine:
    """A row to check, with its name as HTML."""

    kind: str
    name: SafeString
    imported: bool
    reason: str


def move_view(request: HttpRequest, account_id: UUID) -> HttpResponse:
    """The report of an account's import."""
    move = find_move(request, account_id)
    page = Paginator(move.findings, ROWS_PER_PAGE).get_page(request.GET.get("p"))
    operator = operator_of(request)
    context = {
        **admin.site.each_context(request),
        "title": TITLE,
        "move": move,
        "account": move.account,
        "classes": [(_plural(each["class"]), each["kept"], sum(each["leftOut"].values())) for each in move.summary],
        "left_out": [
            (_plural(each["class"]), number, reason)
            for each in move.summary
            for reason, number in each["leftOut"].items()
        ],
        "page": page,
        "lines": row_lines(request, move.account, list(page)),
        "total": len(move.findings),
        "more": move.findings_count - len(move.findings),
        **_parent_page(operator, move),
    }
    return TemplateResponse(request, "admin/move.html", context)


def _parent_page(operator: User, move: Move) -> dict[str, str]:
    if operator.is_superuser:
        return {"section": str(move.account), "back": reverse("admin:accounts_account_change", args=[move.account_id])}
    return {"section": "Settings", "back": reverse("admin:settings")}


@require_POST
def move_csv_view(request: HttpRequest, account_id: UUID) -> HttpResponseBase:
    """The rows to check as a file. This is recorded in the activity."""
    move = find_move(request, account_id)
    record_export(request, TITLE, len(move.findings), account=move.account_id)
    return csv_response(TITLE, _lines_of_file(move.findings))


def _lines_of_file(rows: Sequence[Finding]) -> Iterator[str]:
    yield BYTE_ORDER_MARK + format_csv([COLUMNS])
    for row in rows:
        imported = "yes" if row["kept"] else "no"
        yield format_csv([[row["id"], _words(row["class"]), defuse_formula(row["label"]), imported, row["problem"]]])


def find_move(request: HttpRequest, account_id: UUID) -> Move:
    """The report of an account that the operator may see.

    Raises:
        PermissionDenied: the operator may not see the account's activity.
        Http404: there is no report, or it is another account's.
    """
    operator = operator_of(request)
    if not operator.has_perm("pools.view_keyevent"):
        raise PermissionDenied
    move = Move.objects.select_related("account").filter(account=account_id).first()
    if move is None or (not operator.is_superuser and move.account_id != operator.account_id):
        raise Http404
    return move


def row_lines(request: HttpRequest, account: Account, rows: Sequence[Finding]) -> list[RowLine]:
    """The rows of a page of the report. Those that were imported and still exist are links to their pages."""
    ids: dict[type[Any], list[UUID]] = defaultdict(list)
    for row in rows:
        if row["kept"] and (model := _LINKED.get(row["class"])) and (uuid := parse_uuid(row["id"])):
            ids[model].append(uuid)
    found = {
        str(each.pk): each for model, some in ids.items() for each in model.objects.filter(account=account, pk__in=some)
    }
    links = Links(operator_of(request).has_perm)
    return [
        RowLine(
            _words(row["class"]),
            links.to(found[row["id"]], row["label"]) if row["id"] in found else _plain_name(row),
            row["kept"],
            row["problem"],
        )
        for row in rows
    ]


def _plain_name(row: Finding) -> SafeString:
    is_masked = row["class"] in MASKED and row["label"]
    return format_html("<code>{}</code>" if is_masked else "<bdi>{}</bdi>", row["label"] or row["id"] or "–")


def _words(name: str) -> str:
    """The name of a class as words, e.g. `Machine component`."""
    return _NEXT_WORD.sub(" ", name).capitalize()


def _plural(name: str) -> str:
    words = _words(name)
    if words.endswith("y") and not words.endswith("ey"):
        return f"{words[:-1]}ies"
    if words.endswith("s"):  # `Machine process`, and `Used keys`, which is a plural
        return f"{words}es" if words.endswith("ss") else words
    return f"{words}s"


_site: Any = admin.site
_site.add_page("moves/<uuid:account_id>/", move_view, "settings_move")
_site.add_page("moves/<uuid:account_id>/csv/", move_csv_view, "settings_move_csv")
