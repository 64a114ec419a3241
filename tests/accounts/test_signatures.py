"""Signatures of answers, verified as a client does: with the public key of the account (contract: platform 3.4)."""

import base64
import hashlib
import re
from email.utils import parsedate_to_datetime

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from django.test import Client

from accounts.models import SigningKey
from accounts.signing import key_cache
from tests.accounts.documents import user_document
from tests.conftest import API
from tests.errors import BAD, assert_refused, bad_request

HEADER = re.compile(
    r'keyid="([0-9a-f-]{36})", algorithm="([a-z0-9-]+)", signature="([A-Za-z0-9+/]+=*)", '
    r'headers="\(request-target\) host date digest"'
)
SHA = hashes.SHA256()


def decoded(text):
    return base64.b64decode(text, validate=True)


def public_keys(acme):
    return API(acme.admin_token).get(f"/v1/accounts/{acme.account.pk}").json()["data"]["meta"]["keys"]


def verify(algorithm, public, signature, message):
    """Raises `InvalidSignature`, as a client's own check would."""
    match algorithm:
        case "ed25519":
            key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(decoded(public).decode()))
            key.verify(signature, message)
        case "rsa-pss-sha256":
            pss = padding.PSS(padding.MGF1(SHA), padding.PSS.MAX_LENGTH)
            load_pem_public_key(decoded(public)).verify(signature, message, pss, SHA)
        case "rsa-sha256":
            load_pem_public_key(decoded(public)).verify(signature, message, padding.PKCS1v15(), SHA)
        case "ecdsa-p256":
            load_pem_public_key(decoded(public)).verify(signature, message, ec.ECDSA(SHA))


def check(response, acme, method, target, algorithm="ed25519", kind="ed25519", host="testserver"):
    """Check every header of a signed answer."""
    digest = f"sha-256={base64.b64encode(hashlib.sha256(response.content).digest()).decode()}"
    assert response["Digest"] == response["Keygen-Digest"] == digest
    assert response["Date"] == response["Keygen-Date"]
    assert re.fullmatch(r"\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT", response["Date"])
    assert parsedate_to_datetime(response["Date"])
    keyid, named, signature = HEADER.fullmatch(response["Keygen-Signature"]).groups()
    assert (keyid, named) == (str(acme.account.pk), algorithm)
    message = f"(request-target): {method} {target}\nhost: {host}\ndate: {response['Date']}\ndigest: {digest}"
    verify(algorithm, public_keys(acme)[kind], decoded(signature), message.encode())


class TestSignature:
    @pytest.mark.parametrize(
        ("algorithm", "kind"),
        [("ed25519", "ed25519"), ("rsa-pss-sha256", "rsa2048"), ("rsa-sha256", "rsa2048"), ("ecdsa-p256", "ecdsa")],
    )
    @pytest.mark.parametrize(
        "wanted",
        [
            'algorithm="{algorithm}"',
            'keyid="{id}", algorithm="{algorithm}"',
            'KEYID="{ID}",ALGORITHM="{ALGORITHM}";',
        ],
    )
    def test_signature_has_the_requested_algorithm(self, acme, wanted, algorithm, kind):
        id = str(acme.account.pk)
        header = wanted.format(id=id, ID=id.upper(), algorithm=algorithm, ALGORITHM=algorithm.upper())

        response = API(acme.admin_token).get("keys?limit=5", Keygen_Accept_Signature=header)

        check(response, acme, "get", "/v1/accounts/acme/keys?limit=5", algorithm, kind)

    @pytest.mark.parametrize(
        ("method", "path", "data", "status"),
        [
            ("GET", "keys", None, 200),
            ("GET", "keys?page[number]=1&page%5Bsize%5D=2", None, 200),
            ("GET", "users/admin@acme.test", None, 200),
            ("POST", "users", user_document(email="new@acme.test"), 201),
            ("POST", "users", {}, 400),
            ("POST", "users", user_document(email="nonsense"), 422),
            ("DELETE", "tokens/{token}", None, 204),
            ("DELETE", "", None, 403),
            ("GET", "keys/nonsense", None, 404),
            ("DELETE", "policies/{policy}/pool", None, 422),
        ],
    )
    def test_signature_is_on_every_answer(self, acme, method, path, data, status):
        path = path.format(token=acme.admin.tokens.create(account=acme.account, digest=b"x").pk, policy=acme.policy.pk)
        target = f"/v1/accounts/acme/{path}".rstrip("/")

        response = API(acme.admin_token).request(method, target, data)

        assert response.status_code == status
        check(response, acme, method.lower(), target)

    @pytest.mark.parametrize(
        ("headers", "status"),
        [
            ({}, 401),
            ({"Authorization": "Bearer nonsense"}, 401),
            ({"Keygen_Environment": "test"}, 400),
        ],
    )
    def test_signature_is_on_every_refusal(self, acme, headers, status):
        response = API().get("keys", **headers)

        assert response.status_code == status
        check(response, acme, "get", "/v1/accounts/acme/keys")

    @pytest.mark.parametrize("host", ["localhost", "localhost:8000", "LocalHost", "127.0.0.1:8000", "[::1]:8000"])
    def test_signature_names_the_host_as_the_client_sent_it(self, acme, settings, host):
        settings.ALLOWED_HOSTS = ["*"]

        response = API(acme.admin_token).get("keys", Host=host)

        check(response, acme, "get", "/v1/accounts/acme/keys", host=host)

    def test_signature_covers_the_target_as_the_server_received_it(self, acme):
        client = Client(headers={"Authorization": f"Bearer {acme.admin_token}"})
        response = client.get(
            "/v1/accounts/acme/users/admin%40acme.test", RAW_URI="/v1/accounts/acme/users/admin%40acme.test"
        )

        check(response, acme, "get", "/v1/accounts/acme/users/admin%40acme.test")

    def test_signature_does_not_fit_another_answer(self, acme):
        response = API(acme.admin_token).get("keys")

        with pytest.raises(InvalidSignature):
            check(response, acme, "get", "/v1/accounts/acme/policies")

    def test_signature_is_made_with_the_accounts_own_key(self, acme, rival):
        assert (
            public_keys(acme)
            != API(rival.admin_token, account="rival").get("/v1/accounts/rival").json()["data"]["meta"]
        )

    @pytest.mark.parametrize(
        ("path", "headers"),
        [
            ("/v1/accounts/nowhere/keys", {}),
            ("/v1/accounts/acme/nowhere", {}),
            ("/v1/ping", {}),
            ("/v1/health", {}),
            ("/v1/accounts/acme/keys", {"Accept": "text/html"}),
        ],
    )
    def test_signature_is_missing_where_there_is_no_account(self, acme, path, headers):
        response = API().get(path, **headers)

        assert not {"Keygen-Signature", "Keygen-Digest", "Digest"} & set(response.headers)


class TestRefusal:
    @pytest.mark.parametrize(
        ("header", "reason"),
        [
            ("nonsense", "malformed"),
            ('keyid="{id}"', "malformed"),
            ('keyid="{id}" algorithm="ed25519"', "malformed"),
            ("algorithm=ed25519", "malformed"),
            ('algorithm="ed25519", keyid="{id}"', "malformed"),
            ('algorithm="md5"', "unsupported algorithm"),
            ('algorithm=""', "malformed"),
            ('keyid="{other}", algorithm="ed25519"', "keyid not found"),
            ('keyid="acme", algorithm="ed25519"', "keyid not found"),
            ('keyid="", algorithm="ed25519"', "malformed"),
        ],
    )
    def test_refusal_of_a_signature_that_cannot_be_given(self, acme, rival, header, reason):
        header = header.format(id=acme.account.pk, other=rival.account.pk)

        response = API(acme.admin_token).get("keys", Keygen_Accept_Signature=header)

        assert_refused(response, BAD, bad_request(f"invalid accept-signature header ({reason})"))
        assert "Keygen-Signature" not in response
        assert response["Digest"]


class TestKeys:
    def test_signing_keys_are_made_when_they_are_first_needed(self, acme):
        assert [key.kind for key in acme.account.signing_keys.all()] == ["ed25519"]

        public_keys(acme)

        assert {key.kind for key in acme.account.signing_keys.all()} == {"ed25519", "rsa2048", "ecdsa"}

    def test_signing_keys_are_made_for_accounts_that_are_older_than_signatures(self, acme):
        acme.account.signing_keys.all().delete()
        key_cache.cached_private_key.cache_clear()

        check(API(acme.admin_token).get("keys"), acme, "get", "/v1/accounts/acme/keys")

    def test_signing_keys_stay_the_same(self, acme):
        before = public_keys(acme)
        key_cache.cached_private_key.cache_clear()

        assert public_keys(acme) == before

    def test_signing_keys_are_never_shown(self, acme):
        response = API(acme.admin_token).get(f"/v1/accounts/{acme.account.pk}")

        for key in SigningKey.objects.filter(account=acme.account):
            body = key.private.split("-----")[2].strip()
            assert body not in response.content.decode()
            assert key.public in response.content.decode()
            assert body not in f"{key} {key!r}"

    def test_signing_keys_cost_no_statement_once_they_are_loaded(self, acme, django_assert_num_queries):
        admin = API(acme.admin_token)

        with django_assert_num_queries(2):
            admin.get("keys")
