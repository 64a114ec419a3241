"""Activation and deactivation: machines and the rules that concern other rows (contract: machines 3, 4).

The order of locks: the license, the group, the machine, fingerprints, the token. Limits are counted under these locks.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import Count, Exists, F, OuterRef, Q, QuerySet, Subquery
from django.db.models.functions import JSONObject
from django.utils import timezone

from accounts.audit import AuditContext
from accounts.models import Account, Token, User
from keygen_site.db.advisory_locks import lock_fingerprint
from keygen_site.db.compiled_queries import CompiledQuery, sample_bytes, sample_time, sample_uuid
from keygen_site.db.fields import digest
from keygen_site.db.uuids import parse_uuid
from keygen_site.jsonapi.errors import BadRequest
from licensing.culling import cull
from licensing.fingerprint_ranges import RANGES, in_range
from licensing.locks import lock_license
from licensing.machine_parts import (
    check_new_components,
    cull_namesakes_of_components,
    lock_component_fingerprints,
)
from licensing.models import Component, License, Machine
from licensing.models.machine_queries import MachineQuerySet
from licensing.models.machine_totals import Totals, sums, totals_of
from licensing.rule_errors import RuleErrors

MAX_TOKEN_COUNT = 2**31 - 1
OWNER_INVALID = ValidationError("must be a valid license user", code="invalid")
# The values of a machine that limits of the license sum up, with their names in errors.
LIMITED_VALUES = {"cores": "core count", "memory": "memory", "disk": "disk"}


def _with_machines(license_id: UUID, digest: bytes, now: datetime) -> QuerySet[License]:
    """A license, annotated with the values of its machines that an activation needs."""
    machines = Machine.objects.filter(license=OuterRef("pk")).order_by()
    seats = machines.with_seats(now).values("license")
    return (
        License.objects.filter(pk=license_id)
        .only("pk")
        .annotate(
            count=Subquery(machines.values("license").annotate(count=Count("pk")).values("count")),
            sums=Subquery(seats.annotate(sums=JSONObject(**sums())).values("sums")),
            is_activated=Exists(machines.filter(digest=digest)),
        )
    )


_WITH_MACHINES = CompiledQuery(_with_machines, sample_uuid(), sample_bytes(), sample_time())


# Without a savepoint: an error undoes the transaction of the request as a whole.
@transaction.atomic(savepoint=False)
def activate_machine(
    *,
    account: Account,
    license: License | None,
    audit: AuditContext,
    components: Sequence[Mapping[str, Any]] = (),
    missing: Collection[str] = (),
    token_id: UUID | None = None,
    **values: Any,
) -> Machine:
    """Activate a license on a machine, with the machine's components: all of it or nothing.

    Dead machines that are to be culled give up their seats and their fingerprints first.

    Args:
        license: None if it does not exist, which is an error too.
        audit: who activates, for the record of culled machines.
        components: the values of new components.
        missing: the names of other relationships to rows that do not exist; reported with all other errors.
        token_id: the license's token of the request, on which the activation is counted.
        values: fields of the machine.

    Raises:
        ValidationError: by field, in the order of the contract (machines 3.5).
        BadRequest: the token cannot count any further.
    """
    errors = RuleErrors()
    if license is not None:
        license = lock_license(license)
    now = timezone.now()  # a request may have waited for the lock
    if license is None:
        errors.add_missing(["license", "policy"])  # the policy comes with the license (contract: machines 3.5)
    machine, others = Machine(account=account, created=now, **values), _Others()
    if license is not None:
        machine.license = license
        machine.inherit_group(license, machine.owner)
        machine.lock_group()
        others = _find_others(machine, now, audit)
        if license.policy.heartbeat_basis == "FROM_CREATION":
            machine.last_heartbeat = machine.created
        texts = [each["fingerprint"] for each in components]
        # Rows before fingerprints: an activation that replaces one of these machines may wait for the same fingerprint.
        _cull_namesakes(machine, now, audit)
        cull_namesakes_of_components(machine, texts, now, audit)
        if license.policy.machine_uniqueness_strategy != "UNIQUE_PER_LICENSE":
            lock_fingerprint(account.pk, "machine", machine.fingerprint)
        lock_component_fingerprints(machine, texts)
    added = [Component(account=account, machine=machine, **each) for each in components]
    check_new_components(errors, added, license, now)
    errors.add_missing(name for name in ("owner", "group") if name in missing)
    _check_machine(errors, machine, is_activated=others.is_activated, has_client_id="id" in values)
    if license is not None:
        _check_limits(errors, machine, now, others=others)
        _check_uniqueness(errors, machine, now)
        _check_group(errors, machine)
        if machine.owner is not None and not license.has_user(machine.owner.pk):
            errors.extend("owner", [OWNER_INVALID])
    errors.raise_if_any()
    assert license is not None  # or it is among the errors
    machine.save(force_insert=True)
    Component.objects.bulk_create(added)
    license.record_activation(now)
    if token_id:
        _count_on_token(token_id, "activations")
    return machine


def deactivate_machine(machine: Machine, token_id: UUID | None = None) -> None:
    """Delete a machine with its components and processes. The caller locks it.

    Args:
        token_id: the license's token of the request, on which the deactivation is counted.

    Raises:
        ValidationError, BadRequest: the token cannot count any further.
    """
    if token_id:
        _count_on_token(token_id, "deactivations")
    machine.delete()


def change_machine(machine: Machine, values: Mapping[str, Any], audit: AuditContext) -> None:
    """Change a machine. Limits are only checked, but then all, if the request changes a value that one of them limits.

    The caller locks the license, then the machine.

    Args:
        audit: who changes it, for the record of culled machines.

    Raises:
        ValidationError: by field.
    """
    changed = [name for name, value in values.items() if getattr(machine, name) != value]
    if not changed:
        return
    for name in changed:
        setattr(machine, name, values[name])
    errors = RuleErrors()
    errors.merge(machine)
    if not LIMITED_VALUES.keys().isdisjoint(changed):
        _check_limits(errors, machine, _free_seats(machine, audit))
    errors.raise_if_any()
    machine.save(update_fields=[*changed, "updated"])


def change_machine_owner(machine: Machine, owner: User | None, audit: AuditContext) -> None:
    """Give a machine another owner, or none. A machine without a group gets the owner's.

    The caller locks the license, then the machine.

    Args:
        audit: who changes it, for the record of culled machines.

    Raises:
        ValidationError: the user is no user of the license, or would exceed the sums where users have limits of their
            own. The number of machines is not checked, as in the public API.
    """
    if machine.owner_id == (owner and owner.pk):
        return
    machine.owner = owner
    errors = RuleErrors()
    if machine.policy.machine_leasing_strategy == "PER_USER":
        _check_limits(errors, machine, _free_seats(machine, audit))
    if owner and not machine.license.has_user(owner.pk):
        errors.extend("owner", [OWNER_INVALID])
    machine.inherit_group(owner)
    machine.lock_group()
    _check_group(errors, machine)
    errors.raise_if_any()
    machine.save(update_fields=["owner", "group", "updated"])


# Rules ----------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Others:
    """The other machines of a license.

    Attributes:
        totals: of those that have seats.
        is_activated: whether one of them has the fingerprint of the new machine.
    """

    totals: Totals = Totals()
    is_activated: bool = False


def _find_others(machine: Machine, now: datetime, audit: AuditContext) -> _Others:
    """The other machines of a new machine's license, after those that are to be culled have been."""
    license, fingerprint = machine.license, digest(machine.fingerprint)
    found: Any = _WITH_MACHINES.first(license.pk, fingerprint, now)
    has_dead = (found.count or 0) > totals_of(found.sums).count
    if has_dead:
        cull(license.machines.all(), now, audit, wait=True)  # one that pings just now keeps its seat
        found = _WITH_MACHINES.first(license.pk, fingerprint, now)
    return _Others(totals_of(found.sums), found.is_activated)


def _free_seats(machine: Machine, audit: AuditContext) -> datetime:
    """Cull the other machines of a machine's license, and return the time at which they have no seats."""
    now = timezone.now()
    cull(machine.license.machines.exclude(pk=machine.pk), now, audit, wait=True)
    return now


def _cull_namesakes(machine: Machine, now: datetime, audit: AuditContext) -> None:
    """Cull the machines that have a new one's fingerprint, where it must be unique beyond the license."""
    if machine.policy.machine_uniqueness_strategy != "UNIQUE_PER_LICENSE":
        cull(_namesakes(machine), now, audit, wait=True)


def _check_machine(errors: RuleErrors, machine: Machine, *, is_activated: bool, has_client_id: bool) -> None:
    """Check the values of a new machine, and that neither its id nor its fingerprint is ambiguous.

    Args:
        is_activated: whether the license has a machine with its fingerprint.
        has_client_id: whether the client has chosen its id.
    """
    if is_activated:
        errors.add("fingerprint", "has already been taken", "taken")
    errors.merge(machine)
    if has_client_id:
        # Also with one of another account: ids are unique over all accounts, and the error must not tell which.
        taken = Machine.objects.filter(pk=machine.pk).exists()
        named = Machine.objects.filter(account=machine.account_id).with_fingerprint(str(machine.pk))
        if taken or named.exists():
            errors.add("id", "must not conflict with another machine", "conflict")
    uuid = parse_uuid(machine.fingerprint)
    if uuid and Machine.objects.filter(account=machine.account_id, pk=uuid).exists():
        errors.add("fingerprint", "must not conflict with another machine's identifier (UUID)", "conflict")


def _check_limits(errors: RuleErrors, machine: Machine, now: datetime, *, others: _Others | None = None) -> None:
    """Check the limits that a machine shares with others of its license (contract: machines 3.6).

    A machine without a value counts as 0.

    Args:
        others: the others of a new machine: the number of machines is checked too. The first one is always allowed.
    """
    license, policy = machine.license, machine.policy
    limits = {name: license.effective_limit(f"max_{name}") for name in LIMITED_VALUES}
    max_machines = license.effective_limit("max_machines") if others else None
    if policy.overage_strategy == "ALWAYS_ALLOW_OVERAGE" or not {max_machines, *limits.values()} - {None}:
        return
    per_user = policy.machine_leasing_strategy == "PER_USER"
    if others and not per_user:
        totals = others.totals
    else:
        machines = license.machines.with_seats(now)
        if not others:  # the id of a new one may be that of another machine, which is refused too
            machines = machines.exclude(pk=machine.pk)
        totals = machines.sharing_limits_with(machine.owner_id, per_user=per_user).totals()
    end = f"has exceeded maximum allowed for {'user' if per_user else 'license'}"
    if max_machines is not None and totals.count and not policy.allows_overage(totals.count + 1, max_machines):
        errors.add("__all__", f"machine count {end} ({max_machines})", "limit_exceeded")
    for name, noun in LIMITED_VALUES.items():
        limit, total = limits[name], getattr(totals, name) + (getattr(machine, name) or 0)
        if limit is not None and not policy.allows_overage(total, limit):
            errors.add("__all__", f"machine {noun} {end} ({limit})", f"{name.removesuffix('s')}_limit_exceeded")


def _check_uniqueness(errors: RuleErrors, machine: Machine, now: datetime) -> None:
    """Check that the fingerprint is unique in the range of the policy's strategy, beyond the license."""
    if machine.policy.machine_uniqueness_strategy == "UNIQUE_PER_LICENSE":
        return
    if _namesakes(machine).with_seats(now).exists():
        noun = RANGES[machine.policy.machine_uniqueness_strategy]
        errors.add("fingerprint", f"has already been taken for this {noun}", "taken")


def _namesakes(machine: Machine) -> MachineQuerySet:
    """The machines with a new one's fingerprint, in the range in which it must be unique."""
    machines = Machine.objects.filter(in_range(machine.policy.machine_uniqueness_strategy, machine.license, "license"))
    return machines.with_fingerprint(machine.fingerprint)


def _check_group(errors: RuleErrors, machine: Machine) -> None:
    if error := machine.group_error():
        errors.extend("group", [error])


def _count_on_token(token_id: UUID, name: str) -> None:
    """Count an activation or deactivation on a license's token, in a single UPDATE with a condition.

    Args:
        name: `activations` or `deactivations`.

    Raises:
        ValidationError: the token's maximum is reached.
        BadRequest: there is no maximum, but the column cannot hold the number.
    """
    fits = Q(**{f"max_{name}": None}) | Q(**{f"{name}__lt": F(f"max_{name}")})
    tokens = Token.objects.filter(pk=token_id)
    if tokens.filter(fits, **{f"{name}__lt": MAX_TOKEN_COUNT}).update(**{name: F(name) + 1}):
        return
    limit = tokens.values_list(f"max_{name}", flat=True).first()
    if limit is None:
        raise BadRequest("integer is too large", pointer=f"/data/attributes/{name}")
    raise ValidationError({name: ValidationError(f"exceeds maximum allowed ({limit})", code="limit_exceeded")})
