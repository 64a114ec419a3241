"""The groups of licenses: moving, inheritance, limits (contract: entitlements-groups 11, 12)."""

import pytest

from accounts.models import Activity
from licensing.models import License
from tests.accounts.groups import make_group, one
from tests.cast import add_keys, make_license
from tests.errors import (
    BAD,
    FORBIDDEN,
    NOT_FOUND,
    UNPROCESSABLE,
    assert_refused,
    bad_request,
    forbidden,
    lacks_permission,
    unprocessable,
)
from tests.licensing.documents import UNKNOWN, document
from tests.races import race, results_of, run_while_held
from tests.tables import each_row

GROUP = "/data/relationships/group"
NO_GROUP = {"title": "Not found", "detail": "The requested group was not found", "code": "NOT_FOUND"}


@pytest.fixture
def group(acme):
    return make_group(acme.account)


@pytest.fixture
def license(acme):
    return make_license(acme.unpooled, "LICENSE-KEY")


def group_full(limit):
    detail = f"license count has exceeded maximum allowed by current group ({limit})"
    return unprocessable("licenses", detail, "GROUP_LICENSE_LIMIT_EXCEEDED", GROUP)


def new_license(policy, key=None, **relationships):
    return document("licenses", {"key": key} if key else {}, policy=one("policies", policy), **relationships)


class TestMoves:
    def test_a_license_is_moved(self, acme, api, group, license):
        client = api(acme.admin)
        assert_refused(client.get("licenses/LICENSE-KEY/group"), NOT_FOUND, NO_GROUP)

        response = client.put("licenses/LICENSE-KEY/group", one("groups", group))

        relationship = response.json()["data"]["relationships"]["group"]
        assert (response.status_code, relationship["data"]) == (200, {"type": "groups", "id": str(group.pk)})
        assert client.get("licenses/LICENSE-KEY/group").json()["data"]["id"] == str(group.pk)
        entry = Activity.objects.get(event="group-changed")
        assert (entry.object_id, entry.details) == (license.pk, {"to": "Hospital"})
        assert client.patch("licenses/LICENSE-KEY/group", {"data": None}).status_code == 200
        assert_refused(client.get("licenses/LICENSE-KEY/group"), NOT_FOUND, NO_GROUP)

    @each_row(
        ("role", "refusal"),
        [
            *((role, None) for role in ("admin", "developer", "sales-agent", "product")),
            ("support-agent", forbidden()),
            *((role, lacks_permission(role)) for role in ("read-only", "user", "license")),
        ],
    )
    def test_who_may_move_a_license(self, acme, api, group, license, role, refusal):
        bearer = license if role == "license" else acme.bearer(role)
        if role == "user":
            license.license_users.create(account=acme.account, user=bearer)
        client = api(bearer)

        assert_refused(client.put("licenses/LICENSE-KEY/group", {}), BAD, bad_request("is missing", "/data"))
        response = client.put("licenses/LICENSE-KEY/group", one("groups", group))
        if refusal:
            assert_refused(response, FORBIDDEN, refusal)
        else:
            assert response.status_code == 200
        license.change_group(group)
        assert client.get("licenses/LICENSE-KEY/group").status_code == 200

    @each_row("role", ["admin", "product"])
    def test_a_group_of_another_account_does_not_exist(self, acme, rival, api, license, role):
        error = unprocessable("licenses", "must exist", "GROUP_NOT_FOUND", GROUP)
        client = api(acme.bearer(role))

        for group in (UNKNOWN, make_group(rival.account)):
            linkage = one("groups", group)
            assert_refused(client.put("licenses/LICENSE-KEY/group", linkage), UNPROCESSABLE, error)
            response = client.post("licenses", new_license(acme.unpooled, group=linkage))
            assert_refused(response, UNPROCESSABLE, error)

    @each_row(("role", "status"), [("support-agent", 403), ("read-only", 400), ("user", 400), ("license", 400)])
    def test_who_may_not_choose_the_group_of_a_new_license(self, acme, api, group, role, status):
        response = api(acme.bearer(role)).post("licenses", new_license(acme.unpooled, group=one("groups", group)))

        assert response.status_code == status


class TestInheritance:
    @each_row("given", ["nothing", "null", "another"])
    def test_a_new_license_gets_the_group_of_its_owner_unless_it_has_one(self, acme, api, group, given):
        owner, other = acme.user(), make_group(acme.account, "Other")
        owner.change_group(group)
        relationships = {
            "nothing": {},
            "null": {"group": one("groups", None)},
            "another": {"group": one("groups", other)},
        }

        response = api(acme.admin).post(
            "licenses", new_license(acme.unpooled, owner=one("users", owner), **relationships[given])
        )

        assert response.status_code == 201
        assert License.objects.get(pk=response.json()["data"]["id"]).group == (other if given == "another" else group)

    def test_a_license_from_a_pool_gets_the_group_of_its_owner(self, acme, api, group):
        add_keys(acme.policy, "POOLED-KEY")
        owner = acme.user()
        owner.change_group(group)

        assert api(acme.admin).post("licenses", new_license(acme.policy, owner=one("users", owner))).status_code == 201

        assert License.objects.get(owner=owner).group == group

    def test_a_license_without_a_group_gets_that_of_its_new_owner(self, acme, api, group, license):
        owner, other = acme.user(), acme.user(email="other@acme.test")
        owner.change_group(group)
        other.change_group(make_group(acme.account, "Other"))
        client = api(acme.admin)

        for user in (owner, other):  # the second one finds it in the group of the first
            assert client.put("licenses/LICENSE-KEY/owner", one("users", user)).status_code == 200
            license.refresh_from_db()
            assert (license.owner, license.group) == (user, group)
        owner.change_group(None)
        license.refresh_from_db()
        assert license.group == group


class TestLimits:
    def test_a_full_group_takes_no_license(self, acme, api, license):
        group = make_group(acme.account, max_licenses=1)
        make_license(acme.unpooled).change_group(group)
        owner = acme.user()
        owner.change_group(group)
        client = api(acme.admin)

        responses = [
            client.put("licenses/LICENSE-KEY/group", one("groups", group)),
            client.put("licenses/LICENSE-KEY/owner", one("users", owner)),
            client.post("licenses", new_license(acme.unpooled, group=one("groups", group))),
            client.post("licenses", new_license(acme.unpooled, "NEW-KEY", owner=one("users", owner))),
        ]

        for response in responses:
            assert_refused(response, UNPROCESSABLE, group_full(1))
        assert License.objects.count() == 2
        license.refresh_from_db()
        assert (license.owner, license.group) == (None, None)

    def test_a_full_group_is_told_before_other_errors(self, acme, api):
        group = make_group(acme.account, max_licenses=0)

        response = api(acme.admin).post("licenses", new_license(acme.unpooled, "SHORT", group=one("groups", group)))

        codes = [error["code"] for error in response.json()["errors"]]
        assert (response.status_code, codes) == (422, ["GROUP_LICENSE_LIMIT_EXCEEDED", "KEY_TOO_SHORT"])

    def test_a_full_group_takes_no_key_out_of_a_pool(self, acme, api):
        add_keys(acme.policy, "POOLED-KEY")
        group = make_group(acme.account, max_licenses=0)

        response = api(acme.admin).post("licenses", new_license(acme.policy, group=one("groups", group)))

        assert_refused(response, UNPROCESSABLE, group_full(0))
        assert acme.policy.pool.available().count() == 1

    def test_a_license_above_a_lowered_limit_is_changed(self, acme, api, group, license):
        license.change_group(group)
        group.max_licenses = 0
        group.save()
        client = api(acme.admin)

        assert client.patch("licenses/LICENSE-KEY", document("licenses", {"name": "x"})).status_code == 200
        assert client.put("licenses/LICENSE-KEY/group", one("groups", group)).status_code == 200


@pytest.mark.django_db(transaction=True)
@pytest.mark.postgresql
def test_licenses_that_enter_at_once_do_not_exceed_the_limit(acme, api):
    group, speaker = make_group(acme.account, max_licenses=3), api(acme.admin)
    add_keys(acme.policy, "KEY-0001", "KEY-0002", "KEY-0003")
    owner = acme.user()
    owner.change_group(group)
    to_group, of_owner = one("groups", group), one("users", owner)
    moved, given = make_license(acme.unpooled), make_license(acme.unpooled)
    requests = iter(
        [
            (speaker.put, f"licenses/{moved.pk}/group", to_group),
            (speaker.put, f"licenses/{given.pk}/owner", of_owner),
            *[(speaker.post, "licenses", new_license(acme.policy, group=to_group))] * 3,
            *[(speaker.post, "licenses", new_license(acme.unpooled, owner=of_owner))] * 3,
        ]
    )

    def ask():
        method, path, sent = next(requests)
        return method(path, sent)

    responses = race(8, ask)

    assert not results_of(Exception, responses)
    assert sorted(response.status_code < 300 for response in responses) == [False] * 5 + [True] * 3
    assert group.licenses.count() == 3


@pytest.mark.django_db(transaction=True)
@pytest.mark.postgresql
def test_a_new_license_waits_for_one_that_is_entering_its_group(acme, api):
    group, speaker = make_group(acme.account, max_licenses=1), api(acme.admin)
    license, owner = make_license(acme.unpooled), acme.user()
    owner.change_group(group)
    document = new_license(acme.unpooled, owner=one("users", owner))

    waited, response = run_while_held(lambda: license.change_group(group), lambda: speaker.post("licenses", document))

    assert waited
    assert_refused(response, UNPROCESSABLE, group_full(1))
