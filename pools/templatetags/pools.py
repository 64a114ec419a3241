from typing import Any

from django import template

from licensing.models import Policy
from pools.services.statistics import summarize_pools

register = template.Library()

MAX_SHOWN_POOLS = 100


@register.inclusion_tag("admin/pools/overview.html", takes_context=True)
def pools_overview(context: dict[str, Any]) -> dict[str, Any]:
    """The pools that the operator may see, the lowest first."""
    user = context["request"].user
    policies = Policy.objects.filter(use_pool=True)
    if not user.is_superuser:
        policies = policies.filter(account=user.account_id)
    may_view = user.has_perm("licensing.view_policy")
    newest = policies.order_by("-id")[:MAX_SHOWN_POOLS].values_list("pk", flat=True)
    return {
        "pools": summarize_pools(Policy.objects.filter(pk__in=list(newest))) if may_view else [],
        "most": MAX_SHOWN_POOLS,
        "is_superuser": user.is_superuser,
        "may_view": may_view,
        "may_add": user.has_perm("licensing.add_policy"),
        "may_add_product": user.has_perm("licensing.add_product"),
        "may_import": user.has_perm("pools.add_keyimport"),
        "may_pop": user.has_perm("pools.pop_key"),
    }
