"""An account moves in, is used over the API, moves out, and moves in again: the API lists the same, field by field."""

import pytest

from accounts.models import Account, Token
from tests.conftest import API
from tests.moving.exports import ACCOUNT_ID, SECRETS, SHOWN, import_fixture
from tests.moving.own_exports import exported, tokens_of
from tests.moving.test_listed import QUERIES, differences
from tests.moving.test_round_trip import forget

KINDS = [
    *("users", "products", "policies", "licenses", "machines", "components", "processes", "groups", "entitlements"),
    *("keys", "tokens"),
]
BELOW = {
    "licenses": ("users", "entitlements", "machines"),
    "policies": ("entitlements", "pool"),
    "groups": ("owners", "users", "licenses", "machines"),
    "machines": ("components", "processes"),
}
# Of a license and a machine; they are new after a move.
PERPETUAL, FLOATING = (SECRETS["licenses"][name]["id"] for name in ("perpetual", "floating"))
[POOL] = [each["id"] for each in SHOWN["policies"] if each["attributes"]["name"] == "Beta pool"]
[PRODUCT, *_] = [each["id"] for each in SHOWN["products"]]


def link(kind, id):
    return {"data": {"type": kind, "id": id}}


def use(admin):
    """Do what an account is used for: each request changes something that an export has."""

    def send(method, path, data=None):
        response = getattr(admin, method)(path, data)
        assert response.status_code < 300, (method, path, response.content)
        return response.json().get("data") if response.content else None

    def create(kind, attributes, path=None, **related):
        relationships = {name: link(*target) for name, target in related.items()}
        document = {"data": {"type": kind, "attributes": attributes, "relationships": relationships}}
        return send("post", path or kind, document)["id"]

    group = create("groups", {"name": "New", "maxUsers": 5, "metadata": {"a": [1, None]}})
    user = create("users", {"email": "new@example.com", "firstName": "Né", "password": "long-enough-1"})
    entitlement = create("entitlements", {"name": "New", "code": "NEW_ONE"})
    product = create("products", {"name": "New", "code": "new", "platforms": ["linux", "ios"]})
    policy = create("policies", {"name": "New", "duration": 1_000_000}, product=("products", product))
    license = create("licenses", {"name": "New", "key": "A-NEW-KEY-1"}, policy=("policies", policy))
    create("licenses", {"name": "Pooled"}, policy=("policies", POOL))
    machine = create("machines", {"fingerprint": "new-one", "cores": 4}, license=("licenses", FLOATING))
    create("components", {"fingerprint": "new-part", "name": "CPU"}, machine=("machines", machine))
    create("processes", {"pid": "77"}, machine=("machines", machine))
    create("keys", {"key": "A-NEW-POOL-KEY"}, policy=("policies", POOL))
    for _ in range(2):
        send("delete", f"policies/{POOL}/pool")
    send("put", f"licenses/{license}/owner", link("users", user))
    send("put", f"licenses/{license}/group", link("groups", group))
    send("put", f"users/{user}/group", link("groups", group))
    for path in (f"licenses/{PERPETUAL}", f"policies/{policy}"):
        send("post", f"{path}/entitlements", {"data": [{"type": "entitlements", "id": entitlement}]})
    send("post", f"licenses/{PERPETUAL}/users", {"data": [{"type": "users", "id": user}]})
    for path in (f"users/{user}", f"products/{PRODUCT}", f"licenses/{license}"):
        send("post", f"{path}/tokens", {"data": {"type": "tokens", "attributes": {"name": "New"}}})
    send("post", f"machines/{machine}/actions/ping")
    for action in ("suspend", "validate", "check-out", "increment-usage"):
        send("post", f"licenses/{license}/actions/{action}")
    send("patch", f"users/{user}", {"data": {"type": "users", "attributes": {"metadata": {"b": 2}, "lastName": "N"}}})
    send("delete", f"licenses/{SECRETS['licenses']['suspended']['id']}")


def listed(admin):
    """All lists of the account: the resources by id, by path."""
    found = {}
    for kind in KINDS:
        found[kind] = rows_of(admin, f"{kind}?limit=100{QUERIES.get(kind, '')}")
        for name in BELOW.get(kind, ()):
            for id in found[kind]:
                found[f"{kind}/{id}/{name}"] = rows_of(admin, f"{kind}/{id}/{name}?limit=100")
    return found


def rows_of(admin, path):
    response = admin.get(path)
    assert response.status_code == 200, (path, response.content)
    return {each["id"]: each for each in response.json()["data"]}


@pytest.mark.django_db(transaction=True)  # two imports are two transactions
def test_used_account_moves_out_and_in(moved):
    admin = API(SECRETS["tokens"]["admin"], ACCOUNT_ID)
    use(admin)
    before = listed(admin)
    # keygen-api has another digest of a token, which cannot be made from ours: those made here are not exported.
    moved_in = {each["id"] for each in SHOWN["tokens"]}
    made_here = [id for id in before["tokens"] if id not in moved_in]
    export, tokens = exported(moved), tokens_of(moved)
    forget(moved)

    report = import_fixture(export, tokens=tokens, accept_unmarked=True)

    assert report.findings == []
    assert len(before["machines"]) == len(SHOWN["machines"]) + 1
    assert len(made_here) == 3
    for id in made_here:
        del before["tokens"][id]
    after = listed(API(SECRETS["tokens"]["admin"], ACCOUNT_ID))
    assert {path: list(rows) for path, rows in after.items()} == {path: list(rows) for path, rows in before.items()}
    assert list(differences(before, after)) == []
    assert Account.objects.get(pk=ACCOUNT_ID).keys.available().count() == len(before["keys"])
    assert Token.objects.filter(account=ACCOUNT_ID).count() == len(before["tokens"])
