"""Helpers of the tests of hostile input."""

from urllib.parse import quote

import orjson
from django.utils import timezone
from hypothesis import settings
from jsonschema import Draft202012Validator

from accounts.models import Group, SecondFactor, Setting
from keygen_site.jsonapi.openapi.responses import ERRORS
from keygen_site.jsonapi.openapi.routes import list_endpoints
from licensing.models import Entitlement, Machine
from tests.cast import add_keys, make_license
from tests.conftest import JSON_API

ID = "01a20866-333d-73e7-b6c6-6d3a7c07d222"
STATUSES = {400, 401, 403, 404, 409, 413, 422, 429}
# Method and path of every operation.
CASES = [(endpoint.method, endpoint.path) for endpoint in list_endpoints()]


def examples(number):
    """Scale a number of examples to the profile of Hypothesis; `number` is that of the long profile."""
    return max(1, number * settings.default.max_examples // settings.get_profile("long").max_examples)


def share(cases, turn):
    """All cases in the long profile of Hypothesis; in others a share of them, different ones at each turn."""
    step = settings.get_profile("long").max_examples // settings.default.max_examples
    return cases[turn % step :: step]


def assert_answered(response):
    """Assert that the response is a success, or an error document with a status that the contract has."""
    if response.status_code < 300:
        return
    assert response.status_code in STATUSES, (response.status_code, response.content[:500])
    assert response["Content-Type"] in (f"{JSON_API}; charset=utf-8", "application/json; charset=utf-8")
    Draft202012Validator(ERRORS).validate(orjson.loads(response.content))


def world_of(acme):
    """Create a row of each kind; their ids by the name of the collection in URLs."""
    add_keys(acme.policy, "KEY-0001")
    account, user, license = acme.account, acme.user(), make_license(acme.unpooled)
    machine = Machine.objects.create(account=account, license=license, fingerprint="MACHINE")
    group = Group.objects.create(account=account, name="Group")
    return {
        "account": "acme",
        "products": acme.product.pk,
        "policies": acme.policy.pk,
        "licenses": license.pk,
        "users": user.pk,
        "keys": acme.policy.pool.first().pk,
        "pool": acme.policy.pool.first().pk,
        "machines": machine.pk,
        "components": machine.components.create(account=account, fingerprint="COMPONENT", name="Disk").pk,
        "processes": machine.processes.create(account=account, pid="1", last_heartbeat=timezone.now()).pk,
        "groups": group.pk,
        "owners": group.owners.create(account=account, user=user).pk,
        "entitlements": Entitlement.objects.create(account=account, name="Feature", code="FEATURE").pk,
        "second-factors": SecondFactor.objects.create(user=user).pk,
        "settings": Setting.objects.create(account=account, key=Setting.Key.USER_PERMISSIONS, value=["*"]).pk,
    }


def address(path, world, **parts):
    """Return a URL that fits a path template, with `parts` for some parameters and existing rows for the others."""
    collection = path.partition("{id}")[0].rstrip("/").rpartition("/")[2]
    known = {"policy": world["policies"]} | {name.removesuffix("s"): pk for name, pk in world.items()}
    known |= {"id": world.get(collection, ID)} | parts
    return path.format(**{name: quote(str(value), safe="") for name, value in known.items()})
