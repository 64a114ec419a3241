"""Sessions of the API, by a cookie (contract: security 2)."""

from datetime import timedelta

import pytest
from django.utils import timezone

from accounts.models import APISession, Token
from tests.accounts.documents import basic

ORIGIN = "https://portal.example.com"
PASSWORD = "open sesame"


@pytest.fixture(autouse=True)
def origins(settings):
    settings.SESSION_ORIGINS = [ORIGIN]


@pytest.fixture(autouse=True)
def recorded_at_once(monkeypatch):
    """Record the uses of sessions within the request, in the transaction of the test."""
    monkeypatch.setattr("accounts.background.run_in_background", lambda function, *args: function(*args))
    monkeypatch.setattr("django.db.connection.close", lambda: None)


@pytest.fixture
def joe(acme):
    return acme.user("user", email="joe@acme.test", password=PASSWORD)


@pytest.fixture
def sign_in(api, joe):
    def request(data=None, **headers):
        return api().post("tokens", data, Authorization=basic(joe.email, PASSWORD), Origin=ORIGIN, **headers)

    return request


def cookie_of(response):
    """The value of the session cookie that a response sets, empty if it clears it, or None."""
    header = response.get("Set-Cookie")
    return None if header is None else header.partition(";")[0].removeprefix("session_id=")


def with_cookie(value, **headers):
    return {"Origin": ORIGIN, "Cookie": f"session_id={value}", **headers}


def code(response):
    return response.status_code, response.json()["errors"][0].get("code")


def test_sign_in_of_a_permitted_page_makes_a_session(api, joe, sign_in):
    response = sign_in()
    header = response["Set-Cookie"]

    assert response.status_code == 201
    assert all(part in header for part in ("secure", "httponly", "samesite=None", "partitioned", "path=/"))
    me = api().get("me", **with_cookie(cookie_of(response)))
    assert me.json()["data"]["id"] == str(joe.pk)
    assert me["Keygen-Token"] == response.json()["data"]["id"]
    assert me["Access-Control-Allow-Origin"] == ORIGIN
    assert me["Access-Control-Allow-Credentials"] == "true"


@pytest.mark.parametrize(
    "origin", [None, "http://portal.example.com", "https://example.com", f"{ORIGIN}.evil.test", "null"]
)
def test_other_pages_have_no_sessions(api, joe, sign_in, origin):
    value = cookie_of(sign_in())
    named = {} if origin is None else {"Origin": origin}

    response = api().get("me", Cookie=f"session_id={value}", **named)

    assert code(response) == (401, "TOKEN_MISSING")
    assert cookie_of(response) is None
    assert "Access-Control-Allow-Credentials" not in response
    assert cookie_of(api().post("tokens", Authorization=basic(joe.email, PASSWORD), **named)) is None


def test_session_ends_with_its_token(api, sign_in):
    response = sign_in()
    value, token = cookie_of(response), response.json()["data"]["id"]

    ended = api().delete(f"tokens/{token}", **with_cookie(value))

    assert ended.status_code == 204
    assert cookie_of(ended) == ""
    refused = api().get("me", **with_cookie(value))
    assert code(refused) == (401, "SESSION_INVALID")
    assert cookie_of(refused) == ""


def test_new_text_of_the_token_makes_a_new_session(api, sign_in):
    response = sign_in()
    value, token = cookie_of(response), response.json()["data"]["id"]

    renewed = api().put(f"tokens/{token}", **with_cookie(value))

    assert renewed.status_code == 200
    assert code(api().get("me", **with_cookie(value))) == (401, "SESSION_INVALID")
    assert api().get("me", **with_cookie(cookie_of(renewed))).status_code == 200


def test_session_made_by_a_session_ends_with_it(api, sign_in):
    first = cookie_of(sign_in())
    second = cookie_of(api().post("tokens", **with_cookie(first)))

    assert api().get("me", **with_cookie(second)).status_code == 200
    APISession.objects.get(parent=None).delete()
    assert code(api().get("me", **with_cookie(second))) == (401, "SESSION_INVALID")


def test_session_expires(api, sign_in):
    value = cookie_of(sign_in())
    session, now = APISession.objects.get(), timezone.now()

    for changes in (
        {"expiry": now - timedelta(seconds=1)},
        {"expiry": now + timedelta(days=1), "created": now - timedelta(weeks=2)},
    ):
        APISession.objects.filter(pk=session.pk).update(**changes)
        assert code(api().get("me", **with_cookie(value))) == (401, "SESSION_EXPIRED")


def test_session_of_an_expired_token_is_refused(api, sign_in):
    value = cookie_of(sign_in())
    Token.objects.update(expiry=timezone.now() - timedelta(seconds=1))

    assert code(api().get("me", **with_cookie(value))) == (401, "SESSION_EXPIRED")


def test_banned_user_is_refused_until_the_ban_is_lifted(api, joe, sign_in):
    value = cookie_of(sign_in())
    joe.ban()

    refused = api().get("me", **with_cookie(value))
    assert code(refused) == (403, "USER_BANNED")
    assert cookie_of(refused) == ""
    joe.unban()
    assert api().get("me", **with_cookie(value)).status_code == 200


def test_session_near_its_end_is_renewed_at_most_once_an_hour(api, sign_in):
    value = cookie_of(sign_in())
    soon = timezone.now() + timedelta(minutes=30)
    APISession.objects.update(expiry=soon)

    assert cookie_of(api().get("me", **with_cookie(value, User_Agent="Browser"))) == value
    assert cookie_of(api().get("me", **with_cookie(value))) is None
    session = APISession.objects.get()
    assert session.expiry == soon + timedelta(hours=1)
    assert session.user_agent == "Browser"


def test_unusable_cookies_are_no_credential(api, sign_in):
    sign_in()

    for value in ("", "x", "x" * 44, '"quoted"'):
        assert code(api().get("me", **with_cookie(value))) == (401, "TOKEN_MISSING")
    assert code(api().get("me", **with_cookie("x" * 43))) == (401, "SESSION_INVALID")


def test_session_of_another_account_is_invalid(api, rival, sign_in):
    value = cookie_of(sign_in())

    assert code(api(account="rival").get("me", **with_cookie(value))) == (401, "SESSION_INVALID")


def test_header_wins_over_the_cookie(api, acme, sign_in):
    value = cookie_of(sign_in())

    assert api(acme.admin).get("me", **with_cookie(value)).json()["data"]["id"] == str(acme.admin.pk)


def test_password_change_keeps_the_session_in_use_only(api, joe, sign_in):
    used, other = cookie_of(sign_in()), cookie_of(sign_in())
    passwords = {"oldPassword": PASSWORD, "newPassword": "another sesame"}

    changed = api().post(f"users/{joe.pk}/actions/update-password", {"meta": passwords}, **with_cookie(used))

    assert changed.status_code == 200
    assert api().get("me", **with_cookie(used)).status_code == 200
    assert code(api().get("me", **with_cookie(other))) == (401, "SESSION_INVALID")
