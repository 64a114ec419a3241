"""Emailing the key of a license: once per click, to the customer's address only, recorded, within limits."""

import pytest
from django.core import mail
from django.utils import timezone
from uuid_utils.compat import uuid7

from accounts.mail import MailNotSetUp, TooManyMails
from accounts.models import Activity
from licensing.models import License
from licensing.services import issue_license
from pools.models import Key, KeyEvent
from pools.services.keys import KeyDisclosed, return_key
from pools.services.licenses import (
    CustomerEmailChanged,
    LicenseKeyChanged,
    LicenseKeyNotStored,
    NoCustomer,
    email_license_key,
)
from tests.cast import add_keys, make_license, make_policy
from tests.console import GROUPS, act, page, signed_in, staff

TEXT = "C1B6DE-39A6E3-59V3"


@pytest.fixture
def license(acme, audit):
    add_keys(acme.policy, TEXT)
    return issue_license(policy=acme.policy, audit=audit, owner=acme.user("user"))


@pytest.fixture
def client(acme):
    return signed_in(staff(acme, email="ann@acme.test"))


@pytest.fixture
def no_mail(settings):
    settings.EMAIL_BACKEND = "django.core.mail.backends.dummy.EmailBackend"


def email_events():
    return list(KeyEvent.objects.filter(event="revealed").values_list("license", "operator", "details"))


class TestService:
    def test_email_has_the_key_and_goes_to_the_customer_only(
        self, license, audit, mailbox, django_capture_on_commit_callbacks
    ):
        license.expiry = timezone.now()
        license.save()

        with django_capture_on_commit_callbacks(execute=True):
            email_license_key(license, to="user@acme.test", audit=audit)

        (message,) = mailbox
        assert (message.recipients(), message.subject) == (["user@acme.test"], "Your license key for Rocket")
        assert f"\n{TEXT}\n" in message.body
        assert f"{license.expiry:%Y}" in message.body
        assert email_events() == [(license.pk, "tests", {"emailed_to": "user@acme.test"})]

    def test_email_waits_for_the_commit(self, license, audit, mailbox, django_capture_on_commit_callbacks):
        with django_capture_on_commit_callbacks() as callbacks:
            email_license_key(license, to="user@acme.test", audit=audit)

        assert (len(callbacks), mailbox) == (1, [])

    def test_emailed_key_counts_as_disclosed(self, acme, license, audit, mailbox):
        key = Key.objects.get()
        Key.objects.filter(pk=key.pk).update(disclosure="popped")

        email_license_key(license, to="user@acme.test", audit=audit)

        key.refresh_from_db()
        assert key.disclosure == "revealed"
        license.delete()
        with pytest.raises(KeyDisclosed):
            return_key(policy=acme.policy, text=TEXT, undelivered=True, audit=audit)

    @pytest.mark.parametrize("to", ["other@acme.test", "USER@acme.test", ""])
    def test_email_goes_to_no_other_address(self, license, audit, mailbox, to):
        with pytest.raises(CustomerEmailChanged):
            email_license_key(license, to=to, audit=audit)

        assert email_events() == []

    def test_email_needs_a_customer_and_a_key(self, acme, audit, mailbox):
        ann = acme.user("user")
        encrypted = make_policy(acme.product, "Encrypted", encrypted=True)
        changed = make_license(acme.unpooled, owner=ann)
        License.objects.get(pk=changed.pk).exchange_key("ANOTHER-KEY-0001")
        cases = [
            (make_license(acme.unpooled), NoCustomer),
            (issue_license(policy=encrypted, audit=audit, owner=ann), LicenseKeyNotStored),
            (changed, LicenseKeyChanged),
        ]

        for license, error in cases:
            with pytest.raises(error):
                email_license_key(license, to=ann.email, audit=audit)

    def test_email_needs_a_mail_server(self, license, audit, no_mail):
        with pytest.raises(MailNotSetUp):
            email_license_key(license, to="user@acme.test", audit=audit)

    def test_one_customer_is_not_mailed_without_end(self, license, audit, mailbox):
        for _ in range(20):
            email_license_key(license, to="user@acme.test", audit=audit)

        with pytest.raises(TooManyMails):
            email_license_key(license, to="user@acme.test", audit=audit)

        assert len(email_events()) == 20

    def test_customers_of_an_account_are_not_mailed_without_end(self, acme, license, audit, mailbox, monkeypatch):
        monkeypatch.setattr("accounts.mail.CUSTOMER_MAILS", RateLimitOf(2))
        other = make_license(acme.unpooled, owner=acme.user("user", email="bob@acme.test"))
        for each in (license, other):
            email_license_key(each, to=each.owner.email, audit=audit)

        with pytest.raises(TooManyMails):
            email_license_key(other, to="bob@acme.test", audit=audit)

    def test_no_words_of_strangers_make_a_link(self, acme, license, audit, mailbox, django_capture_on_commit_callbacks):
        for row in (acme.account, acme.product):
            row.name = "Win at https://evil.test\r\nBcc: all@evil.test"
            row.save()

        with django_capture_on_commit_callbacks(execute=True):
            email_license_key(License.objects.get(), to="user@acme.test", audit=audit)

        (message,) = mailbox
        assert "evil.test" not in message.subject + message.body
        assert "\n" not in message.subject


class RateLimitOf:
    """A rate limit that permits a number of attempts."""

    def __init__(self, number):
        self.left = number

    def permits(self, *caller):
        self.left -= 1
        return self.left >= 0


class TestConsole:
    def send(self, client, license, once=None, to="user@acme.test"):
        return client.post(page("licensing_license_email", id=license.pk), {"to": to, "once": once or uuid7()})

    def test_console_sends_one_email_per_click(self, license, client, mailbox, django_capture_on_commit_callbacks):
        once = uuid7()

        with django_capture_on_commit_callbacks(execute=True):
            answers = [self.send(client, license, once) for _ in range(3)]

        assert [answer.status_code for answer in answers] == [302] * 3
        assert len(mail.outbox) == len(email_events()) == 1
        text = client.get(page("licensing_license_change", license.pk)).content.decode()
        assert "The key is on its way to user@acme.test." in text
        assert "emailed <" in text
        with django_capture_on_commit_callbacks(execute=True):
            self.send(client, license)
        assert len(mail.outbox) == 2

    def test_console_sends_to_the_address_that_was_shown(
        self, acme, license, client, mailbox, django_capture_on_commit_callbacks
    ):
        text = client.get(page("licensing_license_email", id=license.pk)).content.decode()
        assert 'name="to" value="user@acme.test"' in text
        license.owner.email = "taken@over.test"
        license.owner.save()

        with django_capture_on_commit_callbacks(execute=True):
            response = self.send(client, license)

        assert response.status_code == 422
        assert "the email of the customer has changed" in response.content.decode()
        assert mail.outbox == []

    def test_console_offers_email_after_an_issue(self, acme, client, mailbox, django_capture_on_commit_callbacks):
        response = client.post(page("licensing_license_add"), {"policy": acme.unpooled.pk, "owner": "jan@example.com"})
        license = License.objects.get()

        text = client.get(response["Location"]).content.decode()

        assert page("licensing_license_email", id=license.pk) in text
        assert "Email it to <bdi>jan@example.com</bdi>" in text
        with django_capture_on_commit_callbacks(execute=True):
            self.send(client, license, to="jan@example.com")
        assert [message.to for message in mail.outbox] == [["jan@example.com"]]

    def test_console_does_not_show_the_key(self, license, client, mailbox):
        for answer in (client.get(page("licensing_license_email", id=license.pk)), self.send(client, license)):
            assert TEXT not in answer.content.decode() + answer.get("Location", "")
        assert TEXT not in client.get(page("licensing_license_change", license.pk)).content.decode()

    @pytest.mark.parametrize("name", GROUPS)
    def test_only_who_may_issue_may_email(self, acme, license, mailbox, name):
        client = signed_in(staff(acme, name))
        expected = 302 if name == "Operator" else 403

        assert self.send(client, license).status_code == expected
        offered = client.get(page("licensing_license_change", license.pk)).content.decode()
        assert ("Email key" in offered) == (name == "Operator")

    def test_licenses_of_theirs_are_not_emailed(self, rival, acme, client, mailbox):
        theirs = make_license(rival.unpooled, owner=rival.user("user"))

        assert self.send(client, theirs, to="user@rival.test").status_code == 404
        assert mail.outbox == []

    def test_page_says_why_a_key_cannot_be_emailed(self, acme, client, mailbox):
        license = make_license(acme.unpooled)

        text = client.get(page("licensing_license_change", license.pk)).content.decode()

        assert "The license has no customer, so its key can&#x27;t be emailed." in text
        assert "Email key" not in text

    def test_without_mail_the_page_is_closed_and_says_so(self, acme, license, client, no_mail):
        assert act(client, "licensing_license_email", license).status_code == 403
        assert "mail is not set up" in client.get(page("licensing_license_change", license.pk)).content.decode()


def test_history_of_a_license_has_its_key(acme, license, client):
    key = Key.objects.get()
    act(client, "pools_key_withdraw", key, reason="leaked")

    text = client.get(page("licensing_license_change", license.pk)).content.decode()

    for expected in ("issued", "retired", "leaked", page("pools_key_change", key.pk)):
        assert expected in text, expected


def test_history_of_a_license_has_its_changes_and_emails(acme, client, mailbox):
    license = make_license(acme.unpooled, owner=acme.user("user"))
    act(client, "licensing_license_suspend", license)
    client.post(page("licensing_license_email", id=license.pk), {"to": "user@acme.test", "once": uuid7()})

    text = client.get(page("licensing_license_change", license.pk)).content.decode()

    for expected in ("suspended", "(emailed the key)", "ann@acme.test"):
        assert expected in text, expected
    assert email_events() == []  # the ledger is about keys of pools
    recorded = Activity.objects.filter(object_id=license.pk).values_list("event", "details")
    assert list(recorded) == [
        ("changed", {"what": "emailed the key", "to": "user@acme.test"}),
        ("suspended", None),
    ]


def test_key_page_says_who_got_the_email_and_not_that_the_operator_saw_it(acme, license, client, mailbox):
    client.post(page("licensing_license_email", id=license.pk), {"to": "user@acme.test", "once": uuid7()})

    story = client.get(page("pools_key_change", Key.objects.get().pk)).context["story"]

    assert [str(seen).partition(" (")[0] for seen in story.seen_by][-1] == "<bdi>user@acme.test</bdi> by email"
    assert not any("ann@acme.test" in str(seen) for seen in story.seen_by)
    assert story.history[0]["words"] == "emailed"
