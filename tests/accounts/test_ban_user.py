"""Deleting and banning users (contract: platform 8.4)."""

from accounts.models import Token, User
from tests.accounts.users import LAST_ADMIN, REFUSED, UNSEEN, assert_answered, outranked
from tests.cast import token_of
from tests.conftest import API
from tests.errors import UNPROCESSABLE, assert_refused, forbidden, lacks_permission
from tests.tables import each_row

DELETES = [
    ("admin", "another admin", 204),
    ("admin", "developer", 204),
    ("admin", "user", 204),
    ("developer", "admin", outranked("developer")),
    ("developer", "another developer", 204),
    ("developer", "user", 204),
    ("sales-agent", "user", REFUSED),
    ("support-agent", "user", REFUSED),
    ("read-only", "user", lacks_permission("read-only")),
    ("product", "user", 204),
    ("product", "eve", 204),
    ("product", "max", forbidden("user cannot belong to another product")),
    ("product", "admin", UNSEEN),
    ("license", "user", lacks_permission("license")),
    ("license", "eve", UNSEEN),
    ("user", "user", lacks_permission("user")),
    ("user", "eve", UNSEEN),
]


class TestDelete:
    @each_row(("who", "whom", "answer"), DELETES)
    def test_deleting_a_user_is_for_permitted_roles(self, api, people, who, whom, answer):
        response = api(people[who]).delete(f"users/{people[whom].pk}")

        assert_answered(response, answer, people[whom])
        assert User.objects.filter(pk=people[whom].pk).exists() == (answer != 204)

    def test_deleting_a_user_takes_tokens_and_licenses_along(self, api, acme, joe, held_license):
        text = token_of(joe)

        api(acme.admin).delete("users/joe@acme.test")

        assert API(text).get("me").status_code == 401
        assert not Token.objects.filter(bearer_id=joe.pk).exists()
        assert not acme.account.licenses.filter(pk=held_license.pk).exists()

    def test_deleting_a_user_leaves_an_admin(self, api, acme):
        response = api(acme.admin).delete(f"users/{acme.admin.pk}")

        assert_refused(response, UNPROCESSABLE, LAST_ADMIN)
        assert User.objects.filter(pk=acme.admin.pk).exists()


BANS = [
    ("admin", "user", 200),
    ("admin", "developer", forbidden("must have a user role")),
    ("admin", "admin", forbidden("must have a user role")),
    ("developer", "user", 200),
    ("sales-agent", "user", 200),
    ("support-agent", "user", 200),
    ("support-agent", "sales-agent", forbidden("must have a user role")),
    ("read-only", "user", lacks_permission("read-only")),
    ("product", "user", 200),
    ("product", "eve", 200),
    ("product", "max", forbidden("user cannot belong to another product")),
    ("product", "admin", UNSEEN),
    ("license", "user", lacks_permission("license")),
    ("license", "eve", UNSEEN),
    ("user", "user", lacks_permission("user")),
    ("user", "eve", UNSEEN),
]


class TestBan:
    @each_row(("who", "whom", "answer"), BANS)
    def test_ban_is_for_permitted_roles(self, api, people, who, whom, answer):
        response = api(people[who]).post(f"users/{people[whom].pk}/actions/ban")

        assert_answered(response, answer, people[whom])
        people[whom].refresh_from_db()
        assert bool(people[whom].banned) == (answer == 200)

    @each_row(("who", "whom", "answer"), BANS)
    def test_ban_is_lifted_by_permitted_roles(self, api, people, who, whom, answer):
        if who != whom:
            people[whom].ban()

        response = api(people[who]).post(f"users/{people[whom].pk}/actions/unban")

        if who == "license" and whom == "user":
            answer = {"title": "Access denied", "detail": "User is banned", "code": "USER_BANNED"}
        assert_answered(response, answer, people[whom])

    def test_ban_twice_is_one(self, api, acme, joe):
        admin = api(acme.admin)
        admin.post(f"users/{joe.pk}/actions/ban")

        response = admin.post("users/joe@acme.test/actions/ban")

        assert response.json()["data"]["attributes"]["status"] == "BANNED"
