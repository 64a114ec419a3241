"""Keys that are signed, verified here with nothing but the account's public key (contract: licenses 10)."""

import base64
import json
import re

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from django.db import transaction

from accounts.models import SigningKey
from licensing.models import License
from licensing.services import issue_license
from tests.cast import add_keys, make_license, make_policy
from tests.errors import UNPROCESSABLE, assert_refused, unprocessable
from tests.licensing.licenses import license_object, shown
from tests.licensing.test_issue_license import license_document
from tests.races import race
from tests.tables import each_row

KEY = "/data/attributes/key"
CONFLICT = 409
CONFLICTING = {"title": "Conflict", "detail": "The request could not be completed because of a conflict"}
PSS = padding.PSS(mgf=padding.MGF1(hashes.SHA256()), salt_length=padding.PSS.MAX_LENGTH)
SIGNED = [
    "RSA_2048_PKCS1_SIGN",
    "RSA_2048_PKCS1_PSS_SIGN",
    "RSA_2048_PKCS1_SIGN_V2",
    "RSA_2048_PKCS1_PSS_SIGN_V2",
    "ED25519_SIGN",
    "ECDSA_P256_SIGN",
]
ALL = [*SIGNED, "RSA_2048_PKCS1_ENCRYPT", "RSA_2048_JWT_RS256"]


def public_key(account, kind):
    """The public key as a vendor copies it from the account."""
    text = base64.b64decode(SigningKey.objects.get(account=account, kind=kind).public)
    if kind == "ed25519":
        return ed25519.Ed25519PublicKey.from_public_bytes(bytes.fromhex(text.decode()))
    return load_pem_public_key(text)


def decoded(text):
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)


def seed_of(account, scheme, key):
    """The content of a genuine key. Raises `InvalidSignature` for any other text."""
    if scheme == "RSA_2048_PKCS1_ENCRYPT":
        rsa = public_key(account, "rsa2048")
        return rsa.recover_data_from_signature(decoded(key), padding.PKCS1v15(), None).decode()
    if scheme == "RSA_2048_JWT_RS256":
        header, claims, signature = key.split(".")
        assert json.loads(decoded(header)) == {"alg": "RS256"}
        signed = f"{header}.{claims}".encode()
        public_key(account, "rsa2048").verify(decoded(signature), signed, padding.PKCS1v15(), hashes.SHA256())
        return decoded(claims).decode()
    signed, signature = key.split(".")
    seed = decoded(signed.removeprefix("key/"))
    new = scheme not in ("RSA_2048_PKCS1_SIGN", "RSA_2048_PKCS1_PSS_SIGN")
    assert signed.startswith("key/") == new
    message = signed.encode() if new else seed
    match scheme.removesuffix("_V2"):
        case "RSA_2048_PKCS1_SIGN":
            public_key(account, "rsa2048").verify(decoded(signature), message, padding.PKCS1v15(), hashes.SHA256())
        case "RSA_2048_PKCS1_PSS_SIGN":
            public_key(account, "rsa2048").verify(decoded(signature), message, PSS, hashes.SHA256())
        case "ED25519_SIGN":
            public_key(account, "ed25519").verify(decoded(signature), message)
        case "ECDSA_P256_SIGN":
            public_key(account, "ecdsa").verify(decoded(signature), message, ec.ECDSA(hashes.SHA256()))
    return seed.decode()


@pytest.fixture
def issue(acme, api):
    """Issues a license under a policy of a scheme."""

    def post(scheme, attributes=None, owner=None, **terms):
        policy = make_policy(acme.product, scheme=scheme, **terms)
        return api(acme.admin).post("licenses", license_document(policy, attributes, owner=owner))

    return post


class TestSeeds:
    @each_row("scheme", SIGNED)
    @each_row("owned", [False, True])
    def test_seeds_say_what_the_license_is(self, acme, issue, scheme, owned):
        owner = acme.user() if owned else None

        response = issue(scheme, owner=owner, duration=86_400)

        license = License.objects.get()
        assert response.status_code == 201, response.content
        key = response.json()["data"]["attributes"]["key"]
        assert key == license.key
        assert json.loads(seed_of(acme.account, scheme, key)) == {
            "account": {"id": str(acme.account.pk)},
            "product": {"id": str(acme.product.pk)},
            "policy": {"id": str(license.policy_id), "duration": 86_400},
            "user": {"id": str(owner.pk), "email": owner.email} if owner else None,
            "license": {"id": str(license.pk), "created": shown(license.created), "expiry": shown(license.expiry)},
        }

    def test_seeds_of_encrypted_keys_are_short(self, acme, issue):
        issue("RSA_2048_PKCS1_ENCRYPT")

        license = License.objects.get()
        assert json.loads(seed_of(acme.account, license.policy.scheme, license.key)) == {
            "id": str(license.pk),
            "created": shown(license.created),
            "duration": None,
            "expiry": None,
        }

    @pytest.mark.parametrize("duration", [None, 86_400])
    def test_seeds_of_web_tokens_are_claims(self, acme, issue, duration):
        issue("RSA_2048_JWT_RS256", duration=duration)

        license = License.objects.get()
        claims = json.loads(seed_of(acme.account, license.policy.scheme, license.key))
        assert re.fullmatch(r"[0-9a-f-]{36}", claims.pop("jti"))
        issued = int(license.created.timestamp())
        assert claims == {
            "iss": "https://keygen.sh",
            "aud": str(acme.account.pk),
            "sub": str(license.pk),
            "iat": issued,
            "nbf": issued,
        } | ({"exp": int(license.expiry.timestamp())} if duration else {})

    @pytest.mark.parametrize("scheme", ALL)
    def test_seeds_may_be_said(self, acme, issue, scheme):
        seed = '{"plan":"pro","größe":3}'

        key = issue(scheme, {"key": seed}).json()["data"]["attributes"]["key"]

        assert json.loads(seed_of(acme.account, scheme, key)) == json.loads(seed)

    @pytest.mark.parametrize(
        "seed", ["[1, 2]", '"text"', "5", "null", '{"a": 12345678901234567890123}', '{"exp": 1.5}']
    )
    def test_seeds_of_web_tokens_may_be_any_json(self, acme, issue, seed):
        key = issue("RSA_2048_JWT_RS256", {"key": seed}).json()["data"]["attributes"]["key"]

        assert json.loads(seed_of(acme.account, "RSA_2048_JWT_RS256", key)) == json.loads(seed)

    def test_seeds_may_be_short(self, acme, issue):
        key = issue("ED25519_SIGN", {"key": "pro"}).json()["data"]["attributes"]["key"]

        assert seed_of(acme.account, "ED25519_SIGN", key) == "pro"

    def test_seeds_have_names_filled_in(self, acme, issue):
        owner = acme.user()
        names = ["account", "product", "policy", "user", "email", "created", "expiry", "duration", "id", "nonsense"]
        others = ["{id}", "{{ id }}", "{{}}", "{{id-x}}", "{{éd}}", "{{id}"]  # no names
        seed = "|".join([f"{{{{{name}}}}}" for name in names] + ["{{ID}}", *others])

        issue("ED25519_SIGN", {"key": seed}, owner=owner, duration=86_400)

        license = License.objects.get()
        parts = seed_of(acme.account, "ED25519_SIGN", license.key).split("|")
        assert parts == [
            str(acme.account.pk),
            str(acme.product.pk),
            str(license.policy_id),
            str(owner.pk),
            owner.email,
            shown(license.created),
            shown(license.expiry),
            "86400",
            str(license.pk),
            "",
            str(license.pk),
            *others,
        ]

    def test_seeds_are_filled_in_only_where_there_is_a_scheme(self, acme, api):
        response = api(acme.admin).post("licenses", license_document(acme.unpooled, {"key": "{{id}}-KEY"}))

        assert response.json()["data"]["attributes"]["key"] == "{{id}}-KEY"

    @pytest.mark.parametrize(
        ("scheme", "seed", "detail", "code"),
        [
            (
                "RSA_2048_PKCS1_ENCRYPT",
                "ä" * 123,
                "key exceeds maximum byte length (max size of 245 bytes)",
                "KEY_BYTE_SIZE_EXCEEDED",
            ),
            (
                "RSA_2048_JWT_RS256",
                "not json",
                "key is not a valid JWT claims payload (must be a valid JSON encoded string)",
                "KEY_JWT_CLAIMS_INVALID",
            ),
            (
                "RSA_2048_JWT_RS256",
                '{"exp": "tomorrow"}',
                "key is not a valid JWT claims payload (exp claim must be a numeric value but it is a string)",
                "KEY_JWT_CLAIMS_INVALID",
            ),
            (
                "RSA_2048_JWT_RS256",
                '{"nbf": true}',
                "key is not a valid JWT claims payload (nbf claim must be a numeric value but it is a trueclass)",
                "KEY_JWT_CLAIMS_INVALID",
            ),
            (
                "RSA_2048_JWT_RS256",
                '{"iat": null}',
                "key is not a valid JWT claims payload (iat claim must be a numeric value but it is a nilclass)",
                "KEY_JWT_CLAIMS_INVALID",
            ),
            (
                "LEGACY_ENCRYPT",
                "MY-OWN-KEY",
                "cannot be specified for a legacy encrypted license",
                "KEY_NOT_SUPPORTED",
            ),
        ],
    )
    def test_seeds_are_refused(self, issue, scheme, seed, detail, code):
        response = issue(scheme, {"key": seed}, encrypted=scheme == "LEGACY_ENCRYPT")

        assert_refused(response, UNPROCESSABLE, unprocessable("licenses", detail, code, KEY))
        assert not License.objects.exists()

    @pytest.mark.parametrize("length", [16_384, 16_385])
    def test_seeds_have_a_length(self, issue, length):
        response = issue("ED25519_SIGN", {"key": "x" * length})

        assert response.status_code == (201 if length == 16_384 else 422)


class TestKeys:
    def test_signed_keys_that_come_out_the_same_are_taken(self, acme, api):
        policy = make_policy(acme.product, scheme="ED25519_SIGN")
        document = license_document(policy, {"key": "the same"})

        first, second = (api(acme.admin).post("licenses", document) for _ in range(2))

        assert first.status_code == 201
        assert_refused(second, CONFLICT, CONFLICTING)

    @pytest.mark.django_db(transaction=True)
    def test_signed_keys_that_come_out_the_same_at_once_are_taken_by_one(self, acme, api):
        document = license_document(make_policy(acme.product, scheme="ECDSA_P256_SIGN"), {"key": "the same"})
        same = license_document(make_policy(acme.product, scheme="ED25519_SIGN"), {"key": "the same"})
        speaker = api(acme.admin)

        # The first one also makes the account's key, at the same time as the others.
        assert {response.status_code for response in race(4, lambda: speaker.post("licenses", document))} == {201}
        responses = race(4, lambda: speaker.post("licenses", same))

        assert sorted(response.status_code for response in responses) == [201, 409, 409, 409]
        refused = next(response for response in responses if response.status_code == 409)
        assert_refused(refused, CONFLICT, CONFLICTING)
        assert SigningKey.objects.filter(account=acme.account, kind="ecdsa").count() == 1

    def test_signed_keys_that_wait_in_a_pool_are_taken(self, acme, api, audit):
        policy = make_policy(acme.product, scheme="ED25519_SIGN")
        with transaction.atomic():
            key = issue_license(policy=policy, audit=audit, key="the same").key
            transaction.set_rollback(True)
        add_keys(acme.policy, key)

        response = api(acme.admin).post("licenses", license_document(policy, {"key": "the same"}))

        assert_refused(response, CONFLICT, CONFLICTING)

    @pytest.mark.parametrize("scheme", ["ED25519_SIGN", "ECDSA_P256_SIGN", "RSA_2048_PKCS1_SIGN_V2"])
    def test_signed_keys_of_another_account_are_not_genuine(self, acme, rival, issue, audit, scheme):
        issue(scheme)
        key = License.objects.get().key
        issue_license(policy=make_policy(rival.product, scheme=scheme), audit=audit)  # so that they have a key, too

        with pytest.raises(InvalidSignature):
            seed_of(rival.account, scheme, key)

    def test_signed_keys_open_their_license(self, issue, api, acme):
        issue("ED25519_SIGN", authentication_strategy="LICENSE")
        license = License.objects.get()

        response = api().get("me", Authorization=f"License {license.key}")

        assert response.json()["data"]["id"] == str(license.pk)

    def test_signed_keys_are_the_ones_of_the_account_also_in_the_first_transaction(self, acme, issue):
        assert not SigningKey.objects.filter(account=acme.account, kind="ecdsa").exists()

        issue("ECDSA_P256_SIGN")

        assert SigningKey.objects.filter(account=acme.account, kind="ecdsa").count() == 1
        assert seed_of(acme.account, "ECDSA_P256_SIGN", License.objects.get().key)


class TestKeysThatAreNotKept:
    def test_keys_that_are_not_kept_are_shown_once(self, acme, api, issue):
        response = issue(None, encrypted=True)

        license = License.objects.get()
        key = response.json()["data"]["attributes"]["key"]
        assert re.fullmatch(rf"{license.pk.hex}-[0-9a-f]{{32}}-[0-9a-f]{{32}}-[0-9a-f]{{30}}v1", key)
        expected = license_object(license, key=key, scheme="LEGACY_ENCRYPT", encrypted=True)
        assert response.json() == {"data": expected}
        del expected["attributes"]["key"]
        assert api(acme.admin).get(f"licenses/{license.pk}").json() == {"data": expected}
        assert api(acme.admin).get("licenses").json() == {"data": [expected]}

    def test_keys_that_are_not_kept_are_not_in_the_database(self, issue):
        key = issue(None, encrypted=True).json()["data"]["attributes"]["key"]

        assert key not in License.objects.get().key

    def test_keys_that_are_not_kept_name_no_license(self, acme, api, issue):
        key = issue(None, encrypted=True).json()["data"]["attributes"]["key"]

        for name in (key, License.objects.get().key):
            assert api(acme.admin).get(f"licenses/{name}").status_code == 404
            assert api().get("me", Authorization=f"License {name}").status_code == 401

    def test_keys_that_are_not_kept_are_not_confused_with_keys_that_are(self, acme, api, issue):
        issue(None, encrypted=True)
        kept = License.objects.get().key

        license = make_license(acme.unpooled, f"{kept}-2")
        assert api(acme.admin).get(f"licenses/{license.key}").json()["data"]["id"] == str(license.pk)
