"""Second factors over the API (contract: security 1)."""

import pytest

from accounts.models import SecondFactor
from tests.accounts.documents import basic
from tests.security.second_factors import NOON, code_at, enable, wrong_code

PASSWORD = "open sesame"
ROLES = ("admin", "developer", "sales-agent", "support-agent", "read-only", "product", "license", "user")


@pytest.fixture
def joe(acme):
    return acme.user("user", email="joe@acme.test", password=PASSWORD)


@pytest.fixture
def path(joe):
    return f"users/{joe.pk}/second-factors"


@pytest.fixture(autouse=True)
def clock(monkeypatch):
    """A clock that stands still in the middle of a step, and can be moved: `clock.now += 30`."""

    class Clock:
        now = NOON

    monkeypatch.setattr("accounts.models.second_factors.time.time", lambda: Clock.now)
    return Clock


def change(enabled, code):
    return {"data": {"type": "second-factors", "attributes": {"enabled": enabled}}, "meta": {"otp": code}}


def sign_in(api, code=None, password=PASSWORD):
    data = None if code is None else {"meta": {"otp": code}}
    return api().post("tokens", data, Authorization=basic("joe@acme.test", password))


def error(response):
    [found] = response.json()["errors"]
    return response.status_code, found.get("code"), found.get("source", {}).get("pointer")


def test_factor_is_made_enabled_used_disabled_and_deleted(api, joe, path, clock):
    client = api(joe)

    made = client.post(path, {"meta": {"password": PASSWORD}})
    shown = made.json()["data"]
    assert made.status_code == 201
    assert made["Location"].endswith(f"/users/{joe.pk}/second-factors/{shown['id']}")
    assert {"uri", "secret", "enabled"} <= shown["attributes"].keys()
    assert sign_in(api).status_code == 201  # it is not enabled yet

    factor = SecondFactor.objects.get(user=joe)
    enabled = client.patch(f"{path}/{factor.pk}", change(True, code_at(factor, clock.now)))
    assert enabled.status_code == 200
    assert "secret" not in enabled.json()["data"]["attributes"]
    assert len(enabled.json()["meta"]["recoveryCodes"]) == 10
    assert "secret" not in client.get(path).json()["data"][0]["attributes"]

    clock.now += 30
    assert error(sign_in(api)) == (401, "OTP_REQUIRED", "/meta/otp")
    assert sign_in(api, code_at(factor, clock.now)).status_code == 201
    assert error(sign_in(api, code_at(factor, clock.now))) == (401, "OTP_INVALID", "/meta/otp")  # used

    clock.now += 60
    SecondFactor.objects.update(throttling_failure_timestamp=None, throttling_failure_count=0)  # by the wrong code
    disabled = client.patch(f"{path}/{factor.pk}", change(False, code_at(factor, clock.now)))
    assert disabled.json()["meta"] == {"recoveryCodes": []}
    assert disabled.json()["data"]["attributes"]["secret"] != factor.secret
    assert sign_in(api).status_code == 201
    assert client.delete(f"{path}/{factor.pk}", {"any": "body"}).status_code == 204
    assert not SecondFactor.objects.exists()


def test_making_one_needs_a_proof(api, joe, path, clock):
    client = api(joe)

    assert error(client.post(path, {"meta": {"password": "wrong"}})) == (401, "PASSWORD_INVALID", "/meta/password")
    assert error(client.post(path, {"meta": {}})) == (401, "PASSWORD_INVALID", "/meta/password")
    assert error(client.post(path)) == (400, None, "/meta")
    factor, _ = enable(joe)
    assert error(client.post(path, {"meta": {"password": PASSWORD}})) == (401, "OTP_INVALID", "/meta/otp")
    assert error(client.post(path, {"meta": {"otp": code_at(factor, clock.now)}}))[0] == 409


def test_deleting_an_enabled_one_needs_a_code(api, joe, path, clock):
    factor, _ = enable(joe)
    client, own = api(joe), f"{path}/{factor.pk}"

    assert error(client.delete(own)) == (401, "OTP_INVALID", "/meta/otp")
    assert error(client.delete(own, {"meta": {}})) == (400, None, "/meta/otp")
    assert error(client.delete(own, {"meta": {"otp": wrong_code(factor)}})) == (401, "OTP_INVALID", "/meta/otp")
    assert SecondFactor.objects.exists()


def test_sign_in_checks_the_password_first_and_keeps_the_code(api, joe, clock):
    factor, _ = enable(joe)
    code = code_at(factor, clock.now)

    assert error(sign_in(api, code, password="wrong"))[:2] == (401, "PASSWORD_INVALID")
    assert error(sign_in(api, password="wrong"))[:2] == (401, "PASSWORD_INVALID")
    assert sign_in(api, code).status_code == 201
    assert (
        api().post("tokens", {"meta": {"otp": 123456}}, Authorization=basic("joe@acme.test", PASSWORD)).status_code
        == 400
    )


def test_who_may_see_and_change_the_factor_of_a_user(api, acme, joe, path):
    statuses = {}
    for role in ROLES:
        bearer = acme.user("user", email="eve@acme.test") if role == "user" else acme.bearer(role)
        statuses[role] = [api(bearer).get(path).status_code]
    factor, _ = enable(joe)
    for role in ROLES:
        bearer = acme.user("user", email="eve@acme.test") if role == "user" else acme.bearer(role)
        client = api(bearer)
        statuses[role] += [
            client.get(path).status_code,
            client.get(f"{path}/{factor.pk}").status_code,
            client.post(path, {"meta": {}}).status_code,
            client.delete(f"{path}/{factor.pk}").status_code,
        ]

    assert statuses == {
        "admin": [200, 200, 200, 401, 401],
        **dict.fromkeys(("developer", "sales-agent", "support-agent", "read-only"), [200, 403, 403, 403, 403]),
        "product": [403, 403, 403, 403, 403],
        "license": [404, 404, 404, 404, 404],
        "user": [404, 404, 404, 404, 404],
    }
    assert SecondFactor.objects.filter(enabled=True).exists()


def test_secret_is_shown_to_its_user_only(api, acme, joe, path):
    api(joe).post(path, {"meta": {"password": PASSWORD}})

    assert "secret" in api(joe).get(path).json()["data"][0]["attributes"]
    assert "secret" not in api(acme.admin).get(path).json()["data"][0]["attributes"]
