"""Rate limits of sign-ins and other attempts (contract: platform 11.1)."""

from datetime import timedelta

import pytest
from django.utils import timezone

from accounts import rate_limits
from accounts.models import RateLimitCounter
from tests.accounts.conftest import PASSWORD
from tests.accounts.documents import basic
from tests.cast import add_keys

TOO_MANY = {
    "title": "Too many requests",
    "detail": "Throttle limit has been reached for your IP address. Please slow down.",
    "code": "TOO_MANY_REQUESTS",
    "links": {"about": "/docs#TOO_MANY_REQUESTS"},
}


def assert_throttled(response, window, limit=5):
    assert (response.status_code, response.json()) == (429, {"errors": [TOO_MANY]})
    assert response["X-RateLimit-Window"] == window
    assert (response["X-RateLimit-Count"], response["X-RateLimit-Limit"]) == (str(limit + 1), str(limit))
    assert response["X-RateLimit-Remaining"] == "0"
    now = timezone.now().timestamp()
    assert int(response["Retry-After"]) > 0
    assert now < int(response["X-RateLimit-Reset"]) <= now + int(response["Retry-After"]) + 1


def forget_a_while(seconds):
    for row in RateLimitCounter.objects.all():
        row.until -= timedelta(seconds=seconds)
        row.save()


class TestSignIn:
    def test_sign_in_is_refused_the_sixth_time_in_a_minute_also_with_the_right_password(self, sign_in, joe):
        for _ in range(5):
            assert sign_in("joe@acme.test", "wrong").status_code == 401

        assert_throttled(sign_in("joe@acme.test"), "auth")

    def test_sign_in_counts_successes_for_one_email(self, sign_in, joe):
        for _ in range(5):
            assert sign_in("joe@acme.test").status_code == 201

        assert_throttled(sign_in("JOE@acme.test "), "auth")

    def test_sign_in_refuses_who_tries_a_password_on_everybody(self, sign_in, joe):
        for number in range(5):
            sign_in(f"user{number}@acme.test", "wrong")

        assert_throttled(sign_in("joe@acme.test"), "auth")

    def test_sign_in_lets_a_whole_office_in(self, sign_in, acme):
        for number in range(8):
            acme.user("user", email=f"user{number}@acme.test", password=PASSWORD)

        assert {sign_in(f"user{number}@acme.test").status_code for number in range(8)} == {201}

    def test_sign_in_is_possible_again_after_a_minute(self, sign_in, joe):
        for _ in range(6):
            sign_in("joe@acme.test", "wrong")

        forget_a_while(60)

        assert sign_in("joe@acme.test").status_code == 201

    @pytest.mark.parametrize("path", ["tokens", "tokens/", "tokens.json", "/v1/accounts/{id}/tokens"])
    def test_sign_in_cannot_be_stepped_around_by_another_spelling(self, sign_in, api, acme, joe, path):
        for _ in range(5):
            sign_in("joe@acme.test", "wrong")

        header = basic("joe@acme.test", PASSWORD).replace("Basic", "bAsIc")
        assert_throttled(api().post(path.format(id=acme.account.pk), Authorization=header), "auth")

    def test_sign_in_of_one_account_does_not_count_for_another(self, sign_in, api, joe, rival):
        rival.user("user", email="joe@acme.test", password=PASSWORD)
        for _ in range(6):
            sign_in("joe@acme.test", "wrong")

        response = api(account="rival").post("tokens", Authorization=basic("joe@acme.test", PASSWORD))

        assert response.status_code == 201

    def test_behind_a_proxy_counts_by_the_address_that_the_proxy_saw(self, sign_in, joe, settings):
        settings.BEHIND_TLS_PROXY = True
        for number in range(6):
            # The client's own claim comes first in the header, and is ignored.
            forged = {"X_Forwarded_For": f"10.0.0.{number}, 192.0.2.1"}
            response = sign_in("joe@acme.test", "wrong", **forged)

        assert_throttled(response, "auth")
        assert sign_in("joe@acme.test", X_Forwarded_For="192.0.2.2").status_code == 201

    def test_sign_in_without_a_proxy_believes_no_header(self, sign_in, joe):
        for number in range(6):
            response = sign_in("joe@acme.test", "wrong", X_Forwarded_For=f"10.0.0.{number}")

        assert_throttled(response, "auth")


@pytest.mark.parametrize(
    ("path", "meta", "window", "expected"),
    [
        ("passwords", {"email": "joe@acme.test", "deliver": False}, "rstpwd", 204),
        (
            "users/joe@acme.test/actions/reset-password",
            {"passwordResetToken": "x", "newPassword": "another one"},
            "mutpwd",
            404,
        ),
    ],
)
def test_rate_of_forgotten_passwords_is_limited_too(api, joe, path, meta, window, expected):
    for _ in range(5):
        assert api().post(path, {"meta": meta}).status_code == expected

    assert_throttled(api().post(path, {"meta": meta}), window)


def test_rate_of_changed_passwords_is_limited_too(api, joe):
    joes, document = api(joe), {"meta": {"oldPassword": "wrong", "newPassword": "another one"}}
    for _ in range(5):
        assert joes.post(f"users/{joe.pk}/actions/update-password", document).status_code == 401

    assert_throttled(joes.post(f"users/{joe.pk}/actions/update-password", document), "mutpwd")


class TestAttempts:
    def test_attempts_keep_no_address(self, sign_in, joe):
        sign_in("joe@acme.test", "wrong")

        assert RateLimitCounter.objects.count() == 3
        assert all(len(bytes(row.digest)) == 32 for row in RateLimitCounter.objects.all())

    def test_attempts_are_cleared_away_some_time_after_they_count(self, acme):
        rate_limits.SIGN_INS.hit("one")
        forget_a_while(2 * 60 * 60)

        rate_limits.SIGN_INS.hit("two")

        assert RateLimitCounter.objects.count() == 1


class TestRequests:
    @pytest.fixture
    def reader(self, settings, api, acme):
        settings.REQUESTS_PER_MINUTE = 3
        return api(acme.user("read-only"))

    def test_requests_are_not_limited_unless_it_is_wanted(self, api, acme):
        speaker = api(acme.admin)
        responses = [speaker.get("me") for _ in range(10)]

        assert {response.status_code for response in responses} == {200}
        assert not any(name.startswith("X-RateLimit") for response in responses for name in response.headers)
        assert not RateLimitCounter.objects.exists()

    def test_requests_say_how_many_are_left(self, reader):
        responses = [reader.get("me"), reader.get("keys"), reader.get("keys/unknown")]

        for count, response in enumerate(responses, start=1):
            said = {name: response[f"X-RateLimit-{name}"] for name in ("Window", "Count", "Limit", "Remaining")}
            assert said == {"Window": "1m", "Count": str(count), "Limit": "3", "Remaining": str(3 - count)}
            assert 0 < int(response["X-RateLimit-Reset"]) - timezone.now().timestamp() <= 61
            assert "Retry-After" not in response

    def test_requests_are_refused_until_a_minute_has_passed(self, reader):
        for _ in range(3):
            assert reader.get("me").status_code == 200

        assert_throttled(reader.get("me"), "1m", limit=3)
        forget_a_while(60)
        assert reader.get("me").status_code == 200

    def test_requests_that_are_refused_have_no_effect(self, reader, api, acme):
        add_keys(acme.policy, "KEY-0001")
        admin = api(acme.admin)
        for _ in range(3):
            admin.get("me")

        assert admin.delete(f"policies/{acme.policy.pk}/pool").status_code == 429
        assert acme.policy.pool.available().count() == 1

    def test_requests_are_counted_for_each_credential_and_address(self, reader, api, acme, settings):
        settings.BEHIND_TLS_PROXY = True
        there = {"X-Forwarded-For": "192.0.2.1", "X-Forwarded-Proto": "https"}
        for _ in range(4):
            last = reader.get("me", **there)

        assert last.status_code == 429
        assert reader.get("me", **there | {"X-Forwarded-For": "192.0.2.2"}).status_code == 200
        assert api(acme.admin).get("me", **there).status_code == 200
        assert api().get("ping", **there).status_code == 200

    @pytest.mark.parametrize(("in_second", "in_minute", "window"), [(2, 3, "1s"), (5, 3, "1m")])
    def test_requests_say_of_the_window_that_is_closest_to_its_limit(
        self, reader, settings, in_second, in_minute, window
    ):
        settings.REQUESTS_PER_SECOND, settings.REQUESTS_PER_MINUTE = in_second, in_minute

        assert reader.get("me")["X-RateLimit-Window"] == window

    def test_requests_of_a_sign_in_too_often_say_so(self, settings, sign_in, joe):
        settings.REQUESTS_PER_MINUTE = 100
        for _ in range(5):
            sign_in("joe@acme.test", "wrong")

        assert_throttled(sign_in("joe@acme.test"), "auth")
