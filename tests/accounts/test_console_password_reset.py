"""Password reset in the console: who gets a link, and the effect of the link."""

from datetime import timedelta
from time import time
from unittest import mock

import pytest
from django.core import mail
from django.test import Client

from accounts.models import Token, User
from accounts.password_reset import make_console_link
from accounts.second_factors import enable_second_factor, start_second_factor
from tests.accounts.links import NEW, choose_password, link_of, open_link
from tests.console import PASSWORD, page, signed_in, staff, superuser
from tests.security.second_factors import first_step
from tests.tables import each_row

EMAIL = "ann@acme.test"


@pytest.fixture
def ann(acme):
    return staff(acme, email=EMAIL, password=PASSWORD)


def forget(email=EMAIL, client=None, **headers):
    return (client or Client()).post(page("forgot_password"), {"email": email}, **headers)


def dead(link):
    return open_link(link)[1].status_code == 410


class TestRequest:
    def test_the_sign_in_leads_to_the_page(self, db, mailbox):
        assert f'href="{page("forgot_password")}"' in Client().get(page("login")).content.decode()
        assert 'name="email"' in Client().get(page("forgot_password")).content.decode()

    def test_a_link_is_mailed(self, ann, mailbox):
        response = forget(" ANN@acme.test ")

        assert (response.status_code, response["Location"]) == (302, f"{page('forgot_password')}?sent")
        (message,) = mailbox
        assert message.to == [EMAIL]
        assert "Acme: open this link" in message.body
        assert PASSWORD not in message.body

    def test_one_mail_has_a_link_for_each_account(self, ann, rival, mailbox):
        staff(rival, email=EMAIL)

        forget()

        (message,) = mailbox
        assert [name in message.body for name in ("Acme", "Rival")] == [True, True]
        assert message.body.count("?token=") == 2

    @each_row(
        "email", ["unknown@acme.test", "user@acme.test", "banned@acme.test", "paused@rival.test", "dev@acme.test"]
    )
    def test_others_get_no_link(self, acme, rival, mailbox, email):
        acme.user("user", email="user@acme.test", password=PASSWORD)
        acme.user("developer", email="dev@acme.test", password=PASSWORD)
        staff(acme, email="banned@acme.test").ban()
        staff(rival, email="paused@rival.test")
        rival.account.status = "PAUSED"
        rival.account.save()

        assert forget(email).status_code == 302
        assert mail.outbox == []

    def test_a_superuser_without_a_second_factor_gets_no_link(self, db, mailbox):
        """The mail alone would open everything."""
        root = superuser(PASSWORD)
        forget(root.email)
        assert mailbox == []
        assert dead(make_console_link(root).removeprefix("http://testserver"))

        enable_second_factor(start_second_factor(root))
        mailbox.clear()
        forget(root.email)
        assert "All accounts: open this link" in mailbox[0].body

    def test_without_mail_the_page_says_what_to_do(self, ann, no_mail):
        text = Client().get(page("forgot_password")).content.decode()

        assert "This server cannot send mail" in text
        assert 'name="email"' not in text
        assert forget().status_code == 200

    @each_row("email", ["nonsense", "", "a@b", "x" * 300])
    def test_no_email_is_said_to_be_none(self, db, mailbox, email):
        response = forget(email)

        assert response.status_code == 200
        assert "errorlist" in response.content.decode()


class TestReset:
    def test_a_new_password_ends_sessions_and_tokens(self, ann, mailbox):
        Token.generate(ann)
        session = signed_in(ann)
        forget()

        client, response = open_link(link_of(mailbox[0]))
        assert EMAIL in response.content.decode()
        done = choose_password(client, "reset")

        ann.refresh_from_db()
        assert (done.status_code, done["Location"]) == (302, page("login"))
        assert ann.check_password(NEW)
        assert ann.tokens.count() == 0
        assert session.get(page("index")).status_code == 302
        assert "_auth_user_id" not in client.session
        assert "Your password was changed" in client.get(page("login")).content.decode()

    def test_a_reset_link_works_once(self, ann, mailbox):
        forget()
        link = link_of(mailbox[0])
        clients = [open_link(link)[0] for _ in range(2)]

        assert [choose_password(client, "reset").status_code for client in clients] == [302, 410]
        assert dead(link)

    def test_a_second_factor_stays_in_force(self, ann, mailbox):
        enable_second_factor(start_second_factor(ann))
        mailbox.clear()
        forget()
        client, _ = open_link(link_of(mailbox[0]))
        choose_password(client, "reset")

        client, response = first_step(ann, password=NEW)

        assert response["Location"] == "/admin/login/code/"
        assert client.get(page("index")).status_code == 302

    def test_a_required_second_factor_has_to_be_set_up_after_a_reset(self, ann, mailbox, settings):
        settings.REQUIRE_SECOND_FACTOR = "staff"
        forget()
        choose_password(open_link(link_of(mailbox[0]))[0], "reset")

        client, _ = first_step(ann, password=NEW)

        assert client.get(page("index"))["Location"] == page("second_factor")

    @each_row(
        "change",
        [
            {"password": "another one"},
            {"email": "other@acme.test"},
            {"is_staff": False},
            {"banned": "2026-01-01T00:00:00Z"},
        ],
    )
    def test_a_reset_link_is_bound_to_the_state_of_the_user(self, ann, mailbox, change):
        forget()
        link = link_of(mail.outbox[-1])
        client, response = open_link(link)
        assert response.status_code == 200

        User.objects.filter(pk=ann.pk).update(**change)

        assert dead(link)
        assert choose_password(client, "reset").status_code == 410
        assert not User.objects.get(pk=ann.pk).check_password(NEW) or "password" in change

    def test_a_reset_link_of_a_paused_account_does_not_work(self, acme, ann, mailbox):
        forget()
        client, _ = open_link(link_of(mailbox[0]))
        acme.account.status = "PAUSED"
        acme.account.save()

        assert choose_password(client, "reset").status_code == 410

    def test_a_reset_link_works_for_a_day(self, ann, mailbox):
        with mock.patch("django.core.signing.time.time", return_value=time() - timedelta(hours=25).total_seconds()):
            forget()

        assert dead(link_of(mailbox[0]))

    def test_a_page_that_was_open_for_too_long_does_nothing(self, ann, mailbox):
        forget()
        client, _ = open_link(link_of(mailbox[0]))
        with mock.patch("accounts.admin.link_pages.time.time", return_value=time() + 31 * 60):
            assert choose_password(client, "reset").status_code == 410

    def test_a_customer_has_no_page_for_a_token_of_the_api(self, acme, api, mailbox):
        """The same tokens are mailed by the API, to customers too."""
        acme.user("user", email="joe@acme.test", password=PASSWORD)
        api().post("passwords", {"meta": {"email": "joe@acme.test"}})
        token = next(line.strip() for line in mailbox[0].body.splitlines() if line.count(":") == 2 and "/" not in line)

        assert dead(f"{page('reset')}?token={token}")

    def test_two_passwords_that_differ_are_refused(self, ann, mailbox):
        forget()
        client, _ = open_link(link_of(mailbox[0]))

        response = choose_password(client, "reset", new_password_again="another one")

        assert "The two passwords differ." in response.content.decode()


class TestNumber:
    def test_requests_for_an_email_are_limited(self, ann, mailbox):
        responses = [forget() for _ in range(6)]

        assert [each.status_code for each in responses] == [302] * 5 + [429]
        assert int(responses[-1]["Retry-After"]) > 0
        assert "Too many attempts" in responses[-1].content.decode()

    def test_requests_of_an_address_are_limited(self, ann, mailbox):
        statuses = [forget(f"u{number}@acme.test").status_code for number in range(31)]

        assert statuses == [302] * 30 + [429]

    def test_mails_to_an_email_are_limited_over_all_addresses(self, ann, mailbox, settings):
        settings.BEHIND_TLS_PROXY = True
        statuses = {
            forget(headers={"X-Forwarded-For": f"198.51.100.{number}", "X-Forwarded-Proto": "https"}).status_code
            for number in range(25)
        }

        assert statuses == {302}  # the sender does not learn it
        assert len(mailbox) == 20

    def test_attempts_to_set_a_password_are_limited(self, ann, mailbox):
        forget()
        client, _ = open_link(link_of(mailbox[0]))

        statuses = [choose_password(client, "reset", "short").status_code for _ in range(6)]

        assert statuses == [200] * 5 + [429]
