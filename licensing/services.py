"""Changes that concern several models."""

import secrets
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils import timezone

from accounts.audit import AuditContext
from accounts.models import Activity, User
from keygen_site.db.postgresql.base import send_with_commit
from keygen_site.jsonapi.errors import DOCUMENTATION, DomainError
from licensing.models import License, LicenseUser, Policy, PoolEmpty
from licensing.models.policies import UNIQUENESS_STRATEGIES
from licensing.signed_keys import generate_legacy_key, generate_signed_key
from licensing.validation import Scope, check_license
from licensing.verdicts import Verdict

# From the narrowest scope to the widest: a wider one is stricter (contract: licenses 8.2).
STRATEGIES_BY_STRICTNESS = ("UNIQUE_PER_MACHINE", *reversed(UNIQUENESS_STRATEGIES))


class PolicyNotCompatible(DomainError):
    """The license does not fit the terms of the new policy (contract: licenses 8.2)."""

    code = "POLICY_NOT_COMPATIBLE"
    source = {"pointer": "/data/relationships/policy"}
    title = "Unprocessable resource"
    about = f"{DOCUMENTATION}/licenses/#licenses-object-relationships-policy"


class UserLimitExceeded(DomainError):
    """The license would have more users than its `maxUsers`."""

    title = "Unprocessable resource"
    code = "USER_LIMIT_EXCEEDED"
    source = {"pointer": "/data/relationships/users"}
    about = f"{DOCUMENTATION}/licenses/#licenses-object-relationships-users"

    def __init__(self, limit: int, *, also: Sequence[DomainError] = ()) -> None:
        super().__init__(f"user count has exceeded maximum allowed for license ({limit})")
        self.also = also


class OwnerIsAttached(DomainError):
    """The new owner of a license is one of its attached users."""

    title = "Unprocessable resource"
    detail = "already exists (user is attached through users)"
    code = "OWNER_INVALID"
    source = {"pointer": "/data/relationships/owner"}
    about = f"{DOCUMENTATION}/licenses/#licenses-object-relationships-owner"


class UserIsOwner(DomainError):
    """The owner of a license is not detached as other users are."""

    status = 403
    title = "Access denied"


class UserNotAttached(DomainError):
    pass


@transaction.atomic
def issue_license(*, policy: Policy, audit: AuditContext, **values: Any) -> License:
    """Issue a license with the next key of the policy's pool, the given key, or a generated one.

    One transaction: if the license cannot be saved, the key stays in the pool.

    Args:
        audit: stored in the ledger with a key from the pool; its reference also with the license.
        values: fields of the license. If the policy has a scheme, `key` is the seed that is signed.

    Raises:
        ValidationError: by field; an empty pool is an error of the policy (contract: licenses 3.4).
    """
    reference = audit.reference or None
    license = License(account=policy.account, product=policy.product, policy=policy, reference=reference, **values)
    license.permissions = policy.account.permissions_of_new("license")
    license.has_client_id = "id" in values
    license.attached_count = 0
    license.apply_policy_defaults()
    license.inherit_group(license.owner)
    if license.key and not policy.scheme:
        license.validate_and_save(force_insert=True)
        Activity.objects.record(Activity.Event.ISSUED, license, audit)
        return license
    license.lock_group()
    license.check_rules()
    if policy.use_pool:
        try:
            license.key = policy.pool.pop(audit, license).key
        except PoolEmpty as error:
            raise ValidationError({"policy": ValidationError(error.detail, code="pool_empty")}) from None
    elif policy.encrypted:
        license.set_hashed_key(generate_legacy_key(license))
    elif policy.scheme:
        license.set_signed_key(generate_signed_key(license, license.key))
    else:
        license.key = generate_key()
    with send_with_commit():
        license.save(force_insert=True)
    if not policy.use_pool:  # the ledger of keys has the others
        Activity.objects.record(Activity.Event.ISSUED, license, audit)
    return license


def generate_key() -> str:
    """A new license key, e.g. `C1B6DE-39A6E3-DE1529-8559A0-4AF593-V3`: 120 random bits (contract: licenses 3.4)."""
    digits = secrets.token_hex(15).upper()
    return "-".join([*(digits[start : start + 6] for start in range(0, 30, 6)), "V3"])


def validate_license(license: License, scope: Scope | None) -> tuple[Verdict, datetime]:
    """Validate a license, and record the validation.

    Args:
        scope: the scope of the request; None for a quick validation, which checks no scope and does not start the
            duration.

    Returns:
        The verdict and its timestamp.
    """
    now = timezone.now()
    verdict = check_license(license, scope, now)
    license.record_validation(now, starts_expiry=scope is not None)
    return verdict, now


def change_policy(license: License, policy: Policy) -> None:
    """Put a license under another policy, which may belong to another product. The license keeps its key.

    Raises:
        PolicyNotCompatible: the key or the machines of the license do not fit the policy.
        ValidationError: the limits of the license do not.
    """
    if reason := _find_incompatibility(license.policy, policy):
        raise PolicyNotCompatible(reason)
    if policy.pk == license.policy_id:
        return
    license.policy, license.product = policy, policy.product
    if policy.transfer_strategy == "RESET_EXPIRY":
        license.expiry = license.compute_expiry(timezone.now()) if policy.duration else None
    license.save_changes("policy", "product", "expiry")
    license.machines.exclude(product=policy.product).update(product=policy.product)


def _find_incompatibility(old: Policy, new: Policy) -> str | None:
    if old.encrypted != new.encrypted:
        return "cannot change from an encrypted policy to an unencrypted policy (or vice-versa)"
    if old.use_pool != new.use_pool:
        return "cannot change from a pooled policy to an unpooled policy (or vice-versa)"
    if old.scheme != new.scheme:
        return "cannot change to a policy with a different scheme"
    for noun in ("machine", "component"):
        before, after = (
            STRATEGIES_BY_STRICTNESS.index(getattr(policy, f"{noun}_uniqueness_strategy")) for policy in (old, new)
        )
        if after > before:
            return f"cannot change to a policy with a more strict {noun} uniqueness strategy"
        if after < before:
            return None  # the first difference decides
    return None


def change_owner(license: License, owner: User | None) -> None:
    """Give a license another owner, or none. A license without a group gets the owner's.

    Raises:
        UserLimitExceeded: the license would have too many users. Its `also` names the next error too.
        OwnerIsAttached: the user is attached to the license.
        ValidationError: the license would get the owner's group, which is full.
    """
    errors = [OwnerIsAttached()] if owner and license.license_users.filter(user=owner).exists() else []
    if owner and license.owner_id is None:
        _check_user_limit(license, license.users_count + 1, also=errors)
    if errors:
        raise errors[0]
    if license.owner_id and owner != license.owner:
        _disown_machines(license, [license.owner_id])
    license.owner = owner
    license.inherit_group(owner)
    license.save_changes("owner", "group")


@transaction.atomic
def attach_users(license: License, users: Iterable[User]) -> list[LicenseUser]:
    """Attach users to a license, all of them or none. The caller locks the license.

    Raises:
        ValidationError: a user is the owner, or is attached already.
        UserLimitExceeded: the license would have too many users.
    """
    attached = set(license.license_users.values_list("user", flat=True))
    added = []
    for user in users:
        if user.pk == license.owner_id:
            detail = "already exists (user is attached through owner)"
            raise ValidationError({"user": ValidationError(detail, code="conflict")})
        if user.pk in attached:
            raise ValidationError({"user": ValidationError("already exists", code="taken")})
        attached.add(user.pk)
        added.append(LicenseUser(account=license.account, license=license, user=user))
    _check_user_limit(license, len(attached) + (1 if license.owner_id else 0))
    return LicenseUser.objects.bulk_create(added)


@transaction.atomic
def detach_users(license: License, user_ids: Sequence[UUID]) -> None:
    """Detach users from a license, all of them or none. The caller locks the license.

    Raises:
        UserIsOwner, UserNotAttached: a user cannot be detached.
    """
    attached = set(license.license_users.values_list("user", flat=True))
    if license.owner_id in user_ids:
        pointer = f"/data/{user_ids.index(license.owner_id)}"
        raise UserIsOwner(f"cannot detach user '{license.owner_id}' (user is attached through owner)", pointer=pointer)
    for index, user_id in enumerate(user_ids):
        if user_id not in attached:
            detail = f"cannot detach user '{user_id}' (user is not attached)"
            raise UserNotAttached(detail, pointer=f"/data/{index}")
    if len(set(user_ids)) < len(user_ids):
        raise UserNotAttached("cannot detach user '' (user is not attached)", pointer="/data/")
    license.license_users.filter(user__in=user_ids).delete()
    _disown_machines(license, user_ids)


def _disown_machines(license: License, user_ids: Sequence[UUID]) -> None:
    """Take the owner from the machines of users who are no longer users of the license (contract: machines 11.3).

    `updated` does not change, and the limits of the machines without an owner are not checked.
    """
    license.machines.filter(owner__in=user_ids).update(owner=None)


def _check_user_limit(license: License, count: int, *, also: Sequence[DomainError] = ()) -> None:
    limit = license.effective_limit("max_users")
    if limit is not None and not license.policy.allows_overage(count, limit):
        raise UserLimitExceeded(limit, also=also)
