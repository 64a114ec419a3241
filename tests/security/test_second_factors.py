"""A stolen password alone: codes that are guessed, repeated or awaited, and the ways around the second step."""

import pytest
import time_machine
from django.db import connection
from django.test import Client

from accounts.errors import TooManyRequests
from accounts.models import RecoveryCode, SecondFactor, User
from accounts.models.second_factors import MAX_COUNTED_FAILURES
from accounts.password_reset import make_reset_token
from accounts.second_factors import SecondFactorExists, start_second_factor
from accounts.services import change_user
from tests.cast import token_of
from tests.conftest import API
from tests.console import PASSWORD, signed_in, staff
from tests.races import race
from tests.security.second_factors import (
    LOGIN,
    NOON,
    SECOND_STEP,
    SET_UP,
    SETTINGS,
    code_at,
    console_urls,
    enable,
    first_step,
    is_in,
    sign_in,
    wrong_code,
)

# They need no sign-in.
OPEN_PAGES = {"login", "second_step", "logout", "forgot_password", "reset", "join"}


@pytest.fixture
def ann(acme):
    return staff(acme, email="ann@acme.test", password=PASSWORD)


@pytest.fixture
def factor(ann):
    return enable(ann)[0]


@pytest.fixture
def clock():
    with time_machine.travel(NOON, tick=False) as traveller:
        yield traveller


class TestCodes:
    @pytest.mark.parametrize(("timestamp", "code"), [(59, "287082"), (1111111109, "081804"), (2000000000, "279037")])
    def test_codes_are_those_of_the_standard(self, factor, timestamp, code):
        factor.secret = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"
        factor.save()

        with time_machine.travel(timestamp, tick=False):
            assert factor.accept(code)

    @pytest.mark.parametrize(
        ("seconds", "accepted"), [(0, True), (-15, True), (-16, False), (-45, False), (14, True), (15, False)]
    )
    def test_codes_of_this_step_only_are_accepted_in_the_middle_of_it(self, factor, clock, seconds, accepted):
        assert factor.accept(code_at(factor, NOON + seconds)) == accepted

    @pytest.mark.parametrize(("second", "accepted"), [(0, True), (9, True), (10, False)])
    def test_codes_of_the_step_before_are_accepted_for_ten_seconds(self, factor, clock, second, accepted):
        clock.move_to(NOON + 15 + second)

        assert factor.accept(code_at(factor, NOON)) == accepted

    def test_codes_work_once(self, factor, clock):
        code = code_at(factor)

        assert factor.accept(code)
        assert not factor.accept(code)

    def test_codes_of_an_earlier_step_do_not_work_after_a_later_one(self, factor, clock):
        clock.move_to(NOON + 16)
        earlier = code_at(factor, NOON)

        assert factor.accept(code_at(factor))
        assert not factor.accept(earlier)

    @pytest.mark.parametrize("blank", [" ", "-", "\t"])
    def test_codes_may_have_blanks(self, factor, clock, blank):
        code = code_at(factor)

        assert factor.accept(f" {code[:3]}{blank}{code[3:]} ")

    @pytest.mark.parametrize("code", ["", " ", "12345", "1234567", "ABCDEF", "１２３４５６", "\0", "0" * 5000])
    def test_codes_that_are_none_are_refused(self, factor, clock, code):
        assert not factor.accept(code)

    def test_codes_of_another_user_are_refused(self, acme, factor, clock):
        other, recovery_codes = enable(staff(acme, email="bob@acme.test"))

        assert not factor.accept(code_at(other))
        clock.shift(60)
        assert not factor.accept(recovery_codes[0])

    def test_codes_of_a_deleted_factor_are_refused(self, factor, clock):
        factor_in_another_process = SecondFactor.objects.get(pk=factor.pk)
        factor.delete()

        assert not factor_in_another_process.accept(code_at(factor))


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("kind", ["app", "recovery"])
def test_a_code_that_several_send_at_the_same_time_signs_one_of_them_in(acme, kind):
    factor, recovery_codes = enable(staff(acme, email="ann@acme.test"))
    code = code_at(factor) if kind == "app" else recovery_codes[0]

    results = race(4, lambda: SecondFactor.objects.get(pk=factor.pk).accept(code))

    assert results.count(True) == 1
    assert all(result is False or isinstance(result, TooManyRequests) for result in results if result is not True)


class TestGuesses:
    def test_guesses_make_the_next_one_wait_twice_as_long(self, factor, clock):
        waits = []
        for _ in range(MAX_COUNTED_FAILURES + 2):
            factor.accept(wrong_code(factor))
            with pytest.raises(TooManyRequests) as refused:
                factor.accept(wrong_code(factor))
            waits.append(int(refused.value.headers["Retry-After"]))
            clock.shift(waits[-1])

        assert waits[:4] == [1, 2, 4, 8]
        assert waits[-3:] == [2 ** (MAX_COUNTED_FAILURES - 1)] * 3

    def test_guesses_are_refused_also_with_the_right_code_while_they_wait(self, factor, clock):
        factor.accept(wrong_code(factor))

        with pytest.raises(TooManyRequests):
            factor.accept(code_at(factor))

    def test_guesses_of_others_do_not_lock_out_the_owner(self, ann, clock):
        factor, recovery_codes = enable(ann)
        factor.accept(wrong_code(factor))
        with pytest.raises(TooManyRequests):
            factor.accept(code_at(factor))

        assert factor.accept(recovery_codes[0])

    def test_guesses_end_with_a_right_code(self, factor, clock):
        factor.accept(wrong_code(factor))
        clock.shift(2)
        assert factor.accept(code_at(factor))
        clock.shift(30)

        assert not factor.accept(wrong_code(factor))
        clock.shift(1)
        assert factor.accept(code_at(factor))

    def test_guesses_at_the_sign_in_get_a_calm_429(self, ann, factor, clock):
        client, _ = first_step(ann)
        wrong = client.post(SECOND_STEP, {"code": wrong_code(factor)})
        refused = client.post(SECOND_STEP, {"code": code_at(factor)})

        assert (wrong.status_code, refused.status_code) == (200, 429)
        assert "not right, or was used before" in wrong.content.decode()
        assert "Try again in 1 second." in refused.content.decode()
        assert int(refused["Retry-After"]) == 1
        assert not is_in(client)


class TestAtRest:
    def test_secrets_are_encrypted_in_the_database(self, ann, settings):
        settings.KEY_ENCRYPTION_KEYS = f"a:{'QUFB' * 10}QUE="
        factor = start_second_factor(ann)

        with connection.cursor() as cursor:
            cursor.execute("SELECT secret FROM accounts_secondfactor")
            stored = cursor.fetchone()[0]

        assert factor.secret not in stored
        assert SecondFactor.objects.get(pk=factor.pk).secret == factor.secret

    def test_recovery_codes_are_stored_as_digests_only(self, ann):
        _, recovery_codes = enable(ann)

        stored = repr([row.__dict__ for row in RecoveryCode.objects.all()])

        assert len(set(recovery_codes)) == 10
        assert not any(code in stored or code.replace("-", "") in stored for code in recovery_codes)


class TestFirstStepOnly:
    def test_a_session_of_the_first_step_opens_no_page(self, ann, factor):
        client, response = first_step(ann)
        assert response["Location"] == SECOND_STEP

        offenders = []
        for url, name in console_urls().items():
            for method in ("get", "post"):
                answer = getattr(client, method)(url)
                location = answer.get("Location", "")
                if name not in OPEN_PAGES and not location.startswith(LOGIN):
                    offenders.append((method, url, answer.status_code, location))
        assert len(console_urls()) > 60
        assert offenders == []

    def test_a_session_of_the_first_step_has_no_user(self, ann, factor):
        client, _ = first_step(ann)

        assert "_auth_user_id" not in client.session

    def test_the_first_step_ends_the_session_that_there_was(self, acme, ann, factor):
        client = signed_in(staff(acme, email="bob@acme.test"))

        first_step(ann, client)

        assert not is_in(client)

    def test_a_code_without_the_first_step_is_not_asked_for(self, ann, factor):
        for method in ("get", "post"):
            response = getattr(Client(), method)(SECOND_STEP, {"code": code_at(factor)})
            assert (response.status_code, response["Location"]) == (302, LOGIN)

    def test_the_first_step_is_forgotten_after_ten_minutes(self, ann, factor, clock):
        client, _ = first_step(ann)
        clock.shift(601)

        response = client.post(SECOND_STEP, {"code": code_at(factor)})

        assert response["Location"] == LOGIN
        assert not is_in(client)

    @pytest.mark.parametrize(
        "change",
        [
            lambda ann: ann.ban(),
            lambda ann: change_user(ann, {"password": "another one"}),
            lambda ann: change_user(ann, {"email": "new@acme.test"}),
            lambda ann: change_user(ann, {"is_staff": False}),
            lambda ann: type(ann.account).objects.update(status="PAUSED"),
            lambda ann: ann.second_factor.delete(),
        ],
    )
    def test_the_first_step_is_forgotten_after_a_change_of_the_user(self, ann, factor, change):
        client, _ = first_step(ann)
        change(User.objects.get(pk=ann.pk))

        response = client.post(SECOND_STEP, {"code": code_at(factor)})

        assert response["Location"] == LOGIN
        assert not is_in(client)


class TestSignIn:
    def test_sign_in_with_a_code(self, ann, factor):
        client, response = sign_in(ann, code_at(factor))

        assert (response.status_code, response["Location"]) == (302, "/admin/")
        assert is_in(client)

    def test_sign_in_with_a_recovery_code_works_once_each(self, ann):
        _, recovery_codes = enable(ann)

        for code in (recovery_codes[0], recovery_codes[1].upper().replace("-", " ")):
            assert is_in(sign_in(ann, code)[0])
        assert not is_in(sign_in(ann, recovery_codes[0])[0])

    def test_sign_in_without_a_second_factor_has_one_step(self, ann):
        start_second_factor(ann)  # not enabled: no effect

        assert is_in(first_step(ann)[0])

    @pytest.mark.parametrize(
        ("target", "expected"),
        [
            ("/admin/pools/key/?q=A", "/admin/pools/key/?q=A"),
            ("https://evil.test/", "/admin/"),
            ("//evil.test/", "/admin/"),
            ("javascript:alert(1)", "/admin/"),
            ("", "/admin/"),
        ],
    )
    def test_sign_in_leads_to_the_page_that_was_asked_for(self, ann, factor, target, expected):
        assert sign_in(ann, code_at(factor), next=target)[1]["Location"] == expected

    def test_sign_in_takes_a_new_session(self, ann, factor):
        client, _ = first_step(ann)
        before = client.session.session_key

        client.post(SECOND_STEP, {"code": code_at(factor)})

        assert client.session.session_key != before
        assert client.session.get_expiry_age() > 9 * 3600


def reset_by_mail(acme, ann):
    document = {"meta": {"passwordResetToken": make_reset_token(ann), "newPassword": "a new password 1"}}
    assert API().post(f"users/{ann.pk}/actions/reset-password", document).status_code == 200
    return {"password": "a new password 1"}


def change_password(acme, ann):
    document = {"meta": {"oldPassword": PASSWORD, "newPassword": "a new password 1"}}
    response = API(token_of(ann)).post(f"users/{ann.pk}/actions/update-password", document)
    assert response.status_code == 200
    return {"password": "a new password 1"}


def change_email(acme, ann):
    document = {"data": {"type": "users", "attributes": {"email": "new@acme.test"}}}
    assert API(token_of(ann)).patch(f"users/{ann.pk}", document).status_code == 200
    return {}


def set_password_in_console(acme, ann):
    change_user(ann, {"password": "a new password 1"})
    return {"password": "a new password 1"}


def ban(acme, ann):
    ann.ban()
    ann.unban()
    return {}


def lose_access(acme, ann):
    change_user(ann, {"is_staff": False})
    change_user(ann, {"is_staff": True})
    return {}


def start_another(acme, ann):
    with pytest.raises(SecondFactorExists):
        start_second_factor(ann)
    client = signed_in(ann)
    assert client.post(SETTINGS, {"password": PASSWORD}).status_code == 200
    assert client.get(SET_UP).status_code == 302
    return {}


@pytest.mark.parametrize(
    "way",
    [reset_by_mail, change_password, change_email, set_password_in_console, ban, lose_access, start_another],
)
def test_no_other_change_is_a_way_around_the_second_factor(acme, ann, factor, way):
    password = way(acme, User.objects.get(pk=ann.pk))
    ann.refresh_from_db()

    client, response = first_step(ann, **password)

    assert response["Location"] == SECOND_STEP
    assert not is_in(client)
    client.post(SECOND_STEP, {"code": code_at(factor)})
    assert is_in(client)


class TestSessions:
    def test_other_sessions_end_when_it_is_turned_on(self, ann):
        other = signed_in(ann)
        assert is_in(other)

        enable(ann)

        assert not is_in(other)

    def test_other_sessions_end_when_it_is_replaced(self, ann, factor):
        client, _ = sign_in(ann, code_at(factor))
        SecondFactor.objects.all().delete()
        enable(User.objects.get(pk=ann.pk))

        assert not is_in(client)

    def test_tokens_stay(self, ann):
        text = token_of(ann)

        enable(ann)

        assert API(text).get("me").status_code == 200


def test_pages_of_the_console_read_the_second_factor_with_the_user(ann, factor, django_assert_max_num_queries):
    client, _ = sign_in(ann, code_at(factor))

    with django_assert_max_num_queries(50) as statements:
        client.get("/admin/accounts/user/")

    about = [each["sql"] for each in statements if "secondfactor" in each["sql"]]
    assert len(about) == 2  # the user of the session, and the list
    assert all("LEFT OUTER JOIN" in statement for statement in about)
    assert not any("secret" in statement for statement in about)
