"""The inbox: the pools that need keys, the imports that wait for their operator, and the tokens that expire soon."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from itertools import chain
from typing import Any, cast
from uuid import UUID

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.core.paginator import Page, Paginator
from django.db.models import Q, QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone

from accounts.admin.actions import operator_of
from accounts.admin.site import Console
from accounts.expiring_tokens import find_expiring_tokens
from accounts.mail import can_send_mail
from accounts.models import Token, User
from licensing.models import Policy
from pools.models import DailyRefusalCount, MutedPool, PendingImport
from pools.models.pending_imports import PENDING_IMPORT_LIFETIME
from pools.services.low_pools import find_needy_pools, mute_pool, unmute_pool, with_emptied
from pools.services.statistics import PoolSummary, summarize_pools

PAGE_SIZE = 50
MAX_COUNTED_KEYS_OF_PAGE = 500_000
MAX_SHOWN_IMPORTS = 50
MAX_SHOWN_MUTED = 100
MAX_SHOWN_TOKENS = 50
# The names of the URLs of other pages, for the templates.
PAGES = {
    "pool_page": "admin:pools_pool_change",
    "pop_page": "admin:pools_pool_pop",
    "new_pool_page": "admin:pools_pool_add",
    "activity_page": "admin:activity",
}


@dataclass(frozen=True)
class NeedyPool:
    """A pool that is empty or low.

    Attributes:
        emptied: when its last available key left it, if it is empty and ever had one.
        refused: the number of requests that found it empty today.
    """

    policy: Policy
    summary: PoolSummary
    emptied: datetime | None
    refused: int


def visible_pools(user: User) -> QuerySet[Policy]:
    """The pools that an operator may see."""
    policies = Policy.objects.filter(use_pool=True)
    if not user.has_perm("licensing.view_policy"):
        return policies.none()
    return policies if user.is_superuser else policies.filter(account=user.account_id)


def waiting_imports(user: User) -> QuerySet[PendingImport]:
    """The uploads in the console that are not finished, and that an operator may see."""
    if not user.has_perm("pools.add_keyimport"):
        return PendingImport.objects.none()
    states = (*PendingImport.WORKING, PendingImport.State.CHECKED, PendingImport.State.FAILED)
    kept = Q(state=PendingImport.State.RECEIVED, size__gt=0)  # of an operator whose session had ended
    recent = PendingImport.objects.of_console().filter(created__gt=timezone.now() - PENDING_IMPORT_LIFETIME)
    unfinished = recent.filter(Q(state__in=states) | kept)
    return unfinished if user.is_superuser else unfinished.filter(account=user.account_id)


def count_inbox(user: User) -> int:
    """The number of items in the inbox, in one statement."""
    return _count([find_needy_pools(visible_pools(user)), *_other_items(user)])


def count_other_items(user: User) -> int:
    """The number of items in the inbox that are not pools."""
    return _count(_other_items(user))


def _other_items(user: User) -> list[QuerySet[Any]]:
    """The imports that wait for this operator, for only those who brought the keys can go on, and expiring tokens."""
    own = waiting_imports(user).filter(operator_id=user.pk).exclude(state__in=PendingImport.WORKING)
    return [own, *find_expiring_tokens(user)]


def _count(parts: list[QuerySet[Any]]) -> int:
    first, *others = [part.order_by().values("pk") for part in parts]
    return first.union(*others, all=True).count()


def expiring_tokens(user: User) -> list[Token]:
    """The expiring tokens that are shown, the first to expire first."""
    parts = [part.order_by("expiry", "id").prefetch_related("bearer") for part in find_expiring_tokens(user)]
    tokens = sorted(
        chain.from_iterable(part[:MAX_SHOWN_TOKENS] for part in parts), key=lambda token: cast(datetime, token.expiry)
    )
    return tokens[:MAX_SHOWN_TOKENS]


def describe_needy(policies: QuerySet[Policy]) -> list[NeedyPool]:
    """Describe the pools of a page, in a fixed number of queries. The emptiest come first."""
    max_counted = MAX_COUNTED_KEYS_OF_PAGE // PAGE_SIZE
    summaries = summarize_pools(with_emptied(policies), max_counted=max_counted)
    refused = dict(
        DailyRefusalCount.objects.filter(policy__in=[summary.policy for summary in summaries])
        .filter(day=timezone.now().date())
        .values_list("policy", "refused")
    )
    return [
        NeedyPool(
            policy=summary.policy,
            summary=summary,
            emptied=getattr(summary.policy, "emptied", None) if summary.is_empty else None,
            refused=refused.get(summary.policy.pk, 0),
        )
        for summary in sorted(summaries, key=lambda summary: (summary.available, summary.policy.name))
    ]


def permissions_of(user: User) -> dict[str, bool]:
    """The permissions of the operator, for the templates."""
    may = user.has_perm
    return {
        "is_superuser": user.is_superuser,
        "may_import": may("pools.add_keyimport"),
        "may_pop": may("pools.pop_key"),
        "may_mute": may("licensing.change_policy"),
        "may_add": may("licensing.add_policy"),
        "may_add_product": may("licensing.add_product"),
        "may_make_token": may("accounts.add_token"),
        "may_see_events": may("pools.view_keyevent"),
    }


def inbox_view(request: HttpRequest) -> HttpResponse:
    """Everything that waits for the operator."""
    user = operator_of(request)
    pools = visible_pools(user)
    page = _page_of(request, find_needy_pools(pools))
    imports = list(waiting_imports(user).select_related("policy__product").order_by("-id")[:MAX_SHOWN_IMPORTS])
    muted = MutedPool.objects.in_force().filter(policy__in=pools).select_related("policy").order_by("policy__name")
    count = page.paginator.count + count_other_items(user)
    context = {
        **admin.site.each_context(request),
        **permissions_of(user),
        **PAGES,
        "title": "Inbox",
        "subtitle": None,
        "page": page,
        "page_numbers": page.paginator.get_elided_page_range(page.number),
        "needy": describe_needy(Policy.objects.filter(pk__in=[policy.pk for policy in page])),
        "imports": [(each, each.operator_id == user.pk) for each in imports],
        "tokens": expiring_tokens(user),
        "muted": muted[:MAX_SHOWN_MUTED],
        "inbox_count": count,
        "has_mail": can_send_mail(),
        "back": reverse("admin:inbox"),
    }
    return TemplateResponse(request, "admin/pools/overview/inbox.html", context)


def _page_of(request: HttpRequest, rows: QuerySet[Any]) -> "Page[Any]":
    return Paginator(rows, PAGE_SIZE).get_page(request.GET.get("p"))


def mute_view(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Do not remind anyone of a pool until keys are added to it."""
    return _change_pool(request, pk, lambda pool, user: mute_pool(pool, user), "{} is muted until keys are added.")


def unmute_view(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Remind of a pool again."""
    return _change_pool(request, pk, lambda pool, user: unmute_pool(pool), "{} is no longer muted.")


def _change_pool(request: HttpRequest, pk: UUID, change: Callable[[Policy, User], None], message: str) -> HttpResponse:
    if request.method != "POST":
        return HttpResponseNotAllowed(["POST"])
    user = operator_of(request)
    if not user.has_perm("licensing.change_policy"):
        raise PermissionDenied
    pool = visible_pools(user).filter(pk=pk).first()
    if pool is None:
        raise Http404
    change(pool, user)
    messages.success(request, message.format(pool))
    return HttpResponseRedirect(reverse("admin:inbox"))


site = cast(Console, admin.site)
site.add_page("inbox/", inbox_view, "inbox")
site.add_page("inbox/<uuid:pk>/mute/", mute_view, "mute_pool")
site.add_page("inbox/<uuid:pk>/unmute/", unmute_view, "unmute_pool")
