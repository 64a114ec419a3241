"""The ranges in which the fingerprints of machines and of components are unique, by a policy's strategy."""

from django.db.models import Q

from licensing.models import License

# The noun of each range, as errors name it. Without a range, a fingerprint of a component is unique in its machine.
RANGES = {
    "UNIQUE_PER_LICENSE": "license",
    "UNIQUE_PER_POLICY": "policy",
    "UNIQUE_PER_PRODUCT": "product",
    "UNIQUE_PER_ACCOUNT": "account",
}


def in_range(strategy: str, license: License, path: str) -> Q:
    """The machines, or their components, that are in a range with those of a license.

    Args:
        strategy: the range, one of `RANGES`.
        path: the path to the license, which begins with that to the machine.
    """
    account = Q(account=license.account_id)
    match RANGES[strategy]:
        case "license":
            return account & Q(**{path: license})
        case "policy":
            return account & Q(**{f"{path}__policy": license.policy_id})
        case "product":
            return account & Q(**{f"{path.removesuffix('license')}product": license.product_id})
    return account
