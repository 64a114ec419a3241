"""The settings page: its content, and the test of the mail server."""

from unittest import mock

import pytest
from django.core import mail

from accounts.second_factors import enable_second_factor, start_second_factor
from tests.console import GROUPS, page, signed_in, staff, superuser
from tests.tables import each_row

TEST = "settings_test_mail"


@pytest.fixture
def ann(acme):
    return staff(acme, email="ann@acme.test")


def text_of(person):
    response = signed_in(person).get(page("settings"))
    assert response.status_code == 200
    return " ".join(response.content.decode().split())


class TestPage:
    def test_settings_show_the_account(self, acme, ann):
        text = text_of(ann)

        for words in ("Acme", "acme", str(acme.account.pk), "http://testserver/v1/accounts/acme"):
            assert words in text

    def test_settings_say_who_gets_alerts(self, acme, ann):
        acme.user("admin", email="banned@acme.test").ban()

        text = text_of(ann)

        assert "2 admins get alerts" in text
        assert acme.admin.email in text
        assert "banned@acme.test" not in text

    def test_settings_say_that_mail_is_not_set_up(self, ann, no_mail):
        text = text_of(ann)

        assert "Mail is not set up" in text
        assert "Send a test" not in text

    def test_settings_show_the_mail_server_to_superusers_only(self, ann, mailbox, settings):
        settings.EMAIL_HOST = "smtp.internal.test"

        assert "smtp.internal.test" not in text_of(ann)
        assert "smtp.internal.test" in text_of(superuser())

    def test_settings_count_second_factors(self, acme, ann, settings):
        settings.REQUIRE_SECOND_FACTOR = "superusers"
        staff(acme, "Support")
        enable_second_factor(start_second_factor(ann))

        text = text_of(ann)

        assert "1 of 2 people in the console has one" in text
        assert "Superusers need a second factor" in text

    @each_row("group", GROUPS)
    def test_settings_are_for_everyone(self, acme, group):
        assert "Security" in text_of(staff(acme, group))

    def test_settings_name_no_colleagues_to_a_person_without_a_role(self, acme, ann):
        person = acme.user("developer", is_staff=True)

        text = text_of(person)

        assert ann.email not in text
        assert "people in the console" not in text

    def test_settings_show_nothing_of_another_account(self, acme, rival, ann):
        assert "rival" not in text_of(ann).lower()


class TestAccount:
    ACCOUNT = "settings_account"

    def test_an_admin_changes_the_account(self, acme, ann):
        client = signed_in(ann)
        opened = client.get(page(self.ACCOUNT)).context["form"]["seen"].value()

        response = client.post(page(self.ACCOUNT), {"name": "Acme Ltd", "protected": "", "seen": opened})

        acme.account.refresh_from_db()
        assert response["Location"] == page("settings")
        assert (acme.account.name, acme.account.protected, acme.account.slug) == ("Acme Ltd", False, "acme")

    def test_nothing_else_is_changed(self, acme, ann):
        values = {"name": "Acme", "protected": "on", "slug": "evil", "status": "PAUSED", "mask_keys": "on"}
        signed_in(ann).post(page(self.ACCOUNT), values)

        acme.account.refresh_from_db()
        assert (acme.account.slug, acme.account.status, acme.account.mask_keys) == ("acme", "SUBSCRIBED", False)

    def test_a_form_that_was_opened_before_a_change_is_refused(self, acme, ann):
        client = signed_in(ann)
        seen = client.get(page(self.ACCOUNT)).context["form"]["seen"].value()
        acme.account.name = "Acme Ltd"
        acme.account.save_changes("name")

        response = client.post(page(self.ACCOUNT), {"name": "Acme", "protected": "", "seen": seen})

        assert "Nothing was saved" in response.content.decode()
        acme.account.refresh_from_db()
        assert acme.account.protected

    @each_row("role", ["sales-agent", "support-agent", "read-only", "user"])
    def test_a_lower_role_changes_no_account(self, acme, role):
        client = signed_in(staff(acme, email="op@acme.test", role=role))

        assert client.post(page(self.ACCOUNT), {"name": "Mine"}).status_code == 403
        assert page(self.ACCOUNT) not in client.get(page("settings")).content.decode()

    @each_row("group", ["Support", "Auditor"])
    def test_other_groups_change_no_account(self, acme, group):
        assert signed_in(staff(acme, group)).get(page(self.ACCOUNT)).status_code == 403

    def test_a_superuser_has_no_account_to_change(self, db):
        assert signed_in(superuser()).get(page(self.ACCOUNT)).status_code == 403


class TestMail:
    def test_a_test_goes_to_the_operator(self, ann, mailbox):
        response = signed_in(ann).post(page(TEST), {"email": "other@acme.test"}, follow=True)

        (message,) = mailbox
        assert message.to == [ann.email]
        assert "A test was sent to ann@acme.test" in response.content.decode()

    def test_a_test_that_fails_is_said_to_fail(self, ann, mailbox):
        with mock.patch("django.core.mail.send_mail", side_effect=ConnectionRefusedError):
            response = signed_in(ann).post(page(TEST), follow=True)

        assert "did not take the test" in response.content.decode()

    def test_tests_are_limited(self, ann, mailbox):
        client = signed_in(ann)
        for _ in range(7):
            client.post(page(TEST))

        assert len(mailbox) == 5

    @each_row("group", ["Support", "Auditor"])
    def test_others_send_no_test(self, acme, mailbox, group):
        client = signed_in(staff(acme, group))

        assert client.post(page(TEST)).status_code == 403
        assert "Send a test" not in client.get(page("settings")).content.decode()
        assert mail.outbox == []

    def test_a_link_sends_no_test(self, ann, mailbox):
        assert signed_in(ann).get(page(TEST)).status_code == 405
        assert mailbox == []

    def test_without_mail_no_test_is_sent(self, ann, no_mail):
        response = signed_in(ann).post(page(TEST), follow=True)

        assert "Mail is not set up, so nothing was sent" in response.content.decode()
