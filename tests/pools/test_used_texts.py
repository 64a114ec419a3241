"""A key text that may have reached a person never enters a pool of its account again, even if its row is deleted."""

from itertools import count

import pytest
from django.core.management import call_command
from uuid_utils.compat import uuid7

from accounts.audit import AuditContext
from keygen_site.db.key_digests import key_digest
from keygen_site.jsonapi.errors import Conflict
from licensing.models import License, PoolEmpty
from licensing.services import issue_license
from pools.key_files import Line
from pools.models import Key
from pools.services.imports import import_keys
from tests.cast import add_key, add_keys, make_policy, make_product
from tests.console import act, page, signed_in, staff

ORIGIN = AuditContext(operator="tests")


class Scene:
    """A text on its way through a pool of its own, and back in by another pool of the account."""

    def __init__(self, acme, admin, console, text, folder):
        self.acme, self.admin, self.console, self.text = acme, admin, console, text
        self.product = make_product(acme.account, text)
        self.policy = make_policy(self.product, use_pool=True)
        self.unpooled = make_policy(self.product)
        self.owner = acme.user(email=f"{text.lower()}@acme.test")
        self.pool = f"policies/{self.policy.pk}/pool"
        self.target = make_policy(acme.product, use_pool=True)
        self.file = folder / "keys.txt"

    @property
    def key(self):
        return Key.objects.filter(account=self.acme.account).with_key(self.text).first()

    @property
    def license(self):
        return License.objects.filter(account=self.acme.account).with_key(self.text).first()

    def succeed(self, response):
        assert response.status_code < 400, response.content
        return response

    def issue(self, policy, **attributes):
        linkages = {
            "policy": {"data": {"type": "policies", "id": str(policy.pk)}},
            "owner": {"data": {"type": "users", "id": str(self.owner.pk)}},
        }
        document = {"type": "licenses", "attributes": attributes, "relationships": linkages}
        return self.admin.post("licenses", {"data": document})

    def add(self):
        linkage = {"policy": {"data": {"type": "policies", "id": str(self.target.pk)}}}
        document = {"type": "keys", "attributes": {"key": self.text}, "relationships": linkage}
        return self.admin.post("keys", {"data": document})


# How a text comes to be used. ---------------------------------------------------------------------------------------


def popped_by_api(scene):
    scene.succeed(scene.admin.delete(scene.pool))


def popped_by_api_among_many(scene):
    scene.succeed(scene.admin.post(f"{scene.pool}/actions/pop", {"meta": {"count": 1}}))


def popped_by_command(scene):
    call_command("pop_key", "--policy", str(scene.policy.pk))


def popped_in_console(scene):
    scene.succeed(scene.console.post(page("pools_pool_pop", scene.policy.pk), {"count": 1, "once": uuid7()}))


def issued_by_api(scene):
    scene.succeed(scene.issue(scene.policy))


def issued_in_console(scene):
    form = {"policy": scene.policy.pk, "owner": scene.owner.email}
    scene.succeed(scene.console.post(page("licensing_license_add"), form))


def withdrawn(scene):
    scene.succeed(scene.admin.post(f"{scene.pool}/actions/withdraw", {"meta": {"key": scene.text}}))


def revealed(scene):
    scene.succeed(act(scene.console, "pools_key_reveal", scene.key))


def exported_by_api(scene):
    list(scene.succeed(scene.admin.get(f"{scene.pool}/actions/export")).streaming_content)


def exported_in_console(scene):
    form = {"state": "all", "format": "csv"}
    list(scene.succeed(scene.console.post(page("pools_pool_export", scene.policy.pk), form)).streaming_content)


def exported_by_command(scene):
    call_command("export_keys", "--policy", str(scene.policy.pk), "--output", str(scene.file), "--force")


def never_used(scene):
    """It only waited in its pool."""


KEY_IS = [
    *(popped_by_api, popped_by_api_among_many, popped_by_command, popped_in_console, issued_by_api, issued_in_console),
    *(withdrawn, revealed, exported_by_api, exported_in_console, exported_by_command),
]

# How its row goes. Each returns False where there is no such row. -----------------------------------------------------


def key_is_deleted(scene):
    if scene.key is None:
        return False
    if scene.admin.delete(f"keys/{scene.key.pk}").status_code != 204:  # only keys that wait can be deleted there
        scene.key.delete()
    return True


def key_is_renamed(scene):
    if scene.key is None:
        return False
    other = f"OTHER-{scene.text}"
    document = {"data": {"type": "keys", "attributes": {"key": other}}}
    if scene.admin.patch(f"keys/{scene.key.pk}", document).status_code != 200:
        key = scene.key
        key.key = other
        key.save_changes("key")
    return True


def license_is_deleted_by_api(scene):
    return scene.license is not None and scene.succeed(scene.admin.delete(f"licenses/{scene.license.pk}"))


def license_is_revoked_in_console(scene):
    return scene.license is not None and scene.succeed(act(scene.console, "licensing_license_revoke", scene.license))


def license_gets_another_key(scene):
    if scene.license is None:
        return False
    license = scene.license
    license.key = f"OTHER-LICENSE-{scene.text}"
    license.save()
    return True


def owner_is_deleted(scene):
    return scene.license is not None and scene.succeed(scene.admin.delete(f"users/{scene.owner.pk}"))


def policies_are_deleted(scene):
    for policy in (scene.policy, scene.unpooled):
        scene.succeed(scene.admin.delete(f"policies/{policy.pk}"))
    return True


def product_is_deleted(scene):
    return scene.succeed(scene.admin.delete(f"products/{scene.product.pk}"))


def rows_are_deleted_by_sql(scene):
    for model in (License, Key):
        rows = model.objects.filter(account=scene.acme.account, digest=key_digest(scene.text))
        rows._raw_delete(rows.db)
    return True


def license_and_then_all_is_deleted(scene):
    return license_is_deleted_by_api(scene) and product_is_deleted(scene)


ROW_GOES = [
    *(key_is_deleted, key_is_renamed, license_is_deleted_by_api, license_is_revoked_in_console),
    *(license_gets_another_key, owner_is_deleted, policies_are_deleted, product_is_deleted, rows_are_deleted_by_sql),
    license_and_then_all_is_deleted,
]

# How it could come back. Each says whether it did. --------------------------------------------------------------------


def by_service(scene):
    lines = [Line(1, scene.text)]
    return import_keys(policy=scene.target, files=[lines], audit=ORIGIN, skip_invalid=True).added == 1


def by_dry_run(scene):
    lines = [Line(1, scene.text)]
    return import_keys(policy=scene.target, files=[lines], audit=ORIGIN, dry_run=True).good == 1


def by_import_action(scene):
    path = f"policies/{scene.target.pk}/pool/actions/import"
    response = scene.admin.post(path, scene.text.encode(), content_type="text/plain")
    return response.json()["errors"][0]["code"] not in ("IMPORT_REJECTED", "ALREADY_IMPORTED")


def by_import_command(scene):
    scene.file.write_text(scene.text)
    try:
        call_command("import_keys", str(scene.file), "--policy", str(scene.target.pk))
    except SystemExit as ended:
        return ended.code not in (3, 6)  # rejected, or imported before
    return True


def by_new_key(scene):
    response = scene.add()
    code = response.json()["errors"][0]["code"] if response.status_code == 422 else None
    return code not in ("KEY_TAKEN", "KEY_CONFLICT")  # by a key, or by a license


def by_changed_key(scene):
    (key,) = add_keys(scene.target, f"ANOTHER-{scene.text}")
    document = {"data": {"type": "keys", "attributes": {"key": scene.text}}}
    return scene.admin.patch(f"keys/{key.pk}", document).status_code != 422


def by_pop(scene):
    """All that is left in both pools is popped."""
    popped = []
    for policy in (scene.target, scene.policy):
        try:
            while True:
                popped.append(policy.pool.pop(ORIGIN).key)
        except PoolEmpty:
            pass
    return scene.text in popped


BACK = [
    *(by_service, by_dry_run, by_import_action, by_import_command, by_new_key, by_changed_key, by_pop),
]


def by_license(scene):
    response = scene.issue(scene.acme.unpooled, key=scene.text)
    return (response.status_code, response.json()["errors"][0]["code"]) != (422, "KEY_TAKEN")


@pytest.fixture
def scene(acme, api, tmp_path, capsys):
    """`scene()` begins another one, with a text of its own."""
    admin, console = api(acme.admin), signed_in(staff(acme, email="ann@acme.test"))
    numbers = count(1)
    return lambda: Scene(acme, admin, console, f"TEXT-{next(numbers):04}", tmp_path)


def test_the_text_of_a_used_key_never_comes_back(scene):
    came_back, tried = [], 0

    for use in KEY_IS:
        for goes in ROW_GOES:
            one = scene()
            add_keys(one.policy, one.text)
            use(one)
            if not goes(one):
                continue
            tried += 1
            # A license whose owner is gone has none.
            one.owner = one.acme.user(email="owner@acme.test")
            ways = [*BACK, by_license]
            came_back += [(use.__name__, goes.__name__, way.__name__) for way in ways if way(one)]

    assert came_back == []
    assert tried == 11 * 5 + 2 * 5  # five ways are about licenses: only two of the eleven keys have one


def test_the_text_of_a_license_enters_no_pool_when_it_is_gone_but_another_license_may_have_it(scene):
    came_back, refused, tried = [], [], 0

    for goes in ROW_GOES:
        one = scene()
        one.succeed(one.issue(one.unpooled, key=one.text))
        if not goes(one):
            continue
        tried += 1
        one.owner = one.acme.user(email="owner@acme.test")
        came_back += [(goes.__name__, way.__name__) for way in BACK if way(one)]
        if one.issue(one.acme.unpooled, key=one.text).status_code != 201:
            refused.append(goes.__name__)
        elif one.add().status_code != 422 or by_service(one):
            came_back.append((goes.__name__, "while another license has it"))

    assert (came_back, refused) == ([], [])
    assert tried == 8


def test_the_text_of_a_key_that_only_waited_is_free_again(scene):
    taken = []

    for goes in ROW_GOES:
        for comes in (lambda one: by_service(one), lambda one: one.add().status_code == 201, by_unpooled_license):
            one = scene()
            add_keys(one.policy, one.text)
            never_used(one)
            if goes(one) and not comes(one):
                taken.append((goes.__name__, comes.__name__))

    assert taken == []


def by_unpooled_license(scene):
    return scene.issue(scene.acme.unpooled, key=scene.text).status_code == 201


def test_a_key_that_was_returned_and_then_deleted_is_free_again(scene):
    one = scene()
    add_keys(one.policy, one.text)
    popped_by_api(one)
    one.succeed(one.admin.post(f"{one.pool}/actions/return", {"meta": {"key": one.text, "undelivered": True}}))

    key_is_deleted(one)

    assert one.add().status_code == 201


def test_another_account_may_have_the_text(scene, rival):
    one = scene()
    add_keys(one.policy, one.text)
    popped_by_api(one)
    product_is_deleted(one)

    assert add_key(rival.policy, one.text)
    assert issue_license(policy=rival.unpooled, audit=ORIGIN, key=f"RIVAL-{one.text}")


def test_a_signed_key_is_taken_like_a_given_one(acme):
    """A license under a policy with a scheme that makes the same key from the same text each time."""
    signed = make_policy(acme.product, scheme="ED25519_SIGN")
    license = issue_license(policy=signed, audit=ORIGIN, key="ORDER-0001")
    text = license.key
    license.delete()
    assert issue_license(policy=signed, audit=ORIGIN, key="ORDER-0001").key == text
    License.objects.all().delete()
    Key.objects.create(account=acme.account, policy=acme.policy, key=text)
    acme.policy.pool.pop(ORIGIN)
    acme.policy.delete()

    with pytest.raises(Conflict):
        issue_license(policy=signed, audit=ORIGIN, key="ORDER-0001")
