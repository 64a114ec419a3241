"""What happens across products, policies and licenses."""

import secrets

from django.core.exceptions import ValidationError
from django.db import transaction

from licensing.models import License, PoolEmpty


@transaction.atomic
def issue_license(*, policy, origin, **values):
    """Issue a license under a policy, with the next key from its pool, the key that was given, or a new one.

    One transaction: if the license cannot be saved, the key is back in the pool.

    Args:
        policy: the terms; also the account and the product are its.
        origin: who asks, and what for; the ledger keeps it beside a key from a pool.
        values: fields of the license.

    Returns:
        The license.

    Raises:
        ValidationError: what is wrong, by field; an empty pool is the policy's (contract: licenses 3.4).
    """
    license = License(account=policy.account, product=policy.product, policy=policy, **values)
    license.begin()
    if license.key:
        license.validate_and_save(force_insert=True)
        return license
    license.check_rules()
    if policy.use_pool:
        try:
            license.key = policy.pool.pop(origin, license).key
        except PoolEmpty as error:
            raise ValidationError({"policy": ValidationError(error.detail, code="pool_empty")}) from None
    else:
        license.key = generate_key()
    license.save(force_insert=True)
    return license


def generate_key():
    """A new license key, e.g. `C1B6DE-39A6E3-DE1529-8559A0-4AF593-V3`: 120 random bits (contract: licenses 3.4)."""
    digits = secrets.token_hex(15).upper()
    return "-".join([*(digits[start : start + 6] for start in range(0, 30, 6)), "V3"])
