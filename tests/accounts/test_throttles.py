"""How often somebody may try (contract: platform 11.1)."""

from datetime import timedelta

import pytest
from django.utils import timezone

from accounts import throttles
from accounts.models import Attempts
from tests.accounts.conftest import PASSWORD
from tests.accounts.documents import basic

TOO_MANY = {
    "title": "Too many requests",
    "detail": "Throttle limit has been reached for your IP address. Please slow down.",
    "code": "TOO_MANY_REQUESTS",
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
    for row in Attempts.objects.all():
        row.until -= timedelta(seconds=seconds)
        row.save()


class TestSignIn:
    def test_is_refused_the_sixth_time_in_a_minute_also_with_the_right_password(self, sign_in, joe):
        for _ in range(5):
            assert sign_in("joe@acme.test", "wrong").status_code == 401

        assert_throttled(sign_in("joe@acme.test"), "auth")

    def test_counts_successes_for_one_email(self, sign_in, joe):
        for _ in range(5):
            assert sign_in("joe@acme.test").status_code == 201

        assert_throttled(sign_in("JOE@acme.test "), "auth")

    def test_refuses_who_tries_a_password_on_everybody(self, sign_in, joe):
        for number in range(5):
            sign_in(f"user{number}@acme.test", "wrong")

        assert_throttled(sign_in("joe@acme.test"), "auth")

    def test_lets_a_whole_office_in(self, sign_in, acme):
        for number in range(8):
            acme.user("user", email=f"user{number}@acme.test", password=PASSWORD)

        assert {sign_in(f"user{number}@acme.test").status_code for number in range(8)} == {201}

    def test_is_possible_again_after_a_minute(self, sign_in, joe):
        for _ in range(6):
            sign_in("joe@acme.test", "wrong")

        forget_a_while(60)

        assert sign_in("joe@acme.test").status_code == 201

    @pytest.mark.parametrize("path", ["tokens", "tokens/", "tokens.json", "/v1/accounts/{id}/tokens"])
    def test_cannot_be_stepped_around_by_another_spelling(self, sign_in, api, acme, joe, path):
        for _ in range(5):
            sign_in("joe@acme.test", "wrong")

        header = basic("joe@acme.test", PASSWORD).replace("Basic", "bAsIc")
        assert_throttled(api().post(path.format(id=acme.account.pk), Authorization=header), "auth")

    def test_of_one_account_does_not_count_for_another(self, sign_in, api, joe, rival):
        rival.user("user", email="joe@acme.test", password=PASSWORD)
        for _ in range(6):
            sign_in("joe@acme.test", "wrong")

        response = api(account="rival").post("tokens", Authorization=basic("joe@acme.test", PASSWORD))

        assert response.status_code == 201

    def test_behind_a_proxy_counts_by_the_address_that_the_proxy_saw(self, sign_in, joe, settings):
        settings.BEHIND_TLS_PROXY = True
        for number in range(6):
            # What the client claims comes first, and says nothing.
            forged = {"X_Forwarded_For": f"10.0.0.{number}, 192.0.2.1"}
            response = sign_in("joe@acme.test", "wrong", **forged)

        assert_throttled(response, "auth")
        assert sign_in("joe@acme.test", X_Forwarded_For="192.0.2.2").status_code == 201

    def test_without_a_proxy_believes_no_header(self, sign_in, joe):
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
def test_of_forgotten_passwords_is_limited_too(api, joe, path, meta, window, expected):
    for _ in range(5):
        assert api().post(path, {"meta": meta}).status_code == expected

    assert_throttled(api().post(path, {"meta": meta}), window)


def test_of_changed_passwords_is_limited_too(api, joe):
    joes, document = api(joe), {"meta": {"oldPassword": "wrong", "newPassword": "another one"}}
    for _ in range(5):
        assert joes.post(f"users/{joe.pk}/actions/update-password", document).status_code == 401

    assert_throttled(joes.post(f"users/{joe.pk}/actions/update-password", document), "mutpwd")


class TestAttempts:
    def test_keep_no_address(self, sign_in, joe):
        sign_in("joe@acme.test", "wrong")

        assert Attempts.objects.count() == 2
        assert all(len(bytes(row.digest)) == 32 for row in Attempts.objects.all())

    def test_are_cleared_away_some_time_after_they_count(self, acme):
        throttles.SIGN_IN.attempt("one")
        forget_a_while(2 * 60 * 60)

        throttles.SIGN_IN.attempt("two")

        assert Attempts.objects.count() == 1
