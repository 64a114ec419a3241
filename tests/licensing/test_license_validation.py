"""Is a license valid? (contract: licenses 7.3 to 7.5)"""

from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from django.utils import timezone

from licensing.durations import MONTH, add_duration
from licensing.models import License
from tests.cast import make_license, make_policy
from tests.errors import BAD, assert_refused, bad_request
from tests.licensing.documents import UNKNOWN
from tests.licensing.licenses import license_object, shown
from tests.tables import each_row

DAY = timedelta(days=1)
NOON = datetime(2030, 1, 2, 12, tzinfo=UTC)
VALID = (True, "is valid", "VALID")
EXPIRED = (False, "is expired", "EXPIRED")
EXPIRED_KEPT = (True, "is expired", "EXPIRED")
SUSPENDED = (False, "is suspended", "SUSPENDED")
REQUIREMENTS = ["product", "policy", "user", "machine", "fingerprint", "components", "checksum", "version"]


def required(noun):
    return (False, f"{noun} scope is required", f"{noun.upper()}_SCOPE_REQUIRED")


def mismatch(noun, detail="does not match"):
    return (False, f"{noun} scope {detail}", f"{noun.upper()}_SCOPE_MISMATCH")


def not_activated(noun, floating=False):
    machines = "machines" if floating else "machine"
    code = "NO_MACHINES" if floating else "NO_MACHINE"
    return (False, f"{noun} is not activated (has no associated {machines})", code)


@pytest.fixture
def validate(acme, api):
    """Asks about a license, and returns valid, detail and code."""

    def post(license, scope=None, quick=False):
        path = f"licenses/{license.pk}/actions/validate"
        document = None if scope is None else {"meta": {"scope": scope}}
        response = api(acme.admin).get(path) if quick else api(acme.admin).post(path, document)
        assert response.status_code == 200, response.content
        meta = response.json()["meta"]
        return meta["valid"], meta["detail"], meta["code"]

    return post


@pytest.mark.parametrize(("seconds", "written"), [(0.9, False), (1.0, True), (-0.1, True)])
def test_validation_notes_validations_once_a_second(acme, api, seconds, written):
    license = make_license(acme.unpooled)
    address, asker = f"licenses/{license.pk}/actions/validate", api(acme.admin)
    with time_machine.travel(NOON, tick=False) as clock:
        asker.post(address)
        clock.shift(seconds)
        shown_to_asker = asker.post(address).json()["data"]["attributes"]["lastValidated"]

    second = NOON + timedelta(seconds=seconds)
    license.refresh_from_db()
    assert shown_to_asker == shown(second)
    assert license.last_validated == (second if written else NOON)


class TestAnswer:
    def test_validation_answer_has_the_license_and_the_result(self, acme, api):
        license = make_license(acme.unpooled)
        asked = {"nonce": 17, "scope": {"product": str(acme.product.pk), "user": None, "version": None}}

        response = api(acme.admin).post(f"licenses/{license.pk}/actions/validate", {"meta": asked})

        updated = license.updated
        license.refresh_from_db()
        ts = shown(license.last_validated)
        assert license.updated == updated
        assert response.json() == {
            "data": license_object(license, lastValidated=ts),
            "meta": {
                "ts": ts,
                "valid": True,
                "detail": "is valid",
                "code": "VALID",
                "nonce": 17,
                "scope": {"product": str(acme.product.pk), "user": None},
            },
        }
        assert list(response.json()["meta"]) == ["ts", "valid", "detail", "code", "nonce", "scope"]

    def test_validation_answer_is_short_where_little_is_asked(self, acme, api):
        license = make_license(acme.unpooled)

        for response in (
            api(acme.admin).get(f"licenses/{license.pk}/actions/validate"),
            api(acme.admin).post(f"licenses/{license.pk}/actions/validate"),
        ):
            assert list(response.json()["meta"]) == ["ts", "valid", "detail", "code"]

    def test_validation_answer_says_an_empty_scope_again(self, acme, api):
        license = make_license(acme.unpooled)

        response = api(acme.admin).post(f"licenses/{license.pk}/actions/validate", {"meta": {"scope": {}}})

        assert response.json()["meta"]["scope"] == {}

    @pytest.mark.parametrize(
        ("version", "expiry", "strategy", "meta"),
        [
            ("1.8", None, "RESTRICT_ACCESS", {"valid": True, "detail": "is valid", "code": "VALID"}),
            ("1.2", None, "RESTRICT_ACCESS", {"valid": True, "detail": "is valid", "code": "VALID"}),
            ("1.1", None, "RESTRICT_ACCESS", {"valid": True, "detail": "is valid", "constant": "VALID"}),
            ("1.0", -1, "ALLOW_ACCESS", {"valid": True, "detail": "is expired", "constant": "EXPIRED"}),
            ("1.0", -1, "RESTRICT_ACCESS", {"valid": False, "detail": "is expired", "constant": "EXPIRED"}),
        ],
    )
    def test_validation_answer_was_another_in_earlier_versions(self, acme, api, version, expiry, strategy, meta):
        policy = make_policy(acme.product, expiration_strategy=strategy)
        license = make_license(policy, expiry=expiry and timezone.now() + expiry * DAY)

        response = api(acme.admin).get(f"licenses/{license.pk}/actions/validate", Keygen_Version=version)

        assert {name: value for name, value in response.json()["meta"].items() if name != "ts"} == meta

    def test_validation_answer_of_too_many_users_who_are_let_through_was_no(self, acme, api):
        policy = make_policy(acme.product, max_users=1, overage_strategy="ALWAYS_ALLOW_OVERAGE")
        license = make_license(policy)
        for name in ("ann", "bob"):
            license.license_users.create(account=acme.account, user=acme.user(email=f"{name}@acme.test"))

        then, now = (
            api(acme.admin).get(f"licenses/{license.pk}/actions/validate", Keygen_Version=version).json()["meta"]
            for version in ("1.1", "1.8")
        )

        assert (then["valid"], then["constant"]) == (False, "TOO_MANY_USERS")
        assert (now["valid"], now["code"]) == (True, "TOO_MANY_USERS")


class TestStanding:
    @each_row(
        ("terms", "fields", "banned", "verdict"),
        [
            ({}, {}, False, VALID),
            ({}, {"suspended": True, "expiry": -1}, True, (False, "is banned", "BANNED")),
            ({}, {"suspended": True, "expiry": -1}, False, SUSPENDED),
            ({"expiration_strategy": "REVOKE_ACCESS"}, {"suspended": True, "expiry": -1}, False, SUSPENDED),
            ({"expiration_strategy": "REVOKE_ACCESS"}, {"expiry": -1, "last_check_in": -9}, False, EXPIRED),
            ({}, {"expiry": -1, "last_check_in": -9}, False, (False, "is overdue for check in", "OVERDUE")),
            ({}, {"expiry": -1}, False, EXPIRED),
            ({"expiration_strategy": "MAINTAIN_ACCESS"}, {"expiry": -1}, False, EXPIRED_KEPT),
            ({"expiration_strategy": "ALLOW_ACCESS"}, {"expiry": -1}, False, EXPIRED_KEPT),
            ({}, {"expiry": 1}, False, VALID),
            (
                {"strict": True},
                {"expiry": -1},
                False,
                (False, "must have exactly 1 associated machine", "NO_MACHINE"),
            ),
            (
                {"strict": True, "floating": True, "max_machines": 2},
                {},
                False,
                (False, "must have at least 1 associated machine", "NO_MACHINES"),
            ),
        ],
    )
    @each_row("quick", [False, True])
    def test_standing_is_told_in_this_order(self, acme, validate, terms, fields, banned, verdict, quick):
        if "last_check_in" in fields:
            terms = terms | {"require_check_in": True, "check_in_interval": "day", "check_in_interval_count": 1}
        owner = acme.user(banned=timezone.now() if banned else None)
        fields = {
            name: timezone.now() + value * DAY if name != "suspended" else value for name, value in fields.items()
        }

        assert validate(make_license(make_policy(acme.product, **terms), owner=owner, **fields), quick=quick) == verdict


class TestUsers:
    @each_row(
        ("overage", "most", "users", "expired", "verdict"),
        [
            ("NO_OVERAGE", 2, 2, False, VALID),
            ("NO_OVERAGE", 2, 3, False, (False, "has too many associated users", "TOO_MANY_USERS")),
            ("NO_OVERAGE", 2, 3, True, (False, "has too many associated users", "TOO_MANY_USERS")),
            ("ALWAYS_ALLOW_OVERAGE", 2, 5, False, (True, "has too many associated users", "TOO_MANY_USERS")),
            ("ALWAYS_ALLOW_OVERAGE", 2, 5, True, EXPIRED),
            ("ALLOW_2X_OVERAGE", 2, 4, False, (True, "has too many associated users", "TOO_MANY_USERS")),
            ("ALLOW_2X_OVERAGE", 2, 5, False, (False, "has too many associated users", "TOO_MANY_USERS")),
            ("ALLOW_1_5X_OVERAGE", 2, 3, False, (True, "has too many associated users", "TOO_MANY_USERS")),
            ("ALLOW_1_5X_OVERAGE", 2, 4, False, (False, "has too many associated users", "TOO_MANY_USERS")),
            ("ALLOW_1_25X_OVERAGE", 4, 5, False, (True, "has too many associated users", "TOO_MANY_USERS")),
            ("ALLOW_1_25X_OVERAGE", 4, 6, False, (False, "has too many associated users", "TOO_MANY_USERS")),
        ],
    )
    def test_users_may_be_too_many(self, acme, validate, overage, most, users, expired, verdict):
        policy = make_policy(acme.product, floating=True, max_machines=4, overage_strategy=overage, max_users=most)
        license = make_license(
            policy, owner=acme.user(email="owner@acme.test"), expiry=timezone.now() - DAY if expired else None
        )
        for number in range(users - 1):
            license.license_users.create(account=acme.account, user=acme.user(email=f"{number}@acme.test"))

        assert validate(license) == verdict


class TestScopes:
    @each_row("floating", [False, True])
    @each_row(
        ("scope", "verdict"),
        [
            ({"product": "{product}"}, VALID),
            ({"product": UNKNOWN}, mismatch("product")),
            ({"product": "rocket"}, mismatch("product")),
            ({"product": "{product}", "policy": "{policy}"}, VALID),
            ({"policy": UNKNOWN}, mismatch("policy")),
            ({"product": UNKNOWN, "policy": UNKNOWN}, mismatch("product")),
            ({"user": "{owner}"}, VALID),
            ({"user": "owner@acme.test"}, VALID),
            ({"user": "OWNER@acme.test"}, VALID),
            ({"user": "{attached}"}, VALID),
            ({"user": "attached@acme.test"}, VALID),
            ({"user": "stranger@acme.test"}, mismatch("user")),
            ({"user": UNKNOWN}, mismatch("user")),
            ({"user": None}, mismatch("user")),
            ({"entitlements": []}, (False, "entitlements scope is empty", "ENTITLEMENTS_SCOPE_EMPTY")),
            (
                {"entitlements": ["PRO"]},
                (False, "is missing one or more required entitlements", "ENTITLEMENTS_MISSING"),
            ),
            ({"machine": UNKNOWN}, "machine"),
            ({"machine": UNKNOWN, "fingerprint": "x"}, "machine"),
            ({"fingerprint": "x"}, "fingerprint"),
            ({"fingerprints": ["x", "y"]}, "fingerprint"),
            ({"fingerprints": []}, (False, "fingerprint scope is empty", "FINGERPRINT_SCOPE_EMPTY")),
            ({"fingerprint": "x", "components": ["y"]}, "fingerprint"),
            (
                {"components": ["y"]},
                (
                    False,
                    "fingerprint scope is required when using the components scope",
                    "FINGERPRINT_SCOPE_REQUIRED",
                ),
            ),
            ({"checksum": "x"}, mismatch("checksum", "is not valid (does not match any accessible artifacts)")),
            ({"version": "1.0.0"}, mismatch("version", "is not valid (does not match any accessible releases)")),
        ],
    )
    def test_scopes_are_looked_at(self, acme, validate, scope, verdict, floating):
        policy = make_policy(acme.product, floating=floating, max_machines=1)
        owner, attached = (acme.user(email=f"{name}@acme.test") for name in ("owner", "attached"))
        license = make_license(policy, owner=owner)
        license.license_users.create(account=acme.account, user=attached)
        names = {"product": acme.product.pk, "policy": policy.pk, "owner": owner.pk, "attached": attached.pk}
        scope = {name: value.format(**names) if isinstance(value, str) else value for name, value in scope.items()}
        if isinstance(verdict, str):
            verdict = not_activated(verdict, floating)

        assert validate(license, scope) == verdict

    def test_null_user_scope_matches_a_license_without_an_owner(self, acme, validate):
        assert validate(make_license(acme.unpooled), {"user": None}) == VALID

    @pytest.mark.parametrize("noun", REQUIREMENTS)
    def test_scopes_may_be_required(self, acme, validate, noun):
        license = make_license(make_policy(acme.product, **{f"require_{noun}_scope": True}))

        assert validate(license) == validate(license, {}) == required(noun)
        assert validate(license, quick=True) == VALID

    def test_scopes_are_required_in_this_order(self, acme, validate):
        policy = make_policy(acme.product, **{f"require_{noun}_scope": True for noun in REQUIREMENTS})
        license = make_license(policy)

        told = []
        for noun in REQUIREMENTS:
            told.append(validate(license))
            setattr(policy, f"require_{noun}_scope", False)
            policy.save_changes(f"require_{noun}_scope")

        assert told == [required(noun) for noun in REQUIREMENTS]

    @pytest.mark.parametrize(
        ("meta", "pointer", "detail"),
        [
            ({"scope": {"environment": "x"}}, "/meta/scope/environment", "unpermitted parameter"),
            ({"scope": {"fingerprints": [None]}}, "/meta/scope/fingerprints/0", "cannot be null"),
            ({"scope": {"product": 1}}, "/meta/scope/product", "type mismatch (received integer expected string)"),
            ({"nonce": "x"}, "/meta/nonce", "type mismatch (received string expected integer)"),
            ({"key": "x"}, "/meta/key", "unpermitted parameter"),
        ],
    )
    def test_scopes_have_a_shape(self, acme, api, meta, pointer, detail):
        response = api(acme.admin).post(f"licenses/{make_license(acme.unpooled).pk}/actions/validate", {"meta": meta})

        assert_refused(response, BAD, bad_request(detail, pointer))


class TestFirstValidation:
    @pytest.fixture
    def policy(self, acme):
        return make_policy(acme.product, duration=MONTH, expiration_basis="FROM_FIRST_VALIDATION")

    @pytest.mark.parametrize("suspended", [False, True])
    def test_first_validation_starts_the_duration_valid_or_not(self, acme, api, policy, suspended):
        license = make_license(policy, suspended=suspended)

        response = api(acme.admin).post(f"licenses/{license.pk}/actions/validate")

        license.refresh_from_db()
        assert license.expiry == add_duration(license.last_validated, MONTH)
        assert response.json()["data"]["attributes"]["expiry"] == shown(license.expiry)

    def test_first_validation_by_the_key_does_too(self, api, policy):
        license = make_license(policy)

        api().post("licenses/actions/validate-key", {"meta": {"key": license.key}})

        license.refresh_from_db()
        assert license.expiry == add_duration(license.last_validated, MONTH)

    def test_first_validation_is_not_a_quick_one(self, acme, api, policy):
        license = make_license(policy)

        api(acme.admin).get(f"licenses/{license.pk}/actions/validate")

        license.refresh_from_db()
        assert (license.expiry, license.last_validated is None) == (None, False)

    def test_first_validation_is_only_one(self, acme, api, policy):
        license = make_license(policy)

        first, second = (
            api(acme.admin).post(f"licenses/{license.pk}/actions/validate").json()["data"] for _ in range(2)
        )

        assert first["attributes"]["expiry"] == second["attributes"]["expiry"]

    def test_first_validation_of_two_at_once_is_the_earlier(self, policy):
        first, second = (License.objects.get(pk=make_license(policy).pk) for _ in "ab")
        second = License.objects.get(pk=first.pk)
        start = timezone.now()

        first.record_validation(start, starts_expiry=True)
        second.record_validation(start + DAY, starts_expiry=True)

        assert second.expiry == add_duration(start, MONTH)
