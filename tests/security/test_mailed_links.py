"""Links to join and to set a password: no other site, log, table or answer learns them, nor who exists."""

import re
from unittest import mock

import pytest
from django.apps import apps
from django.contrib.auth.hashers import MD5PasswordHasher
from django.contrib.sessions.models import Session
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from accounts.invitations import make_link
from accounts.mail import quote
from accounts.models import Invitation
from accounts.password_reset import make_console_link
from keygen_site.observability.log_formatters import LineFormatter
from tests.accounts.links import choose_password, link_of, open_link
from tests.console import PASSWORD, act, page, shown, signed_in, staff
from tests.security.canaries import is_in

HOSTS = ["testserver", "evil.example.com", "testserver:9999"]


@pytest.fixture
def ann(acme):
    return staff(acme, email="ann@acme.test", password=PASSWORD)


@pytest.fixture
def invitation(ann):
    group = ann.groups.get()
    return Invitation.objects.create(
        account=ann.account, email="bob@acme.test", role="developer", group=group, inviter=ann
    )


@pytest.fixture
def links(ann, invitation):
    """A link of each kind, by the name of its page."""
    made = {"join": make_link(invitation), "reset": make_console_link(ann)}
    return {name: link.removeprefix("http://testserver") for name, link in made.items()}


def token_of(link):
    return link.partition("token=")[2]


def test_the_page_of_a_link_does_not_have_it_in_its_address(links):
    for name, link in links.items():
        client = Client()
        response = client.get(link)
        assert (response.status_code, response["Location"]) == (302, page(name))
        assert "no-store" in response["Cache-Control"]

        shown = client.get(page(name))
        assert shown.status_code == 200
        assert "no-store" in shown["Cache-Control"]
        assert shown["Referrer-Policy"] == "same-origin"
        assert token_of(link) not in shown.content.decode()
        assert not re.findall(r'(?:href|src|action)="(?:https?:)?//', shown.content.decode())


def test_sessions_do_not_have_the_link(links):
    for link in links.values():
        open_link(link)

    stored = "".join(str(session.get_decoded()) for session in Session.objects.all())
    assert Session.objects.count() == 2
    assert [name for name, link in links.items() if is_in(token_of(link), stored)] == []


def test_opening_a_link_gives_the_session_another_id(links):
    for link in links.values():
        client = Client()
        session = client.session
        session["planted"] = True
        session.save()
        planted = session.session_key
        client.cookies["sessionid"] = planted

        open_link(link, client)

        assert client.session.session_key != planted
        other = Client()
        other.cookies["sessionid"] = planted
        assert other.get(link.partition("?")[0]).status_code == 410


def test_a_dead_link_stores_nothing(db):
    for name in ("join", "reset"):
        client, response = open_link(f"{page(name)}?token=x:y:z")
        assert response.status_code == 410
        assert not client.cookies.get("sessionid")
    assert Session.objects.count() == 0


def test_no_log_has_a_link(links, caplog):
    caplog.set_level("DEBUG")
    for name, link in links.items():
        client, _ = open_link(link)
        choose_password(client, name, "short")
        with mock.patch("accounts.admin.link_pages.LinkPages._render", side_effect=RuntimeError("broken")):
            broken = Client(raise_request_exception=False)
            broken.get(f"{link}x")
        choose_password(client, name)

    text = "\n".join(map(LineFormatter("%(message)s").format, caplog.records))
    assert "broken" in text
    assert [name for name, link in links.items() if token_of(link)[:40] in text] == []


def test_all_dead_links_look_alike(acme, rival, ann, invitation, links):
    """Links that are forged, without a user, of another kind, used, or of a user who may not use the console."""
    customer = acme.user("user", email="joe@acme.test", password=PASSWORD)
    banned = staff(acme, email="banned@acme.test", password=PASSWORD)
    banned_link = make_console_link(banned)
    banned.ban()
    other = signed_in(staff(rival))
    invitation.delete()
    dead = [
        (Client(), "reset", "nonsense"),
        (Client(), "reset", token_of(links["join"])),
        (Client(), "reset", token_of(make_console_link(customer))),
        (Client(), "reset", token_of(banned_link)),
        (Client(), "join", "nonsense"),
        (Client(), "join", token_of(links["join"])),
        (Client(), "join", token_of(links["reset"])),
        (other, "reset", "nonsense"),
    ]
    answers = set()
    for client, name, token in dead:
        response = client.get(page(name), {"token": token})
        answers.add((response.status_code, re.sub(r"\s+", " ", response.content.decode())))

    assert len(answers) == 1
    assert answers.pop()[0] == 410


def test_a_link_that_is_shown_lies_in_no_table(acme, ann, no_mail):
    """Without mail, the operator passes it on."""
    client, dev = signed_in(ann), acme.user("developer", email="dev@acme.test")
    responses = [
        client.post(page("accounts_invitation_add"), {"email": "bob@acme.test", "role": "support"}),
        act(client, "accounts_user_access", dev, access="Support"),
    ]

    links = [shown(client, response) for response in responses]

    assert [link.partition("?token=")[0] for link in links] == [
        f"http://testserver{page(name)}" for name in ("join", "reset")
    ]
    tables = repr([list(model._base_manager.values_list()) for model in apps.get_models()])
    assert [link for link in links if token_of(link) in tables or is_in(token_of(link), tables)] == []
    other = signed_in(staff(acme, email="other@acme.test"))
    assert [other.get(response["Location"]).status_code for response in responses] == [404, 404]


class TestWhoExists:
    EMAILS = ("ann@acme.test", "unknown@acme.test", "user@acme.test", "banned@acme.test")

    @pytest.fixture
    def people(self, acme, ann):
        acme.user("user", email="user@acme.test", password=PASSWORD)
        staff(acme, email="banned@acme.test").ban()

    def test_forgotten_passwords_take_the_same_steps_in_the_console(self, people, settings, monkeypatch):
        settings.EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
        settings.BEHIND_TLS_PROXY = True
        jobs, steps = [], set()
        monkeypatch.setattr("accounts.background.run_in_background", lambda *job: jobs.append(job))
        monkeypatch.setattr("accounts.password_reset.render_to_string", mock.Mock(side_effect=AssertionError))
        for number, email in enumerate(self.EMAILS):
            headers = {"X-Forwarded-For": f"198.51.100.{number}", "X-Forwarded-Proto": "https"}
            with CaptureQueriesContext(connection) as queries:
                response = Client().post(page("forgot_password"), {"email": email}, headers=headers)
            verbs = tuple(query["sql"].partition(" ")[0] for query in queries)
            steps.add((response.status_code, response["Location"], verbs))

        assert len(steps) == 1
        assert len(jobs) == 1

    def test_forgotten_passwords_compute_no_hash(self, people, mailbox, monkeypatch):
        hashes, encode = [], MD5PasswordHasher.encode
        monkeypatch.setattr(MD5PasswordHasher, "encode", lambda *given: hashes.append(given) or encode(*given))
        for email in self.EMAILS:
            Client().post(page("forgot_password"), {"email": email})

        assert hashes == []

    def test_limits_do_not_tell_who_exists(self, people, mailbox, settings):
        settings.BEHIND_TLS_PROXY = True
        found = {}
        for number, email in enumerate(self.EMAILS):
            headers = {"X-Forwarded-For": f"198.51.100.{number}", "X-Forwarded-Proto": "https"}
            found[email] = [
                Client().post(page("forgot_password"), {"email": email}, headers=headers).status_code for _ in range(7)
            ]

        assert set(map(tuple, found.values())) == {(302,) * 5 + (429,) * 2}

    def test_an_invitation_does_not_tell_about_other_accounts(self, acme, rival, ann, mailbox):
        rival.user("admin", email="bob@acme.test")
        group = rival.user("admin", email="eve@rival.test")
        client = signed_in(ann)

        answers = {
            client.post(page("accounts_invitation_add"), {"email": email, "role": "support"}).status_code
            for email in (group.email, "bob@acme.test", "unknown@acme.test")
        }

        assert answers == {302}


def test_links_lead_to_this_server(acme, ann, mailbox, settings, django_capture_on_commit_callbacks):
    """The host that a client sends has no effect."""
    settings.SITE_URL = "https://keys.example.com"
    settings.ALLOWED_HOSTS = ["*"]
    for number, host in enumerate(HOSTS):
        client = Client(headers={"Host": host, "X-Forwarded-Host": host})
        client.post(page("forgot_password"), {"email": ann.email})
        client.force_login(ann)
        with django_capture_on_commit_callbacks(execute=True):
            client.post(page("accounts_invitation_add"), {"email": f"bob{number}@acme.test", "role": "support"})

    sites = {re.search(r"(\S+)/admin/", message.body)[1] for message in mailbox}
    assert len(mailbox) == 2 * len(HOSTS)
    assert sites == {"https://keys.example.com"}


def test_mails_with_links_have_no_words_of_strangers(acme, ann, mailbox, django_capture_on_commit_callbacks):
    evil = "Your key expired\r\nhttps://evil.test/win"
    acme.account.name = ann.first_name = ann.last_name = evil
    acme.account.save()
    ann.save()

    with django_capture_on_commit_callbacks(execute=True):
        signed_in(ann).post(page("accounts_invitation_add"), {"email": "bob@acme.test", "role": "support"})
    Client().post(page("forgot_password"), {"email": ann.email})

    assert len(mailbox) == 2
    for message in mailbox:
        assert quote(evil) in message.body
        assert "evil.test" not in message.body + message.subject
        assert "\n" not in message.subject
        assert link_of(message)
