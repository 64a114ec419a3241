"""Validating by the key alone, which needs no credential (contract: licenses 7.3, 12.20)."""

import pytest

from licensing.signed_keys import generate_legacy_key
from tests.cast import make_license, make_policy
from tests.errors import BAD, FORBIDDEN, UNAUTHORIZED, assert_refused, bad_request, forbidden, unauthorized
from tests.licensing.licenses import license_object, shown

PATH = "licenses/actions/validate-key"


class TestByKey:
    @pytest.fixture
    def license(self, acme):
        return make_license(acme.unpooled, "LICENSE-KEY", owner=acme.user(email="owner@acme.test"))

    def test_validation_by_key_needs_no_credential(self, api, license):
        response = api().post(PATH, {"meta": {"key": "LICENSE-KEY", "nonce": 3}})

        license.refresh_from_db()
        ts = shown(license.last_validated)
        assert response.json() == {
            "data": license_object(license, users=1, lastValidated=ts),
            "meta": {"ts": ts, "valid": True, "detail": "is valid", "code": "VALID", "nonce": 3},
        }

    @pytest.mark.parametrize("key", ["ANOTHER-KEY", "license-key", "RIVALS-KEY"])
    def test_validation_by_key_of_nothing_is_an_answer_too(self, api, rival, license, key):
        make_license(rival.unpooled, "RIVALS-KEY")

        response = api().post(PATH, {"meta": {"key": key, "scope": {}}})

        document = response.json()
        del document["meta"]["ts"]
        meta = {"valid": False, "detail": "does not exist", "code": "NOT_FOUND", "scope": {}}
        assert (response.status_code, document) == (200, {"data": None, "meta": meta})

    def test_validation_by_key_does_not_take_an_id(self, acme, api, license):
        response = api(acme.admin).post(PATH, {"meta": {"key": str(license.pk)}})

        assert response.json()["meta"]["code"] == "NOT_FOUND"

    @pytest.mark.parametrize(
        ("who", "status"),
        [
            ("admin", 200),
            ("read-only", 200),
            ("support-agent", 200),
            ("product", 200),
            ("owner", 200),
            ("license", 200),
            ("other product", 403),
            ("other user", 403),
            ("other license", 403),
        ],
    )
    def test_validation_by_key_is_for_those_who_see_the_license(self, acme, api, license, who, status):
        bearers = {
            "owner": license.owner,
            "license": license,
            "other product": acme.another_product(),
            "other user": acme.user(),
            "other license": make_license(acme.policy),
        }

        response = api(bearers.get(who) or acme.bearer(who)).post(PATH, {"meta": {"key": "LICENSE-KEY"}})

        assert response.status_code == status
        if status == 403:
            assert_refused(response, FORBIDDEN, forbidden())

    def test_validation_by_key_refuses_a_bad_credential(self, api, license):
        response = api("admin-nonsense").post(PATH, {"meta": {"key": "LICENSE-KEY"}})

        error = unauthorized("TOKEN_INVALID", about="authentication/#token-authentication")
        assert_refused(response, UNAUTHORIZED, error)

    @pytest.mark.parametrize(
        ("document", "pointer", "detail"),
        [
            ({}, "/meta", "is missing"),
            ({"meta": {}}, "/meta/key", "is missing"),
            ({"meta": {"key": ""}}, "/meta/key", "cannot be blank"),
            ({"meta": {"key": " "}}, "/meta/key", "cannot be blank"),
            ({"meta": {"key": None}}, "/meta/key", "cannot be null"),
            ({"meta": {"key": 1}}, "/meta/key", "type mismatch (received integer expected string)"),
        ],
    )
    def test_validation_by_key_has_a_shape(self, api, license, document, pointer, detail):
        assert_refused(api().post(PATH, document), BAD, bad_request(detail, pointer))

    @pytest.mark.parametrize("name", ["encrypted", "legacyEncrypted"])
    def test_validation_by_key_finds_keys_that_are_not_kept_only_when_told_so(self, acme, api, license, name):
        hidden = make_license(make_policy(acme.product, encrypted=True))
        key = generate_legacy_key(hidden)
        hidden.set_hashed_key(key)
        hidden.save()

        def code(key, **meta):
            return api().post(PATH, {"meta": {"key": key, **meta}}).json()["meta"]["code"]

        assert (code(key), code(key, **{name: True}), code(key, **{name: False})) == ("NOT_FOUND", "VALID", "NOT_FOUND")
        assert (code("LICENSE-KEY"), code("LICENSE-KEY", **{name: True})) == ("VALID", "NOT_FOUND")
        assert code(hidden.key) == code(hidden.key, **{name: True}) == "NOT_FOUND"


class TestGuessing:
    def ask(self, speaker, key):
        return speaker.post(PATH, {"meta": {"key": key}})

    def test_guessing_is_made_slow(self, acme, api):
        make_license(acme.unpooled, "LICENSE-KEY")
        speaker = api()
        for number in range(60):
            assert self.ask(speaker, f"GUESS-{number}").status_code == 200

        response = self.ask(speaker, "LICENSE-KEY")

        assert (response.status_code, response.json()["errors"][0]["code"]) == (429, "TOO_MANY_REQUESTS")
        assert self.ask(api(acme.admin), "LICENSE-KEY").status_code == 200

    def test_guessing_is_not_what_those_do_who_have_keys(self, acme, api):
        make_license(acme.unpooled, "LICENSE-KEY")
        speaker = api()

        assert {self.ask(speaker, "LICENSE-KEY").status_code for _ in range(70)} == {200}
