"""Every token, password, license key and license file of the fixture works after its account has moved in."""

import base64
import hmac

import bcrypt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts.models import Account, SigningKey, Token, TokenKeys, User
from pools.moving.account_keys import KEY_COLUMNS
from tests.accounts.documents import basic
from tests.conftest import API
from tests.licensing.test_license_check_out import opened
from tests.licensing.test_signed_keys import seed_of
from tests.moving.exports import ACCOUNT_ID, SECRETS, SHOWN, TOKENS, import_fixture, read_export

BEARERS = {
    "admin": ("users", "admin@example.com"),
    "dev": ("users", "dev@example.com"),
    "mia": ("users", "mia@example.com"),
    "named": ("users", "admin@example.com"),
    "product Painter": ("products", "Painter"),
    "product Sculptor": ("products", "Sculptor"),
    "activation floating": ("licenses", "floating"),
}
WAITING = SECRETS["pool"]["waiting, oldest first"]


def name_of(resource):
    attributes = resource["attributes"]
    return attributes.get("email") or attributes["name"] or resource["id"]


class TestTokens:
    def test_each_token_speaks_for_its_bearer_at_every_use(self, moved):
        for name, (kind, bearer) in BEARERS.items():
            client = API(SECRETS["tokens"][name], ACCOUNT_ID)
            for _ in range(2):  # with its old digest, and with ours
                response = client.get("me")

                data = response.json()["data"]
                assert (response.status_code, data["type"]) == (200, kind), name
                names = {data["id"], data["attributes"].get("email"), data["attributes"].get("name")}
                assert (SECRETS["licenses"]["floating"]["id"] if kind == "licenses" else bearer) in names, name

    def test_expired_token_stays_expired(self, moved):
        response = API(SECRETS["tokens"]["expired (401)"], ACCOUNT_ID).get("me")

        assert (response.status_code, response.json()["errors"][0]["code"]) == (401, "TOKEN_EXPIRED")

    def test_token_is_found_by_the_slug_of_the_account(self, moved):
        assert API(SECRETS["tokens"]["dev"], "example-com").get("me").status_code == 200

    def test_token_is_as_quick_as_our_own_after_its_first_use(self, moved, moved_admin):
        _, own = Token.generate(User.objects.get(account=moved, email="admin@example.com"))
        statements = []
        for token in (SECRETS["tokens"]["admin"], SECRETS["tokens"]["admin"], own):
            with CaptureQueriesContext(connection) as queries:
                assert API(token, ACCOUNT_ID).get("me").status_code == 200
            statements.append(len(queries))

        first, second, of_own = statements
        assert second == of_own < first

    def test_unknown_token_costs_no_more_statements_unless_tokens_moved_in(self, acme):
        TokenKeys.objects.create(account=acme.account, secret_key="of nothing", private_key="of nothing")
        statements = []
        for has_moved_tokens in (False, True):
            Account.objects.filter(pk=acme.account.pk).update(has_moved_tokens=has_moved_tokens)
            with CaptureQueriesContext(connection) as queries:
                assert API("admin-" + "0" * 64 + "v3").get("me").status_code == 401
            statements.append(len(queries))

        assert statements[1] == statements[0] + 2

    def test_token_is_good_for_its_own_account_only(self, moved, rival):
        assert API(SECRETS["tokens"]["admin"], "rival").get("me").status_code == 401

    def test_changed_token_is_refused(self, moved):
        text = SECRETS["tokens"]["admin"]
        for changed in (text[:-4] + ("1" if text[-4] == "0" else "0") + text[-3:], text[:-1] + "2", text.upper()):
            assert API(changed, ACCOUNT_ID).get("me").status_code == 401

    def test_token_of_version_2_works(self, db, shortly_after):
        text = SECRETS["tokens"]["dev"][:-2] + "v2"
        row = next(line for line in TOKENS.decode().splitlines() if "3a9f867d" in line)
        digest = row.split(",")[7]
        table = TOKENS.decode().replace(digest, _version_2_digest(text)).encode()

        import_fixture(tokens=table)

        assert API(text, ACCOUNT_ID).get("me").status_code == 200


def _version_2_digest(text):
    [account] = read_export()["Account"]
    return hmac.new(account["private_key"], text.encode(), "sha512").hexdigest()


class TestPasswords:
    def test_each_password_works_and_gets_a_digest_of_ours(self, moved, own_hashers):
        for email, password in SECRETS["passwords"].items():
            for prefix in ("bcrypt$$2a$12$", "argon2$"):
                assert User.objects.get(account=moved, email=email).password.startswith(prefix), email

                response = API(account=ACCOUNT_ID).post("tokens", Authorization=basic(email, password))

                assert response.status_code == (403 if email.startswith("banned") else 201), email

    def test_wrong_password_is_refused_and_keeps_the_digest(self, moved, own_hashers):
        response = API(account=ACCOUNT_ID).post("tokens", Authorization=basic("dev@example.com", "wrong password"))

        assert response.status_code == 401
        assert User.objects.get(account=moved, email="dev@example.com").password.startswith("bcrypt$$2a$12$")

    def test_password_beyond_72_bytes_works_as_in_keygen_api(self, moved, own_hashers):
        long = "correct horse battery staple " * 3
        digest = bcrypt.hashpw(long.encode()[:72], bcrypt.gensalt(4, b"2a")).decode()
        user = User.objects.get(account=moved, email="dev@example.com")
        User.objects.filter(pk=user.pk).update(password=f"bcrypt${digest}")

        assert not User.objects.get(pk=user.pk).check_password("other " + long)
        assert not User.objects.get(pk=user.pk).check_password(long + "\0")
        assert User.objects.get(pk=user.pk).check_password(long)

    def test_user_without_a_password_has_none(self, moved):
        without = {row["id"] for row in read_export()["User"] if row["password_digest"] is None}

        assert without
        assert not any(user.has_usable_password() for user in User.objects.filter(pk__in=without))


class TestLicenses:
    def test_each_key_is_validated_with_the_code_that_it_had(self, moved):
        found = {}
        for name, license in SECRETS["licenses"].items():
            response = API(account=ACCOUNT_ID).post("licenses/actions/validate-key", {"meta": {"key": license["key"]}})
            found[name] = (response.json()["data"]["id"], response.json()["meta"]["code"])

        assert found == {name: (each["id"], each["validation"]) for name, each in SECRETS["licenses"].items()}

    @pytest.mark.parametrize(
        ("name", "scheme", "seed"),
        [
            ("ed25519", "ED25519_SIGN", "customer=42;tier=pro"),
            ("rsa pss", "RSA_2048_PKCS1_PSS_SIGN_V2", "customer=43"),
            ("jwt", "RSA_2048_JWT_RS256", '{"sub":"customer 44"}'),
        ],
    )
    def test_signed_key_is_verified_with_the_account_s_public_key(self, moved, name, scheme, seed):
        assert seed_of(moved, scheme, SECRETS["licenses"][name]["key"]).replace('": "', '":"') == seed

    @pytest.mark.parametrize(
        ("name", "member"), [("perpetual", "file"), ("ed25519", "file"), ("yearly", "encryptedFile")]
    )
    def test_license_file_opens_with_the_account_s_public_key(self, moved, name, member):
        license = SECRETS["licenses"][name]

        document, _ = opened(moved, license[member], license["key"])

        assert document["data"]["id"] == license["id"]

    def test_new_license_file_opens_with_the_old_public_key(self, moved, moved_admin):
        license = SECRETS["licenses"]["perpetual"]
        response = moved_admin.post(f"licenses/{license['id']}/actions/check-out")

        document, _ = opened(moved, response.json()["data"]["attributes"]["certificate"])

        assert document["data"]["id"] == license["id"]

    def test_responses_are_signed_with_the_old_key(self, moved, moved_admin):
        [account] = read_export()["Account"]
        response = moved_admin.get("me")

        signature = response["Keygen-Signature"].split('signature="')[1].split('"')[0]
        data = "\n".join(
            [
                f"(request-target): get /v1/accounts/{ACCOUNT_ID}/me",
                "host: testserver",
                f"date: {response['Keygen-Date']}",
                f"digest: {response['Keygen-Digest']}",
            ]
        )
        old = Ed25519PublicKey.from_public_bytes(bytes.fromhex(account["ed25519_public_key"]))
        old.verify(base64.b64decode(signature), data.encode())

    def test_public_keys_are_those_that_apps_were_shipped_with(self, moved):
        [account] = read_export()["Account"]

        published = {each.kind: base64.b64decode(each.public).decode() for each in SigningKey.objects.all()}

        assert published == {kind: account[public] for kind, (_, public) in KEY_COLUMNS.items()}

    def test_license_key_is_a_credential(self, moved):
        client = API(account=ACCOUNT_ID)
        response = client.get("me", Authorization=f"License {SECRETS['licenses']['floating']['key']}")

        assert response.json()["data"]["id"] == SECRETS["licenses"]["floating"]["id"]


class TestMachines:
    def test_machine_pings(self, moved):
        client = API(SECRETS["tokens"]["activation floating"], ACCOUNT_ID)

        for machine in SHOWN["machines"]:
            response = client.post(f"machines/{machine['id']}/actions/ping")

            assert response.status_code == 200, response.content
            assert response.json()["data"]["attributes"]["heartbeatStatus"] == "ALIVE"


class TestPops:
    def test_pool_hands_out_the_oldest_key_first(self, moved, moved_admin):
        [policy] = [each for each in SHOWN["policies"] if each["attributes"]["name"] == "Beta pool"]

        popped = []
        while (response := moved_admin.delete(f"policies/{policy['id']}/pool")).status_code == 200:
            popped.append(response.json()["data"]["attributes"]["key"])

        assert popped == WAITING
        assert response.status_code == 422
