"""Callers who write, hash or guess without end: with no credential, with any credential, from many addresses.

The attacks of the security review's H5, M1, M3, L6 and L15, over all operations and all kinds of callers.
"""

from dataclasses import replace
from datetime import timedelta
from uuid import uuid4

import pytest
from django.utils import timezone

from accounts import rate_limits
from accounts.errors import PasswordInvalid, SignInRefused, TooManyRequests
from accounts.models import RateLimitCounter, Token
from accounts.password_reset import make_reset_token
from accounts.sign_in import sign_in, sign_in_to_console
from keygen_site.jsonapi.openapi.routes import list_endpoints
from keygen_site.jsonapi.operations import Access
from keygen_site.jsonapi.viewsets import WRITES
from licensing.api.viewsets import licenses
from tests.accounts.documents import basic, user_document
from tests.cast import add_keys, make_license, make_policy, token_of
from tests.console import staff, superuser

PASSWORD = "open sesame"
VALIDATE_KEY = "licenses/actions/validate-key"
ACCOUNT = "/v1/accounts/{account}"


def sign_up_document(*emails):
    admins = [{"type": "users", "attributes": {"email": email, "password": PASSWORD}} for email in emails]
    return {"data": {"type": "accounts", "relationships": {"admins": {"data": admins}}}}


# A valid request for each operation that writes or hashes without a token: its document and headers, by a number.
WITHOUT_TOKEN = {
    "/v1/accounts": lambda number: (sign_up_document(f"ann@rockets{number}.test"), {}),
    f"{ACCOUNT}/users": lambda number: (user_document(email=f"u{number}@x.test", password=PASSWORD), {}),
    f"{ACCOUNT}/passwords": lambda number: ({"meta": {"email": f"u{number}@x.test"}}, {}),
    f"{ACCOUNT}/users/{{id}}/actions/reset-password": lambda number: (
        {"meta": {"passwordResetToken": f"x{number}", "newPassword": PASSWORD}},
        {},
    ),
    f"{ACCOUNT}/{VALIDATE_KEY}": lambda number: ({"meta": {"key": f"GUESS-{number:04}"}}, {}),
    f"{ACCOUNT}/tokens": lambda number: (None, {"Authorization": basic(f"u{number}@x.test", PASSWORD)}),
}
MOST_PERMITTED = 60  # of any of these in the window of its limit, from one IP address


class TestWithoutToken:
    @pytest.fixture(autouse=True)
    def open_server(self, settings, acme):
        settings.SIGN_UP, settings.SIGN_UPS_PER_HOUR = True, 2
        acme.account.protected = False
        acme.account.save()

    def test_every_write_is_limited_by_address(self, api):
        endpoints = {
            endpoint.path
            for endpoint in list_endpoints()
            if endpoint.action and endpoint.method in WRITES
            if endpoint.operation.access & (Access.ANONYMOUS | Access.PASSWORD)
        }
        assert endpoints == WITHOUT_TOKEN.keys()
        offenders = {}
        for template, make in WITHOUT_TOKEN.items():
            permitted, counters = 0, None
            for number in range(MOST_PERMITTED + 10):
                document, headers = make(number)
                path = template.format(account="acme", id=f"u{number}@x.test")
                response = api().post(path, document, **headers)
                assert response.status_code in (200, 201, 204, 401, 404, 429), response.content
                if response.status_code != 429:
                    permitted += 1
                elif counters is None:
                    counters = RateLimitCounter.objects.count()
            # A refused client stores no further counters, with any further text.
            if permitted > MOST_PERMITTED or counters != RateLimitCounter.objects.count():
                offenders[template] = permitted, counters, RateLimitCounter.objects.count()

        assert not offenders

    def test_sign_up_takes_ten_admins_at_most(self, api, settings):
        settings.SIGN_UPS_PER_HOUR = 0
        emails = [f"ann{number}@rockets.test" for number in range(11)]

        responses = [api().post("/v1/accounts", sign_up_document(*emails[:count])) for count in (10, 11)]

        assert [response.status_code for response in responses] == [201, 400]
        error = responses[1].json()["errors"][0]
        assert error["detail"] == "length must be between 1 and 10 (inclusive)"
        assert error["source"] == {"pointer": "/data/relationships/admins/data"}

    def test_no_limit_of_sign_ups_where_the_setting_is_0(self, api, settings):
        settings.SIGN_UPS_PER_HOUR = 0

        for number in range(4):
            assert api().post("/v1/accounts", sign_up_document(f"a@r{number}.test")).status_code == 201
        assert not RateLimitCounter.objects.exists()

    def test_the_console_is_limited_by_address(self, client):
        statuses, counters = [], []
        for number in range(10):
            response = client.post("/admin/login/", {"username": f"u{number}@x.test", "password": "guess"})
            statuses.append(response.status_code)
            counters.append(RateLimitCounter.objects.count())

        assert statuses == [200] * 5 + [429] * 5
        assert len(set(counters[4:])) == 1


class TestKeyGuesses:
    """Keys that do not exist or are not the caller's, with each kind of credential."""

    @pytest.fixture(autouse=True)
    def few(self, monkeypatch):
        monkeypatch.setattr(rate_limits, "KEY_GUESSES", replace(rate_limits.KEY_GUESSES, attempts=5))

    @pytest.fixture
    def license(self, acme):
        policy = make_policy(acme.product, authentication_strategy="MIXED")
        return make_license(policy, "LICENSE-KEY", owner=acme.user(email="owner@acme.test"))

    @pytest.fixture
    def callers(self, acme, license):
        """Functions that send a guess, by the kind of the caller."""
        foreign = make_license(acme.unpooled, "FOREIGN-KEY")

        def validate(authorization, key, headers=None):
            headers = {**(headers or {}), **({"Authorization": authorization} if authorization else {})}
            return lambda api: api().post(VALIDATE_KEY, {"meta": {"key": key}}, **headers)

        tokens = {
            "user": acme.user(),
            "license": make_license(acme.policy, "ANOTHER-KEY"),
            "product": acme.another_product(),
        }
        guesses = {"anonymous": validate(None, "GUESS-0000"), "license key": validate("License LICENSE-KEY", "GUESS")}
        for kind, bearer in tokens.items():
            header = f"Bearer {token_of(bearer)}"
            guesses[kind] = validate(header, "GUESS-0000")
            guesses[f"{kind}, existing key"] = validate(header, foreign.key)
            guesses[f"{kind}, idempotent"] = lambda api, header=header: validate(
                header, foreign.key, {"Idempotency-Key": str(uuid4())}
            )(api)
        for scheme in ("License GUESS", basic("license", "GUESS"), "lIcEnSe GUESS"):
            guesses[f"credential {scheme}"] = lambda api, scheme=scheme: api().get("me", Authorization=scheme)
        guesses["credential in the query"] = lambda api: api().get("me?auth=license:GUESS")
        return guesses

    def test_every_caller_is_limited(self, api, callers):
        offenders = []
        for kind, guess in callers.items():
            RateLimitCounter.objects.all().delete()
            statuses = [guess(api).status_code for _ in range(7)]
            if statuses[5:] != [429, 429] or 429 in statuses[:5]:
                offenders.append((kind, statuses))

        assert not offenders

    def test_another_credential_does_not_help(self, api, callers):
        for _ in range(6):
            callers["anonymous"](api)

        assert {kind: guess(api).status_code for kind, guess in callers.items()} == dict.fromkeys(callers, 429)

    def test_those_who_see_a_key_may_always_ask_for_it(self, acme, api, callers, license):
        for _ in range(6):
            callers["anonymous"](api)

        for bearer in (acme.product, license.owner, license, acme.admin):
            assert api(bearer).post(VALIDATE_KEY, {"meta": {"key": license.key}}).status_code == 200
        # Without a token, an answer would tell that the key exists.
        assert api().post(VALIDATE_KEY, {"meta": {"key": license.key}}).status_code == 429
        assert api().get("me", Authorization=f"License {license.key}").status_code == 429

    def test_users_cannot_try_texts_as_keys_of_new_licenses(self, acme, api, monkeypatch):
        monkeypatch.setattr(licenses, "NEW_LICENSES", replace(licenses.NEW_LICENSES, attempts=3))
        user, policy = acme.user(), make_policy(acme.product, protected=False)
        add_keys(acme.policy, "WAITING-KEY")
        related = {
            "policy": {"data": {"type": "policies", "id": str(policy.pk)}},
            "owner": {"data": {"type": "users", "id": str(user.pk)}},
        }
        document = {"data": {"type": "licenses", "attributes": {"key": "WAITING-KEY"}, "relationships": related}}

        responses = [api(user).post("licenses", document, Idempotency_Key=f"k{number}") for number in range(4)]

        assert [response.status_code for response in responses] == [422, 422, 422, 429]


class TestPasswordGuesses:
    """Guesses at one password from many IP addresses, each of which stays below its own limit."""

    @pytest.fixture(autouse=True)
    def few(self, monkeypatch):
        monkeypatch.setattr(rate_limits, "PASSWORD_GUESSES", replace(rate_limits.PASSWORD_GUESSES, attempts=8))

    @pytest.fixture
    def joe(self, acme):
        return acme.user("user", email="joe@acme.test", password=PASSWORD)

    @pytest.fixture
    def enter(self, acme):
        def enter(password, ip_address, email="joe@acme.test"):
            return sign_in(account=acme.account, email=email, password=password, ip_address=ip_address)

        return enter

    def guess(self, enter, email="joe@acme.test", count=8):
        for number in range(count):
            with pytest.raises(SignInRefused):
                enter(f"guess {number}", f"198.51.100.{number}", email)

    def test_guesses_from_many_addresses_are_limited(self, enter, joe):
        self.guess(enter)

        for password in ("one more guess", PASSWORD):
            with pytest.raises(TooManyRequests) as refused:
                enter(password, "203.0.113.1")
            assert 0 < int(refused.value.headers["Retry-After"]) <= 3600

    def test_guesses_at_a_user_who_does_not_exist_are_limited_alike(self, enter, joe):
        self.guess(enter, "unknown@acme.test")

        with pytest.raises(TooManyRequests):
            enter("one more guess", "203.0.113.1", "unknown@acme.test")

    def test_the_user_signs_in_from_a_known_address(self, enter, joe):
        enter(PASSWORD, "192.0.2.1")
        self.guess(enter)

        assert enter(PASSWORD, "192.0.2.1") == joe
        with pytest.raises(PasswordInvalid):
            enter("one more guess", "192.0.2.1")

    def test_programs_with_an_old_password_do_not_lock_out_those_with_the_new_one(self, enter, joe):
        enter(PASSWORD, "192.0.2.1")
        joe.set_password("another one")
        joe.save()
        self.guess(enter)

        assert enter("another one", "192.0.2.1") == joe

    def test_the_address_of_another_user_is_not_known(self, acme, enter, joe):
        acme.user("user", email="eve@acme.test", password=PASSWORD)
        enter(PASSWORD, "192.0.2.1", "eve@acme.test")
        self.guess(enter)

        with pytest.raises(TooManyRequests):
            enter(PASSWORD, "192.0.2.1")

    def test_the_user_gets_in_by_a_reset(self, api, enter, joe):
        self.guess(enter)
        meta = {"passwordResetToken": make_reset_token(joe), "newPassword": "another one"}

        assert api().post(f"users/{joe.pk}/actions/reset-password", {"meta": meta}).status_code == 200
        assert enter("another one", "127.0.0.1") == joe

    def test_successes_do_not_count(self, enter, joe):
        for number in range(20):
            assert enter(PASSWORD, f"198.51.100.{number}") == joe

    def test_guesses_at_the_console_are_limited_likewise(self, acme):
        person = staff(acme, password=PASSWORD)
        root = superuser(PASSWORD)

        def enter(person, password, ip_address):
            return sign_in_to_console(email=person.email, password=password, ip_address=ip_address)

        for each in (person, root):
            assert enter(each, PASSWORD, "192.0.2.1") == each
            for number in range(8):
                assert enter(each, f"guess {number}", f"198.51.100.{number}") is None
            with pytest.raises(TooManyRequests):
                enter(each, PASSWORD, "203.0.113.1")
            assert enter(each, PASSWORD, "192.0.2.1") == each

    def test_an_idempotency_key_does_not_undo_the_count(self, api, joe):
        joes, meta = api(joe), {"oldPassword": "wrong", "newPassword": "another one"}
        path = f"users/{joe.pk}/actions/update-password"

        statuses = [joes.post(path, {"meta": meta}, Idempotency_Key=f"k{n}").status_code for n in range(6)]

        assert statuses == [401] * 5 + [429]


class TestRequestsWithInvalidCredentials:
    @pytest.fixture(autouse=True)
    def few(self, settings):
        settings.REQUESTS_PER_MINUTE = 5

    @pytest.mark.parametrize("form", ["Bearer admin-{}v3", "License GUESS-{}", "Bearer {}"])
    def test_another_text_each_time_does_not_help(self, acme, api, form):
        statuses, counters = [], []
        for _ in range(20):
            statuses.append(api().get("me", Authorization=form.format(uuid4().hex)).status_code)
            counters.append(RateLimitCounter.objects.count())

        assert statuses == [401] * 5 + [429] * 15
        assert len(set(counters[5:])) == 1
        assert api(acme.admin).get("me").status_code == 200

    def test_the_token_of_another_account_counts_as_invalid(self, acme, rival, api):
        for _ in range(5):
            assert api(token_of(rival.admin)).get("me").status_code == 401

        assert api(token_of(rival.admin)).get("me").status_code == 429


def test_old_counters_go_as_new_ones_come(db):
    ended = timezone.now() - timedelta(minutes=2)
    old = [RateLimitCounter(digest=number.to_bytes(32), number=1, until=ended) for number in range(250)]
    RateLimitCounter.objects.bulk_create(old)

    for number in range(3):
        rate_limits.SIGN_INS.hit(number)

    assert RateLimitCounter.objects.count() == 3


class TestTokens:
    @pytest.fixture(autouse=True)
    def few(self, monkeypatch):
        monkeypatch.setattr("accounts.models.tokens.MAX_TOKENS_PER_USER", 3)

    def test_a_user_has_a_limited_number_of_tokens(self, acme, api):
        user = acme.user()
        users = api(user)

        responses = [users.post("tokens", {"data": {"type": "tokens"}}) for _ in range(3)]

        assert [response.status_code for response in responses] == [201, 201, 422]
        error = responses[2].json()["errors"][0]
        assert error["code"] == "TOKEN_LIMIT_EXCEEDED"
        assert "delete tokens" in error["detail"]
        assert users.delete(f"tokens/{responses[0].json()['data']['id']}").status_code == 204
        assert users.post("tokens", {"data": {"type": "tokens"}}).status_code == 201

    def test_expired_tokens_make_room(self, acme):
        user = acme.user()
        for _ in range(3):
            Token.generate(user, expiry=user.created)

        assert Token.generate(user)
        assert Token.objects.for_bearer(user).count() == 1

    def test_staff_have_no_such_limit(self, acme):
        for _ in range(5):
            assert Token.generate(acme.admin)
