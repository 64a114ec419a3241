"""Components and processes of machines, and the rules that concern other rows (contract: machines 8, 9)."""

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from django.db import transaction
from django.utils import timezone

from accounts.models import Account
from keygen_site.db.advisory_locks import lock_fingerprint
from keygen_site.db.fields import digest
from licensing.locks import lock_machine
from licensing.models import Component, License, Machine, Process
from licensing.models.machine_queries import ComponentQuerySet, ProcessQuerySet
from licensing.rule_errors import RuleErrors, own_errors

# The nouns of the ranges in which the fingerprints of components are unique, beyond their machine.
_RANGES = {
    "UNIQUE_PER_LICENSE": "license",
    "UNIQUE_PER_POLICY": "policy",
    "UNIQUE_PER_PRODUCT": "product",
    "UNIQUE_PER_ACCOUNT": "account",
}


@transaction.atomic
def add_component(
    *, account: Account, machine: Machine | None, missing: Iterable[str] = (), **values: Any
) -> Component:
    """Add a component to a machine.

    Args:
        machine: None if it is `missing`.

    Raises:
        ValidationError: by field (contract: machines 8.2).
    """
    errors, now = RuleErrors(), timezone.now()
    errors.add_missing(missing)
    component = Component(account=account, **values)
    if machine is not None:
        per_license = machine.policy.component_uniqueness_strategy == "UNIQUE_PER_LICENSE"
        lock_machine(machine, with_license=per_license)
        if not per_license:
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
def add_process(*, account: Account, machine: Machine | None, missing: Iterable[str] = (), **values: Any) -> Process:
    """Add a process to a machine. A dead one with the same id that is to be culled is replaced.

    Args:
        machine: None if it is `missing`.

    Raises:
        ValidationError: by field (contract: machines 9.2).
    """
    errors, now = RuleErrors(), timezone.now()
    errors.add_missing(missing)
    process = Process(account=account, **values)
    process.last_heartbeat = process.created
    if machine is not None:
        lock_machine(machine, with_license=machine.policy.process_leasing_strategy != "PER_MACHINE")
        process.machine = machine
        same = machine.processes.filter(digest=digest(process.pid))
        same.filter(pk__in=same.to_cull(now).values("pk")).delete()
        if same.exists():
            errors.add("pid", "has already been taken", "taken")
    errors.merge(process)
    if "id" in values and Process.objects.filter(pk=process.pk).exists():
        errors.add("id", "must not conflict with another process", "conflict")
    if machine is not None:
        _check_process_limit(errors, machine, now)
    errors.raise_if_any()
    process.save(force_insert=True)
    return process


def _check_process_limit(errors: RuleErrors, machine: Machine, now: datetime) -> None:
    policy, limit = machine.policy, machine.max_processes
    if limit is None:
        return
    noun, processes = _sharing_limit(machine, now)
    if not policy.allows_overage(processes.with_seats(now).count() + 1, limit):
        detail = f"process count has exceeded maximum allowed for {noun} ({limit})"
        errors.add("__all__", detail, "limit_exceeded")


def _sharing_limit(machine: Machine, now: datetime) -> tuple[str, ProcessQuerySet]:
    """Who leases processes, and the processes that share the limit with a machine's (contract: machines 9.3)."""
    strategy = machine.policy.process_leasing_strategy
    if strategy == "PER_MACHINE":
        return "machine", Process.objects.filter(machine=machine)
    machines = machine.license.machines.with_seats(now)
    machines = machines.sharing_limits_with(machine.owner_id, per_user=strategy == "PER_USER")
    noun = "user" if strategy == "PER_USER" else "license"
    return noun, Process.objects.filter(machine__in=machines.values("pk"))


def _check_range(errors: RuleErrors, name: str, component: Component, license: License, now: datetime) -> None:
    """Check that a fingerprint is unique in the range of the policy's strategy, beyond its machine."""
    strategy = license.policy.component_uniqueness_strategy
    if strategy not in _RANGES:
        return
    components = _in_range(strategy, license).with_fingerprint(component.fingerprint)
    machines = Machine.objects.with_seats(now).filter(pk__in=components.values("machine"))
    if machines.exists():
        errors.add(name, f"has already been taken for this {_RANGES[strategy]}", "taken")


def _in_range(strategy: str, license: License) -> ComponentQuerySet:
    components = Component.objects.filter(account=license.account_id)
    match strategy:
        case "UNIQUE_PER_LICENSE":
            return components.filter(machine__license=license)
        case "UNIQUE_PER_POLICY":
            return components.filter(machine__license__policy=license.policy_id)
        case "UNIQUE_PER_PRODUCT":
            return components.filter(machine__product=license.product_id)
    return components
