"""Mail that strangers cause: how much of it, to whom, and with which of their words (L4)."""

import threading
from unittest import mock

from django.core import mail

from accounts import background
from accounts.mail import deliver_mail, mail_admins, quote
from accounts.models import User
from accounts.second_factors import enable_second_factor, start_second_factor
from accounts.services import change_user
from pools.services.low_stock import alert_if_low
from tests.cast import add_keys, make_policy, make_product

EVIL = "Your key expired\r\nBcc: all@evil.test\n\nGo to https://evil.test/win or www.evil.test, mail a@evil.test \u202e"
# Texts of strangers, and their form in a mail.
QUOTED = [
    ("Acme Inc.", "Acme Inc."),
    ("rockets.example.com", "rockets example com"),
    ("https://evil.test/win?a=b", "https evil test win?a=b"),
    ("HTTP:\\\\evil.test", "HTTP evil test"),
    ("evil\uff0etest and evil\u3002test", "evil test and evil test"),
    ("ann@evil.test", "ann evil test"),
    ("a\r\nBcc: b@evil.test", "a Bcc: b evil test"),
    ("a\0b\u200bc\u202ed\u2028e", "a b c d e"),
    ("\u00c4cm\u00e9 & S\u00f6hne <3", "\u00c4cm\u00e9 & S\u00f6hne <3"),
]


def test_texts_of_strangers_become_a_line_without_links():
    wrong = [(text, expected, quote(text)) for text, expected in QUOTED if quote(text) != expected]

    assert not wrong
    assert len(quote("long " * 100)) <= 60


def test_no_mail_has_the_links_of_strangers(acme, api, mailbox, django_capture_on_commit_callbacks):
    acme.account.name = EVIL[:250]
    acme.account.save()
    policy = make_policy(make_product(acme.account, EVIL), EVIL, use_pool=True, low_stock_threshold=5)
    add_keys(policy, "KEY-0001")
    joe = acme.user("user", email="joe@acme.test", password="open sesame")

    api().post("passwords", {"meta": {"email": "joe@acme.test"}})
    with django_capture_on_commit_callbacks(execute=True):
        change_user(joe, {"email": "joe@other.test"})
    with django_capture_on_commit_callbacks(execute=True):
        enable_second_factor(start_second_factor(acme.admin))
    alert_if_low(policy)

    assert len(mailbox) == 4
    for message in mailbox:
        text = message.subject + message.body
        assert not [sign for sign in ("evil.test", "//evil", "www.", "Bcc:\n", "\0", "\u202e") if sign in text]
        assert "\n" not in message.subject
        assert message.recipients() in (["joe@acme.test"], [acme.admin.email])


class TestNumber:
    def test_one_address_is_not_mailed_without_end(self, acme, rival, api, settings, mailbox):
        settings.BEHIND_TLS_PROXY = True
        rival.user("admin", email="joe@acme.test")
        acme.user("user", email="joe@acme.test", password="open sesame")

        statuses = {
            api(account=account)
            .post("passwords", {"meta": {"email": "joe@acme.test"}}, X_Forwarded_For=f"198.51.100.{number}")
            .status_code
            for number in range(20)
            for account in ("acme", "rival")
        }

        assert statuses == {204}  # the sender does not learn it
        assert len(mailbox) == 20

    def test_resets_do_not_use_up_the_mails_that_warn(
        self, acme, api, settings, mailbox, django_capture_on_commit_callbacks
    ):
        settings.BEHIND_TLS_PROXY = True
        joe = acme.user("user", email="joe@acme.test", password="open sesame")
        for number in range(25):
            meta = {"email": "joe@acme.test"}
            api().post("passwords", {"meta": meta}, X_Forwarded_For=f"198.51.100.{number}")

        with django_capture_on_commit_callbacks(execute=True):
            change_user(joe, {"email": "joe@other.test"})

        assert mailbox[-1].subject == "Your email address for Acme was changed"

    def test_an_account_is_not_mailed_without_end(self, acme, mailbox, caplog):
        for _ in range(70):
            mail_admins(acme.account, "Subject", "Text")

        assert len(mailbox) == 60
        assert "too many mails" in caplog.text

    def test_a_mail_goes_to_some_admins_through_one_connection(self, acme, mailbox):
        for number in range(60):
            User.objects.create_user(f"admin{number}@acme.test", account=acme.account, role="admin")

        with mock.patch("django.core.mail.get_connection", wraps=mail.get_connection) as connections:
            mail_admins(acme.account, "Subject", "Text")

        assert connections.call_count == 1
        assert len(mailbox) == 50
        assert mailbox[0].to == [acme.admin.email]

    def test_a_recipient_whom_the_server_refuses_does_not_stop_the_others(self, mailbox, caplog):
        send, failures = mail.send_mail, iter([OSError, None, OSError])

        def fail(*args, **options):
            if error := next(failures):
                raise error
            return send(*args, **options)

        with mock.patch("django.core.mail.send_mail", side_effect=fail):
            deliver_mail("Subject", "Text", ["a@acme.test", "b@acme.test", "c@acme.test"])

        assert [message.to for message in mailbox] == [["b@acme.test"]]
        assert caplog.text.count("could not be sent") == 2


class TestQueue:
    def test_all_jobs_share_one_thread(self):
        queue, done, threads = background.JobQueue(), threading.Event(), set()
        for _ in range(50):
            queue.put(lambda: threads.add(threading.current_thread()))
        queue.put(done.set)

        assert done.wait(10)
        assert len(threads) == 1

    def test_a_full_queue_is_logged_and_does_not_block(self, monkeypatch, caplog):
        monkeypatch.setattr(background, "MAX_WAITING", 2)
        queue, begun, go, done = background.JobQueue(), threading.Event(), threading.Event(), []

        def wait():
            begun.set()
            go.wait(10)

        queue.put(wait)
        begun.wait(10)
        for number in range(3):
            queue.put(done.append, number)
        last = threading.Event()
        go.set()
        queue._jobs.join()
        queue.put(last.set)

        assert last.wait(10)
        assert done == [0, 1]
        assert "was not run: 2 jobs are waiting already" in caplog.text

    def test_a_job_that_fails_does_not_stop_the_others(self, caplog):
        queue, done = background.JobQueue(), threading.Event()

        queue.put(int, "no number")
        queue.put(done.set)

        assert done.wait(10)
        assert "builtins.int failed" in caplog.text
