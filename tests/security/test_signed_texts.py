"""A scheme that signs a text of the client's choice signs nothing that the account signs for another purpose.

The attack: a license whose `key` is the text of a license file, of a response or of a web token; its signature is then
a forged one of the account.
"""

import ast
import base64
import json
import time
from hashlib import sha256
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from accounts.models import SigningKey
from accounts.signing import purposes
from accounts.signing.algorithms import KEY_KIND_BY_ALGORITHM
from licensing.models import License
from licensing.signed_keys import SIGN_BARE_SEED
from tests.cast import make_license, make_policy
from tests.errors import assert_refused, unprocessable
from tests.licensing.test_issue_license import license_document

ROOT = Path(__file__).parent.parent.parent
KEY = "/data/attributes/key"


def encoded(value):
    content = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(content).decode().rstrip("=")


HEADER, CLAIMS = encoded({"alg": "RS256"}), encoded({"sub": "admin", "exp": 9_999_999_999})
FILE = "license/" + base64.b64encode(b'{"data":{"id":"another license"}}').decode()
RESPONSE = (
    "(request-target): post /v1/accounts/acme/licenses/actions/validate-key\nhost: keys.example.com\n"
    "date: Thu, 01 Jan 2032 00:00:00 GMT\ndigest: sha-256=AAAA"
)
FORGED = {
    "a license file": FILE,
    "an encrypted license file": "license/AAAA.BBBB.CCCC",
    "a machine file": FILE.replace("license", "machine"),
    "a proof": "proof/AAAA",
    "a signed key": "key/" + encoded({"license": "another"}),
    "a response": RESPONSE,
    "a response with other signed headers": "\n".join(reversed(RESPONSE.splitlines())),
    "a response of which only the digest is signed": "digest: sha-256=AAAA",
    "a web token": f"{HEADER}.{CLAIMS}",
    "a web token with its signature": f"{HEADER}.{CLAIMS}.AAAA",
    "a web token with padding": f"{HEADER}==.{CLAIMS}",
    "a web token whose claims are not encoded": encoded({"alg": "RS256", "b64": False}) + '.{"sub":"admin"}',
    "a web token with an escaped member": encoded(b'{"\\u0061lg":"RS256"}') + f".{CLAIMS}",
    "a web token with blanks": encoded(b' \n{ "typ":"JWT", "alg" : "RS256"}') + f".{CLAIMS}",
    "a web token with a byte order mark": encoded(b'\xef\xbb\xbf{"alg":"RS256"}') + f".{CLAIMS}",
    "an encrypted web token": f"{encoded({'alg': 'RSA-OAEP', 'enc': 'A256GCM'})}.A.B.C.D",
    "blanks before it": f" \t\n{FILE}",
    "a character before it that cannot be seen": f"\u200b\ufeff{FILE}",
    "full-width characters": FILE.replace("license/", "ｌｉｃｅｎｓｅ／"),
    "other case": FILE.replace("license", "License"),
    "full-width web token": f" {HEADER}.{CLAIMS}".replace("e", "ｅ", 1),
    "an empty placeholder before it": "{{nothing}}" + FILE,
    "a placeholder in it": FILE.replace("license", "lic{{user}}ense"),
    "a placeholder in a web token": f"{{{{x}}}}{HEADER}.{CLAIMS}",
}
HARMLESS = [
    '{"plan":"pro","größe":3}',
    "user@example.com",
    "eye.drops",
    "every.thing",
    "product 1.0",
    "the key/board",
    "my license/1",
    "C1B6DE-39A6E3-DE1529-8559A0-4AF593-V3",
    "update: 3",
    "{{id}}.{{account}}",
]


@pytest.fixture
def issue(acme, api):
    """Issues a license with this seed, as a product does."""

    def post(scheme, seed, bearer=None, **terms):
        policy = make_policy(acme.product, scheme=scheme, **terms)
        return api(bearer or acme.product).post("licenses", license_document(policy, {"key": seed}))

    return post


class TestForgery:
    @pytest.mark.parametrize("scheme", SIGN_BARE_SEED)
    def test_nothing_that_the_account_signs_otherwise_is_signed_as_a_bare_seed(self, issue, scheme):
        signed = [name for name, seed in FORGED.items() if issue(scheme, seed).status_code != 422]

        assert signed == []
        assert not License.objects.exists()

    def test_the_refusal_is_complete(self, issue):
        detail = "cannot be signed by this scheme, because it reads as a license file (use a scheme with V2)"

        response = issue("RSA_2048_PKCS1_SIGN", FILE)

        assert_refused(response, 422, unprocessable("licenses", detail, "KEY_NOT_ALLOWED", KEY))

    def test_a_user_is_refused_too(self, acme, api):
        user = acme.user()
        policy = make_policy(acme.product, scheme="RSA_2048_PKCS1_SIGN", protected=False)

        response = api(user).post("licenses", license_document(policy, {"key": FILE}, owner=user))

        assert (response.status_code, response.json()["errors"][0]["code"]) == (422, "KEY_NOT_ALLOWED")

    def test_an_email_that_completes_a_template_is_refused(self, acme, api):
        owner = acme.user(email="license/x@acme.test")
        policy = make_policy(acme.product, scheme="RSA_2048_PKCS1_SIGN")

        response = api(acme.admin).post("licenses", license_document(policy, {"key": "{{email}}"}, owner=owner))

        assert response.status_code == 422

    @pytest.mark.parametrize("scheme", SIGN_BARE_SEED)
    def test_other_seeds_are_signed_as_before(self, issue, scheme):
        refused = [seed for seed in HARMLESS if issue(scheme, seed).status_code != 201]

        assert refused == []

    def test_other_schemes_sign_these_texts_within_their_own(self, issue):
        """Their signature is over `key/` and the text in base64."""
        assert issue("ED25519_SIGN", FILE).status_code == 201
        assert issue("RSA_2048_PKCS1_SIGN_V2", RESPONSE).status_code == 201

    def test_a_key_cannot_become_such_a_text_later(self, acme, api, issue):
        license = issue("RSA_2048_PKCS1_SIGN", "harmless").json()["data"]["id"]

        response = api(acme.admin).patch(
            f"licenses/{license}", {"data": {"type": "licenses", "attributes": {"key": FILE}}}
        )

        assert response.status_code == 400

    def test_a_long_seed_is_looked_at_in_linear_time(self):
        key = rsa.generate_private_key(65537, 2048)
        began = time.process_time()

        for text in ("\n" * 16_000, " " * 16_000, "a\n " * 5_000, "e" * 16_000 + ".", "\u200b" * 16_000):
            purposes.sign_bare("rsa-sha256", key, text)

        assert time.process_time() - began < 5  # quadratic: minutes


class TestBlocks:
    """`RSA_2048_PKCS1_ENCRYPT` pads the bytes of the seed as a signature pads the digest of a message."""

    def test_a_digest_is_not_padded(self):
        key = rsa.generate_private_key(65537, 2048)
        digest = sha256(b"message").digest()
        sha1_without_parameters = bytes.fromhex("301f300706052b0e03021a0414") + b"A" * 20
        with_parameters = bytes.fromhex("3031300d060960864801650304020105000420") + digest

        for content in (sha1_without_parameters, with_parameters):
            with pytest.raises(purposes.TextReserved):
                purposes.sign_block(key, content)

    def test_a_seed_that_is_a_digest_in_ascii_is_refused(self, issue):
        seed = bytes.fromhex("301f300706052b0e03021a0414").decode() + "A" * 20

        response = issue("RSA_2048_PKCS1_ENCRYPT", seed)

        assert (response.status_code, response.json()["errors"][0]["code"]) == (422, "KEY_NOT_ALLOWED")

    def test_other_seeds_are_padded(self, issue):
        assert issue("RSA_2048_PKCS1_ENCRYPT", "0123456789").status_code == 201


def is_signing(node):
    """Whether a node of a syntax tree is a signature by a private key, or the function that makes one."""
    match node:
        case ast.Name(id="compute_signature") | ast.Attribute(attr="compute_signature"):
            return True
        case ast.Call(func=ast.Attribute(value=ast.Name(id="purposes"))):
            return False
        case ast.Call(func=ast.Attribute(value=ast.Call(func=ast.Name(id="_signer")))):  # Django's, by SECRET_KEY
            return False
        case ast.Call(func=ast.Attribute(attr="sign")):
            return True
    return False


class TestEverySigner:
    """The list of purposes is complete by construction: there is one place that signs, and it asks for the purpose."""

    @pytest.fixture
    def messages(self, monkeypatch):
        """All messages that are signed, with the algorithm."""
        found = []
        original = purposes.compute_signature
        monkeypatch.setattr(
            purposes, "compute_signature", lambda *args: found.append((args[0], args[2])) or original(*args)
        )
        return found

    def test_no_bare_scheme_signs_what_any_signer_signed(self, acme, api, issue, messages):
        admin, license = api(acme.admin), make_license(acme.unpooled)
        for algorithm in KEY_KIND_BY_ALGORITHM:
            admin.get("keys", Keygen_Accept_Signature=f'algorithm="{algorithm}"')
            for encoding in ("base64", "aes-256-gcm"):
                meta = {"algorithm": f"{encoding}+{algorithm}"}
                assert admin.post(f"licenses/{license.pk}/actions/check-out", {"meta": meta}).status_code == 200
        for scheme in ("RSA_2048_JWT_RS256", "RSA_2048_PKCS1_SIGN_V2", "RSA_2048_PKCS1_PSS_SIGN_V2", "ED25519_SIGN"):
            assert issue(scheme, "{}").status_code == 201
        assert issue("ECDSA_P256_SIGN", "{}").status_code == 201
        key = rsa.generate_private_key(65537, 2048)

        signed_bare = []
        for _, message in list(messages):
            try:
                purposes.sign_bare("rsa-sha256", key, message.decode())
                signed_bare.append(message[:80])
            except purposes.TextReserved:
                pass

        assert len({algorithm for algorithm, _ in messages}) == len(KEY_KIND_BY_ALGORITHM)
        assert {message.split(b"/")[0].split(b" ")[0][:8] for _, message in messages} >= {
            b"license",
            b"key",
            b"(request",
        }
        assert signed_bare == []

    def test_a_signer_cannot_sign_a_text_of_another_purpose(self):
        key = rsa.generate_private_key(65537, 2048)

        with pytest.raises(ValueError, match="not the text of a license file"):
            purposes.sign(purposes.LICENSE_FILE, "rsa-sha256", key, b"key/AAAA")

    def test_private_keys_sign_in_one_place_only(self):
        signing = set()
        for app in ("accounts", "keygen_site", "licensing", "pools"):
            for path in ROOT.glob(f"{app}/**/*.py"):
                if any(map(is_signing, ast.walk(ast.parse(path.read_text())))):
                    signing.add(str(path.relative_to(ROOT)))

        assert signing == {"accounts/signing/algorithms.py", "accounts/signing/purposes.py"}


def test_the_account_has_one_key_for_all_purposes_of_rsa(acme, issue):
    """So the purposes have to be kept apart by their texts."""
    issue("RSA_2048_PKCS1_SIGN", "harmless")

    assert SigningKey.objects.filter(account=acme.account, kind="rsa2048").count() == 1
