"""Staff who may not pop read every key of a pool by the API. An account can have these keys masked for them.

Keys of pools only: the key of a license is with its customer, and support has to find it.
"""

import pytest
from django.core.management import CommandError, call_command

from accounts.models import Account
from accounts.roles import ALLOWED_ROLES, ROLE_PERMISSIONS
from keygen_site.db.fields import mask_key
from licensing.services import issue_license
from pools.key_files.line_kinds import CUT, classify_line
from tests.cast import add_keys
from tests.console import page, signed_in, superuser
from tests.fuzzing import CASES, address, world_of
from tests.tables import each_row, rolled_back

pytestmark = pytest.mark.without_database  # responses are the same on each database

KEYS = ["SECRET-0001-AAAA", "SECRET-0002-BBBB", "SECRET-0003-CCCC"]
MAY_POP = ALLOWED_ROLES["policy.pool.pop"]
ROLES = sorted(ROLE_PERMISSIONS)
QUERIES = ("limit=100", "page[number]=1&page[size]=100", "include=policy,keys,pool", "format=csv")
READERS = {"sales-agent", "support-agent", "read-only"}  # who see keys by Keygen's rules, but may not pop them


@pytest.fixture
def world(acme, audit):
    world = world_of(acme)
    acme.policy.pool.all().delete()
    add_keys(acme.policy, *KEYS)
    issue_license(policy=acme.policy, audit=audit, owner=acme.user())
    world["keys"] = world["pool"] = acme.policy.pool.available().first().pk
    return world


def mask(acme):
    acme.account.mask_keys = True
    acme.account.save_changes("mask_keys")


def requests(world, acme):
    """One request to every route, with queries that show more, and documents that some routes need."""
    for turn, (method, path) in enumerate(sorted(CASES, key=lambda case: "pool" not in case[1])):
        url = address(path, world)
        if method == "GET":
            yield method, url, None
            yield method, f"{url}?{QUERIES[turn % len(QUERIES)]}", None
        elif path.endswith("actions/search"):
            yield method, url, {"meta": {"key": KEYS[1]}}
        else:
            yield method, url, {}


def exposed(world, acme, client):
    """The requests whose responses have a key that is still in the pool."""
    for method, url, document in requests(world, acme):
        with rolled_back():
            response = client.request(method, url, document)
            text = (b"".join(response) if response.streaming else response.content).decode(errors="replace")
        if any(key in text for key in KEYS[1:]):
            yield f"{method} {url}"


@each_row("role", ROLES)
def test_no_route_shows_a_key_of_a_pool_to_roles_that_may_not_pop(acme, world, api, role):
    mask(acme)

    found = next(exposed(world, acme, api(acme.bearer(role))), None)

    assert (found is not None) == (role in MAY_POP), found


@each_row("role", MAY_POP | READERS)
def test_keys_are_shown_as_keygen_does_by_default(acme, world, api, role):
    assert next(exposed(world, acme, api(acme.bearer(role))), None)


@each_row("role", sorted(READERS))
@each_row("version", ["1.0", "1.4", "1.8"])
def test_a_masked_key_keeps_its_other_attributes(acme, world, api, role, version):
    client = api(acme.bearer(role))
    paths = [f"keys/{world['keys']}", "keys", f"policies/{acme.policy.pk}/pool", "keys?limit=1", "keys?page[cursor]="]
    plain = [client.get(path, Keygen_Version=version).json() for path in paths]

    mask(acme)
    masked = [client.get(path, Keygen_Version=version).json() for path in paths]

    for document in plain:
        shown = document.get("data", [])
        for each in shown if isinstance(shown, list) else [shown]:
            each["attributes"]["key"] = mask_key(each["attributes"]["key"])
    assert masked == plain


def test_a_masked_key_is_not_taken_for_a_key_by_an_import():
    """A list of masked keys must not end up in a pool."""
    assert [classify_line(mask_key(key)) for key in [*KEYS, "C1B6DE-39A6E3-DE1529-8559A0-4AF593-V3"]] == [CUT] * 4


def test_a_license_of_the_pool_shows_its_key(acme, world, api):
    mask(acme)

    shown = api(acme.user("support-agent")).get("licenses").json()["data"]

    assert KEYS[0] in [license["attributes"]["key"] for license in shown]


def test_the_setting_is_in_the_console_for_superusers(acme):
    values = {"name": "Acme", "slug": "acme", "status": "SUBSCRIBED", "protected": "on", "mask_keys": "on"}

    signed_in(superuser()).post(page("accounts_account_change", acme.account.pk), values)

    assert Account.objects.get(slug="acme").mask_keys


@each_row(("option", "masks"), [("--mask-keys", True), ("--no-mask-keys", False)])
@each_row("name", ["acme", "id"])
def test_the_setting_is_in_a_command(acme, name, option, masks):
    Account.objects.update(mask_keys=not masks)

    call_command("change_account", str(acme.account.pk) if name == "id" else name, option)

    assert Account.objects.get(slug="acme").mask_keys == masks


def test_the_command_knows_no_other_account(db):
    with pytest.raises(CommandError, match="There is no account nowhere"):
        call_command("change_account", "nowhere", "--mask-keys")


def test_an_admin_of_the_account_cannot_change_it_by_the_api(acme, api):
    document = {"data": {"type": "accounts", "attributes": {"maskKeys": True}}}

    assert api(acme.admin).patch("/v1/accounts/acme", document).status_code == 400
