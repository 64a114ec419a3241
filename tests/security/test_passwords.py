"""Passwords have several doors (API, console, commands): each has the same rule, and ends tokens and sessions."""

import io
from contextlib import suppress

import pytest
from django.core.management import CommandError, call_command
from django.test import Client

from accounts.models import RateLimitCounter, User
from accounts.password_reset import make_reset_token
from tests.accounts.documents import basic, user_document
from tests.cast import token_of
from tests.conftest import API
from tests.console import page, signed_in, staff, superuser
from tests.tables import each_row

OLD, GOOD = "open sesame", "zebra crossing 7"
EMAIL = "josephine.miller@acme.test"
WEAK = {
    "seven characters": "Zq7-xkw",
    "seventy-three characters": "Zq7-xkw" * 10 + "Zq7",
    "common": "password1",
    "common, in capitals": " BASEBALL ",
    "the email": EMAIL,
    "like the email": "josephine-1",
}


class World:
    """Acme, with ways to set a password."""

    def __init__(self, acme, monkeypatch, settings):
        self.acme, self.monkeypatch = acme, monkeypatch
        settings.SIGN_UP = True

    def person(self):
        return User.objects.filter(email=EMAIL).first() or staff(self.acme, email=EMAIL, role="user", password=OLD)

    def customer(self):
        """Without access to the console: an admin changes no one who has it."""
        return User.objects.filter(email=EMAIL).first() or self.acme.user(email=EMAIL, password=OLD)

    def answer_prompts(self, password):
        self.monkeypatch.setattr("sys.stdin", io.StringIO(f"{password}\n"))


def sign_up(world, password):
    admin = {"type": "user", "attributes": {"email": EMAIL, "password": password}}
    relationships = {"admins": {"data": [admin]}}
    document = {"data": {"type": "accounts", "attributes": {"slug": "new"}, "relationships": relationships}}
    API().post("/v1/accounts", document)


def create_by_api(world, password):
    API(world.acme.admin_token).post("users", user_document(email=EMAIL, password=password))


def create_in_console(world, password):
    form = {"email": EMAIL, "role": "user", "metadata": "{}", "new_password": password}
    signed_in(staff(world.acme)).post(page("accounts_user_add"), form)


def create_superuser(world, password):
    world.monkeypatch.setenv("DJANGO_SUPERUSER_PASSWORD", password)
    with suppress(CommandError):
        call_command("createsuperuser", interactive=False, email=EMAIL)


def update_by_admin(world, password):
    API(world.acme.admin_token).patch(f"users/{world.customer().pk}", user_document(password=password))


def update_own(world, password):
    person = world.person()
    document = {"meta": {"oldPassword": OLD, "newPassword": password}}
    API(token_of(person)).post(f"users/{person.pk}/actions/update-password", document)


def reset(world, password):
    person = world.person()
    document = {"meta": {"passwordResetToken": make_reset_token(person), "newPassword": password}}
    API().post(f"users/{person.pk}/actions/reset-password", document)


def change_in_console(world, password):
    person = world.person()
    form = {"email": EMAIL, "role": "user", "metadata": "{}", "new_password": password, "is_staff": "on"}
    signed_in(superuser()).post(page("accounts_user_change", person.pk), form)


def own_page(client, old, new):
    return client.post(page("password_change"), {"old_password": old, "new_password": new, "new_password_again": new})


def change_own_in_console(world, password):
    own_page(signed_in(world.person()), OLD, password)


def change_by_command(world, password):
    world.person()
    world.answer_prompts(password)
    with suppress(CommandError):
        call_command("changepassword", EMAIL)


CREATE = [sign_up, create_by_api, create_in_console, create_superuser]
CHANGE = [update_own, reset, change_in_console, change_own_in_console, change_by_command]


@pytest.fixture
def world(acme, monkeypatch, settings):
    return World(acme, monkeypatch, settings)


def has_password(password):
    return any(user.check_password(password) for user in User.objects.filter(email=EMAIL))


@each_row("door", [*CREATE, update_by_admin, *CHANGE])
def test_no_door_takes_a_weak_password(world, door):
    taken = []
    for kind, password in WEAK.items():
        door(world, password)
        if has_password(password):
            taken.append(kind)
        RateLimitCounter.objects.all().delete()

    door(world, GOOD)
    assert taken == []
    assert has_password(GOOD)


@each_row("door", CHANGE)
def test_every_changed_password_ends_tokens_and_sessions(world, door):
    person = world.person()
    token, session = API(token_of(person)), signed_in(person)
    assert (token.get("me").status_code, session.get(page("index")).status_code) == (200, 200)

    door(world, GOOD)

    assert has_password(GOOD)
    assert (token.get("me").status_code, session.get(page("index")).status_code) == (401, 302)


class TestOwnPage:
    @pytest.fixture
    def client(self, world):
        return signed_in(world.person())

    def test_own_password_page_keeps_the_session_in_use(self, client):
        response = own_page(client, OLD, GOOD)

        assert (response.status_code, response["Location"]) == (302, page("index"))
        assert "Your password was changed." in client.get(page("index")).content.decode()

    def test_own_password_page_is_limited_together_with_the_api(self, world, client):
        statuses = [own_page(client, "wrong", GOOD).status_code for _ in range(5)]

        refused = own_page(client, OLD, GOOD)
        document = {"meta": {"oldPassword": OLD, "newPassword": GOOD}}
        person = world.person()
        by_api = API(token_of(person)).post(f"users/{person.pk}/actions/update-password", document)

        assert statuses == [200] * 5
        assert (refused.status_code, by_api.status_code) == (429, 429)
        assert int(refused["Retry-After"]) > 0
        assert "Too many attempts. Try again in 10 minutes." in refused.content.decode()
        assert not has_password(GOOD)

    @each_row(
        ("old", "new", "again", "problem"),
        [
            ("wrong", GOOD, GOOD, "This is not your present password."),
            (OLD, GOOD, "another one", "The two new passwords differ."),
            (OLD, "short", "short", "The password is too short (minimum is 8 characters)."),
            (OLD, "password1", "password1", "The password is too common."),
            (OLD, EMAIL, EMAIL, "The password is too similar to the email."),
            (OLD, "", "", "This field is required."),
        ],
    )
    def test_own_password_page_shows_the_error(self, client, old, new, again, problem):
        form = {"old_password": old, "new_password": new, "new_password_again": again}

        response = client.post(page("password_change"), form)

        assert response.status_code == 200
        assert problem in response.content.decode()
        assert has_password(OLD)

    def test_own_password_has_no_other_page_that_would_not_ask_for_the_old_one(self, world, acme):
        for person in (staff(acme), superuser()):
            client, address = signed_in(person), page("accounts_user_change", person.pk)
            assert "new_password" not in client.get(address).content.decode()

            client.post(address, {"email": person.email, "role": person.role, "metadata": "{}", "new_password": GOOD})

            person.refresh_from_db()
            assert not person.check_password(GOOD)

    def test_own_password_page_is_for_operators(self, world):
        assert Client().get(page("password_change")).status_code == 302


class TestCommand:
    def test_change_of_a_password_needs_the_same_password_twice(self, world, monkeypatch):
        world.person()
        answers = iter([GOOD, "another one", GOOD, GOOD])
        monkeypatch.setattr("accounts.management.passwords.getpass", lambda prompt: next(answers))
        monkeypatch.setattr("sys.stdin.isatty", lambda: True)

        with pytest.raises(CommandError, match="differ. Nothing was changed"):
            call_command("changepassword", EMAIL)
        assert has_password(OLD)

        call_command("changepassword", EMAIL)
        assert has_password(GOOD)

    @each_row(
        ("options", "whose"),
        [(["--account", "acme"], "acme"), (["--account", "rival"], "rival"), (["--superuser"], "")],
    )
    def test_change_of_a_password_asks_which_of_several_users(self, world, rival, options, whose):
        world.person()
        staff(rival, email=EMAIL, password=OLD)
        User.objects.create_superuser(EMAIL, OLD)
        world.answer_prompts(GOOD)

        with pytest.raises(CommandError, match="--account acme.*--account rival.*--superuser|several users"):
            call_command("changepassword", EMAIL)
        call_command("changepassword", EMAIL, *options)

        changed = [user for user in User.objects.filter(email=EMAIL) if user.check_password(GOOD)]
        assert [user.account.slug if user.account else "" for user in changed] == [whose]

    def test_change_of_a_password_of_an_unknown_user(self, world):
        with pytest.raises(CommandError, match="There is no such user"):
            call_command("changepassword", "unknown@acme.test")

    def test_a_superuser_with_a_weak_password_is_not_created(self, world, monkeypatch):
        monkeypatch.setenv("DJANGO_SUPERUSER_PASSWORD", "password1")

        with pytest.raises(CommandError, match="is too common"):
            call_command("createsuperuser", interactive=False, email=EMAIL)

        assert not User.objects.filter(email=EMAIL).exists()


def test_the_api_says_which_rule_a_password_breaks(world):
    """In the contract's form: a code of the attribute, and its pointer."""
    found = {}
    for kind in WEAK:
        response = API(world.acme.admin_token).post("users", user_document(email=EMAIL, password=WEAK[kind]))
        (error,) = response.json()["errors"]
        assert error["source"] == {"pointer": "/data/attributes/password"}
        found[kind] = f"{error['code']} {error['detail']}"

    assert found == {
        "seven characters": "PASSWORD_TOO_SHORT is too short (minimum is 8 characters)",
        "seventy-three characters": "PASSWORD_TOO_LONG is too long (maximum is 72 characters)",
        "common": "PASSWORD_TOO_COMMON is too common",
        "common, in capitals": "PASSWORD_TOO_COMMON is too common",
        "the email": "PASSWORD_TOO_SIMILAR is too similar to the email",
        "like the email": "PASSWORD_TOO_SIMILAR is too similar to the email",
    }


def test_a_password_from_before_the_rule_still_signs_in(world):
    person = world.person()
    person.set_password("123456")
    person.save(update_fields=["password"])

    assert API().post("tokens", Authorization=basic(EMAIL, "123456")).status_code == 201
