"""Making users, and signing up (contract: platform 8.3, 8.4)."""

import pytest

from accounts.models import User
from tests.accounts.conftest import PASSWORD
from tests.accounts.documents import user_document
from tests.accounts.users import EVERYBODY, REFUSED, assert_answered, problem
from tests.errors import (
    BAD,
    FORBIDDEN,
    UNAUTHORIZED,
    UNPROCESSABLE,
    assert_refused,
    bad_request,
    forbidden,
    lacks_permission,
    unauthorized,
)
from tests.tables import each_row

CREATES = [
    ("admin", 201),
    ("developer", 201),
    ("sales-agent", 201),
    ("support-agent", REFUSED),
    ("read-only", lacks_permission("read-only")),
    ("product", 201),
    ("license", lacks_permission("license")),
    ("user", lacks_permission("user")),
]


class TestCreate:
    @pytest.mark.parametrize(("who", "answer"), CREATES)
    def test_creating_a_user_is_for_permitted_roles(self, api, people, who, answer):
        response = api(people[who]).post("users", user_document(email="new@acme.test"))

        assert_answered(response, answer, None)

    def test_creating_a_user_answers_with_the_user(self, api, acme):
        attributes = {"email": " New@Acme.test ", "firstName": "", "lastName": "Lee", "metadata": {"a": 1}}

        response = api(acme.admin).post("users", user_document(password=PASSWORD, **attributes))

        shown, user = response.json()["data"], User.objects.get(email="new@acme.test")
        assert response["Location"] == f"http://testserver{shown['links']['self']}"
        assert shown["attributes"] | {"created": 0, "updated": 0} == {
            "fullName": " Lee",
            "firstName": "",
            "lastName": "Lee",
            "email": "new@acme.test",
            "status": "ACTIVE",
            "role": "user",
            "metadata": {"a": 1},
            "created": 0,
            "updated": 0,
        }
        assert user.check_password(PASSWORD)
        assert user.account == acme.account
        assert not (user.is_staff)
        assert not (user.is_superuser)

    @pytest.mark.parametrize("attributes", [{}, {"password": None}])
    def test_creating_a_user_makes_users_without_a_password(self, api, acme, attributes):
        api(acme.admin).post("users", user_document(email="new@acme.test", **attributes))

        assert not User.objects.get(email="new@acme.test").has_usable_password()

    @pytest.mark.parametrize("role", User.Role.values)
    def test_creating_a_user_takes_a_role_from_an_admin(self, api, acme, role):
        response = api(acme.admin).post("users", user_document(email="new@acme.test", role=role))

        assert response.json()["data"]["attributes"]["role"] == role

    @each_row("who", [role for role in EVERYBODY if role != "admin"])
    @each_row("role", ["user", "admin", None])
    def test_creating_a_user_takes_no_role_from_others(self, api, people, who, role):
        response = api(people[who]).post("users", user_document(email="new@acme.test", role=role))

        assert_refused(response, BAD, bad_request("unpermitted parameter", "/data/attributes/role"))

    @pytest.mark.parametrize(
        ("document", "error"),
        [
            ({}, bad_request("is missing", "/data")),
            ({"data": {"type": "users"}}, bad_request("is missing", "/data/attributes")),
            (user_document(), bad_request("is missing", "/data/attributes/email")),
            (user_document(email=None), bad_request("cannot be null", "/data/attributes/email")),
            (user_document(email=""), bad_request("cannot be blank", "/data/attributes/email")),
            (user_document(email="a@b.c", admin=True), bad_request("unpermitted parameter", "/data/attributes/admin")),
            (
                user_document(email="a@b.c", permissions=["*"]),
                bad_request("unpermitted parameter", "/data/attributes/permissions"),
            ),
            (user_document(email="a@b.c", role="emperor"), bad_request("is invalid", "/data/attributes/role")),
            (
                user_document(email="a@b.c", password=123456),
                bad_request("type mismatch (received integer expected string)", "/data/attributes/password"),
            ),
            ({"data": {"type": "keys", "attributes": {}}}, bad_request("is invalid", "/data/type")),
        ],
    )
    def test_creating_a_user_looks_at_the_document_first(self, api, acme, document, error):
        assert_refused(api(acme.admin).post("users", document), BAD, error)

    @pytest.mark.parametrize(
        ("attributes", "error"),
        [
            ({"email": "nonsense"}, problem("is invalid", "EMAIL_INVALID", "email")),
            ({"email": "a@b"}, problem("is invalid", "EMAIL_INVALID", "email")),
            ({"email": "JOE@acme.test"}, problem("has already been taken", "EMAIL_TAKEN", "email")),
            (
                {"email": "e" * 250 + "@acme.test"},
                problem("is too long (maximum is 255 characters)", "EMAIL_TOO_LONG", "email"),
            ),
            (
                {"password": "12345"},
                problem("is too short (minimum is 8 characters)", "PASSWORD_TOO_SHORT", "password"),
            ),
            (
                {"password": "p" * 73},
                problem("is too long (maximum is 72 characters)", "PASSWORD_TOO_LONG", "password"),
            ),
            (
                {"firstName": "n" * 256},
                problem("is too long (maximum is 255 characters)", "FIRST_NAME_TOO_LONG", "firstName"),
            ),
            (
                {"lastName": "n" * 256},
                problem("is too long (maximum is 255 characters)", "LAST_NAME_TOO_LONG", "lastName"),
            ),
            (
                {"metadata": {f"key{number}": 1 for number in range(65)}},
                problem("too many keys (exceeded limit of 64 keys)", "METADATA_TOO_LONG", "metadata"),
            ),
        ],
    )
    def test_creating_a_user_refuses_invalid_input(self, api, acme, joe, attributes, error):
        response = api(acme.admin).post("users", user_document(**{"email": "new@acme.test", **attributes}))

        assert_refused(response, UNPROCESSABLE, error)

    @pytest.mark.parametrize("length", [8, 72])
    def test_creating_a_user_takes_a_password_of_a_good_length(self, api, acme, length):
        password = ("zebra crossing " * 5)[:length]
        response = api(acme.admin).post("users", user_document(email="new@acme.test", password=password))

        assert response.status_code == 201

    def test_creating_a_user_takes_an_email_that_another_account_has(self, api, acme, rival):
        response = api(acme.admin).post("users", user_document(email=rival.admin.email))

        assert response.status_code == 201

    def test_creating_a_user_is_not_possible_while_the_account_is_canceled(self, api, acme):
        acme.account.status = "CANCELED"
        acme.account.save()

        assert api(acme.admin).post("users", user_document(email="new@acme.test")).status_code == 403


class TestSignUp:
    def test_sign_up_is_for_anybody_where_the_account_is_not_protected(self, api, acme):
        acme.account.protected = False
        acme.account.save()

        response = api().post("users", user_document(email="new@acme.test", password=PASSWORD))

        assert response.status_code == 201
        assert response.json()["data"]["attributes"]["role"] == "user"

    def test_sign_up_is_forbidden_where_the_account_is_protected(self, api, acme):
        response = api().post("users", user_document(email="new@acme.test"))

        assert_refused(response, FORBIDDEN, forbidden("ensure a token or license is present and valid"))

    def test_sign_up_looks_at_the_document_first(self, api, acme):
        response = api().post("users", user_document(email="new@acme.test", role="user"))

        assert_refused(response, BAD, bad_request("unpermitted parameter", "/data/attributes/role"))

    @pytest.mark.parametrize("method", ["get", "delete", "patch"])
    def test_sign_up_is_all_that_anybody_may(self, api, acme, joe, method):
        acme.account.protected = False
        acme.account.save()

        response = getattr(api(), method)(f"users/{joe.pk}")

        assert_refused(response, UNAUTHORIZED, unauthorized("TOKEN_MISSING", about="authentication/"))


class TestEmail:
    def test_email_may_be_international(self, acme, api):
        emails = [
            "ünï@example.com",
            "olga@exämple.com",
            "a@-example.com",
            "a@example.c",
            "a@127.0.0.1",
            '"q"@example.com',
        ]
        emails += ["plus+tag@example.com", "a'b@sub.example.co.uk"]

        refused = [
            email
            for email in emails
            if api(acme.admin).post("users", user_document(email=f" {email}\n")).status_code != 201
        ]

        assert not refused
        assert set(emails) <= set(User.objects.values_list("email", flat=True))

    def test_email_has_one_host_with_a_dot(self, acme, api):
        emails = ["olga", "olga@", "@example.com", "olga@localhost", "a@example..com", "a@.com", "a@example.com."]
        emails += ["a@@example.com", "a@b@example.com", "a,b@example.com", "<a@example.com>", "Olga <a@example.com>"]
        emails += [
            "o a@example.com",
            "a@exa mple.com",
            "a\t@example.com",
            "a@example.com\nb@example.com",
            "a\x01@b.com",
        ]

        answers = {
            email: api(acme.admin).post("users", user_document(email=email)).json().get("errors", [{}])[0].get("code")
            for email in emails
        }

        assert {email: code for email, code in answers.items() if code != "EMAIL_INVALID"} == {}


@pytest.mark.parametrize("relationships", [{}, {"group": {"data": None}}])
def test_a_user_may_have_no_group(acme, api, relationships):
    document = user_document(email="new@acme.test")
    document["data"]["relationships"] = relationships

    assert api(acme.admin).post("users", document).status_code == 201


def test_a_group_is_not_found(acme, api):
    document = user_document(email="new@acme.test")
    group = {"data": {"type": "groups", "id": str(acme.admin.pk)}}
    document["data"]["relationships"] = {"group": group}

    response = api(acme.admin).post("users", document)

    assert response.status_code == 422
    assert [error["code"] for error in response.json()["errors"]] == ["GROUP_NOT_FOUND"]
