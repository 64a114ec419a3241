"""Validation of licenses (contract: licenses 7.5).

The result is a verdict, not an error. Machines, components, entitlements and releases are not built, so a license has
none, and a scope that names one does not match.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from django.db.models import Q

from accounts.bearers import Bearer
from accounts.models import Account
from keygen_site.db.compiled_queries import CompiledQuery, sample_bytes, sample_uuid
from keygen_site.db.key_digests import key_digest
from keygen_site.db.uuids import parse_uuid
from licensing.models import License
from licensing.models.license_queries import HASHED_KEY_PREFIX

Scope = Mapping[str, Any]  # the members of a request's `meta.scope`, e.g. `product`


@dataclass(frozen=True)
class Verdict:
    """The result of a validation: `valid`, a `detail` for people, and a `code` for programs."""

    valid: bool
    detail: str
    code: str


VALID = Verdict(True, "is valid", "VALID")
NOT_FOUND = Verdict(False, "does not exist", "NOT_FOUND")
BANNED = Verdict(False, "is banned", "BANNED")
SUSPENDED = Verdict(False, "is suspended", "SUSPENDED")
OVERDUE = Verdict(False, "is overdue for check in", "OVERDUE")

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
        standing = _check_scope(license, scope)
    return standing or _check_limits(license, now)


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


def _check_limits(license: License, now: datetime) -> Verdict:
    expired = _check_expiry(license, now)
    policy, limit = license.policy, license.effective_limit("max_users")
    if limit is not None and (count := license.users_count) > limit:
        allowed = policy.allows_overage(count, limit)
        # An allowed overage does not make an expired license valid.
        if not allowed or expired is None or expired.valid:
            return Verdict(allowed, "has too many associated users", "TOO_MANY_USERS")
    if not policy.strict:
        return expired or VALID
    if policy.floating:
        return Verdict(False, "must have at least 1 associated machine", "NO_MACHINES")
    return Verdict(False, "must have exactly 1 associated machine", "NO_MACHINE")


def _check_scope(license: License, scope: Scope) -> Verdict | None:
    if "fingerprints" in scope:
        scope = {**scope, "fingerprint": scope.get("fingerprint") or scope["fingerprints"]}
    for noun in SCOPE_NOUNS:
        if noun in scope:
            verdict = _check_scope_member(license, noun, scope[noun])
        elif getattr(license.policy, f"require_{noun}_scope", False):
            verdict = Verdict(False, f"{noun} scope is required", f"{noun.upper()}_SCOPE_REQUIRED")
        else:
            continue
        if verdict:
            return verdict
    return None


def _check_scope_member(license: License, noun: str, value: Any) -> Verdict | None:
    code = noun.upper()
    mismatch = Verdict(False, f"{noun} scope does not match", f"{code}_SCOPE_MISMATCH")
    match noun:
        case "product" | "policy":
            return None if parse_uuid(value) == getattr(license, f"{noun}_id") else mismatch
        case "user":
            return None if _has_user(license, value) else mismatch
        case "entitlements" | "fingerprint" if not value:
            return Verdict(False, f"{noun} scope is empty", f"{code}_SCOPE_EMPTY")
        case "entitlements":
            return Verdict(False, "is missing one or more required entitlements", "ENTITLEMENTS_MISSING")
        case "machine" | "fingerprint" if license.policy.floating:
            return Verdict(False, f"{noun} is not activated (has no associated machines)", "NO_MACHINES")
        case "machine" | "fingerprint":
            return Verdict(False, f"{noun} is not activated (has no associated machine)", "NO_MACHINE")
        case "components":  # without a fingerprint, for none matches
            detail = "fingerprint scope is required when using the components scope"
            return Verdict(False, detail, "FINGERPRINT_SCOPE_REQUIRED")
    kind = "artifacts" if noun == "checksum" else "releases"
    return replace(mismatch, detail=f"{noun} scope is not valid (does not match any accessible {kind})")


def _has_user(license: License, identifier: str | None) -> bool:
    """Whether a user with this id or e-mail is a user of the license; with None, whether it has no owner."""
    if identifier is None:
        return license.owner_id is None
    uuid = parse_uuid(identifier)
    named = Q(pk=uuid) if uuid else Q(email=identifier.lower())
    return license.all_users().filter(named).exists()
