"""The owners of groups (contract: entitlements-groups 10)."""

import pytest

from accounts.models import Activity, GroupOwner
from tests.accounts.groups import make_group, one, several
from tests.cast import make_license
from tests.errors import (
    BAD,
    FORBIDDEN,
    NOT_FOUND,
    UNPROCESSABLE,
    assert_refused,
    bad_request,
    forbidden,
    lacks_permission,
    not_found,
    unprocessable,
)
from tests.licensing.documents import UNKNOWN, ids
from tests.licensing.licenses import shown
from tests.races import race, results_of
from tests.tables import each_row


@pytest.fixture
def group(acme):
    return make_group(acme.account)


@pytest.fixture
def people(acme):
    return [acme.user(email=f"{name}@acme.test") for name in ("ann", "bob", "eve")]


def names_of(group):
    return sorted(owner.user.email.partition("@")[0] for owner in group.owners.all())


class TestOwners:
    def test_owners_are_attached(self, acme, api, group, people):
        ann, bob, _ = people

        response = api(acme.admin).post(f"groups/{group.pk}/owners", several("users", ann, bob))

        account = f"/v1/accounts/{acme.account.pk}"
        first, second = GroupOwner.objects.order_by("id")
        path = f"{account}/groups/{group.pk}"
        assert [each["id"] for each in response.json()["data"]] == [str(first.pk), str(second.pk)]
        assert (response.status_code, response.json()["data"][0]) == (
            200,
            {
                "id": str(first.pk),
                "type": "group-owners",
                "links": {"self": f"{path}/owners/{first.pk}"},
                "attributes": {"created": shown(first.created), "updated": shown(first.created)},
                "relationships": {
                    "account": {"links": {"related": account}} | one("accounts", acme.account),
                    "group": {"links": {"related": path}} | one("groups", group),
                    "user": {"links": {"related": f"{account}/users/{ann.pk}"}} | one("users", ann),
                },
            },
        )
        assert ids(api(acme.admin).get(f"groups/{group.pk}/owners")) == [str(second.pk), str(first.pk)]
        assert api(bob).get(f"groups/{group.pk}/owners/{first.pk}").status_code == 200
        entry = Activity.objects.get(event="owners-attached")
        assert (entry.noun, entry.object_id, entry.details) == ("group", group.pk, {"count": 2})

    def test_a_team_member_may_own_groups(self, acme, api, group):
        other = make_group(acme.account, "Other")

        for each in (group, other):
            response = api(acme.product).post(f"groups/{each.pk}/owners", several("users", acme.admin))
            assert response.status_code == 200

    def test_an_owner_is_named_by_the_id_of_the_ownership(self, acme, api, group, people):
        group.owners.create(account=acme.account, user=people[0])
        other = make_group(acme.account, "Other").owners.create(account=acme.account, user=people[0])

        for name in (people[0].pk, other.pk, "nope"):
            response = api(acme.admin).get(f"groups/{group.pk}/owners/{name}")
            assert_refused(response, NOT_FOUND, not_found("group owner", name))

    @each_row(
        ("names", "detail", "code"),
        [
            ("eve ann", "already exists", "USER_TAKEN"),
            ("eve eve", "already exists", "USER_TAKEN"),
            ("eve ?", "must exist", "USER_NOT_FOUND"),
            ("? ann", "must exist", "USER_NOT_FOUND"),
            ("rival", "must exist", "USER_NOT_FOUND"),
        ],
    )
    def test_owners_are_attached_all_or_none(self, acme, rival, api, group, people, names, detail, code):
        group.owners.create(account=acme.account, user=people[0])
        known = {user.email.partition("@")[0]: user for user in people} | {"?": UNKNOWN, "rival": rival.admin}

        document = several("users", *(known[name] for name in names.split()))
        response = api(acme.admin).post(f"groups/{group.pk}/owners", document)

        error = unprocessable("group-owners", detail, code, "/data/relationships/user")
        assert_refused(response, UNPROCESSABLE, error)
        assert names_of(group) == ["ann"]

    def test_owners_are_detached_all_or_none(self, acme, api, group, people):
        ann, bob, eve = people
        for user in (ann, bob):
            group.owners.create(account=acme.account, user=user)
        client = api(acme.admin)

        response = client.delete(f"groups/{group.pk}/owners", several("users", ann, eve))

        error = {
            "title": "Unprocessable entity",
            "detail": f"owner relationship for user '{eve.pk}' not found",
            "source": {"pointer": "/data/1"},
        }
        assert_refused(response, UNPROCESSABLE, error)
        assert names_of(group) == ["ann", "bob"]
        assert client.delete(f"groups/{group.pk}/owners", several("users", ann, ann)).status_code == 204
        assert names_of(group) == ["bob"]

    @each_row(
        ("data", "pointer", "detail"),
        [
            ([], "/data", "length must be between 1 and 100 (inclusive)"),
            ([{"type": "users", "id": UNKNOWN}] * 101, "/data", "length must be between 1 and 100 (inclusive)"),
            ({}, "/data", "type mismatch (received object expected array)"),
            ([{"type": "groups", "id": UNKNOWN}], "/data/0/type", "is invalid"),
            ([{"type": "users", "id": UNKNOWN, "x": 1}], "/data/0/x", "unpermitted parameter"),
        ],
    )
    @each_row("method", ["POST", "DELETE"])
    def test_owners_have_a_shape_before_anybody_is_refused(self, acme, api, group, method, data, pointer, detail):
        response = api(acme.bearer("read-only")).request(method, f"groups/{group.pk}/owners", {"data": data})

        assert_refused(response, BAD, bad_request(detail, pointer))

    @each_row(
        ("role", "refusal"),
        [
            *((role, None) for role in ("admin", "developer", "product")),
            *((role, forbidden()) for role in ("sales-agent", "support-agent")),
            *((role, lacks_permission(role)) for role in ("read-only", "user", "license")),
        ],
    )
    def test_who_may_attach_owners(self, acme, api, group, people, role, refusal):
        bearer = acme.bearer(role)
        if role in ("user", "license"):
            bearer.change_group(group)
        document = several("users", people[0])

        attached = api(bearer).post(f"groups/{group.pk}/owners", document)
        detached = api(bearer).delete(f"groups/{group.pk}/owners", document)

        if refusal is None:
            assert (attached.status_code, detached.status_code) == (200, 204)
        for response in (attached, detached) if refusal else ():
            assert_refused(response, FORBIDDEN, refusal)

    def test_an_owner_changes_nothing(self, acme, api, group, people):
        ann, bob, _ = people
        group.owners.create(account=acme.account, user=ann)
        license = make_license(acme.unpooled)
        for member in (bob, license):
            member.change_group(group)
        client = api(ann)

        assert_refused(client.delete(f"groups/{group.pk}"), FORBIDDEN, lacks_permission("user"))
        for path, noun in ((f"users/{bob.pk}", "user"), (f"licenses/{license.pk}", "license")):
            response = client.put(f"{path}/group", {"data": None})
            assert_refused(response, NOT_FOUND, not_found(noun, path.partition("/")[2]))

    def test_deleting_a_user_ends_the_ownership(self, acme, api, group, people):
        group.owners.create(account=acme.account, user=people[0])

        assert api(acme.admin).delete(f"users/{people[0].pk}").status_code == 204

        assert ids(api(acme.admin).get(f"groups/{group.pk}/owners")) == []


@pytest.mark.django_db(transaction=True)
@pytest.mark.postgresql
def test_a_user_attached_twice_at_once_owns_the_group_once(acme, api):
    group, speaker = make_group(acme.account), api(acme.admin)

    responses = race(6, lambda: speaker.post(f"groups/{group.pk}/owners", several("users", acme.admin)))

    assert not results_of(Exception, responses)
    assert sorted(response.status_code for response in responses) == [200] + [422] * 5
    assert {response.json()["errors"][0]["code"] for response in responses if response.status_code == 422} == {
        "USER_TAKEN"
    }
