"""The pages of the second factor: who sees which page, the codes they require, and who may reset it."""

import base64
import re
from urllib.parse import unquote

import pytest
import time_machine
from django.contrib.admin.models import LogEntry
from django.core import mail
from django.core.management import CommandError, call_command
from django.test import override_settings

from accounts.models import SecondFactor, User
from accounts.second_factors import start_second_factor
from tests.console import PASSWORD, act, page, shown, signed_in, staff, superuser
from tests.security.second_factors import (
    NEW_CODES,
    NOON,
    SET_UP,
    SETTINGS,
    TURN_OFF,
    code_at,
    console_urls,
    enable,
    is_in,
    sign_in,
    wrong_code,
)


@pytest.fixture
def ann(acme):
    return staff(acme, email="ann@acme.test", password=PASSWORD)


@pytest.fixture
def client(ann):
    return signed_in(ann)


@pytest.fixture
def clock():
    with time_machine.travel(NOON, tick=False) as traveller:
        yield traveller


def set_up(client, ann):
    client.post(SETTINGS, {"password": PASSWORD})
    return SecondFactor.objects.get(user=ann)


class TestSetUp:
    def test_set_up_asks_for_the_password(self, client, ann):
        response = client.post(SETTINGS, {"password": "wrong"})

        assert "This is not your password" in response.content.decode()
        assert not SecondFactor.objects.exists()

    def test_set_up_counts_wrong_passwords(self, client):
        statuses = [client.post(SETTINGS, {"password": "wrong"}).status_code for _ in range(6)]

        assert statuses == [200] * 5 + [429]
        assert client.post(SETTINGS, {"password": PASSWORD}).status_code == 429

    def test_set_up_shows_a_picture_and_the_secret(self, client, ann):
        factor = set_up(client, ann)

        response = client.get(SET_UP)
        text = response.content.decode()
        assert "default-src 'self'" in response["Content-Security-Policy"]
        assert re.search(r'<svg[^>]* class="qr"', text)
        assert " style=" not in text
        assert " ".join(re.findall("....", factor.secret)) in text
        assert response.context["uri"].startswith("otpauth://totp/License-key%20pools:ann%40acme.test?secret=")

    def test_set_up_is_shown_in_no_other_session(self, client, ann):
        """A stolen session, without the password, does not show it."""
        secret, other = set_up(client, ann).secret, signed_in(ann)

        response = other.get(SET_UP)

        assert (response.status_code, response.url) == (302, page("second_factor"))
        assert secret[:4] in client.get(SET_UP).content.decode()

    def test_set_up_writes_names_into_the_uri_that_break_nothing(self, ann):
        User.objects.filter(pk=ann.pk).update(email="a:b&secret=x@acme.test")
        factor = start_second_factor(User.objects.get(pk=ann.pk))

        path, _, query = factor.uri.partition("?")
        assert unquote(path).endswith(":a_b&secret=x@acme.test")
        assert query.split("&")[0] == f"secret={factor.secret}"
        assert len(base64.b32decode(factor.secret)) == 20

    def test_set_up_needs_a_code_of_the_app(self, client, ann, clock):
        factor = set_up(client, ann)

        response = client.post(SET_UP, {"code": wrong_code(factor)})

        assert "not right" in response.content.decode()
        assert User.objects.get(pk=ann.pk).enabled_second_factor is None

    def test_set_up_shows_the_recovery_codes_once(self, client, ann, clock):
        factor = set_up(client, ann)

        response = client.post(SET_UP, {"code": code_at(factor)})
        codes = shown(client, response).split("\n")

        assert len(codes) == 10
        assert is_in(client)  # this session goes on
        download = client.get(f"{response['Location']}?download")
        assert download["Content-Disposition"] == 'attachment; filename="recovery-codes.txt"'
        assert download.content.decode().split() == codes
        clock.shift(16 * 60)
        assert client.get(response["Location"]).status_code == 410
        assert client.get(f"{response['Location']}?download").status_code == 410
        assert is_in(sign_in(ann, codes[0])[0])

    def test_set_up_shows_the_codes_to_their_owner_only(self, client, acme, ann, clock):
        response = client.post(SET_UP, {"code": code_at(set_up(client, ann))})

        other = signed_in(staff(acme, email="bob@acme.test"))
        assert other.get(response["Location"]).status_code == 404
        assert signed_in(superuser()).get(response["Location"]).status_code == 404

    def test_set_up_sent_again_shows_the_first_result(self, client, ann, clock):
        client.post(SETTINGS, {"password": PASSWORD})
        once = client.get(SET_UP).context["once"]
        values = {"code": code_at(SecondFactor.objects.get(user=ann)), "once": once}

        first, second = (client.post(SET_UP, values) for _ in range(2))

        assert first["Location"] == second["Location"]

    def test_a_new_set_up_has_a_new_secret(self, client, ann):
        before = set_up(client, ann).secret

        assert set_up(client, ann).secret != before

    def test_no_page_shows_the_secret_of_a_factor_that_is_on(self, ann, clock):
        factor, _ = enable(ann)
        root = superuser()
        offenders = []
        for person in (ann, root):
            client = signed_in(person)
            for url in [*console_urls(), page("accounts_user_change", ann.pk), page("accounts_user_history", ann.pk)]:
                if not url.endswith("logout/") and factor.secret in client.get(url, follow=True).content.decode():
                    offenders.append((person.email, url))

        assert offenders == []


@pytest.mark.parametrize("address", [NEW_CODES, TURN_OFF])
class TestChange:
    @pytest.mark.parametrize(("password", "is_right"), [("wrong", True), (PASSWORD, False), ("", True)])
    def test_change_needs_password_and_code(self, ann, address, password, is_right, clock):
        factor, codes = enable(ann)
        client = signed_in(User.objects.get(pk=ann.pk))
        code = code_at(factor) if is_right else wrong_code(factor)

        response = client.post(address, {"password": password, "code": code})

        assert response.status_code == 200
        assert SecondFactor.objects.filter(user=ann, enabled=True).exists()
        if is_right:
            assert factor.accept(code), "a wrong password must not use up the code"
        assert factor.accept(codes[0])

    def test_change_ends_the_old_recovery_codes(self, ann, address, clock):
        factor, codes = enable(ann)
        client = signed_in(User.objects.get(pk=ann.pk))

        response = client.post(address, {"password": PASSWORD, "code": code_at(factor)})

        assert response.status_code == 302
        assert is_in(client)
        assert not factor.accept(codes[0])

    def test_change_without_a_second_factor_leads_to_the_overview(self, client, address):
        assert client.get(address)["Location"] == SETTINGS


def test_turning_off_ends_other_sessions_and_is_in_the_history(ann, clock):
    factor, _ = enable(ann)
    ann = User.objects.get(pk=ann.pk)
    client, other = signed_in(ann), signed_in(ann)

    client.post(TURN_OFF, {"password": PASSWORD, "code": code_at(factor)})

    assert (is_in(client), is_in(other)) == (True, False)
    assert LogEntry.objects.get(object_id=ann.pk).change_message == "Turned off the second factor"


class TestRequired:
    """REQUIRE_SECOND_FACTOR: who has none can only set one up."""

    @pytest.mark.parametrize(
        ("setting", "expected"), [("none", (True, True)), ("superusers", (True, False)), ("staff", (False, False))]
    )
    def test_required_of(self, ann, setting, expected):
        with override_settings(REQUIRE_SECOND_FACTOR=setting):
            assert (is_in(signed_in(ann)), is_in(signed_in(superuser()))) == expected

    @pytest.mark.parametrize("method", ["get", "post"])
    def test_required_leads_from_every_page_to_the_set_up(self, db, settings, method):
        settings.REQUIRE_SECOND_FACTOR = "superusers"
        root = superuser(PASSWORD)
        client = signed_in(root)

        offenders = []
        for url, name in console_urls().items():
            if name in ("logout", "login", "second_step", "second_factor", "forgot_password", "reset", "join"):
                continue
            response = getattr(client, method)(url)
            if (response.status_code, response.get("Location")) != (302, SETTINGS):
                offenders.append((url, response.status_code))
        assert offenders == []
        assert "You need a second factor" in client.get(SETTINGS).content.decode()

    def test_required_ends_with_the_set_up(self, db, settings, clock):
        settings.REQUIRE_SECOND_FACTOR = "superusers"
        root = superuser(PASSWORD)
        client = signed_in(root)
        client.post(SETTINGS, {"password": PASSWORD})

        client.post(SET_UP, {"code": code_at(SecondFactor.objects.get(user=root))})

        assert is_in(client)

    def test_required_does_not_keep_from_signing_out(self, db, settings):
        settings.REQUIRE_SECOND_FACTOR = "superusers"
        client = signed_in(superuser())

        assert client.post("/admin/logout/").status_code == 200
        assert "_auth_user_id" not in client.session


class TestReset:
    def test_reset_by_a_superuser(self, ann, settings):
        settings.EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
        enable(ann)
        ann = User.objects.get(pk=ann.pk)
        session, root = signed_in(ann), superuser()

        response = act(signed_in(root), "accounts_user_reset-second-factor", ann)

        assert response.status_code == 302
        assert not SecondFactor.objects.exists()
        assert not is_in(session)
        entry = LogEntry.objects.get(object_id=ann.pk)
        assert (entry.user, entry.change_message) == (root, "Reset the second factor")

    def test_reset_is_told_to_the_user(self, ann, settings, django_capture_on_commit_callbacks, monkeypatch):
        settings.EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
        monkeypatch.setattr("accounts.background.run_in_background", lambda function, *values: function(*values))
        enable(ann)

        with django_capture_on_commit_callbacks(execute=True):
            act(signed_in(superuser()), "accounts_user_reset-second-factor", ann)

        assert [(message.to, message.subject) for message in mail.outbox] == [
            (["ann@acme.test"], "Your second factor was reset by another person")
        ]

    @pytest.mark.parametrize("role", ["admin", "developer", "sales-agent", "support-agent", "user"])
    def test_reset_is_refused_to_everyone_else(self, acme, ann, role):
        enable(ann)

        response = act(
            signed_in(staff(acme, email="op@acme.test", role=role)), "accounts_user_reset-second-factor", ann
        )

        assert response.status_code == 403
        assert SecondFactor.objects.exists()

    def test_reset_is_no_way_around_the_code_for_oneself(self, acme, ann):
        root = superuser(PASSWORD)
        for person in (root, ann):
            enable(person)
            client = signed_in(User.objects.get(pk=person.pk))

            assert act(client, "accounts_user_reset-second-factor", person).status_code in (403, 404)
        assert SecondFactor.objects.count() == 2

    def test_reset_is_offered_for_users_who_have_one(self, ann):
        root = signed_in(superuser())
        assert "Reset second factor" not in root.get(page("accounts_user_change", ann.pk)).content.decode()

        enable(ann)

        assert "Reset second factor" in root.get(page("accounts_user_change", ann.pk)).content.decode()


class TestCommand:
    def test_command_resets_that_of_the_last_superuser(self, db, capsys):
        root = superuser(PASSWORD)
        enable(root)

        call_command("reset_second_factor", " ROOT@example.test")

        assert "was removed" in capsys.readouterr().out
        assert not SecondFactor.objects.exists()

    def test_command_resets_that_of_a_user_of_an_account(self, acme, rival, ann):
        other = staff(rival, email="ann@acme.test")
        enable(ann)
        enable(other)

        call_command("reset_second_factor", "ann@acme.test", "--account", "acme")

        assert [factor.user for factor in SecondFactor.objects.all()] == [other]

    @pytest.mark.parametrize(
        ("arguments", "problem"),
        [
            (["unknown@acme.test"], "There is no user"),
            (["ann@acme.test"], "--account"),
            (["ann@acme.test", "--account", "rival"], "There is no user"),
            (["ann@acme.test", "--account", "acme"], "has no second factor"),
        ],
    )
    def test_command_reports_errors(self, ann, arguments, problem):
        with pytest.raises(CommandError, match=problem):
            call_command("reset_second_factor", *arguments)
