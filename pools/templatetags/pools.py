from django import template

from licensing.models import Policy
from pools.services.statistics import overview

register = template.Library()

MOST_POOLS = 100


@register.inclusion_tag("admin/pools/overview.html", takes_context=True)
def pools_overview(context):
    """The pools of whoever looks, the lowest first."""
    user = context["request"].user
    policies = Policy.objects.filter(use_pool=True)
    if not user.is_superuser:
        policies = policies.filter(account=user.account_id)
    newest = policies.order_by("-id")[:MOST_POOLS].values_list("pk", flat=True)
    return {
        "pools": overview(Policy.objects.filter(pk__in=list(newest))) if user.has_perm("licensing.view_policy") else [],
        "most": MOST_POOLS,
        "is_superuser": user.is_superuser,
        "may_view": user.has_perm("licensing.view_policy"),
        "may_add": user.has_perm("licensing.add_policy"),
        "may_add_product": user.has_perm("licensing.add_product"),
        "may_import": user.has_perm("pools.add_keyimport"),
        "may_pop": user.has_perm("pools.pop_key"),
    }
