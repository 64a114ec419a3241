"""The groups of machines (contract: machines 3.9, 4.5; entitlements-groups 9, 11, 12)."""

from functools import partial
from threading import Thread

import pytest
from django.db import transaction

from accounts.models import Group
from licensing.admin.groups import RemoveGroup
from licensing.admin.machine_actions import Deactivate
from licensing.locks import lock_license
from licensing.models import License, Machine
from tests.accounts.documents import user_document
from tests.accounts.groups import make_group, one
from tests.cast import make_license
from tests.errors import FORBIDDEN, UNPROCESSABLE, assert_refused, forbidden
from tests.licensing.documents import UNKNOWN, document, ids
from tests.licensing.machines import activation, make_floating, make_machine, refused
from tests.races import race, run_while_held, wait_for_lock

GROUP = "/data/relationships/group"


def full(limit):
    detail = f"machine count has exceeded maximum allowed by current group ({limit})"
    return refused(detail, "GROUP_MACHINE_LIMIT_EXCEEDED", GROUP)


@pytest.fixture
def license(acme):
    return make_floating(acme.product)


@pytest.fixture
def admin(acme, api):
    return api(acme.admin)


class TestActivation:
    def test_machine_inherits_the_group_of_its_license_or_else_of_its_owner(self, acme, admin, license):
        user = acme.user()
        license.license_users.create(account=acme.account, user=user)
        of_user, of_license, given = (make_group(acme.account, name) for name in ("User", "License", "Given"))
        user.change_group(of_user)

        admin.post("machines", activation(license, "A"))
        admin.post("machines", activation(license, "B", owner=user))
        license.change_group(of_license)
        admin.post("machines", activation(license, "C", owner=user))
        document = activation(license, "D")
        document["data"]["relationships"]["group"] = one("groups", given)
        admin.post("machines", document)

        found = dict(Machine.objects.values_list("fingerprint", "group__name"))
        assert found == {"A": None, "B": "User", "C": "License", "D": "Given"}

    def test_full_group_is_refused_after_the_limits_of_the_license(self, acme, admin):
        license = make_floating(acme.product, max_machines=1)
        license.change_group(make_group(acme.account, max_machines=1))
        admin.post("machines", activation(license, "A"))

        errors = admin.post("machines", activation(license, "B")).json()["errors"]

        assert [error["code"] for error in errors] == ["MACHINE_LIMIT_EXCEEDED", "GROUP_MACHINE_LIMIT_EXCEEDED"]
        assert errors[1] == full(1)

    def test_unknown_group_is_refused(self, admin, license):
        document = activation(license)
        document["data"]["relationships"]["group"] = one("groups", UNKNOWN)

        assert_refused(admin.post("machines", document), UNPROCESSABLE, refused("must exist", "GROUP_NOT_FOUND", GROUP))


class TestChange:
    def test_machine_is_moved_to_a_group_with_room(self, acme, admin, license):
        machine = make_machine(license)
        group = make_group(acme.account, max_machines=1)

        response = admin.put("machines/M/group", one("groups", group))

        assert response.json()["data"]["relationships"]["group"]["data"]["id"] == str(group.pk)
        assert admin.get("machines/M/group").json()["data"]["id"] == str(group.pk)
        assert ids(admin.get(f"groups/{group.pk}/machines")) == [str(machine.pk)]
        assert ids(admin.get(f"machines?group={group.pk}")) == [str(machine.pk)]
        make_machine(license, "N")
        assert_refused(admin.put("machines/N/group", one("groups", group)), UNPROCESSABLE, full(1))
        assert admin.put("machines/M/group", one("groups", group)).status_code == 200
        assert admin.put("machines/M/group", {"data": None}).status_code == 200
        assert admin.get("machines/M/group").status_code == 404

    def test_document_is_read_before_permissions(self, license, api):
        make_machine(license)

        assert api(license).put("machines/M/group", {}).json()["errors"][0]["detail"] == "is missing"

    def test_machine_gets_the_group_of_its_new_owner(self, acme, admin, license):
        user = acme.user()
        license.license_users.create(account=acme.account, user=user)
        user.change_group(make_group(acme.account, max_machines=0))
        make_machine(license)
        document = {"data": {"type": "users", "id": str(user.pk)}}

        assert_refused(admin.put("machines/M/owner", document), UNPROCESSABLE, full(0))
        Group.objects.update(max_machines=1)
        assert admin.put("machines/M/owner", document).status_code == 200
        assert Machine.objects.get().group == user.group


def test_owners_of_a_group_see_its_machines_and_members_do_not(acme, api, license):
    owner, member = acme.user(email="owner@acme.test"), acme.user(email="member@acme.test")
    group = make_group(acme.account)
    group.owners.create(account=acme.account, user=owner)
    member.change_group(group)
    machine = make_machine(license, group=group)
    other = make_machine(make_floating(acme.another_product(), "Other"), "N", group=group)
    path = f"groups/{group.pk}/machines"

    assert set(ids(api(owner).get(path))) == {str(machine.pk), str(other.pk)}
    assert ids(api(acme.product).get(path)) == [str(machine.pk)]
    assert_refused(api(member).get(path), FORBIDDEN, forbidden())
    assert api(owner).get(f"{path}/N").json()["data"]["id"] == str(other.pk)


@pytest.mark.postgresql
@pytest.mark.django_db(transaction=True)
class TestLocks:
    """An activation locks its license, then the group that the machine enters, and may wait for a dead machine."""

    @pytest.fixture
    def group(self, acme):
        return make_group(acme.account, max_users=9, max_licenses=9, max_machines=9)

    @pytest.mark.parametrize("is_console", [False, True])
    def test_deletion_of_a_group_locks_its_licenses_first(self, acme, admin, audit, license, group, is_console):
        license.change_group(group)
        delete = partial(RemoveGroup().change_row, group, audit, {}) if is_console else admin.delete
        results = []
        thread = Thread(
            target=lambda: results.extend(race(1, delete if is_console else partial(delete, f"groups/{group.pk}")))
        )

        with transaction.atomic():
            lock_license(license)
            thread.start()
            wait_for_lock()
            assert Group.objects.select_for_update(no_key=True, nowait=True).filter(pk=group.pk).exists()
        thread.join()

        assert results == [""] if is_console else results[0].status_code == 204
        assert not Group.objects.exists()
        assert License.objects.get(pk=license.pk).group is None

    def test_actions_of_the_console_lock_the_license_of_a_machine_first(self, audit, license):
        machine = make_machine(license)

        waited, reason = run_while_held(
            partial(lock_license, license), partial(Deactivate().change_row, machine, audit, {})
        )

        assert (waited, reason) == (True, "")

    @pytest.mark.parametrize("kind", ["user", "license", "machine"])
    @pytest.mark.parametrize("is_new", [False, True])
    def test_members_added_during_a_groups_deletion_have_no_group(self, acme, admin, license, group, kind, is_new):
        """As it would if the group was deleted right afterwards."""
        documents = {
            "user": user_document(email="new@acme.test"),
            "license": document("licenses", {}, policy=one("policies", acme.unpooled)),
            "machine": activation(license),
        }
        documents[kind]["data"].setdefault("relationships", {})["group"] = one("groups", group)
        old = {
            "user": partial(acme.user, email="old@acme.test"),
            "license": partial(make_license, acme.unpooled),
            "machine": partial(make_machine, license, "OLD"),
        }
        if is_new:
            work = partial(admin.post, f"{kind}s", documents[kind])
        else:
            work = partial(admin.put, f"{kind}s/{old[kind]().pk}/group", one("groups", group))

        waited, response = run_while_held(group.delete, work)

        assert (waited, response.status_code) == (True, 201 if is_new else 200)
        assert response.json()["data"]["relationships"]["group"]["data"] is None
