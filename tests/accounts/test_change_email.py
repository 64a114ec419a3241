"""A changed email ends tokens and sessions as a changed password does, and the old address is told."""

import pytest
from django.core import mail

from accounts.models import User
from accounts.services import change_user
from tests.accounts.conftest import PASSWORD
from tests.accounts.documents import user_document
from tests.accounts.test_console_users import user_form
from tests.cast import token_of
from tests.conftest import API
from tests.console import page, signed_in, staff, superuser

NEW = "new@acme.test"


def by_api_of_an_admin(acme, user, **attributes):
    API(acme.admin_token).patch(f"users/{user.pk}", user_document(**attributes))


def by_console_of_an_admin(acme, user, **attributes):
    operator = signed_in(staff(acme, email="op@acme.test"))
    values = {"new_password" if name == "password" else name: value for name, value in attributes.items()}
    operator.post(page("accounts_user_change", user.pk), user_form(user, **values))


def by_service(acme, user, **attributes):
    change_user(user, attributes)


WAYS = [by_api_of_an_admin, by_console_of_an_admin, by_service]
# Changed fields of a user, and whether tokens and sessions end.
CHANGES = [
    ({"email": NEW}, True),
    ({"password": "another one"}, True),
    ({"email": " JOE@acme.test"}, False),
    ({"first_name": "Joe"}, False),
]


class TestEnds:
    @pytest.mark.parametrize("way", WAYS)
    @pytest.mark.parametrize(("attributes", "ends"), CHANGES)
    def test_another_email_ends_tokens(self, acme, joe, way, attributes, ends):
        text = token_of(joe)
        if way is by_api_of_an_admin and "first_name" in attributes:
            attributes = {"firstName": "Joe"}

        way(acme, joe, **attributes)

        assert API(text).get("me").status_code == (401 if ends else 200)

    @pytest.mark.parametrize(("attributes", "ends"), CHANGES)
    def test_another_email_ends_sessions(self, acme, attributes, ends):
        person = staff(acme, email="joe@acme.test", role="user", password=PASSWORD)
        client = signed_in(person)
        assert client.get(page("index")).status_code == 200

        change_user(person, attributes)

        assert client.get(page("index")).status_code == (302 if ends else 200)

    def test_no_token_in_use(self, acme, joe):
        own, other = token_of(joe), token_of(joe)

        API(own).patch(f"users/{joe.pk}", user_document(email=NEW))

        assert (API(own).get("me").status_code, API(other).get("me").status_code) == (200, 401)

    def test_no_session_when_the_secret_is_replaced(self, acme, settings):
        person = staff(acme, role="user")
        client = signed_in(person)

        settings.SECRET_KEY_FALLBACKS = [settings.SECRET_KEY]
        settings.SECRET_KEY = "another secret of this server, long enough for Django"

        # The cookie is only a key of the table of sessions; the hash in the session is made by the former secret.
        session = client.session
        assert session["_auth_user_hash"] in list(User.objects.get(pk=person.pk).get_session_auth_fallback_hash())

    def test_no_other_user(self, acme, joe):
        eve = acme.user("user", email="eve@acme.test")
        text = token_of(eve)

        change_user(joe, {"email": NEW})

        assert API(text).get("me").status_code == 200


class TestMail:
    @pytest.mark.parametrize("way", WAYS)
    def test_mail_goes_to_the_old_address(self, acme, joe, mailbox, django_capture_on_commit_callbacks, way):
        with django_capture_on_commit_callbacks(execute=True):
            way(acme, joe, email=NEW)

        (message,) = mailbox
        assert (message.to, message.subject) == (["joe@acme.test"], "Your email address for Acme was changed")
        assert "joe@acme.test" in message.body
        assert NEW not in message.body

    @pytest.mark.parametrize("attributes", [{"email": "Joe@ACME.test"}, {"password": "another one"}])
    def test_mail_is_sent_for_nothing_else(self, joe, mailbox, django_capture_on_commit_callbacks, attributes):
        with django_capture_on_commit_callbacks(execute=True):
            change_user(joe, attributes)

        assert mailbox == []

    def test_mail_is_not_sent_when_the_change_is_refused(self, acme, joe, mailbox, django_capture_on_commit_callbacks):
        with django_capture_on_commit_callbacks(execute=True):
            response = API(acme.admin_token).patch(f"users/{joe.pk}", user_document(email=acme.admin.email))

        assert (response.status_code, mailbox) == (422, [])

    def test_is_not_tried_where_there_is_no_mail_server(self, joe, settings, django_capture_on_commit_callbacks):
        settings.EMAIL_BACKEND = "django.core.mail.backends.dummy.EmailBackend"
        mail.outbox = []

        with django_capture_on_commit_callbacks(execute=True):
            change_user(joe, {"email": NEW})

        joe.refresh_from_db()
        assert (joe.email, mail.outbox) == (NEW, [])

    def test_mail_names_are_not_escaped(self, acme, joe, mailbox, django_capture_on_commit_callbacks):
        acme.account.name = "Rock & Roll"
        acme.account.save()

        with django_capture_on_commit_callbacks(execute=True):
            change_user(User.objects.get(pk=joe.pk), {"email": NEW})

        assert "Rock & Roll" in mailbox[0].body

    def test_mail_reaches_superusers_who_have_no_account(self, db, mailbox, django_capture_on_commit_callbacks):
        with django_capture_on_commit_callbacks(execute=True):
            change_user(superuser(), {"email": NEW})

        assert mailbox[0].to == ["root@example.test"]
