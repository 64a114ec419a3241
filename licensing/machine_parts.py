"""Components and processes of machines, and the rules that concern other rows (contract: machines 8, 9)."""

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from django.db import transaction
from django.utils import timezone

from accounts.audit import AuditContext
from accounts.models import Account
from keygen_site.db.advisory_locks import lock_fingerprint
from keygen_site.db.fields import digest
from licensing.culling import cull, cull_some_processes
from licensing.fingerprint_ranges import RANGES, in_range
from licensing.locks import lock_machine
from licensing.models import Component, License, Machine, Process
from licensing.models.machine_queries import ProcessQuerySet
from licensing.rule_errors import RuleErrors, own_errors


@transaction.atomic
def add_component(
    *, account: Account, machine: Machine | None, audit: AuditContext, missing: Iterable[str] = (), **values: Any
) -> Component:
    """Add a component to a machine.

    Args:
        machine: None if it is `missing`.
        audit: who adds it, for the record of culled machines.

    Raises:
        ValidationError: by field (contract: machines 8.2).
    """
    errors, now = RuleErrors(), timezone.now()
    errors.add_missing(missing)
    component = Component(account=account, **values)
    if machine is not None:
        per_license = machine.policy.component_uniqueness_strategy == "UNIQUE_PER_LICENSE"
        lock_machine(machine, with_license=per_license)
        now = timezone.now()  # the request may have waited for the lock
        cull_namesakes_of_components(machine, [component.fingerprint], now, audit)
        lock_component_fingerprints(machine, [component.fingerprint])
        component.machine = machine
        if machine.components.with_fingerprint(component.fingerprint).exists():
            errors.add("fingerprint", "has already been taken", "taken")
    errors.merge(component)
    if machine is not None:
        _check_range(errors, "fingerprint", component, machine.license, now)
    errors.raise_if_any()
    component.save(force_insert=True)
    return component


def cull_namesakes_of_components(machine: Machine, texts: Iterable[str], now: datetime, audit: AuditContext) -> None:
    """Cull the other machines that have components with these fingerprints, where these must be unique beyond a
    machine. The caller holds the locks of `add_component()`.
    """
    strategy = machine.policy.component_uniqueness_strategy
    if strategy in RANGES and (digests := [digest(text) for text in texts]):
        components = Component.objects.filter(
            in_range(strategy, machine.license, "machine__license"), digest__in=digests
        )
        others = Machine.objects.filter(pk__in=components.values("machine")).exclude(pk=machine.pk)
        cull(others, now, audit, wait=True)


def lock_component_fingerprints(machine: Machine, texts: Iterable[str]) -> None:
    """Lock fingerprints of components that must be unique beyond the license. The caller has locked the machine."""
    if machine.policy.component_uniqueness_strategy not in ("UNIQUE_PER_MACHINE", "UNIQUE_PER_LICENSE"):
        for text in sorted(set(texts)):
            lock_fingerprint(machine.account_id, "component", text)


def check_new_components(
    errors: RuleErrors, components: Sequence[Component], license: License | None, now: datetime
) -> None:
    """Check the components that a new machine brings along: by field names such as `components/0/fingerprint`.

    Args:
        license: None if it does not exist; then only their own values are checked.
    """
    counts = Counter(component.fingerprint for component in components)
    for index, component in enumerate(components):
        prefix = f"components/{index}/"
        own = own_errors(component)
        errors.extend(f"{prefix}fingerprint", own.pop("fingerprint", []))
        if counts[component.fingerprint] > 1:
            errors.add(f"{prefix}fingerprint", "is duplicated", "conflict")
        if license is not None:
            _check_range(errors, f"{prefix}fingerprint", component, license, now)
        for name, found in own.items():
            errors.extend(f"{prefix}{name}", found)


@transaction.atomic
def add_process(
    *, account: Account, machine: Machine | None, audit: AuditContext, missing: Iterable[str] = (), **values: Any
) -> Process:
    """Add a process to a machine. Dead processes that are to be culled give up their seats and their ids first.

    Args:
        machine: None if it is `missing`.
        audit: who adds it, for the record of culled machines.

    Raises:
        ValidationError: by field (contract: machines 9.2).
    """
    errors, now = RuleErrors(), timezone.now()
    errors.add_missing(missing)
    process = Process(account=account, **values)
    process.last_heartbeat = process.created
    if machine is not None:
        lock_machine(machine, with_license=machine.policy.process_leasing_strategy != "PER_MACHINE")
        now = timezone.now()  # the request may have waited for the lock
        process.machine = machine
        _free_seats_of_processes(machine, now, audit)
        if machine.processes.filter(digest=digest(process.pid)).exists():
            errors.add("pid", "has already been taken", "taken")
    errors.merge(process)
    if "id" in values and Process.objects.filter(pk=process.pk).exists():
        errors.add("id", "must not conflict with another process", "conflict")
    if machine is not None:
        _check_process_limit(errors, machine, now)
    errors.raise_if_any()
    process.save(force_insert=True)
    return process


def _free_seats_of_processes(machine: Machine, now: datetime, audit: AuditContext) -> None:
    """Cull the machines and processes that share the limit of processes. A ping just now keeps its seat."""
    if machine.policy.process_leasing_strategy != "PER_MACHINE":
        cull(machine.license.machines.exclude(pk=machine.pk), now, audit, wait=True)
    _, processes = _sharing_limit(machine, now)
    cull_some_processes(processes, now, wait=True)


def _check_process_limit(errors: RuleErrors, machine: Machine, now: datetime) -> None:
    policy, limit = machine.policy, machine.max_processes
    if limit is None:
        return
    noun, processes = _sharing_limit(machine, now)
    if not policy.allows_overage(processes.with_seats(now).count() + 1, limit):
        detail = f"process count has exceeded maximum allowed for {noun} ({limit})"
        errors.add("__all__", detail, "limit_exceeded")


def _sharing_limit(machine: Machine, now: datetime) -> tuple[str, ProcessQuerySet]:
    """Who leases processes, and the processes that share the limit with a machine's (contract: machines 9.3).

    Those of the machine itself always do, even if it is to be culled: a reset may save it.
    """
    strategy = machine.policy.process_leasing_strategy
    if strategy == "PER_MACHINE":
        return "machine", Process.objects.filter(machine=machine)
    machines = machine.license.machines.sharing_limits_with(machine.owner_id, per_user=strategy == "PER_USER")
    noun = "user" if strategy == "PER_USER" else "license"
    return noun, Process.objects.filter(machine__in=machines.with_seats(now, kept=machine.pk).values("pk"))


def _check_range(errors: RuleErrors, name: str, component: Component, license: License, now: datetime) -> None:
    """Check that a fingerprint is unique in the range of the policy's strategy, beyond its machine."""
    strategy = license.policy.component_uniqueness_strategy
    if strategy not in RANGES:
        return
    components = Component.objects.filter(in_range(strategy, license, "machine__license")).with_fingerprint(
        component.fingerprint
    )
    machines = Machine.objects.with_seats(now).filter(pk__in=components.values("machine"))
    if machines.exists():
        errors.add(name, f"has already been taken for this {RANGES[strategy]}", "taken")
