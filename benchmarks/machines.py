"""Licenses with machines for a benchmark. Import it after `django.setup()`."""

from typing import Any

from benchmarks.pools import DemoPool
from licensing.models import License, Machine, Policy

MAX_MACHINES = 1_000  # of a license: no activation of a benchmark is refused


class DemoMachines:
    """Licenses under a policy with limits, each with a machine, in the account of a pool, and requests about them.

    Attributes:
        policy: strict and floating, with limits of machines and cores.
        validation: the document of a validation of a license with the fingerprint of its machine as the scope.
        ping_paths: the paths of pings, of each machine one.
        activation_requests: method, path and document of activations, of each license one. `{number}` in the
            fingerprint stands for a number that no other request has.
    """

    def __init__(self, pool: DemoPool, count: int) -> None:
        account, product = pool.account, pool.policy.product
        limits = {"max_machines": MAX_MACHINES, "max_cores": 64 * MAX_MACHINES}
        self.policy: Any = Policy(
            account=account, product=product, name="Machines", strict=True, floating=True, **limits
        )
        self.policy.validate_and_save()
        about: dict[str, Any] = {"account": account, "product": product, "policy": self.policy}
        licenses = [License(key=f"MACHINES-{number:07}", **about) for number in range(max(count, 1))]
        License.objects.bulk_create(licenses, batch_size=1000)
        machines = [
            Machine(account=account, license=license, fingerprint=f"machine of {license.key}", cores=8)
            for license in licenses
        ]
        Machine.objects.bulk_create(machines, batch_size=1000)
        collection = f"/v1/accounts/{account.slug}/machines"
        scope = {"fingerprint": machines[0].fingerprint}
        self.validation = {"meta": {"key": licenses[0].key, "scope": scope}}
        self.ping_paths = [f"{collection}/{machine.pk}/actions/ping" for machine in machines]
        self.activation_requests = [("POST", collection, activation_of(license)) for license in licenses]


def activation_of(license: License) -> dict[str, Any]:
    """The document of the activation of a license on a new machine."""
    linkage = {"license": {"data": {"type": "licenses", "id": str(license.pk)}}}
    attributes = {"fingerprint": "machine {number}", "hostname": "bob-pc", "platform": "linux/amd64", "cores": 8}
    return {"data": {"type": "machines", "attributes": attributes, "relationships": linkage}}
