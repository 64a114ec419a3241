"""The machines on the page of a license."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone

from accounts.admin.actions import operator_of
from accounts.admin.customers import user_link
from licensing.admin.heartbeat_words import heartbeat_badge
from licensing.admin.license_limits import describe_limits
from licensing.admin.machines import MachineAdmin, describe_parts, describe_resources, name_machine, with_parts
from licensing.models import License, Machine

MAX_SHOWN_MACHINES = 20


def machines_context(request: HttpRequest, license: License) -> dict[str, Any]:
    """The limits and the newest machines of a license, each with its actions. Empty without the permission."""
    if not operator_of(request).has_perm("licensing.view_machine"):
        return {}
    pages = admin.site.get_model_admin(Machine)
    assert isinstance(pages, MachineAdmin)
    now = timezone.now()
    found = with_parts(license.machines.select_related("owner"))[: MAX_SHOWN_MACHINES + 1]
    rows = []
    for machine in found[:MAX_SHOWN_MACHINES]:
        machine.license = license
        actions = [action for action in pages.allowed_actions(request, machine) if action.in_header]
        rows.append(
            {
                "machine": machine,
                "name": name_machine(machine),
                "owner": user_link(machine.owner) if machine.owner else "",
                "badge": heartbeat_badge(machine, now),
                "resources": describe_resources(machine),
                "parts": describe_parts(machine),
                "actions": [(action, pages.action_url(action, machine)) for action in actions],
            }
        )
    return {
        "limits": list(describe_limits(license)),
        "machines": rows,
        "more_machines": len(found) > MAX_SHOWN_MACHINES,
        "machines_url": f"{reverse('admin:licensing_machine_changelist')}?license={license.pk}",
        "may_act_on_machines": any(row["actions"] for row in rows),
    }
