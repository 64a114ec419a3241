"""Groups and their members (contract: entitlements-groups 7 to 9)."""

import pytest

from accounts.models import Activity, Group
from tests.accounts.groups import group_document, make_group
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
from tests.tables import each_row

STAFF = ["admin", "developer", "sales-agent", "support-agent", "read-only"]


@pytest.fixture
def group(acme):
    return make_group(acme.account)


class TestGroups:
    def test_a_group_is_created(self, acme, api):
        document = group_document(name="Hospital", maxLicenses=3, metadata={"city": "Ulm"})

        response = api(acme.admin).post("groups", document)

        group = Group.objects.get()
        account, path = f"/v1/accounts/{acme.account.pk}", f"/v1/accounts/{acme.account.pk}/groups/{group.pk}"
        assert (response.status_code, response["Location"]) == (201, f"http://testserver{path}")
        assert response.json()["data"] == {
            "id": str(group.pk),
            "type": "groups",
            "links": {"self": path},
            "attributes": {
                "name": "Hospital",
                "maxUsers": None,
                "maxLicenses": 3,
                "maxMachines": None,
                "metadata": {"city": "Ulm"},
                "created": shown(group.created),
                "updated": shown(group.updated),
            },
            "relationships": {
                "account": {"links": {"related": account}, "data": {"type": "accounts", "id": str(acme.account.pk)}},
                **{
                    name: {"links": {"related": f"{path}/{name}"}}
                    for name in ("owners", "users", "licenses", "machines")
                },
            },
        }

    def test_a_group_is_changed_and_deleted(self, acme, api, group):
        client = api(acme.admin)

        response = client.patch(f"groups/{group.pk}", group_document(name="Clinic", maxUsers=2))

        attributes = response.json()["data"]["attributes"]
        assert (attributes["name"], attributes["maxUsers"]) == ("Clinic", 2)
        response = client.put(f"groups/{group.pk}", group_document(maxUsers=None))
        assert response.json()["data"]["attributes"]["maxUsers"] is None
        assert client.delete(f"groups/{group.pk}").status_code == 204
        assert_refused(client.get(f"groups/{group.pk}"), NOT_FOUND, not_found("group", group.pk))
        assert [entry.event for entry in Activity.objects.filter(noun="group")] == ["deleted", "changed", "changed"]

    @each_row(
        ("attributes", "status", "error"),
        [
            ({}, BAD, bad_request("is missing", "/data/attributes/name")),
            ({"name": ""}, BAD, bad_request("cannot be blank", "/data/attributes/name")),
            ({"name": "x", "maxUsers": 2**31}, BAD, bad_request("integer is too large")),
            ({"name": "x", "users": 1}, BAD, bad_request("unpermitted parameter", "/data/attributes/users")),
            (
                {"name": "x", "maxMachines": -1},
                UNPROCESSABLE,
                unprocessable(
                    "groups",
                    "must be greater than or equal to 0",
                    "MAX_MACHINES_INVALID",
                    "/data/attributes/maxMachines",
                ),
            ),
            (
                {"name": "x" * 256},
                UNPROCESSABLE,
                unprocessable(
                    "groups",
                    "is too long (maximum is 255 characters)",
                    "NAME_TOO_LONG",
                    "/data/attributes/name",
                ),
            ),
        ],
    )
    def test_attributes_of_a_group_are_checked(self, acme, api, attributes, status, error):
        assert_refused(api(acme.admin).post("groups", group_document(**attributes)), status, error)

    @each_row(
        ("role", "refusal"),
        [
            *((role, None) for role in ("admin", "developer", "product")),
            *((role, forbidden()) for role in ("sales-agent", "support-agent")),
            *((role, lacks_permission(role)) for role in ("read-only", "user", "license")),
        ],
    )
    def test_who_may_change_groups(self, acme, api, group, role, refusal):
        client = api(acme.bearer(role))

        responses = [
            client.post("groups", group_document(name="x")),
            client.patch(f"groups/{group.pk}", group_document(name="x")),
            client.delete(f"groups/{group.pk}"),
        ]

        if refusal is None:
            assert [response.status_code for response in responses] == [201, 200, 204]
        for response in responses if refusal else []:
            assert_refused(response, FORBIDDEN, refusal)

    def test_deleting_a_group_releases_its_members(self, acme, api, group):
        user, license = acme.user(), make_license(acme.unpooled)
        for member in (user, license):
            member.change_group(group)
        group.owners.create(account=acme.account, user=user)
        before = [member.updated for member in (user, license)]

        assert api(acme.admin).delete(f"groups/{group.pk}").status_code == 204

        for member in (user, license):
            member.refresh_from_db()
        assert [member.group for member in (user, license)] == [None, None]
        assert [member.updated for member in (user, license)] == before
        assert user.group_owners.count() == 0


class TestVisibility:
    @pytest.fixture
    def members(self, acme, group):
        """The bearers of a group with a user, a license and an owner who is no member; another group exists."""
        make_group(acme.account, "Other")
        people = {name: acme.user(email=f"{name}@acme.test") for name in ("member", "owner", "stranger")}
        license = make_license(acme.unpooled, "LICENSE-IN-GROUP")
        for row in (people["member"], license):
            row.change_group(group)
        group.owners.create(account=acme.account, user=people["owner"])
        other = make_license(acme.unpooled, "LICENSE-ELSEWHERE")
        return people | {"license": license, "other license": other, "product": acme.product}

    @each_row("role", STAFF)
    def test_staff_see_all_groups(self, acme, api, group, members, role):
        client = api(acme.bearer(role))

        assert len(ids(client.get("groups"))) == 2
        assert client.get(f"groups/{group.pk}").status_code == 200
        assert ids(client.get(f"groups/{group.pk}/users")) == [str(members["member"].pk)]
        assert ids(client.get(f"groups/{group.pk}/licenses")) == [str(members["license"].pk)]

    @each_row(
        ("name", "listed", "single", "below", "owners"),
        [
            ("product", 2, 200, 200, 200),
            ("member", 1, 200, 403, 200),
            ("owner", 1, 200, 200, 200),
            ("stranger", 0, 403, 404, 404),
            ("license", 1, 200, 403, 200),
            ("other license", 0, 403, 404, 404),
        ],
    )
    def test_others_see_their_own(self, acme, api, group, members, name, listed, single, below, owners):
        client = api(members[name])

        assert len(ids(client.get("groups"))) == listed
        assert client.get(f"groups/{group.pk}").status_code == single
        assert client.get(f"groups/{group.pk}/owners").status_code == owners
        for path in ("users", "licenses", f"users/{members['member'].pk}", "licenses/LICENSE-IN-GROUP"):
            expected = 404 if (name, path) == ("product", f"users/{members['member'].pk}") else below
            assert client.get(f"groups/{group.pk}/{path}").status_code == expected, path

    def test_a_product_sees_its_own_licenses_and_users(self, acme, api, group, members):
        other = acme.another_product()

        assert ids(api(acme.product).get(f"groups/{group.pk}/licenses")) == [str(members["license"].pk)]
        assert ids(api(other).get(f"groups/{group.pk}/licenses")) == []
        assert_refused(api(other).get(f"groups/{group.pk}/licenses/LICENSE-IN-GROUP"), FORBIDDEN, forbidden())
        assert ids(api(acme.product).get(f"groups/{group.pk}/users")) == []
        members["license"].license_users.create(account=acme.account, user=members["member"])
        assert ids(api(acme.product).get(f"groups/{group.pk}/users")) == [str(members["member"].pk)]

    def test_owning_a_group_shows_nothing_elsewhere(self, acme, api, members):
        client = api(members["owner"])

        assert ids(client.get("licenses")) == []
        assert client.get("licenses/LICENSE-IN-GROUP").status_code == 404
        assert client.get(f"users/{members['member'].pk}").status_code == 404

    def test_a_member_who_owns_another_group_sees_no_content(self, acme, api, group, members):
        other = Group.objects.get(name="Other")
        other.owners.create(account=acme.account, user=members["member"])

        assert_refused(api(members["member"]).get(f"groups/{group.pk}/licenses"), FORBIDDEN, forbidden())
        assert ids(api(members["member"]).get(f"groups/{other.pk}/licenses")) == []

    def test_people_and_licenses_outside_a_group_are_not_found_in_it(self, acme, api, group, members):
        client = api(acme.admin)

        response = client.get(f"groups/{group.pk}/users/member@acme.test")
        assert response.json()["data"]["id"] == str(members["member"].pk)
        for path, error in {
            "users/owner@acme.test": not_found("user", "owner@acme.test"),
            "licenses/LICENSE-ELSEWHERE": not_found("license", "LICENSE-ELSEWHERE"),
        }.items():
            assert_refused(client.get(f"groups/{group.pk}/{path}"), NOT_FOUND, error)
        assert_refused(client.get(f"groups/{UNKNOWN}/users"), NOT_FOUND, not_found("group", UNKNOWN))
        assert_refused(client.get("groups/Hospital"), NOT_FOUND, not_found("group", "Hospital"))

    def test_users_and_licenses_are_filtered_by_group(self, acme, api, group, members):
        client = api(acme.admin)

        assert ids(client.get(f"users?group={group.pk}")) == [str(members["member"].pk)]
        assert ids(client.get(f"licenses?group={group.pk}")) == [str(members["license"].pk)]
        for path in ("users", "licenses"):
            assert ids(client.get(f"{path}?group=nope")) == ids(client.get(f"{path}?group={UNKNOWN}")) == []
            assert len(ids(client.get(f"{path}?group="))) > 1

    def test_groups_of_another_account_are_not_found(self, rival, api, group):
        client = api(rival.admin, "rival")

        assert ids(client.get("groups")) == []
        for path in ("", "/users", "/licenses", "/owners"):
            assert_refused(client.get(f"groups/{group.pk}{path}"), NOT_FOUND, not_found("group", group.pk))
