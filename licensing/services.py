"""What happens across products, policies and licenses."""

import secrets

from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils import timezone

from keygen_site.jsonapi.errors import DOCUMENTATION, DomainError
from licensing.models import License, LicenseUser, PoolEmpty
from licensing.models.licenses import allows_overage
from licensing.signed_keys import legacy_key, signed_key
from licensing.validation import verdict_on

# The wider one look-alike is kept out of, the stricter (contract: licenses 8.2).
STRICTNESS = (
    "UNIQUE_PER_MACHINE",
    "UNIQUE_PER_LICENSE",
    "UNIQUE_PER_POLICY",
    "UNIQUE_PER_PRODUCT",
    "UNIQUE_PER_ACCOUNT",
)


class PolicyNotCompatible(DomainError):
    """A license cannot move to a policy: what it has would not fit the new terms (contract: licenses 8.2)."""

    code = "POLICY_NOT_COMPATIBLE"
    source = {"pointer": "/data/relationships/policy"}
    title = "Unprocessable resource"
    about = f"{DOCUMENTATION}/licenses/#licenses-object-relationships-policy"


class UserLimitExceeded(DomainError):
    title = "Unprocessable resource"
    code = "USER_LIMIT_EXCEEDED"
    source = {"pointer": "/data/relationships/users"}
    about = f"{DOCUMENTATION}/licenses/#licenses-object-relationships-users"

    def __init__(self, limit):
        super().__init__(f"user count has exceeded maximum allowed for license ({limit})")


class UserIsOwner(DomainError):
    """The owner of a license does not leave it as other users do."""

    status = 403
    title = "Access denied"


class UserNotAttached(DomainError):
    pass


@transaction.atomic
def issue_license(*, policy, audit, **values):
    """Issue a license under a policy, with the next key from its pool, the key that was given, or a new one.

    One transaction: if the license cannot be saved, the key is back in the pool.

    Args:
        policy: the terms; also the account and the product are its.
        origin: who asks, and what for; the ledger keeps it beside a key from a pool.
        values: fields of the license. Where the policy has a scheme, `key` is the text that is signed.

    Returns:
        The license.

    Raises:
        ValidationError: what is wrong, by field; an empty pool is the policy's (contract: licenses 3.4).
    """
    license = License(account=policy.account, product=policy.product, policy=policy, **values)
    license.id_was_chosen = "id" in values
    license.attached = 0  # nobody is, yet
    license.begin()
    if license.key and not policy.scheme:
        license.validate_and_save(force_insert=True)
        return license
    license.check_rules()
    if policy.use_pool:
        try:
            license.key = policy.pool.pop(audit, license).key
        except PoolEmpty as error:
            raise ValidationError({"policy": ValidationError(error.detail, code="pool_empty")}) from None
    elif policy.encrypted:
        license.hide(legacy_key(license))
    elif policy.scheme:
        license.sign(signed_key(license, license.key))
    else:
        license.key = generate_key()
    license.save(force_insert=True)
    return license


def generate_key():
    """A new license key, e.g. `C1B6DE-39A6E3-DE1529-8559A0-4AF593-V3`: 120 random bits (contract: licenses 3.4)."""
    digits = secrets.token_hex(15).upper()
    return "-".join([*(digits[start : start + 6] for start in range(0, 30, 6)), "V3"])


def validate_license(license, *, scope, quick=False):
    """Say whether a license is valid, and note that somebody asked.

    Args:
        scope: what it is asked to be valid for.
        quick: to look at no scope, and leave the expiry alone.

    Returns:
        The verdict, and the moment that it is about.
    """
    now = timezone.now()
    verdict = verdict_on(license, None if quick else scope, now)
    license.record_validation(now, starts_expiry=not quick)
    return verdict, now


def change_policy(license, policy):
    """Put a license under other terms, and so maybe under another product. It keeps its key.

    Raises:
        PolicyNotCompatible: its key or its machines would not fit.
        ValidationError: its own limits would not.
    """
    if problem := _incompatibility(license.policy, policy):
        raise PolicyNotCompatible(problem)
    if policy.pk == license.policy_id:
        return
    license.policy, license.product = policy, policy.product
    if policy.transfer_strategy == "RESET_EXPIRY":
        license.expiry = license.later_by_duration(timezone.now()) if policy.duration else None
    license.save_changes("policy", "product", "expiry")


def _incompatibility(old, new):
    """Why a license cannot change from one policy to another, or None."""
    if old.encrypted != new.encrypted:
        return "cannot change from an encrypted policy to an unencrypted policy (or vice-versa)"
    if old.use_pool != new.use_pool:
        return "cannot change from a pooled policy to an unpooled policy (or vice-versa)"
    if old.scheme != new.scheme:
        return "cannot change to a policy with a different scheme"
    for noun in ("machine", "component"):
        before, after = (getattr(policy, f"{noun}_uniqueness_strategy") for policy in (old, new))
        if STRICTNESS.index(after) > STRICTNESS.index(before):
            return f"cannot change to a policy with a more strict {noun} uniqueness strategy"
    return None


def change_owner(license, owner):
    """Give a license to another user, or to nobody (None).

    Raises:
        ValidationError: the user is attached to it already.
        UserLimitExceeded: that would be one user too many.
    """
    if owner and license.license_users.filter(user=owner).exists():
        detail = "already exists (user is attached through users)"
        raise ValidationError({"owner": ValidationError(detail, code="invalid")})
    if owner and license.owner_id is None:
        _refuse_users_beyond_limit(license, license.users_count + 1)
    license.owner = owner
    license.save_changes("owner")


@transaction.atomic
def attach_users(license, users):
    """Let some more users use a license, all of them or none. Hold the license.

    Returns:
        A `LicenseUser` for each.

    Raises:
        ValidationError: one of them can do so already.
        UserLimitExceeded: there would be too many.
    """
    attached = set(license.license_users.values_list("user", flat=True))
    added = []
    for user in users:
        if user.pk == license.owner_id:
            detail, kind = "already exists (user is attached through owner)", "conflict"
            raise ValidationError({"user": ValidationError(detail, code=kind)})
        if user.pk in attached:
            raise ValidationError({"user": ValidationError("already exists", code="taken")})
        attached.add(user.pk)
        added.append(LicenseUser(account=license.account, license=license, user=user))
    _refuse_users_beyond_limit(license, len(attached) + (1 if license.owner_id else 0))
    return LicenseUser.objects.bulk_create(added)


@transaction.atomic
def detach_users(license, user_ids):
    """Let some users no longer use a license, all of them or none. Hold the license.

    Raises:
        UserIsOwner, UserNotAttached: one of them cannot be detached.
    """
    attached = {each.user_id: each for each in license.license_users.all()}
    for index, user_id in enumerate(user_ids):
        if user_id == license.owner_id:
            raise UserIsOwner(
                f"cannot detach user '{user_id}' (user is attached through owner)", pointer=f"/data/{index}"
            )
        if user_id not in attached:
            raise UserNotAttached(f"cannot detach user '{user_id}' (user is not attached)", pointer=f"/data/{index}")
    license.license_users.filter(user__in=user_ids).delete()


def _refuse_users_beyond_limit(license, count):
    limit = license.limit("max_users")
    if limit is not None and count > limit and not allows_overage(license.policy.overage_strategy, count, limit):
        raise UserLimitExceeded(limit)
