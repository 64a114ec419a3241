"""The search of the console, from the field on every page.

The form is a POST, and the URL of its result has the text sealed: a key must not be in an address.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from django.contrib import admin
from django.contrib.humanize.templatetags.humanize import intcomma
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse

from accounts.admin.actions import operator_of
from accounts.admin.base import format_time
from accounts.admin.customers import user_url
from accounts.admin.sealed_text import MARKER, open_search, seal_text, search_url
from accounts.models import Group as AccountGroup
from accounts.models import User
from accounts.search import MAX_FOUND_ROWS, SearchScope
from licensing.key_spellings import MAX_ENDING_LETTERS, MIN_ENDING_LETTERS, letters_of
from licensing.models import Entitlement, License, Machine, Policy, Product
from licensing.models.licenses import MAX_LICENSE_KEY_LENGTH
from pools.admin.key_story import STATE_WORDS
from pools.admin.keys import with_references
from pools.models import Key, KeyImport
from pools.services.key_search import MAX_SEARCHED_KEYS
from pools.services.order_search import MAX_KEYS_OF_ORDER, Order
from pools.services.search import Kind, SearchResult, search

MAX_SHOWN_KEYS_OF_ORDER = 5
TOO_MANY = f"These are the first {MAX_FOUND_ROWS}. Type more to find fewer."
PERMISSIONS = {
    Kind.ORDER: ["pools.view_keyevent", "pools.view_key"],
    Kind.KEY: ["pools.view_key"],
    Kind.LICENSE: ["licensing.view_license"],
    Kind.USER: ["accounts.view_user"],
    Kind.POOL: ["licensing.view_policy"],
    Kind.PRODUCT: ["licensing.view_product"],
    Kind.IMPORT: ["pools.view_keyimport"],
    Kind.MACHINE: ["licensing.view_machine"],
    Kind.ENTITLEMENT: ["licensing.view_entitlement"],
    Kind.GROUP: ["accounts.view_group"],
}
PAGES = {
    Kind.KEY: "pools_key_change",
    Kind.LICENSE: "licensing_license_change",
    Kind.POOL: "pools_pool_change",
    Kind.PRODUCT: "licensing_product_change",
    Kind.IMPORT: "pools_keyimport_change",
    Kind.MACHINE: "licensing_machine_change",
    Kind.ENTITLEMENT: "licensing_entitlement_change",
    Kind.GROUP: "accounts_group_change",
}


@dataclass
class Hit:
    """A line of the results, which is a link.

    Attributes:
        is_key: whether the name is a masked key.
        state: the class of the state's badge; empty for none.
        facts: further details, as text or safe HTML.
        hits: the keys of an order.
    """

    name: str
    url: str
    is_key: bool = False
    state: str = ""
    state_label: str = ""
    facts: list[str] = field(default_factory=list)
    hits: list["Hit"] = field(default_factory=list)


@dataclass
class Group:
    """The results of one kind."""

    title: str
    hits: list[Hit]
    note: str = ""


def find_view(request: HttpRequest) -> HttpResponse:
    """The search. A POST leads to the one row that the text names, or to the page with the results."""
    operator = operator_of(request)
    kinds = [kind for kind, permissions in PERMISSIONS.items() if operator.has_perms(permissions)]
    if not kinds:
        raise PermissionDenied
    is_post = request.method == "POST"
    text = request.POST.get("q", "") if is_post else request.GET.get("q", "")
    if not is_post:
        text = open_search(request, text) if text.startswith(MARKER) else ""
    text = text.replace("\0", "").strip()[:MAX_LICENSE_KEY_LENGTH]
    scope, may_reveal = SearchScope.of(operator), operator.has_perm("pools.reveal_key")
    result = search(scope, text, kinds=kinds, may_reveal=may_reveal)
    if is_post:
        if hit := result.single_hit:
            return HttpResponseRedirect(page_url(*hit))
        return HttpResponseRedirect(search_url(request))
    letters = len(letters_of(text))
    context = {
        **admin.site.each_context(request),
        "title": "Find",
        "find_text": text,
        "find_focus": not text or result.is_empty,
        "groups": list(groups_of(request, result)),
        "kinds": kinds,
        "is_ending": Kind.KEY in kinds and MIN_ENDING_LETTERS <= letters <= MAX_ENDING_LETTERS,
        "max_searched_keys": MAX_SEARCHED_KEYS,
    }
    return TemplateResponse(request, "admin/find.html", context)


def page_url(kind: Kind, pk: UUID) -> str:
    """The URL of the page of a row."""
    if kind == Kind.USER:
        return user_url(User.objects.get(pk=pk))
    return reverse(f"admin:{PAGES[kind]}", args=[pk])


def groups_of(request: HttpRequest, result: SearchResult) -> Iterable[Group]:
    """The results by kind, without the kinds of which nothing was found."""
    show_account = operator_of(request).is_superuser
    if result.orders:
        yield Group("Orders", [*_order_hits(request, result.orders, show_account)])
    kinds: list[tuple[Kind, str, Callable[[Sequence[UUID], bool], list[Hit]]]] = [
        (Kind.KEY, "Keys", _key_hits),
        (Kind.LICENSE, "Licenses", _license_hits),
        (Kind.USER, "Customers and team", _user_hits),
        (Kind.POOL, "Pools", _pool_hits),
        (Kind.PRODUCT, "Products", _product_hits),
        (Kind.IMPORT, "Imports", _import_hits),
        (Kind.MACHINE, "Machines", _machine_hits),
        (Kind.ENTITLEMENT, "Entitlements", _entitlement_hits),
        (Kind.GROUP, "Groups", _group_hits),
    ]
    for kind, title, hits_of in kinds:
        if ids := result[kind].ids[:MAX_FOUND_ROWS]:
            yield Group(title, hits_of(ids, show_account), TOO_MANY if len(ids) == MAX_FOUND_ROWS else "")


def _order_hits(request: HttpRequest, orders: Sequence[Order], show_account: bool) -> Iterable[Hit]:
    """Orders with their first keys. The link of an order leads to the list of all of them."""
    shown = [pk for order in orders for pk in order.key_ids[:MAX_SHOWN_KEYS_OF_ORDER]]
    keys = {hit.url: hit for hit in _key_hits(list(dict.fromkeys(shown)), show_account)}
    references = {order.reference for order in orders}
    for hit in keys.values():
        hit.facts = [fact for fact in hit.facts if fact not in references]
    for order in orders:
        count = f"{MAX_KEYS_OF_ORDER}+" if order.has_more else str(len(order.key_ids))
        urls = [page_url(Kind.KEY, pk) for pk in order.key_ids[:MAX_SHOWN_KEYS_OF_ORDER]]
        yield Hit(
            order.reference,
            f"{reverse('admin:pools_key_changelist')}?q={seal_text(request, order.reference)}",
            facts=[f"{count} key{'' if count == '1' else 's'}"],
            hits=[keys[url] for url in urls if url in keys],
        )


def _rows(rows: Any, ids: Sequence[UUID], show_account: bool) -> list[Any]:
    """The rows with some ids, in this order."""
    found = (rows.select_related("account") if show_account else rows).in_bulk(ids)
    return [found[pk] for pk in ids if pk in found]


def _facts(row: Any, show_account: bool, *facts: Any) -> list[str]:
    return [str(fact) for fact in (row.account if show_account else "", *facts) if fact]


def _key_hits(ids: Sequence[UUID], show_account: bool) -> list[Hit]:
    hits = []
    for key in with_references(_rows(Key.objects.select_related("policy"), ids, show_account)):
        since = format_time(key.withdrawn or key.popped or key.created)
        facts = _facts(key, show_account, key.policy, key.last_reference, since)
        url, label = page_url(Kind.KEY, key.pk), STATE_WORDS[key.state]
        hits.append(Hit(key.masked, url, is_key=True, state=key.state, state_label=label, facts=facts))
    return hits


def _license_hits(ids: Sequence[UUID], show_account: bool) -> list[Hit]:
    licenses = _rows(License.objects.select_related("policy__product", "owner"), ids, show_account)
    return [
        Hit(
            license.name or ("License" if license.policy.encrypted else license.masked),
            page_url(Kind.LICENSE, license.pk),
            is_key=not license.name,
            state=license.status.lower(),
            state_label=license.status.lower(),
            facts=_facts(
                license,
                show_account,
                f"{license.policy.product} · {license.policy}",
                license.owner and (license.owner.full_name or license.owner.email),
            ),
        )
        for license in licenses
    ]


def _user_hits(ids: Sequence[UUID], show_account: bool) -> list[Hit]:
    hits = []
    for user in _rows(User.objects.all(), ids, show_account):
        name = " ".join(filter(None, [user.first_name, user.last_name]))
        role = "customer" if user.role == User.Role.USER and not user.is_staff else "team"
        facts = _facts(user, show_account, user.email if name else "", role, "blocked" if user.banned else "")
        hits.append(Hit(name or user.email, user_url(user), facts=facts))
    return hits


def _pool_hits(ids: Sequence[UUID], show_account: bool) -> list[Hit]:
    return [
        Hit(str(policy), page_url(Kind.POOL, policy.pk), facts=_facts(policy, show_account, policy.product))
        for policy in _rows(Policy.objects.select_related("product"), ids, show_account)
    ]


def _product_hits(ids: Sequence[UUID], show_account: bool) -> list[Hit]:
    return [
        Hit(str(product), page_url(Kind.PRODUCT, product.pk), facts=_facts(product, show_account, product.code))
        for product in _rows(Product.objects.all(), ids, show_account)
    ]


def _import_hits(ids: Sequence[UUID], show_account: bool) -> list[Hit]:
    hits = []
    for each in _rows(KeyImport.objects.select_related("policy"), ids, show_account):
        facts = _facts(each, show_account, each.policy, f"{intcomma(each.added)} keys", format_time(each.created))
        hits.append(Hit(str(each), page_url(Kind.IMPORT, each.pk), facts=facts))
    return hits


def _machine_hits(ids: Sequence[UUID], show_account: bool) -> list[Hit]:
    hits = []
    for machine in _rows(Machine.objects.select_related("license__owner"), ids, show_account):
        name = str(machine)
        fingerprint = "" if name == machine.fingerprint else machine.fingerprint[:64]
        license = machine.license.owner.email if machine.license.owner else machine.license
        hits.append(
            Hit(name, page_url(Kind.MACHINE, machine.pk), facts=_facts(machine, show_account, fingerprint, license))
        )
    return hits


def _entitlement_hits(ids: Sequence[UUID], show_account: bool) -> list[Hit]:
    return [
        Hit(str(each), page_url(Kind.ENTITLEMENT, each.pk), facts=_facts(each, show_account, each.code))
        for each in _rows(Entitlement.objects.all(), ids, show_account)
    ]


def _group_hits(ids: Sequence[UUID], show_account: bool) -> list[Hit]:
    return [
        Hit(str(group), page_url(Kind.GROUP, group.pk), facts=_facts(group, show_account))
        for group in _rows(AccountGroup.objects.all(), ids, show_account)
    ]


admin.site.add_page("find/", find_view, "find")  # type: ignore[attr-defined]  # it is a `Console`
