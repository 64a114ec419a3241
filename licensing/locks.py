"""Locks of licenses and machines: always the license first, so that no two transactions wait for each other.

Then come fingerprints (`keygen_site.db.advisory_locks`), and the token at the end.
"""

from keygen_site.db.compiled_queries import CompiledQuery, sample_uuid
from keygen_site.jsonapi.errors import NotFound
from licensing.models import License, Machine

_LICENSE: CompiledQuery[License] = CompiledQuery(
    lambda id: License.objects.select_for_update().filter(pk=id), sample_uuid()
)


def lock_license(license: License) -> License | None:
    """The license, locked until the transaction ends and as it is now; None if it has been deleted.

    Limits of machines and processes hold because they are counted under this lock (contract: machines 3.8).
    """
    locked = _LICENSE.first(license.pk)
    if locked is not None and locked.policy_id == license.policy_id:
        locked.policy = license.policy
    return locked


def lock_machine(machine: Machine, *, with_license: bool = False) -> None:
    """Lock a machine until the transaction ends, and reload it.

    Args:
        with_license: whether its license is locked before it, because limits are counted.

    Raises:
        NotFound: it has been deleted meanwhile.
    """
    license = lock_license(machine.license) if with_license else machine.license
    try:
        machine.refresh_from_db(from_queryset=Machine.objects.select_for_update())
    except Machine.DoesNotExist:
        license = None
    if license is None:
        raise NotFound.of("machine", machine.pk)
    machine.license = license
