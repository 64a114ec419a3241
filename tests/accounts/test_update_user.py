"""Changing users: permissions, fields and effects (contract: platform 8.3, 8.4)."""

import pytest
from django.core.exceptions import ValidationError

from tests.accounts.conftest import PASSWORD
from tests.accounts.documents import user_document
from tests.accounts.users import LAST_ADMIN, REFUSED, UNSEEN, assert_answered, outranked, problem
from tests.cast import token_of
from tests.conftest import API
from tests.errors import BAD, UNPROCESSABLE, assert_refused, bad_request, lacks_permission
from tests.tables import each_row

UPDATES = [
    ("admin", "admin", 200),
    ("admin", "another admin", 200),
    ("admin", "developer", 200),
    ("admin", "user", 200),
    ("developer", "admin", outranked("developer")),
    ("developer", "another developer", 200),
    ("developer", "sales-agent", 200),
    ("developer", "user", 200),
    ("sales-agent", "user", 200),
    ("sales-agent", "sales-agent", REFUSED),
    ("sales-agent", "support-agent", REFUSED),
    ("sales-agent", "developer", outranked("sales-agent")),
    ("support-agent", "user", REFUSED),
    ("read-only", "user", lacks_permission("read-only")),
    ("product", "user", 200),
    ("product", "max", 200),
    ("product", "admin", UNSEEN),
    ("license", "user", lacks_permission("license")),
    ("license", "eve", UNSEEN),
    ("user", "user", 200),
    ("user", "mate", REFUSED),
    ("user", "eve", UNSEEN),
]


class TestUpdate:
    @each_row(("who", "whom", "answer"), UPDATES)
    @each_row("method", ["patch", "put"])
    def test_update_of_a_user_is_for_permitted_roles(self, api, people, method, who, whom, answer):
        response = getattr(api(people[who]), method)(f"users/{people[whom].pk}", user_document(firstName="New"))

        assert_answered(response, answer, people[whom])
        people[whom].refresh_from_db()
        assert people[whom].first_name == ("New" if answer == 200 else None)

    @pytest.mark.parametrize(
        ("who", "withheld"),
        [
            ("admin", []),
            ("developer", ["role"]),
            ("product", ["role"]),
            ("sales-agent", ["role", "password"]),
            ("support-agent", ["role", "password", "metadata"]),
            ("read-only", ["role", "password", "metadata"]),
            ("user", ["role", "password", "metadata"]),
        ],
    )
    def test_update_of_a_user_takes_of_others_only_some_attributes(self, api, people, who, withheld):
        values = {"role": "user", "password": "another one", "metadata": {}}
        for name, value in values.items():
            response = api(people[who]).patch(f"users/{people['user'].pk}", user_document(**{name: value}))

            if name in withheld:
                # Before anything is said about permissions.
                assert_refused(response, BAD, bad_request("unpermitted parameter", f"/data/attributes/{name}"))
            else:
                assert response.status_code == 200

    def test_update_of_a_user_changes_what_was_sent_and_nothing_else(self, api, acme, joe):
        document = user_document(email="J@acme.test", firstName="", lastName=None, metadata={"a": {"b": 1}})

        attributes = api(acme.admin).patch(f"users/{joe.pk}", document).json()["data"]["attributes"]

        assert (attributes["email"], attributes["firstName"], attributes["lastName"]) == ("j@acme.test", "", None)
        assert attributes["metadata"] == {"a": {"b": 1}}
        joe.refresh_from_db()
        assert joe.check_password(PASSWORD)

    def test_update_of_a_user_refuses_an_email_of_another_user(self, api, acme, joe):
        response = api(acme.admin).patch(f"users/{joe.pk}", user_document(email=acme.admin.email))

        assert_refused(response, UNPROCESSABLE, problem("has already been taken", "EMAIL_TAKEN", "email"))

    @pytest.mark.parametrize("attributes", [{"role": "developer"}, {"password": "another one"}, {"password": None}])
    def test_update_of_a_user_of_role_or_password_revokes_the_users_tokens(self, api, acme, joe, attributes):
        text = token_of(joe)

        api(acme.admin).patch(f"users/{joe.pk}", user_document(**attributes))

        assert API(text).get("me").status_code == 401

    def test_update_of_a_user_keeps_the_token_in_use(self, acme):
        other = token_of(acme.admin)

        API(acme.admin_token).patch(f"users/{acme.admin.pk}", user_document(password="another one"))

        assert API(acme.admin_token).get("me").status_code == 200
        assert API(other).get("me").status_code == 401

    @pytest.mark.parametrize("attributes", [{"firstName": "New"}, {"role": "user"}, {"metadata": {"a": 1}}])
    def test_update_of_a_user_of_anything_else_keeps_the_tokens(self, api, acme, joe, attributes):
        text = token_of(joe)

        api(acme.admin).patch(f"users/{joe.pk}", user_document(**attributes))

        assert API(text).get("me").status_code == 200

    def test_update_of_a_user_removes_a_password(self, api, acme, joe):
        api(acme.admin).patch(f"users/{joe.pk}", user_document(password=None))

        joe.refresh_from_db()
        assert not joe.has_usable_password()

    def test_update_of_a_user_leaves_an_admin(self, api, acme):
        response = api(acme.admin).patch(f"users/{acme.admin.pk}", user_document(role="user"))

        assert_refused(response, UNPROCESSABLE, LAST_ADMIN)
        acme.admin.refresh_from_db()
        assert acme.admin.role == "admin"

    def test_update_of_a_user_demotes_an_admin_while_there_is_another(self, api, acme):
        second = acme.user("admin", email="second@acme.test")

        response = api(second).patch(f"users/{acme.admin.pk}", user_document(role="read-only"))

        assert response.json()["data"]["attributes"]["role"] == "read-only"

    def test_update_of_a_user_does_not_count_the_admins_of_others(self, acme, rival):
        acme.admin.role = "user"

        with pytest.raises(ValidationError) as refusal:
            acme.admin.validate_and_save()

        assert list(refusal.value.error_dict) == ["account"]

    def test_update_of_a_user_works_while_the_account_is_canceled(self, api, acme, joe):
        acme.account.status = "CANCELED"
        acme.account.save()

        assert api(acme.admin).patch(f"users/{joe.pk}", user_document(firstName="New")).status_code == 200


def test_errors_without_a_text_of_their_own_have_the_frameworks_text(acme, api):
    user = acme.user("user")
    type(user).objects.filter(pk=user.pk).update(password="")  # as no way of ours leaves it

    response = api(acme.admin).patch(f"users/{user.pk}", user_document(firstName="Ann"))

    assert response.status_code == 422
    assert [error["detail"] for error in response.json()["errors"]] == ["This field cannot be blank."]
