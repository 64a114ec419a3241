"""Permissions of each role on machines, components and processes (contract: machines 10)."""

import pytest

from tests.cast import make_license
from tests.errors import FORBIDDEN, NOT_FOUND, assert_refused, forbidden, lacks_permission
from tests.licensing.machines import activation, change, make_component, make_floating, make_machine, make_process, part
from tests.tables import each_row

# The columns of the contract's table: admin and developer; sales agent; support agent; read-only; product; the user who
# owns the license; the one who owns the machine; another user of the license; the license. In the cells: ok; no: may
# not use the permission; lacks: does not hold it; open: only where the license is not protected.
COLUMNS = ["admin", "sales-agent", "support-agent", "read-only", "product", "owner", "holder", "other", "license"]
TABLE = {
    "GET machines": "ok ok ok ok ok ok ok ok ok",
    "GET machines/M": "ok ok ok ok ok ok ok ok ok",
    "POST machines": "ok ok no lacks ok open no no ok",
    "PATCH machines/M": "ok ok ok lacks ok open open no open",
    "DELETE machines/M": "ok ok no lacks ok open open no ok",
    "POST machines/M/actions/ping": "ok no no lacks ok open open no ok",
    "POST machines/M/actions/ping-heartbeat": "ok no no lacks ok open open no ok",
    "POST machines/M/actions/reset": "ok ok no lacks ok lacks lacks lacks lacks",
    "POST machines/M/actions/check-out": "ok ok ok lacks ok open open open ok",
    "GET machines/M/actions/check-out": "ok ok ok lacks ok open open open ok",
    "POST machines/M/actions/generate-offline-proof": "ok ok no lacks ok open no no ok",
    "GET machines/M/product": "ok ok ok ok ok lacks lacks lacks lacks",
    "GET machines/M/license": "ok ok ok ok ok ok ok ok ok",
    "GET machines/M/owner": "ok ok ok ok ok ok ok ok lacks",
    "GET machines/M/user": "ok ok ok ok ok ok no no lacks",
    "PUT machines/M/owner": "ok ok no lacks ok lacks lacks lacks lacks",
    "GET machines/M/components": "ok ok ok ok ok ok ok ok ok",
    "GET machines/M/processes": "ok ok ok ok ok ok ok ok ok",
    "GET licenses/{license}/machines": "ok ok ok ok ok ok ok ok ok",
    "GET products/{product}/machines": "ok ok ok ok ok no no no no",
    "GET users/{owner}/machines": "ok ok ok ok ok ok no no no",
    "GET components/{component}": "ok ok ok ok ok ok ok ok ok",
    "GET components/{component}/product": "ok ok ok ok ok lacks lacks lacks lacks",
    "POST components": "ok ok no lacks ok open open no ok",
    "PATCH components/{component}": "ok ok ok lacks ok open open no ok",
    "DELETE components/{component}": "ok ok no lacks ok open open no ok",
    "GET processes/{process}": "ok ok ok ok ok ok ok ok ok",
    "POST processes": "ok ok no lacks ok open open no ok",
    "PATCH processes/{process}": "ok ok ok lacks ok open open no ok",
    "DELETE processes/{process}": "ok ok no lacks ok open open no ok",
    "POST processes/{process}/actions/ping": "ok no no lacks ok open open no ok",
}
USERS = ("owner", "holder", "other")
CELLS = [
    (*endpoint.split(" "), who, answer)
    for endpoint, answers in TABLE.items()
    for who, answer in zip(COLUMNS, answers.split(), strict=True)
]


class World:
    """A license with a machine, and users who own the license, the machine, or neither of them."""

    def __init__(self, acme):
        self.license = make_floating(acme.product)
        self.users = {name: acme.user(email=f"{name}@acme.test") for name in USERS}
        self.license.owner = self.users["owner"]
        self.license.save()
        for name in ("holder", "other"):
            self.license.license_users.create(account=acme.account, user=self.users[name])
        self.machine = make_machine(self.license, owner=self.users["holder"])
        self.names = {
            "license": self.license.pk,
            "product": acme.product.pk,
            "owner": self.users["owner"].pk,
            "component": make_component(self.machine).pk,
            "process": make_process(self.machine).pk,
        }

    def document(self, method, path):
        collection = path.split("/")[0]
        if method == "PUT":
            return {"data": None}
        if method == "PATCH":
            return change(collection, **({} if collection == "processes" else {"name": "new"}))
        if (method, path) == ("POST", "machines"):
            return activation(self.license, "N")
        if (method, path) == ("POST", "components"):
            return part("components", self.machine, fingerprint="N", name="N")
        return part("processes", self.machine, pid="N") if (method, path) == ("POST", "processes") else None


@pytest.fixture
def world(acme):
    return World(acme)


@pytest.mark.parametrize("protected", [False, True])
@each_row("method, path, who, answer", CELLS)
def test_each_role_may_do_what_the_table_says(acme, api, world, protected, method, path, who, answer):
    world.license.protected = protected
    world.license.save()
    bearer = {**world.users, "license": world.license}.get(who) or acme.bearer(who)

    response = api(bearer).request(method, path.format(**world.names), world.document(method, path))

    if answer == "ok" or (answer == "open" and not protected):
        assert response.status_code in (200, 201, 204), response.content
    else:
        role = "user" if who in USERS else who
        assert_refused(response, FORBIDDEN, lacks_permission(role) if answer == "lacks" else forbidden())


@each_row("path", ["machines/M", "components/{component}", "processes/{process}", "machines/M/components"])
def test_others_do_not_see_it(acme, api, world, path):
    other_license = make_license(world.license.policy, "ANOTHER-KEY")

    for bearer in (acme.another_product(), other_license, acme.user(email="stranger@acme.test")):
        assert api(bearer).get(path.format(**world.names)).status_code == NOT_FOUND


class TestAttributes:
    @each_row("who", ["support-agent", "owner", "license"])
    def test_only_managers_change_what_limits_count(self, acme, api, world, who):
        bearer = {**world.users, "license": world.license}.get(who) or acme.bearer(who)

        for name in ("cores", "memory", "disk", "metadata"):
            response = api(bearer).patch("machines/M", change("machines", **{name: None}))
            assert response.json()["errors"][0]["detail"] == "unpermitted parameter", name

    def test_user_may_activate_a_license_for_itself_only(self, api, world):
        other, holder = world.users["other"], world.users["holder"]

        assert api(other).post("machines", activation(world.license, "N", owner=other)).status_code == 201
        response = api(other).post("machines", activation(world.license, "O", owner=holder))
        assert_refused(response, FORBIDDEN, forbidden())
        assert (
            api(world.users["owner"]).post("machines", activation(world.license, "P", owner=holder)).status_code == 201
        )
