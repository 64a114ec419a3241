"""Users and tokens of a license (contract: licenses 8.5, 8.8)."""

import pytest

from accounts.models import Token
from licensing.models import LicenseUser
from tests.cast import make_license, make_policy
from tests.errors import BAD, FORBIDDEN, NOT_FOUND, UNPROCESSABLE, assert_refused, bad_request, not_found, unprocessable
from tests.licensing.documents import UNKNOWN, ids
from tests.licensing.licenses import linkage, shown
from tests.races import race, results_of
from tests.tables import each_row

USER = "/data/relationships/user"


@pytest.fixture
def license(acme):
    return make_license(acme.unpooled, "LICENSE-KEY")


class TestUsers:
    @pytest.fixture
    def people(self, acme):
        return [acme.user(email=f"{name}@acme.test") for name in ("ann", "bob", "eve")]

    def attach(self, api, bearer, license, *users):
        data = [linkage("users", user)["data"] for user in users]
        return api(bearer).post(f"licenses/{license.pk}/users", {"data": data})

    def detach(self, api, bearer, license, *users):
        data = [linkage("users", user)["data"] for user in users]
        return api(bearer).delete(f"licenses/{license.pk}/users", {"data": data})

    def test_license_users_are_listed_with_the_owner(self, acme, api, license, people):
        ann, bob, _ = people
        license.owner = ann
        license.save()
        license.license_users.create(account=acme.account, user=bob)

        assert sorted(ids(api(acme.admin).get("licenses/LICENSE-KEY/users"))) == sorted([str(ann.pk), str(bob.pk)])
        for name in (str(bob.pk), "bob@acme.test", str(ann.pk)):
            assert api(acme.admin).get(f"licenses/LICENSE-KEY/users/{name}").status_code == 200
        response = api(acme.admin).get("licenses/LICENSE-KEY/users/eve@acme.test")
        assert_refused(response, NOT_FOUND, not_found("user", "eve@acme.test"))

    def test_license_users_are_attached(self, acme, api, license, people):
        response = self.attach(api, acme.admin, license, *people[:2])

        account = f"/v1/accounts/{acme.account.pk}"
        path = f"{account}/licenses/{license.pk}"
        assert response.status_code == 200
        assert response.json()["data"] == [
            {
                "id": str(each.pk),
                "type": "license-users",
                "links": {"related": f"{path}/users/{each.user_id}"},
                "attributes": {"created": shown(each.created), "updated": shown(each.created)},
                "relationships": {
                    "account": {
                        "links": {"related": account},
                        "data": {"type": "accounts", "id": str(acme.account.pk)},
                    },
                    "license": {"links": {"related": path}, "data": {"type": "licenses", "id": str(license.pk)}},
                    "user": {
                        "links": {"related": f"{account}/users/{each.user_id}"},
                        "data": {"type": "users", "id": str(each.user_id)},
                    },
                },
            }
            for each in LicenseUser.objects.order_by("id")
        ]
        assert api(people[0]).get("licenses/LICENSE-KEY").status_code == 200

    def test_license_users_are_detached(self, acme, api, license, people):
        self.attach(api, acme.admin, license, *people)

        response = self.detach(api, acme.admin, license, *people[:2])

        assert (response.status_code, response.content) == (204, b"")
        assert [each.user for each in license.license_users.all()] == people[2:]

    def test_license_users_that_are_too_many_are_told_before_the_owner_that_is_one_of_them(
        self, acme, api, license, people
    ):
        for user in people:
            license.license_users.create(account=acme.account, user=user)
        license.max_users = 3
        license.save()

        response = api(acme.admin).put(f"licenses/{license.pk}/owner", linkage("users", people[0]))

        codes = [error["code"] for error in response.json()["errors"]]
        assert (response.status_code, codes) == (422, ["USER_LIMIT_EXCEEDED", "OWNER_INVALID"])

    @each_row(
        ("names", "status", "pointer", "who"),
        [
            ("eve ann", 403, "/data/1", "ann"),
            ("bob eve", 422, "/data/1", "eve"),
            ("bob bob", 422, "/data/", None),
            ("bob bob eve", 422, "/data/2", "eve"),
        ],
    )
    def test_license_users_are_detached_after_all_were_looked_at(
        self, acme, api, license, people, names, status, pointer, who
    ):
        users = dict(zip(("ann", "bob", "eve"), people, strict=True))
        license.owner = users["ann"]
        license.save()
        license.license_users.create(account=acme.account, user=users["bob"])

        response = self.detach(api, acme.admin, license, *(users[name] for name in names.split()))

        error = response.json()["errors"][0]
        assert (response.status_code, error["source"]) == (status, {"pointer": pointer})
        assert f"'{users[who].pk if who else ''}'" in error["detail"]
        assert license.license_users.count() == 1

    @pytest.mark.parametrize(
        ("names", "detail", "code"),
        [
            ("eve bob", "already exists", "USER_TAKEN"),
            ("eve eve", "already exists", "USER_TAKEN"),
            ("eve ann", "already exists (user is attached through owner)", "USER_CONFLICT"),
            ("eve ?", "must exist", "USER_NOT_FOUND"),
            ("eve rival", "must exist", "USER_NOT_FOUND"),
        ],
    )
    def test_license_users_are_attached_all_or_none(self, acme, rival, api, license, people, names, detail, code):
        ann, bob, eve = people
        license.owner = ann
        license.save()
        license.license_users.create(account=acme.account, user=bob)
        users = {"ann": ann, "bob": bob, "eve": eve, "?": UNKNOWN, "rival": rival.admin}

        response = self.attach(api, acme.admin, license, *(users[name] for name in names.split()))

        assert_refused(response, UNPROCESSABLE, unprocessable("licenses", detail, code, USER))
        assert [each.user for each in license.license_users.all()] == [bob]

    @pytest.mark.parametrize(
        ("name", "status", "error"),
        [
            (
                "ann",
                FORBIDDEN,
                {"title": "Access denied", "detail": "cannot detach user '{}' (user is attached through owner)"},
            ),
            (
                "eve",
                UNPROCESSABLE,
                {"title": "Unprocessable entity", "detail": "cannot detach user '{}' (user is not attached)"},
            ),
        ],
    )
    def test_license_users_are_detached_all_or_none(self, acme, api, license, people, name, status, error):
        ann, bob, eve = people
        license.owner = ann
        license.save()
        license.license_users.create(account=acme.account, user=bob)
        other = {"ann": ann, "eve": eve}[name]

        response = self.detach(api, acme.admin, license, bob, other)

        error = error | {"detail": error["detail"].format(other.pk), "source": {"pointer": "/data/1"}}
        assert_refused(response, status, error)
        assert license.license_users.count() == 1

    def test_license_users_are_limited(self, acme, api, people):
        license = make_license(make_policy(acme.product, max_users=2), owner=people[0])

        response = self.attach(api, acme.admin, license, *people[1:])

        detail = "user count has exceeded maximum allowed for license (2)"
        error = unprocessable("licenses", detail, "USER_LIMIT_EXCEEDED", "/data/relationships/users")
        assert_refused(response, UNPROCESSABLE, error)
        assert self.attach(api, acme.admin, license, people[1]).status_code == 200

    @each_row(
        ("data", "pointer", "detail"),
        [
            ([], "/data", "length must be between 1 and 100 (inclusive)"),
            ([{"type": "users", "id": UNKNOWN}] * 101, "/data", "length must be between 1 and 100 (inclusive)"),
            ({}, "/data", "type mismatch (received object expected array)"),
            (None, "/data", "cannot be null"),
            ([{"type": "users"}], "/data/0/id", "is missing"),
            ([{"type": "keys", "id": UNKNOWN}], "/data/0/type", "is invalid"),
            (
                [{"type": "users", "id": "x"}],
                "/data/0/id",
                "type mismatch (received string expected UUID string)",
            ),
            ([{"type": "users", "id": UNKNOWN, "meta": {}}], "/data/0/meta", "unpermitted parameter"),
        ],
    )
    @each_row("method", ["POST", "DELETE"])
    @each_row("role", ["admin", "read-only"])
    def test_license_users_have_a_shape_before_anybody_is_refused(
        self, acme, api, license, method, role, data, pointer, detail
    ):
        response = api(acme.bearer(role)).request(method, f"licenses/{license.pk}/users", {"data": data})

        assert_refused(response, BAD, bad_request(detail, pointer))


@pytest.mark.django_db(transaction=True)
@pytest.mark.postgresql
def test_users_attached_at_once_do_not_exceed_the_limit(acme, api):
    license = make_license(make_policy(acme.product, max_users=4))
    speaker = api(acme.admin)
    users = iter([acme.user(email=f"{number}@acme.test") for number in range(8)])
    documents = iter([{"data": [linkage("users", user)["data"]]} for user in users])

    responses = race(8, lambda: speaker.post(f"licenses/{license.pk}/users", next(documents)))

    assert not results_of(Exception, responses)
    assert sorted(response.status_code for response in responses) == [200] * 4 + [422] * 4
    assert license.license_users.count() == 4


class TestTokens:
    def test_license_tokens_are_made_and_listed(self, acme, api, license):
        attributes = {"name": "Laptop", "maxActivations": 2, "maxDeactivations": 0, "expiry": "2031-05-06T07:08:09Z"}

        response = api(acme.admin).post(
            "licenses/LICENSE-KEY/tokens", {"data": {"type": "tokens", "attributes": attributes}}
        )

        token = Token.objects.for_bearer(license).get()
        shown_attributes = response.json()["data"]["attributes"]
        text = shown_attributes.pop("token")
        assert (response.status_code, len(text), text[:6], text[-2:]) == (200, 40, "activ-", "v3")
        assert shown_attributes == {
            "kind": "activation-token",
            "expiry": "2031-05-06T07:08:09.000Z",
            "name": "Laptop",
            "maxActivations": 2,
            "activations": 0,
            "maxDeactivations": 0,
            "deactivations": 0,
            "created": shown(token.created),
            "updated": shown(token.updated),
        }
        assert api(text).get("me").json()["data"]["id"] == str(license.pk)
        assert str(token.pk) in ids(api(acme.admin).get("licenses/LICENSE-KEY/tokens"))
        assert api(acme.admin).get(f"licenses/LICENSE-KEY/tokens/{token.pk}").status_code == 200

    def test_license_tokens_need_no_document(self, acme, api, license):
        response = api(acme.admin).post(f"licenses/{license.pk}/tokens")

        assert (response.status_code, response.json()["data"]["attributes"]["expiry"]) == (200, None)

    @pytest.mark.parametrize(
        ("name", "code"),
        [("maxActivations", "MAX_ACTIVATIONS_INVALID"), ("maxDeactivations", "MAX_DEACTIVATIONS_INVALID")],
    )
    def test_license_tokens_have_limits(self, acme, api, license, name, code):
        document = {"data": {"type": "tokens", "attributes": {name: -1}}}

        response = api(acme.admin).post(f"licenses/{license.pk}/tokens", document)

        detail = "must be greater than or equal to 0"
        assert_refused(response, UNPROCESSABLE, unprocessable("tokens", detail, code, f"/data/attributes/{name}"))

    def test_license_tokens_are_each_of_one_license(self, acme, api, license):
        other = make_license(acme.unpooled)
        token, _ = Token.generate(other)

        response = api(acme.admin).get(f"licenses/{license.pk}/tokens/{token.pk}")

        assert_refused(response, NOT_FOUND, not_found("token", token.pk))
