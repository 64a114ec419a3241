"""Is a license valid, and if not, why? (contract: licenses 7.5)

An answer is not an error: whoever asks gets a verdict. What needs machines, entitlements, components or releases
finds that there are none, so a scope that names one matches nothing.
"""

from dataclasses import dataclass

from django.db.models import Q

from accounts.bearers import Bearer
from accounts.models import Account
from keygen_site.db.compiled_queries import CompiledQuery, sample_bytes, sample_uuid
from keygen_site.db.fields import digest
from keygen_site.db.uuids import parse_uuid
from licensing.models import License
from licensing.models.license_queries import HIDDEN
from licensing.models.licenses import allows_overage

KEEPS_ACCESS = ("MAINTAIN_ACCESS", "ALLOW_ACCESS")


@dataclass(frozen=True)
class Verdict:
    """What is said about a license: whether it is valid, why, in words, and as one word."""

    valid: bool
    detail: str
    code: str


VALID = Verdict(True, "is valid", "VALID")
NOT_FOUND = Verdict(False, "does not exist", "NOT_FOUND")
BANNED = Verdict(False, "is banned", "BANNED")
SUSPENDED = Verdict(False, "is suspended", "SUSPENDED")
OVERDUE = Verdict(False, "is overdue for check in", "OVERDUE")


_VISIBLE: CompiledQuery[License] = CompiledQuery(
    lambda bearer, key_digest: License.objects.with_api_fields().visible_to(bearer).filter(digest=key_digest),
    sample_bytes(),
)
_OF_ACCOUNT: CompiledQuery[License] = CompiledQuery(
    lambda account_id, key_digest: License.objects.with_api_fields().filter(account=account_id, digest=key_digest),
    sample_uuid(),
    sample_bytes(),
)


def find_license(key: str, *, account: Account, bearer: Bearer | None = None, hidden: bool = False) -> License | None:
    """The license with exactly this key, with the fields that the API shows, or None.

    Args:
        account: the account of the license.
        bearer: if given, only a license that the bearer may see is found.
        hidden: whether to look among the licenses of which only the key's digest is stored, instead of the others.
    """
    if hidden or key.startswith(HIDDEN):
        licenses = License.objects.with_api_fields().filter(account=account)
        licenses = licenses.visible_to(bearer) if bearer else licenses
        return (licenses.with_hidden_key if hidden else licenses.with_key)(key).first()
    return _VISIBLE.first(digest(key), bearer=bearer) if bearer else _OF_ACCOUNT.first(account.pk, digest(key))


def verdict_on(license, scope, now):
    """The first thing that is to be said about a license.

    Args:
        scope: what the license is asked to be valid for, by name; None: nothing is to be looked at, not even
            whether the policy requires a scope.
        now: the moment that counts.
    """
    return _on_standing(license, now) or _on_scope(license, scope) or _on_limits(license, now)


def _on_standing(license, now):
    if license.owner and license.owner.banned:
        return BANNED
    if license.suspended:
        return SUSPENDED
    if license.policy.expiration_strategy == "REVOKE_ACCESS" and (expired := _on_expiry(license, now)):
        return expired
    if license.next_check_in and license.next_check_in < now:
        return OVERDUE
    return None


def _on_expiry(license, now):
    if license.is_expired(now):
        return Verdict(license.policy.expiration_strategy in KEEPS_ACCESS, "is expired", "EXPIRED")
    return None


def _on_limits(license, now):
    expired = _on_expiry(license, now)
    policy = license.policy
    if license.limit("max_users") is not None and license.users_count > license.limit("max_users"):
        allowed = allows_overage(policy.overage_strategy, license.users_count, license.limit("max_users"))
        # Too many users may be let through; that is no reason to let through one whose time is over.
        if not allowed or expired is None or expired.valid:
            return Verdict(allowed, "has too many associated users", "TOO_MANY_USERS")
    if not policy.strict:
        return expired or VALID
    if policy.floating:
        return Verdict(False, "must have at least 1 associated machine", "NO_MACHINES")
    return Verdict(False, "must have exactly 1 associated machine", "NO_MACHINE")


def _on_scope(license, scope):
    if scope is None:
        return None
    for check in (_on_product, _on_policy, _on_user, _on_entitlements, *_ON_WHAT_IS_NOT_BUILT):
        if verdict := check(license, scope):
            return verdict
    return None


def _mismatch(noun, detail="does not match"):
    return Verdict(False, f"{noun} scope {detail}", f"{noun.upper()}_SCOPE_MISMATCH")


def _required(license, noun):
    if getattr(license.policy, f"require_{noun}_scope"):
        return Verdict(False, f"{noun} scope is required", f"{noun.upper()}_SCOPE_REQUIRED")
    return None


def _on_product(license, scope):
    if "product" not in scope:
        return _required(license, "product")
    return None if parse_uuid(scope["product"]) == license.product_id else _mismatch("product")


def _on_policy(license, scope):
    if "policy" not in scope:
        return _required(license, "policy")
    return None if parse_uuid(scope["policy"]) == license.policy_id else _mismatch("policy")


def _on_user(license, scope):
    if "user" not in scope:
        return _required(license, "user")
    user = scope["user"]
    if user is None:
        return _mismatch("user") if license.owner_id else None
    uuid = parse_uuid(user)
    named = Q(pk=uuid) if uuid else Q(email=user.lower())
    return None if license.all_users().filter(named).exists() else _mismatch("user")


def _on_entitlements(license, scope):
    match scope.get("entitlements"):
        case None:
            return None
        case []:
            return Verdict(False, "entitlements scope is empty", "ENTITLEMENTS_SCOPE_EMPTY")
    return Verdict(False, "is missing one or more required entitlements", "ENTITLEMENTS_MISSING")


def _not_activated(license, noun):
    """Of a license without machines."""
    if license.policy.floating:
        return Verdict(False, f"{noun} is not activated (has no associated machines)", "NO_MACHINES")
    return Verdict(False, f"{noun} is not activated (has no associated machine)", "NO_MACHINE")


def _on_machine(license, scope):
    return _not_activated(license, "machine") if "machine" in scope else _required(license, "machine")


def _on_fingerprint(license, scope):
    given = [scope[name] for name in ("fingerprint", "fingerprints") if name in scope]
    if not given:
        return _required(license, "fingerprint")
    if not any(given):
        return Verdict(False, "fingerprint scope is empty", "FINGERPRINT_SCOPE_EMPTY")
    return _not_activated(license, "fingerprint")


def _on_components(license, scope):
    if "components" not in scope:
        return _required(license, "components")
    # With a fingerprint we should not have come here: no machine has it.
    detail = "fingerprint scope is required when using the components scope"
    return Verdict(False, detail, "FINGERPRINT_SCOPE_REQUIRED")


def _on_checksum(license, scope):
    if "checksum" not in scope:
        return _required(license, "checksum")
    return _mismatch("checksum", "is not valid (does not match any accessible artifacts)")


def _on_version(license, scope):
    if "version" not in scope:
        return _required(license, "version")
    return _mismatch("version", "is not valid (does not match any accessible releases)")


_ON_WHAT_IS_NOT_BUILT = (_on_machine, _on_fingerprint, _on_components, _on_checksum, _on_version)
