"""Request documents, rows and errors of machines, components and processes."""

from datetime import timedelta

from django.utils import timezone

from licensing.models import Component, Machine, Process
from tests.cast import make_license, make_policy
from tests.errors import DOCS, unprocessable

FINGERPRINT = "/data/attributes/fingerprint"


def make_floating(product, name="Floating", **terms):
    """Return a license under a floating policy without limits, whose users may change it."""
    policy = make_policy(product, name, **{"floating": True, "protected": False, **terms})
    return make_license(policy, key=f"LICENSE-{name}")


def make_machine(license, fingerprint="M", ago=None, **fields):
    """Return a machine of a license, as the database has it; with `ago` (seconds) its last heartbeat is so long ago."""
    if ago is not None:
        fields["last_heartbeat"] = timezone.now() - timedelta(seconds=ago)
    return Machine.objects.create(account=license.account, license=license, fingerprint=fingerprint, **fields)


def make_component(machine, fingerprint="C", **fields):
    return Component.objects.create(
        account=machine.account, machine=machine, fingerprint=fingerprint, name="CPU", **fields
    )


def make_process(machine, pid="1", ago=0, **fields):
    last = timezone.now() - timedelta(seconds=ago)
    return Process.objects.create(account=machine.account, machine=machine, pid=pid, last_heartbeat=last, **fields)


def activation(license, fingerprint="M", owner=None, components=None, **attributes):
    """Return a document that activates a license on a machine."""
    relationships = {"license": {"data": {"type": "licenses", "id": str(getattr(license, "pk", license))}}}
    if owner is not None:
        relationships["owner"] = {"data": {"type": "users", "id": str(getattr(owner, "pk", owner))}}
    if components is not None:
        parts = [{"type": "components", "attributes": {"fingerprint": text, "name": text}} for text in components]
        relationships["components"] = {"data": parts}
    attributes = {"fingerprint": fingerprint, **attributes}
    return {"data": {"type": "machines", "attributes": attributes, "relationships": relationships}}


def part(type, machine, **attributes):
    """Return a document that adds a component or a process to a machine."""
    linked = {"machine": {"data": {"type": "machines", "id": str(getattr(machine, "pk", machine))}}}
    return {"data": {"type": type, "attributes": attributes, "relationships": linked}}


def change(type, **attributes):
    return {"data": {"type": type, "attributes": attributes}}


def refused(detail, code, pointer):
    """An error of a machine at a pointer."""
    return unprocessable("machines", detail, code, pointer)


def exceeded(detail, code="MACHINE_LIMIT_EXCEEDED", topic="machines"):
    """An error of a limit, which concerns the machine or process as a whole."""
    return {
        "title": "Unprocessable resource",
        "detail": detail,
        "code": code,
        "source": {"pointer": "/data"},
        "links": {"about": f"{DOCS}/{topic}/#{topic}-object"},
    }


TAKEN = refused("has already been taken", "FINGERPRINT_TAKEN", FINGERPRINT)
FULL = exceeded("machine count has exceeded maximum allowed for license (1)")
