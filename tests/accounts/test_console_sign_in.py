"""Getting into the console."""

from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from tests.console import PASSWORD, page, signed_in, staff, superuser

LOGIN = "/admin/login/"


def sign_in(email, password=PASSWORD, **values):
    return Client().post(LOGIN, {"username": email, "password": password, "next": "/admin/", **values})


@pytest.fixture
def ann(acme):
    return staff(acme, email="ann@acme.test", password=PASSWORD)


def test_sign_in_to_the_console_by_email_and_password(ann):
    response = sign_in(" Ann@ACME.test ")

    assert (response.status_code, response["Location"]) == (302, "/admin/")


def test_a_superuser_needs_no_account(db):
    superuser(PASSWORD)

    assert sign_in("root@example.test").status_code == 302


@pytest.mark.parametrize(
    ("email", "password"), [("ann@acme.test", "wrong"), ("unknown@acme.test", PASSWORD), ("user@acme.test", PASSWORD)]
)
def test_sign_in_to_the_console_refuses_all_others_in_the_same_words(acme, ann, email, password):
    acme.user("user", password=PASSWORD)

    response = sign_in(email, password)

    assert response.status_code == 200
    assert "Wrong email or password" in response.content.decode()


@pytest.mark.parametrize("email", ["ann@acme.test", "unknown@acme.test", "user@acme.test"])
def test_sign_in_to_the_console_computes_one_hash_whether_or_not_the_user_exists(acme, ann, hashed, email):
    """The time must not reveal it: with another password, unknown, not of the console."""
    acme.user("user", password=PASSWORD)
    hashed.clear()

    sign_in(email, "wrong")

    assert hashed == ["wrong"]


def test_sign_in_to_the_console_refuses_who_is_banned(ann):
    ann.ban()

    assert sign_in("ann@acme.test").status_code == 200


def test_a_ban_ends_the_session(ann):
    client = signed_in(ann)
    ann.ban()

    assert client.get("/admin/").status_code == 302


def test_sign_in_to_the_console_refuses_people_of_an_account_that_is_not_served(acme, ann):
    acme.account.status = "PAUSED"
    acme.account.save()

    assert sign_in("ann@acme.test").status_code == 200


class TestInSeveralAccounts:
    def test_sign_in_with_several_accounts_asks_for_the_account_where_the_password_is_the_same(self, acme, rival, ann):
        staff(rival, email="ann@acme.test", password=PASSWORD)

        response = sign_in("ann@acme.test")

        assert response.status_code == 200
        assert "Say which one" in response.content.decode()
        assert 'name="account"' in response.content.decode()

    @pytest.mark.parametrize("slug", ["acme", "rival"])
    def test_sign_in_with_several_accounts_takes_the_account_that_is_named(self, acme, rival, ann, slug):
        people = {"acme": ann, "rival": staff(rival, email="ann@acme.test", password=PASSWORD)}
        client = Client()

        client.post(LOGIN, {"username": "ann@acme.test", "password": PASSWORD, "account": slug})

        assert client.session["_auth_user_id"] == str(people[slug].pk)

    def test_sign_in_with_several_accounts_takes_the_one_whose_password_it_is(self, rival, ann):
        staff(rival, email="ann@acme.test", password="something else")

        assert sign_in("ann@acme.test").status_code == 302


class TestThrottle:
    def test_sign_in_throttle_refuses_the_sixth_time_also_with_the_right_password(self, ann):
        for _ in range(5):
            sign_in("ann@acme.test", "wrong")

        response = sign_in("ann@acme.test")

        assert response.status_code == 429
        assert int(response["Retry-After"]) > 0
        assert "Too many attempts" in response.content.decode()

    def test_sign_in_throttle_refuses_who_tries_everybody(self, ann):
        for number in range(5):
            sign_in(f"user{number}@acme.test")

        assert sign_in("ann@acme.test").status_code == 429


def test_sign_in_to_the_console_sessions_end(ann, settings):
    client = Client()
    client.post(LOGIN, {"username": "ann@acme.test", "password": PASSWORD})

    assert settings.SESSION_COOKIE_AGE == 36_000
    assert client.session.get_expiry_date() <= timezone.now() + timedelta(hours=10, minutes=1)


def test_pages_run_nothing_that_did_not_come_from_here(ann):
    client = signed_in(ann)
    lost = client.get("/admin/nowhere/", headers={"Accept": "text/html"})
    for response in (Client().get(LOGIN), client.get("/admin/"), lost):
        assert response["Content-Security-Policy"].startswith("default-src 'self';")
        assert "<style" not in response.content.decode()
        assert "onclick" not in response.content.decode()


def test_page_for_a_person_without_a_group_says_that_the_role_is_missing(acme):
    person = acme.user("developer", is_staff=True)

    assert "You have no role yet." in signed_in(person).get(page("index")).content.decode()
