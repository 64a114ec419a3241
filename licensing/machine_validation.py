"""Validation of licenses by their machines: scopes and limits (contract: machines 11.2).

A dead machine does not match, but says so. One that is to be culled counts for no limit, whether or not it has been
deleted.
"""

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from typing import Any

from django.db.models import Count

from accounts.models import User
from keygen_site.db.compiled_queries import CompiledQuery, sample_bytes, sample_uuid
from keygen_site.db.fields import digest
from keygen_site.db.uuids import parse_uuid
from licensing.heartbeats import DEAD, NOT_STARTED
from licensing.models import Component, License, Machine, Process
from licensing.verdicts import Verdict

HEARTBEAT_DEAD = Verdict(False, "machine heartbeat is dead", "HEARTBEAT_DEAD")
HEARTBEAT_NOT_STARTED = Verdict(False, "machine heartbeat is required", "HEARTBEAT_NOT_STARTED")
# The words for the number that each strategy requires, in a mismatch.
_REQUIRED = {"MATCH_MOST": "enough", "MATCH_TWO": "at least 2", "MATCH_ALL": "all", "MATCH_ANY": "any"}

_WITH_FINGERPRINT: CompiledQuery[Machine] = CompiledQuery(
    lambda license_id, digest: Machine.objects.filter(license=license_id, digest=digest), sample_uuid(), sample_bytes()
)

# The verdicts on a license that exceeds a limit, in the order of the checks.
_EXCEEDED = {
    "machines": ("has too many associated machines", "TOO_MANY_MACHINES"),
    "cores": ("has too many associated machine cores", "TOO_MANY_CORES"),
    "memory": ("has too much associated machine memory", "TOO_MUCH_MEMORY"),
    "disk": ("has too much associated machine disk", "TOO_MUCH_DISK"),
}


# Scopes ---------------------------------------------------------------------------------------------------------------


def check_machine(license: License, machine_id: str, user: str | None, now: datetime) -> Verdict | None:
    """Check the scope of a machine, given by id; None if it matches.

    Args:
        user: the scope of a user, by id or email.
    """
    uuid = parse_uuid(machine_id)
    machine = license.machines.filter(pk=uuid).first() if uuid else None
    if machine is None:
        return _without_match(license, "machine", "MACHINE_SCOPE_MISMATCH")
    if not _is_owned_by(machine, user):
        return _other_owner("does not match associated machine owner")
    status = machine.status_at(now)
    if license.policy.require_heartbeat and status == NOT_STARTED:
        return HEARTBEAT_NOT_STARTED
    return HEARTBEAT_DEAD if status == DEAD else None


def check_fingerprints(
    license: License, fingerprints: Collection[str], user: str | None, now: datetime
) -> Verdict | None:
    """Check the scope of fingerprints by the policy's matching strategy; None if they match."""
    wanted = {digest(text) for text in fingerprints}
    matched = _find_machines(license, wanted)
    if not matched:
        return _without_match(license, "fingerprint", "FINGERPRINT_SCOPE_MISMATCH", several=len(wanted) > 1)
    alive = [machine for machine in matched if machine.status_at(now) != DEAD]
    if len(matched) - len(alive) == len(wanted):
        return HEARTBEAT_DEAD
    strategy = license.policy.machine_matching_strategy if len(wanted) > 1 else "MATCH_ANY"
    if len(alive) < _count_required(strategy, len(wanted)):
        return _mismatch("fingerprint", strategy, "machines", several=len(wanted) > 1)
    if not all(_is_owned_by(machine, user) for machine in alive):
        return _other_owner("does not match associated machine owners")
    if license.policy.require_heartbeat and any(machine.status_at(now) == NOT_STARTED for machine in alive):
        return HEARTBEAT_NOT_STARTED
    return None


def check_components(license: License, components: Iterable[str], fingerprint: str) -> Verdict | None:
    """Check the scope of components of the machine with a fingerprint; None if they match."""
    wanted = {digest(text) for text in components}
    machines = license.machines.with_fingerprint(fingerprint)
    count = Component.objects.filter(machine__in=machines.values("pk"), digest__in=wanted).count()
    strategy = license.policy.component_matching_strategy
    if count >= _count_required(strategy, len(wanted)):
        return None
    return _mismatch("component", strategy, "components", several=True)


def _find_machines(license: License, digests: Collection[bytes]) -> list[Machine]:
    """The machines of a license with one of these fingerprints, given by their digests."""
    if len(digests) != 1:
        return list(license.machines.filter(digest__in=digests).select_related("owner")) if digests else []
    machine = _WITH_FINGERPRINT.first(license.pk, *digests)  # fingerprints are unique in a license
    if machine is None:
        return []
    machine.license = license
    return [machine]


def _count_required(strategy: str, count: int) -> int:
    """How many of a number of fingerprints a matching strategy requires."""
    match strategy:
        case "MATCH_MOST":
            return (count + 1) // 2
        case "MATCH_TWO":
            return 2
        case "MATCH_ALL":
            return count
    return 1


def _without_match(license: License, noun: str, code: str, *, several: bool = False) -> Verdict:
    if license.machines.exists():
        if noun == "fingerprint" and several:
            return _mismatch(noun, license.policy.machine_matching_strategy, "machines", several=True)
        return Verdict(False, f"{noun} is not activated (does not match any associated machines)", code)
    if license.policy.floating:
        return Verdict(False, f"{noun} is not activated (has no associated machines)", "NO_MACHINES")
    return Verdict(False, f"{noun} is not activated (has no associated machine)", "NO_MACHINE")


def _mismatch(noun: str, strategy: str, plural: str, *, several: bool) -> Verdict:
    named = f"one or more {noun}" if several else noun
    code = "COMPONENTS" if noun == "component" else noun.upper()
    detail = f"{named} is not activated (does not match {_REQUIRED[strategy]} associated {plural})"
    return Verdict(False, detail, f"{code}_SCOPE_MISMATCH")


def _other_owner(reason: str) -> Verdict:
    return Verdict(False, f"user scope does not match ({reason})", "USER_SCOPE_MISMATCH")


def _is_owned_by(machine: Machine, user: str | None) -> bool:
    """Whether a machine may be used by a user, given by id or email; one without an owner by anyone."""
    if user is None or machine.owner is None:
        return True
    owner = machine.owner
    return parse_uuid(user) == owner.pk or user.lower() == owner.email


# Limits ---------------------------------------------------------------------------------------------------------------


def check_limits(license: License, scope: Mapping[str, Any], user: User | None, now: datetime) -> Verdict | None:
    """Check that a license under a strict policy has a machine, and does not exceed its limits.

    Args:
        scope: the scope of the validation; empty for a quick validation.
        user: the user of the scope, whose limits count where users have limits of their own. Without one the machines
            without an owner count.

    Returns:
        The first limit that is exceeded, valid if the overage strategy allows the excess; or None.
    """
    policy, totals = license.policy, license.machine_totals
    if totals.count == 0:
        if policy.floating:
            return Verdict(False, "must have at least 1 associated machine", "NO_MACHINES")
        return Verdict(False, "must have exactly 1 associated machine", "NO_MACHINE")
    if policy.machine_leasing_strategy == "PER_USER":
        bucket = license.machines.with_seats(now).filter(owner=user).totals()
    else:
        bucket = totals
    for noun, (detail, code) in _EXCEEDED.items():
        limit, count = license.effective_limit(f"max_{noun}"), getattr(bucket, "count" if noun == "machines" else noun)
        if noun == "machines":
            limit = limit if policy.floating else limit or 1
            count = count if totals.count > 1 else 0  # a single machine never exceeds the number
        if limit is not None and count > limit:
            return Verdict(policy.allows_overage(count, limit), detail, code)
    return _check_processes(license, scope, user, now)


def _check_processes(license: License, scope: Mapping[str, Any], user: User | None, now: datetime) -> Verdict | None:
    limit = license.effective_limit("max_processes")
    if limit is None:
        return None
    count = _count_processes(license, scope, user, now)
    if count <= limit:
        return None
    allowed = license.policy.allows_overage(count, limit)
    return Verdict(allowed, "has too many associated processes", "TOO_MANY_PROCESSES")


def _count_processes(license: License, scope: Mapping[str, Any], user: User | None, now: datetime) -> int:
    """The processes that share a limit; of several machines in the scope, those of the machine with most of them."""
    machines = license.machines.with_seats(now)
    processes = Process.objects.with_seats(now)
    match license.policy.process_leasing_strategy:
        case "PER_LICENSE":
            return processes.filter(machine__in=machines.values("pk")).count()
        case "PER_USER":
            return processes.filter(machine__in=machines.filter(owner=user).values("pk")).count()
    named = scope.get("fingerprint") or scope.get("fingerprints") or []
    if named:
        digests = {digest(text) for text in ([named] if isinstance(named, str) else named)}
        machines = machines.filter(digest__in=digests)
    elif machine_id := parse_uuid(scope.get("machine")):
        machines = machines.filter(pk=machine_id)
    else:
        return 0
    counts = processes.filter(machine__in=machines.values("pk")).order_by().values("machine")
    return max(counts.annotate(count=Count("pk")).values_list("count", flat=True), default=0)
