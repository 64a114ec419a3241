"""Heartbeats of machines and processes in words."""

from datetime import datetime

from django.utils.html import format_html

from accounts.admin.base import format_time
from licensing.heartbeats import DEAD, NOT_STARTED, can_be_revived
from licensing.models import Machine, Process


def heartbeat_badge(machine: Machine, now: datetime) -> str:
    """The status of a machine by its heartbeats."""
    status = machine.status_at(now)
    return format_html('<span class="state state-{}">{}</span>', status.lower().replace("_", "-"), _label(machine, now))


def _label(machine: Machine, now: datetime) -> str:
    status = machine.status_at(now)
    if status == NOT_STARTED:
        return "Waiting for heartbeat" if machine.policy.require_heartbeat else "No heartbeats"
    return "Dead" if status == DEAD else "Alive"


def describe_heartbeat(machine: Machine, now: datetime) -> str:
    """The status of a machine as sentences, in HTML."""
    status, last = machine.status_at(now), machine.last_heartbeat
    if status == NOT_STARTED:
        if machine.policy.require_heartbeat:
            return "It has sent no heartbeat yet, and is dead without one."
        return "It has sent no heartbeats, and need not."
    if status != DEAD:
        times = format_time(last), format_time(machine.next_heartbeat)
        return format_html("Last heartbeat {}. It is dead without another one by {}.", *times)
    said = format_html("Last heartbeat {}.", format_time(last)) if last else "It has sent no heartbeat in time."
    policy = machine.policy
    if can_be_revived(policy, last, now):
        return format_html("{} A heartbeat revives it.", said)
    if policy.heartbeat_cull_strategy == "KEEP_DEAD":
        return format_html("{} It stays activated, and counts for the limits of the license.", said)
    return format_html("{} It counts for no limit any more, and is deleted soon.", said)


def process_badge(process: Process, now: datetime) -> str:
    """The status of a process by its heartbeats."""
    status = process.status_at(now)
    return format_html('<span class="state state-{}">{}</span>', status.lower(), "Dead" if status == DEAD else "Alive")
