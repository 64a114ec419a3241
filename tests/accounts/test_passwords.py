"""Passwords: how they are kept, changed by who knows them, and reset by who does not (contract: platform 8.6)."""

import importlib
import re
from datetime import timedelta
from time import time
from unittest import mock

import pytest

from accounts.models import User
from accounts.password_reset import make_reset_token
from tests.accounts.conftest import PASSWORD
from tests.accounts.documents import user_document
from tests.cast import token_of
from tests.conftest import API
from tests.errors import (
    BAD,
    FORBIDDEN,
    NOT_FOUND,
    UNAUTHORIZED,
    UNPROCESSABLE,
    assert_refused,
    bad_request,
    forbidden,
    lacks_permission,
    not_found,
    unprocessable,
)

NEW = "a better one"
TOO_SHORT = unprocessable(
    "users", "is too short (minimum is 8 characters)", "PASSWORD_TOO_SHORT", "/data/attributes/password"
)
SHAPES = [
    ({}, "is missing", "/meta"),
    ({"meta": {}}, "is missing", "/meta/{first}"),
    ({"meta": None}, "cannot be null", "/meta"),
    ({"meta": {"nonsense": 1}}, "unpermitted parameter", "/meta/nonsense"),
    ({"data": {}}, "unpermitted parameter", "/data"),
]


def update(old=PASSWORD, new=NEW):
    return {"meta": {"oldPassword": old, "newPassword": new}}


def reset(token, new=NEW):
    return {"meta": {"passwordResetToken": token, "newPassword": new}}


@pytest.mark.django_db
def test_passwords_are_kept_by_argon2(settings):
    settings.PASSWORD_HASHERS = importlib.import_module("keygen_site.settings").PASSWORD_HASHERS
    user = User()
    user.set_password(PASSWORD)

    assert user.password.startswith("argon2$argon2id$")
    assert user.check_password(PASSWORD)


class TestUpdate:
    def test_update_of_a_password_changes_the_password(self, api, joe, sign_in):
        response = api(joe).post(f"users/{joe.pk}/actions/update-password", update())

        assert response.json()["data"]["id"] == str(joe.pk)
        assert sign_in("joe@acme.test", NEW).status_code == 201
        assert sign_in("joe@acme.test", PASSWORD).status_code == 401

    def test_update_of_a_password_revokes_all_tokens_but_the_one_in_use(self, joe):
        one, other = token_of(joe), token_of(joe)

        API(one).post(f"users/{joe.pk}/actions/update-password", update())

        assert (API(one).get("me").status_code, API(other).get("me").status_code) == (200, 401)

    @pytest.mark.parametrize("old", ["wrong", PASSWORD.upper()])
    def test_update_of_a_password_needs_the_old_one(self, api, joe, old):
        response = api(joe).post(f"users/{joe.pk}/actions/update-password", update(old))

        self.assert_not_valid(response)
        joe.refresh_from_db()
        assert joe.check_password(PASSWORD)

    def test_update_of_a_password_needs_that_there_is_an_old_one(self, api, acme):
        response = api(acme.admin).post(f"users/{acme.admin.pk}/actions/update-password", update())

        self.assert_not_valid(response)

    def assert_not_valid(self, response):
        error = {"title": "Unauthorized", "detail": "is not valid", "source": {"pointer": "/meta/oldPassword"}}
        assert_refused(response, UNAUTHORIZED, error)

    @pytest.mark.parametrize(("document", "detail", "pointer"), SHAPES)
    def test_update_of_a_password_has_a_document(self, api, joe, document, detail, pointer):
        response = api(joe).post(f"users/{joe.pk}/actions/update-password", document)

        assert_refused(response, BAD, bad_request(detail, pointer.format(first="oldPassword")))

    def test_update_of_a_password_refuses_a_short_one(self, api, joe):
        response = api(joe).post(f"users/{joe.pk}/actions/update-password", update(new="12345"))

        assert_refused(response, UNPROCESSABLE, TOO_SHORT)

    @pytest.mark.parametrize(
        ("who", "answer"),
        [
            ("admin", forbidden()),
            ("read-only", forbidden()),
            ("product", lacks_permission("product")),
            ("license", lacks_permission("license")),
        ],
    )
    def test_update_of_a_password_is_for_oneself_only(self, api, acme, joe, held_license, who, answer):
        bearer = held_license if who == "license" else acme.bearer(who)

        # Before anything is said about the document.
        assert_refused(api(bearer).post(f"users/{joe.pk}/actions/update-password", {}), FORBIDDEN, answer)

    def test_update_of_a_password_of_an_invisible_user_is_not_found(self, api, acme, joe):
        eve = acme.user("user", email="eve@acme.test")

        response = api(eve).post(f"users/{joe.pk}/actions/update-password", update())

        assert_refused(response, NOT_FOUND, not_found("user", joe.pk))


def forget(api, email="joe@acme.test", **meta):
    return api().post("passwords", {"meta": {"email": email, **meta}})


class TestForgotten:
    def test_forgotten_password_mails_what_resets_the_password(self, api, joe, mailbox, sign_in):
        text = token_of(joe)

        response = forget(api, " JOE@acme.test")

        assert (response.status_code, response.content) == (204, b"")
        (message,) = mailbox
        assert (message.to, message.subject) == (["joe@acme.test"], "New password for Acme")
        token = re.search(r"^    (\S+)$", message.body, re.MULTILINE)[1]
        address = re.search(r"POST (\S+)", message.body)[1].removeprefix("http://testserver")
        assert api().post(address, reset(token)).json()["data"]["id"] == str(joe.pk)
        assert sign_in("joe@acme.test", NEW).status_code == 201
        assert API(text).get("me").status_code == 401

    @pytest.mark.parametrize("email", ["unknown@acme.test", "admin@rival.test", "nonsense"])
    def test_forgotten_password_of_an_unknown_user_gets_the_same_response(self, api, joe, rival, mailbox, email):
        response = forget(api, email)

        assert (response.status_code, mailbox) == (204, [])

    def test_forgotten_password_sends_nothing_where_the_caller_delivers_it(self, api, joe, mailbox):
        assert forget(api, deliver=False).status_code == 204
        assert mailbox == []

    def test_forgotten_password_sends_nothing_to_users_whom_only_staff_lets_in(self, api, acme, mailbox):
        acme.user("user", email="joe@acme.test")

        assert forget(api).status_code == 204
        assert mailbox == []

    def test_forgotten_password_sends_something_to_admins_without_a_password(self, api, acme, mailbox):
        forget(api, acme.admin.email)

        assert len(mailbox) == 1

    def test_forgotten_password_says_the_same_when_the_mail_server_is_down(self, api, joe, mailbox, caplog):
        with mock.patch("django.core.mail.send_mail", side_effect=ConnectionRefusedError):
            response = forget(api)

        assert response.status_code == 204
        assert "A mail could not be sent" in caplog.text
        assert "joe" not in caplog.text

    def test_forgotten_password_warns_the_operator_where_there_is_no_mail_server(self, api, joe, settings, caplog):
        settings.EMAIL_BACKEND = "django.core.mail.backends.dummy.EmailBackend"

        assert forget(api).status_code == 204
        assert "EMAIL_URL" in caplog.text

    @pytest.mark.parametrize(("document", "detail", "pointer"), SHAPES)
    def test_forgotten_password_has_a_document(self, api, acme, document, detail, pointer):
        response = api().post("passwords", document)

        assert_refused(response, BAD, bad_request(detail, pointer.format(first="email")))

    @pytest.mark.parametrize("who", ["admin", "product", "user"])
    def test_forgotten_password_is_for_everybody(self, api, acme, joe, mailbox, who):
        response = api(acme.bearer(who)).post("passwords", {"meta": {"email": "joe@acme.test"}})

        assert response.status_code == 204


class TestReset:
    def reset(self, joe, document):
        return API().post(f"users/{joe.pk}/actions/reset-password", document)

    def test_reset_of_a_password_works_once(self, joe):
        token = make_reset_token(joe)
        self.reset(joe, reset(token))

        assert_refused(self.reset(joe, reset(token)), NOT_FOUND, not_found("user", joe.pk))

    @pytest.mark.parametrize("identifier", ["joe@acme.test", "JOE@acme.test"])
    def test_reset_of_a_password_works_by_email(self, joe, identifier):
        response = API().post(f"users/{identifier}/actions/reset-password", reset(make_reset_token(joe)))

        assert response.status_code == 200

    @pytest.mark.parametrize("change", [{"password": NEW}, {"email": "j@acme.test"}])
    def test_reset_of_a_password_does_not_work_after_a_change(self, api, acme, joe, change):
        token = make_reset_token(joe)
        api(acme.admin).patch(f"users/{joe.pk}", user_document(**change))

        assert_refused(self.reset(joe, reset(token)), NOT_FOUND, not_found("user", joe.pk))

    @pytest.mark.parametrize("token", ["nonsense", "a:b:c", "of another user"])
    def test_reset_of_a_password_needs_the_token(self, acme, joe, token):
        text = make_reset_token(acme.admin) if token == "of another user" else token

        assert_refused(self.reset(joe, reset(text)), NOT_FOUND, not_found("user", joe.pk))

    @pytest.mark.parametrize(("hours", "status"), [(23, 200), (25, 401)])
    def test_reset_of_a_password_needs_a_token_of_the_last_day(self, joe, hours, status):
        with mock.patch("django.core.signing.time.time", side_effect=self.long_ago(hours)):
            token = make_reset_token(joe)

        response = self.reset(joe, reset(token))

        assert response.status_code == status
        if status == 401:
            pointer = "/meta/passwordResetToken"
            error = {"title": "Unauthorized", "detail": "is expired", "source": {"pointer": pointer}}
            assert_refused(response, UNAUTHORIZED, error)

    def long_ago(self, hours):
        moment = time() - timedelta(hours=hours).total_seconds()
        return lambda: moment

    def test_reset_of_a_password_is_not_for_users_whom_only_staff_lets_in(self, acme):
        user = acme.user("user", email="ann@acme.test")

        response = self.reset(user, reset(make_reset_token(user)))

        assert_refused(response, FORBIDDEN, forbidden("ensure a token or license is present and valid"))

    def test_reset_of_a_password_is_for_them_where_the_account_is_not_protected(self, acme):
        acme.account.protected = False
        acme.account.save()
        user = acme.user("user", email="ann@acme.test")

        assert self.reset(user, reset(make_reset_token(user))).status_code == 200

    @pytest.mark.parametrize(("document", "detail", "pointer"), SHAPES)
    def test_reset_of_a_password_has_a_document(self, joe, document, detail, pointer):
        response = self.reset(joe, document)

        assert_refused(response, BAD, bad_request(detail, pointer.format(first="passwordResetToken")))

    def test_reset_of_a_password_refuses_a_short_one(self, joe):
        assert_refused(self.reset(joe, reset(make_reset_token(joe), "12345")), UNPROCESSABLE, TOO_SHORT)

    def test_reset_of_a_password_of_another_account_is_not_found(self, acme, rival):
        response = self.reset(rival.admin, reset(make_reset_token(rival.admin)))

        assert_refused(response, NOT_FOUND, not_found("user", rival.admin.pk))
