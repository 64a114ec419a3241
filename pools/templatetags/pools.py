"""Template tags of the console that every page uses."""

from typing import Any

from django import template

from accounts.admin.actions import operator_of
from pools.admin.inbox import count_inbox

register = template.Library()


@register.inclusion_tag("admin/pools/overview/bell.html", takes_context=True)
def inbox_bell(context: dict[str, Any]) -> dict[str, Any]:
    """The link to the inbox with the number of its items. A page that has counted them passes `inbox_count`."""
    user = operator_of(context["request"])
    if not user.has_perm("licensing.view_policy"):
        return {"may_view": False}
    known = context.get("inbox_count")
    return {"may_view": True, "count": count_inbox(user) if known is None else known}
