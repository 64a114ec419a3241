"""Validation of licenses (contract: licenses 7.5).

The result is a verdict, not an error. Releases are not built, so a license has none, and a scope that names one does
not match.
"""

from collections.abc import Collection, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from django.db.models import Q

from accounts.bearers import Bearer
from accounts.models import Account, User
from keygen_site.db.compiled_queries import CompiledQuery, sample_bytes, sample_uuid
from keygen_site.db.key_digests import key_digest
from keygen_site.db.uuids import parse_uuid
from licensing import machine_validation
from licensing.models import Entitlement, License
from licensing.models.license_queries import HASHED_KEY_PREFIX
from licensing.verdicts import Verdict

Scope = Mapping[str, Any]  # the members of a request's `meta.scope`, e.g. `product`


VALID = Verdict(True, "is valid", "VALID")
NOT_FOUND = Verdict(False, "does not exist", "NOT_FOUND")
BANNED = Verdict(False, "is banned", "BANNED")
SUSPENDED = Verdict(False, "is suspended", "SUSPENDED")
OVERDUE = Verdict(False, "is overdue for check in", "OVERDUE")
MISSING_ENTITLEMENTS = Verdict(False, "is missing one or more required entitlements", "ENTITLEMENTS_MISSING")

# The expiration strategies by which an expired license is valid.
KEEP_VALID = ("MAINTAIN_ACCESS", "ALLOW_ACCESS")
# The members of a scope in the order in which they are checked; `fingerprint` stands for `fingerprints` too.
SCOPE_NOUNS = (
    "product",
    "policy",
    "user",
    "entitlements",
    "machine",
    "fingerprint",
    "components",
    "checksum",
    "version",
)

_VISIBLE: CompiledQuery[License] = CompiledQuery(
    lambda bearer, digest: License.objects.with_api_fields().visible_to(bearer).filter(digest=digest),
    sample_bytes(),
)
_OF_ACCOUNT: CompiledQuery[License] = CompiledQuery(
    lambda account_id, digest: License.objects.with_api_fields().filter(account=account_id, digest=digest),
    sample_uuid(),
    sample_bytes(),
)


def find_license(key: str, *, account: Account, bearer: Bearer | None = None, hashed: bool = False) -> License | None:
    """The license with exactly this key, with the fields that the API shows, or None.

    Args:
        account: the account of the license.
        bearer: if given, only a license that the bearer may see is found.
        hashed: whether to search the licenses of which only the key's hash is stored, instead of the others.
    """
    if hashed or key.startswith(HASHED_KEY_PREFIX):
        licenses = License.objects.with_api_fields().filter(account=account)
        licenses = licenses.visible_to(bearer) if bearer else licenses
        return (licenses.with_hashed_key if hashed else licenses.with_key)(key).first()
    return _VISIBLE.first(key_digest(key), bearer=bearer) if bearer else _OF_ACCOUNT.first(account.pk, key_digest(key))


def check_license(license: License, scope: Scope | None, now: datetime) -> Verdict:
    """The verdict on a license: the first check that fails, in the contract's order.

    Args:
        scope: None to check no scope, not even whether the policy requires one.
    """
    standing = _check_standing(license, now)
    if standing is None and scope is not None:
        standing = _check_scope(license, scope, now)
    return standing or _check_limits(license, scope or {}, now)


def _check_standing(license: License, now: datetime) -> Verdict | None:
    if license.owner and license.owner.banned:
        return BANNED
    if license.suspended:
        return SUSPENDED
    if license.policy.expiration_strategy == "REVOKE_ACCESS" and (expired := _check_expiry(license, now)):
        return expired
    if license.next_check_in and license.next_check_in < now:
        return OVERDUE
    return None


def _check_expiry(license: License, now: datetime) -> Verdict | None:
    if license.is_expired(now):
        return Verdict(license.policy.expiration_strategy in KEEP_VALID, "is expired", "EXPIRED")
    return None


def _check_limits(license: License, scope: Scope, now: datetime) -> Verdict:
    expired, policy = _check_expiry(license, now), license.policy
    exceeded = _check_users(license)
    if exceeded is None and policy.strict:
        is_per_user = "PER_USER" in (policy.machine_leasing_strategy, policy.process_leasing_strategy)
        user = _find_user(license, scope.get("user")) if is_per_user else None
        exceeded = machine_validation.check_limits(license, scope, user, now)
    # An allowed overage does not make an expired license valid.
    if exceeded and not (exceeded.valid and expired and not expired.valid):
        return exceeded
    return expired or VALID


def _check_users(license: License) -> Verdict | None:
    limit = license.effective_limit("max_users")
    if limit is None or (count := license.users_count) <= limit:
        return None
    allowed = license.policy.allows_overage(count, limit)
    return Verdict(allowed, "has too many associated users", "TOO_MANY_USERS")


def _check_scope(license: License, scope: Scope, now: datetime) -> Verdict | None:
    given = dict(scope)
    if "fingerprints" in given:
        given.setdefault("fingerprint", given["fingerprints"])
    for noun in SCOPE_NOUNS:
        if noun in given:
            verdict = _check_scope_member(license, noun, given[noun], scope, now)
        elif getattr(license.policy, f"require_{noun}_scope", False):
            verdict = Verdict(False, f"{noun} scope is required", f"{noun.upper()}_SCOPE_REQUIRED")
        else:
            continue
        if verdict:
            return verdict
    return None


def _check_scope_member(license: License, noun: str, value: Any, scope: Scope, now: datetime) -> Verdict | None:
    code = noun.upper()
    mismatch = Verdict(False, f"{noun} scope does not match", f"{code}_SCOPE_MISMATCH")
    match noun:
        case "product" | "policy":
            return None if parse_uuid(value) == getattr(license, f"{noun}_id") else mismatch
        case "user":
            return None if _has_user(license, value) else mismatch
        case "components" if "fingerprint" not in scope:
            detail = "fingerprint scope is required when using the components scope"
            return Verdict(False, detail, "FINGERPRINT_SCOPE_REQUIRED")
        case "entitlements" | "fingerprint" | "components" if not value:
            return Verdict(False, f"{noun} scope is empty", f"{code}_SCOPE_EMPTY")
        case "entitlements":
            return None if _has_entitlements(license, value) else MISSING_ENTITLEMENTS
        case "machine":
            return machine_validation.check_machine(license, value, scope.get("user"), now)
        case "fingerprint":
            fingerprints = [value] if isinstance(value, str) else value
            return machine_validation.check_fingerprints(license, fingerprints, scope.get("user"), now)
        case "components":
            return machine_validation.check_components(license, value, scope["fingerprint"])
    kind = "artifacts" if noun == "checksum" else "releases"
    return replace(mismatch, detail=f"{noun} scope is not valid (does not match any accessible {kind})")


def _has_user(license: License, identifier: str | None) -> bool:
    """Whether a user with this id or e-mail is a user of the license; with None, whether it has no owner."""
    if identifier is None:
        return license.owner_id is None
    return _find_user(license, identifier) is not None


def _find_user(license: License, identifier: str | None) -> User | None:
    """The user of the license with this id or e-mail, or None."""
    if identifier is None:
        return None
    uuid = parse_uuid(identifier)
    named = Q(pk=uuid) if uuid else Q(email=identifier.lower())
    return license.all_users().filter(named).first()


def _has_entitlements(license: License, codes: Collection[str]) -> bool:
    """Whether the license or its policy has all entitlements with these codes, which are compared exactly."""
    wanted = set(codes)
    return Entitlement.objects.of_license(license.pk).filter(code__in=wanted).count() == len(wanted)
