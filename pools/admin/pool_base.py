"""The base of all pages of a pool: permissions, header and tabs."""

from typing import Any
from uuid import UUID

from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest
from django.urls import reverse

from accounts.admin.base import ConsoleAdmin
from accounts.mail import can_send_mail
from pools.admin.alert_forms import AlertForm, describe_alert
from pools.models import DailyRefusalCount, Pool
from pools.services.low_pools import with_emptied
from pools.services.statistics import summarize_pools

MAX_COUNTED_KEYS_OF_PAGE = 500_000  # a page has one pool, and counts further than a list of pools
TABS = [
    ("change", "Keys", "pools.view_key"),
    ("imports", "Imports", "pools.view_keyimport"),
    ("activity", "Activity", "pools.view_keyevent"),
    ("usage", "Use it", "licensing.view_policy"),
    ("terms", "Terms", "licensing.view_policy"),
]


class PoolPages(ConsoleAdmin):
    """Pages of pools. A pool is a policy: the permissions are those for policies, and for the keys in it."""

    # The permissions that a proxy model would get by itself are none that an operator has.
    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        may = request.user.has_perm
        return may("licensing.view_policy") or may("licensing.change_policy")

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm("licensing.change_policy")

    def has_add_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("licensing.add_policy")

    def find_pool(self, request: HttpRequest, pk: UUID, permission: str) -> Pool:
        """The pool of a URL.

        Raises:
            PermissionDenied: the operator does not have the permission.
            Http404: there is no such pool in the operator's account.
        """
        if not self.has_view_permission(request) or not request.user.has_perm(permission):
            raise PermissionDenied
        pool = self.get_queryset(request).filter(pk=pk).select_related("account", "product").first()
        if pool is None:
            raise Http404
        return pool

    def page_url(self, page: str, pool: Pool) -> str:
        """The URL of a page of a pool, e.g. `usage`."""
        return reverse(f"admin:{self._name}_{page}", args=[pool.pk])

    def form_context(self, request: HttpRequest, pool: Pool, **context: Any) -> dict[str, Any]:
        """The context of a page with a form about a pool."""
        return {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "pool": pool,
            "back": self.change_url(pool),
            "list_url": self.changelist_url(),
            **context,
        }

    def page_context(self, request: HttpRequest, pool: Pool, tab: str, **context: Any) -> dict[str, Any]:
        """The context of a tab: the stock of the pool, its forecast, its alert, and the other tabs."""
        may = request.user.has_perm
        (stock,) = summarize_pools(Pool.objects.filter(pk=pool.pk), max_counted=MAX_COUNTED_KEYS_OF_PAGE)
        refused = DailyRefusalCount.objects.filter(policy=pool, day=stock.days[-1][0]).first()
        return self.form_context(
            request,
            pool,
            title=str(pool),
            stock=stock,
            forecast=stock.forecast,
            emptied=with_emptied(Pool.objects.filter(pk=pool.pk)).get().emptied if stock.is_empty else None,
            refused=refused.refused if refused else 0,
            tabs=[(label, self.page_url(name, pool), name == tab) for name, label, needed in TABS if may(needed)],
            may_import=may("pools.add_keyimport"),
            may_pop=may("pools.pop_key"),
            may_export=may("pools.export_key"),
            may_issue=may("licensing.add_license"),
            may_change=self.has_change_permission(request, pool),
            can_send_mail=can_send_mail(),
            alert=describe_alert(pool),
            alert_form=AlertForm(initial=AlertForm.initial_of(pool)),
            **context,
        )
