"""License files, verified and opened here with the account's public key alone (contract: licenses 7.6)."""

import base64
import json
from datetime import datetime
from hashlib import sha256

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from keygen_site.jsonapi.versions import VERSIONS
from licensing.durations import MONTH, add_duration
from licensing.models import License
from tests.cast import make_license, make_policy
from tests.errors import BAD, FORBIDDEN, assert_refused, bad_request, forbidden, lacks_permission
from tests.licensing.documents import policy_object, product_object
from tests.licensing.licenses import license_object, shown
from tests.licensing.test_signed_keys import PSS, public_key
from tests.tables import each_row

BEGIN, END = "-----BEGIN LICENSE FILE-----", "-----END LICENSE FILE-----"
SIGNATURES = ["ed25519", "rsa-pss-sha256", "rsa-sha256", "ecdsa-p256"]
TTL = bad_request("must be greater than or equal to 3600 (1 hour)", parameter="ttl", code="CHECKOUT_TTL_INVALID")
INCLUDES = bad_request("invalid includes", parameter="include", code="CHECKOUT_INCLUDE_INVALID")
ENCODING = bad_request("invalid encoding algorithm", parameter="algorithm", code="CHECKOUT_ALGORITHM_INVALID")
SIGNING = bad_request("invalid signing algorithm", parameter="algorithm", code="CHECKOUT_ALGORITHM_INVALID")


def opened(account, certificate, key=None):
    """The content and the algorithm of a genuine file. Raises `InvalidSignature` for a forged one."""
    first, *lines, last, end = certificate.split("\n")
    assert (first, last, end) == (BEGIN, END, "")
    assert all(len(line) == 60 for line in lines[:-1])
    payload = json.loads(base64.b64decode("".join(lines), validate=True))
    assert set(payload) == {"enc", "sig", "alg"}
    encoding, signing = payload["alg"].split("+")
    message, signature = f"license/{payload['enc']}".encode(), base64.b64decode(payload["sig"], validate=True)
    match signing:
        case "ed25519":
            public_key(account, "ed25519").verify(signature, message)
        case "rsa-pss-sha256":
            public_key(account, "rsa2048").verify(signature, message, PSS, hashes.SHA256())
        case "rsa-sha256":
            public_key(account, "rsa2048").verify(signature, message, padding.PKCS1v15(), hashes.SHA256())
        case "ecdsa-p256":
            public_key(account, "ecdsa").verify(signature, message, ec.ECDSA(hashes.SHA256()))
    if encoding == "base64":
        return json.loads(base64.b64decode(payload["enc"], validate=True)), payload["alg"]
    text, vector, tag = (base64.b64decode(part, validate=True) for part in payload["enc"].split("."))
    assert (len(vector), len(tag)) == (12, 16)
    return json.loads(AESGCM(sha256(key.encode()).digest()).decrypt(vector, text + tag, None)), payload["alg"]


@pytest.fixture
def license(acme):
    return make_license(acme.unpooled, "LICENSE-KEY", owner=acme.user(email="owner@acme.test"))


@pytest.fixture
def check_out(acme, api, license):
    """Checks the license out, and reads it again."""

    def post(query="", bearer=None, **meta):
        response = api(bearer or acme.admin).post(
            f"licenses/{license.pk}/actions/check-out{query}", {"meta": meta} if meta else None
        )
        license.refresh_from_db()
        return response

    return post


class TestFile:
    def test_license_file_is_an_answer(self, acme, license, check_out):
        response = check_out()

        document = response.json()["data"]
        issued = license.last_check_out
        text = document["attributes"]["certificate"]
        account = f"/v1/accounts/{acme.account.pk}"
        assert (response.status_code, len(document.pop("id"))) == (200, 36)
        assert document == {
            "type": "license-files",
            "attributes": {
                "certificate": text,
                "algorithm": "base64+ed25519",
                "includes": [],
                "ttl": MONTH,
                "expiry": shown(add_duration(issued, MONTH)),
                "issued": shown(issued),
            },
            "relationships": {
                "account": {"links": {"related": account}, "data": {"type": "accounts", "id": str(acme.account.pk)}},
                "license": {
                    "links": {"related": f"{account}/licenses/{license.pk}"},
                    "data": {"type": "licenses", "id": str(license.pk)},
                },
            },
        }
        says, algorithm = opened(acme.account, text)
        assert algorithm == "base64+ed25519"
        assert says["data"] == license_object(license, users=1) | {"attributes": says["data"]["attributes"]}
        assert says["data"]["attributes"]["key"] == "LICENSE-KEY"
        assert says["meta"] == {"issued": shown(issued), "expiry": shown(add_duration(issued, MONTH)), "ttl": MONTH}
        assert set(says) == {"data", "meta"}

    def test_license_file_is_a_file_to_store(self, acme, api, license):
        response = api(acme.admin).get("licenses/LICENSE-KEY/actions/check-out?encrypt=1&ttl=3600")

        assert response["Content-Type"] == "application/octet-stream"
        assert response["Content-Disposition"] == f'attachment; filename="{license.pk}.lic"'
        says, algorithm = opened(acme.account, response.content.decode(), "LICENSE-KEY")
        assert (says["meta"]["ttl"], algorithm) == (3600, "aes-256-gcm+ed25519")

    def test_license_file_is_a_file_in_earlier_versions_too(self, acme, api, license):
        response = api(acme.admin).get("licenses/LICENSE-KEY/actions/check-out", Keygen_Version="1.1")

        assert opened(acme.account, response.content.decode())[0]["data"]["id"] == str(license.pk)

    @pytest.mark.parametrize("encoding", ["base64", "aes-256-gcm"])
    @pytest.mark.parametrize("signing", SIGNATURES)
    def test_license_file_has_an_algorithm(self, acme, check_out, encoding, signing):
        response = check_out(algorithm=f"{encoding}+{signing}", encrypt=False)

        attributes = response.json()["data"]["attributes"]
        assert attributes["algorithm"] == f"{encoding}+{signing}"
        assert opened(acme.account, attributes["certificate"], "LICENSE-KEY")[1] == f"{encoding}+{signing}"

    @pytest.mark.parametrize(
        ("scheme", "encrypt", "algorithm"),
        [
            (None, True, "aes-256-gcm+ed25519"),
            ("ED25519_SIGN", False, "base64+ed25519"),
            ("ECDSA_P256_SIGN", False, "base64+ecdsa-p256"),
            ("RSA_2048_PKCS1_SIGN_V2", False, "base64+rsa-sha256"),
            ("RSA_2048_PKCS1_PSS_SIGN", True, "aes-256-gcm+rsa-pss-sha256"),
            ("RSA_2048_JWT_RS256", False, "base64+rsa-sha256"),
        ],
    )
    def test_license_file_is_signed_as_the_key_is(self, acme, api, scheme, encrypt, algorithm):
        license = make_license(make_policy(acme.product, scheme=scheme))

        response = api(acme.admin).post(
            f"licenses/{license.pk}/actions/check-out", {"meta": {"encrypt": encrypt, "algorithm": None}}
        )

        certificate = response.json()["data"]["attributes"]["certificate"]
        assert opened(acme.account, certificate, license.key)[1] == algorithm

    def test_license_file_that_was_changed_is_not_genuine(self, acme, check_out):
        lines = check_out().json()["data"]["attributes"]["certificate"].split("\n")
        payload = json.loads(base64.b64decode("".join(lines[1:-2])))
        payload["enc"] = base64.b64encode(b'{"data": "free for all"}').decode()
        text = base64.b64encode(json.dumps(payload).encode()).decode()
        forged = [text[start : start + 60] for start in range(0, len(text), 60)]

        with pytest.raises(InvalidSignature):
            opened(acme.account, "\n".join([BEGIN, *forged, END, ""]))

    @pytest.mark.parametrize(
        ("query", "meta", "ttl"),
        [
            ("?ttl=3600", {}, 3600),
            ("?ttl=3600", {"ttl": 7200}, 7200),
            ("?ttl=", {}, None),
            ("", {"ttl": None}, None),
            ("?ttl=3600", {"ttl": None}, None),
            ("", {"ttl": 31_556_952}, 31_556_952),
        ],
    )
    def test_license_file_counts_for_a_time(self, check_out, query, meta, ttl):
        attributes = check_out(query, **meta).json()["data"]["attributes"]

        issued = datetime.fromisoformat(attributes["issued"])
        assert attributes["ttl"] == ttl
        assert attributes["expiry"] == (ttl and shown(add_duration(issued, ttl)))


class TestIncludes:
    def test_includes_come_with_the_license(self, acme, license, check_out):
        license.license_users.create(account=acme.account, user=acme.user(email="attached@acme.test"))

        response = check_out("?include=product,policy", include=["product", "policy", "owner", "users", "group"])

        attributes = response.json()["data"]["attributes"]
        assert attributes["includes"] == ["product", "policy", "owner", "users", "group"]
        product, policy, *users = opened(acme.account, attributes["certificate"])[0]["included"]
        assert product == product_object(acme.product)
        assert policy == policy_object(acme.unpooled, name="Unpooled")
        assert [user["attributes"]["email"] for user in users] == ["owner@acme.test", "attached@acme.test"]

    def test_includes_of_users_are_with_the_owner(self, acme, check_out):
        certificate = check_out(include=["users"]).json()["data"]["attributes"]["certificate"]

        users = opened(acme.account, certificate)[0]["included"]
        assert [user["attributes"]["email"] for user in users] == ["owner@acme.test"]

    def test_includes_of_users_are_linked_the_last_attached_first(self, acme, license, check_out):
        first, last = (acme.user(email=f"{name}@acme.test") for name in ("first", "last"))
        for user in (last, first, last):  # attached again, so the id does not decide
            license.license_users.filter(user=user).delete()
            license.license_users.create(account=acme.account, user=user)
        order = [last.pk, first.pk, license.owner_id]

        certificate = check_out(include=["owner", "users", "entitlements", "environment"]).json()
        content, _ = opened(acme.account, certificate["data"]["attributes"]["certificate"])

        relationships = content["data"]["relationships"]
        assert relationships["users"]["data"] == [{"type": "users", "id": str(pk)} for pk in order]
        assert relationships["entitlements"]["data"] == []
        assert [each["id"] for each in content["included"]] == [str(pk) for pk in (order[2], *order[:2])]

    def test_includes_are_in_the_version_of_the_request(self, acme, api, license):
        license.metadata = {"customer": {"first_name": "Ann"}}
        license.save()
        path, wrong = f"licenses/{license.pk}/actions/check-out?include=policy", []
        for version in VERSIONS:
            speaker = api(acme.admin)
            content, _ = opened(acme.account, speaker.get(path, Keygen_Version=version).content.decode())
            for written, address in ((content["data"], ""), (content["included"][0], "/policy")):
                answer = speaker.get(f"licenses/{license.pk}{address}", Keygen_Version=version).json()["data"]
                if written["attributes"].keys() != answer["attributes"].keys():
                    wrong.append((version, written["type"], "attributes"))
                if written["attributes"]["metadata"] != answer["attributes"]["metadata"]:
                    wrong.append((version, written["type"], "metadata"))
                if written["relationships"] != answer["relationships"]:
                    wrong.append((version, written["type"], "relationships"))
        assert wrong == []

    @each_row(
        ("query", "meta", "ttl"),
        [
            ("", {"ttl": "86400"}, 86_400),
            ("", {"ttl": "86400.0"}, 86_400),
            ("", {"ttl": 86_400.0}, 86_400),
            ("", {"ttl": ""}, None),
            ("?ttl=7200.0", {}, 7_200),
            ("?ttl=", {}, None),
            ("?ttl=1", {"ttl": 7_200}, 7_200),
        ],
    )
    def test_includes_and_a_time_are_read_leniently(self, check_out, query, meta, ttl):
        attributes = check_out(query, include=[None, "user", "environment"], **meta).json()["data"]["attributes"]

        assert (attributes["ttl"], attributes["includes"]) == (ttl, ["owner", "environment"])

    @each_row(
        ("query", "meta", "algorithm"),
        [
            *((f"?encrypt={text}", {}, "aes-256-gcm+ed25519") for text in ("1", "t", "T", "true", "TRUE", "y", "YES")),
            *((f"?encrypt={text}", {}, "base64+ed25519") for text in ("", "0", "x", "on", "True", "no", "2")),
            ("?encrypt=1", {"algorithm": "  "}, "aes-256-gcm+ed25519"),
            ("?encrypt=1", {"encrypt": False}, "base64+ed25519"),
        ],
    )
    def test_includes_and_the_encryption_too(self, check_out, query, meta, algorithm):
        assert check_out(query, **meta).json()["data"]["attributes"]["algorithm"] == algorithm

    @each_row(
        ("query", "includes"),
        [
            ("?include=product,", ["product"]),
            ("?include=product,policy,,", ["product", "policy"]),
            ("?include=,", []),
            ("?include[]=product", ["product"]),
            ("?include[]=product&include[]=policy", ["product", "policy"]),
            ("?include%5B%5D=user", ["owner"]),
        ],
    )
    def test_includes_of_the_query_are_names_between_commas_or_an_array(self, check_out, query, includes):
        assert check_out(query).json()["data"]["attributes"]["includes"] == includes

    def test_includes_may_call_the_owner_user(self, check_out):
        assert check_out("?include=user").json()["data"]["attributes"]["includes"] == ["owner"]

    def test_includes_may_be_empty(self, acme, check_out):
        certificate = check_out(include=["entitlements"]).json()["data"]["attributes"]["certificate"]

        assert "included" not in opened(acme.account, certificate)[0]

    @pytest.mark.parametrize(
        ("include", "allowed"), [("entitlements,group", True), ("product", False), ("policy", False)]
    )
    @pytest.mark.parametrize("role", ["user", "license"])
    def test_includes_need_permission(self, license, check_out, role, include, allowed):
        license.protected = False
        license.save()

        response = check_out(f"?include={include}", bearer=license if role == "license" else license.owner)

        if allowed:
            assert response.status_code == 200
        else:
            assert_refused(response, FORBIDDEN, lacks_permission(role))


class TestShape:
    @each_row(
        ("query", "meta", "error"),
        [
            ("", {"ttl": 3599}, TTL),
            ("", {"ttl": 0}, TTL),
            ("", {"ttl": -1}, TTL),
            ("?ttl=3599", {}, TTL),
            (
                "",
                {"ttl": 2**60},
                bad_request("is too far in the future", parameter="ttl", code="CHECKOUT_TTL_INVALID"),
            ),
            ("?ttl=x", {}, TTL),
            ("?ttl=1.5", {}, TTL),
            ("?ttl[]=3600", {}, bad_request("failed to coerce array to integer", parameter="ttl")),
            ("?ttl[a]=3600", {}, bad_request("failed to coerce hash to integer", parameter="ttl")),
            ("", {"ttl": "x"}, TTL),
            ("", {"ttl": 1.5}, TTL),
            ("", {"ttl": True}, bad_request("failed to coerce boolean to integer", "/meta/ttl")),
            ("", {"ttl": [3600]}, bad_request("failed to coerce array to integer", "/meta/ttl")),
            ("", {"ttl": {"a": 1}}, bad_request("failed to coerce hash to integer", "/meta/ttl")),
            ("?ttl=1&include=x&algorithm=x", {}, INCLUDES),
            ("?ttl=1&algorithm=x", {}, TTL),
            ("", {"include": [1]}, INCLUDES),
            (
                "",
                {"include": ["product", ["policy"]]},
                bad_request("unpermitted type (expected array of scalar types)", "/meta/include/1"),
            ),
            ("", {"include": ["machines"]}, INCLUDES),
            ("?include=environments", {}, INCLUDES),
            ("?include=,product", {}, INCLUDES),
            ("?include=product,,policy", {}, INCLUDES),
            ("?include[]=machines", {}, INCLUDES),
            ("?include[]=product,policy", {}, INCLUDES),
            ("?include[a]=product", {}, INCLUDES),
            ("?algorithm[]=base64%2Bed25519", {}, ENCODING),
            ("?algorithm[a]=base64%2Bed25519", {}, ENCODING),
            ("", {"algorithm": "rot13+ed25519"}, ENCODING),
            ("", {"algorithm": "base64"}, SIGNING),
            ("?algorithm=base64%2Bmd5", {}, SIGNING),
            ("", {"nonce": 1}, bad_request("unpermitted parameter", "/meta/nonce")),
        ],
    )
    @each_row("role", ["admin", "read-only"])
    def test_check_out_shape_is_looked_at_before_anybody_is_refused(
        self, acme, license, check_out, query, meta, error, role
    ):
        assert_refused(check_out(query, bearer=acme.bearer(role), **meta), BAD, error)
        assert license.last_check_out is None

    def test_check_out_shape_of_the_query_alone_is_too(self, acme, api, license):
        response = api(acme.admin).get(f"licenses/{license.pk}/actions/check-out?ttl=1")

        assert_refused(response, BAD, TTL)


class TestWho:
    @pytest.mark.parametrize("method", ["GET", "POST"])
    @pytest.mark.parametrize(
        ("who", "protected", "status"),
        [
            ("owner", False, 200),
            ("owner", True, 403),
            ("attached", False, 200),
            ("attached", True, 403),
            ("license", True, 200),
        ],
    )
    def test_uses_a_license_may_take_it_along(self, acme, api, license, method, who, protected, status):
        attached = acme.user(email="attached@acme.test")
        license.license_users.create(account=acme.account, user=attached)
        License.objects.update(protected=protected)
        bearer = {"owner": license.owner, "attached": attached, "license": license}[who]

        response = api(bearer).request(method, f"licenses/{license.pk}/actions/check-out")

        assert response.status_code == status
        if status == 403:
            assert_refused(response, FORBIDDEN, forbidden())
