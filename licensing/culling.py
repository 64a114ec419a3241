"""Culling: deleting dead machines and processes (contract: machines 6.5).

It only tidies up: dead machines and processes count for no limit. An activation that takes the seat, the fingerprint or
the process id of a dead one deletes it first, under its lock: a ping that was sent in time may not be stored yet, and
would revive it.
"""

from datetime import datetime, timedelta

from django.db import transaction

from accounts.audit import AuditContext
from accounts.models import Activity
from licensing.durations import MINUTE
from licensing.models import Machine, Process
from licensing.models.machine_queries import MachineQuerySet, ProcessQuerySet

BATCH = 500  # rows that one transaction deletes
# The shortest heartbeat duration of a policy: machines with a later heartbeat are alive, and need not be read.
SHORTEST_DURATION = timedelta(seconds=MINUTE)


@transaction.atomic
def cull(machines: MachineQuerySet, now: datetime, audit: AuditContext, *, wait: bool = False) -> int:
    """Delete those of some machines that are to be culled, at most `BATCH`, and return their number.

    Each is claimed by a lock, under which its last heartbeat is read: a machine that pings meanwhile stays.

    Args:
        audit: who culls them, for the activity.
        wait: wait for machines that another transaction holds, which are skipped otherwise.
    """
    dead = machines.to_cull(now).select_related("license__policy")
    claimed = list(dead.select_for_update(of=("self",), skip_locked=not wait)[:BATCH])
    for machine in claimed:
        Activity.objects.record(Activity.Event.CULLED, machine, audit)
    Machine.objects.filter(pk__in=[machine.pk for machine in claimed]).delete()
    return len(claimed)


def cull_machines(now: datetime, audit: AuditContext) -> int:
    """Delete machines of all accounts that are to be culled, a batch or two, and return their number."""
    pinged = Machine.objects.filter(last_heartbeat__lt=now - SHORTEST_DURATION)
    silent = Machine.objects.filter(last_heartbeat=None, license__policy__require_heartbeat=True)
    return cull(pinged, now, audit) + cull(silent, now, audit)


@transaction.atomic
def cull_some_processes(processes: ProcessQuerySet, now: datetime, *, wait: bool = False) -> int:
    """Delete those of some processes that are to be culled, as `cull()` does with machines, and return their number."""
    dead = processes.to_cull(now).select_for_update(of=("self",), skip_locked=not wait)
    ids = [process.pk for process in dead[:BATCH]]
    Process.objects.filter(pk__in=ids).delete()
    return len(ids)


def cull_processes(now: datetime) -> int:
    """Delete processes of all accounts that are to be culled, at most `BATCH`, and return their number."""
    return cull_some_processes(Process.objects.filter(last_heartbeat__lt=now - SHORTEST_DURATION), now)
