"""Machine files and offline proofs, verified and opened with the account's public key (contract: machines 7)."""

import base64
import json
from hashlib import sha256

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from licensing.models import Machine
from tests.cast import make_license, make_policy
from tests.errors import BAD, FORBIDDEN, assert_refused, bad_request, lacks_permission
from tests.licensing.machines import make_component, make_floating, make_machine
from tests.licensing.test_signed_keys import public_key
from tests.tables import each_row

PATH = "machines/M/actions/check-out"


def opened(account, certificate, secret=None):
    """The content of a file, whose signature by Ed25519 is verified."""
    first, *lines, last, end = certificate.split("\n")
    assert (first, last, end) == ("-----BEGIN MACHINE FILE-----", "-----END MACHINE FILE-----", "")
    payload = json.loads(base64.b64decode("".join(lines), validate=True))
    public_key(account, "ed25519").verify(base64.b64decode(payload["sig"]), f"machine/{payload['enc']}".encode())
    if secret is None:
        return json.loads(base64.b64decode(payload["enc"], validate=True))
    text, vector, tag = (base64.b64decode(part, validate=True) for part in payload["enc"].split("."))
    return json.loads(AESGCM(sha256(secret.encode()).digest()).decrypt(vector, text + tag, None))


@pytest.fixture
def license(acme):
    license = make_floating(acme.product)
    license.owner = acme.user(email="owner@acme.test")
    license.save()
    return license


@pytest.fixture
def machine(acme, license):
    return make_machine(license, owner=license.owner)


class TestCheckOut:
    def test_file_has_the_machine_as_it_was(self, acme, api, machine):
        shown = api(acme.admin).get("machines/M").json()["data"]

        response = api(acme.admin).post(PATH)

        data = response.json()["data"]
        attributes = data["attributes"]
        assert response.status_code == 200, response.content
        assert data["type"] == "machine-files"
        assert list(data["relationships"]) == ["account", "license", "machine"]
        assert (attributes["algorithm"], attributes["includes"], attributes["ttl"]) == ("base64+ed25519", [], 2629746)
        meta = {name: attributes[name] for name in ("issued", "expiry", "ttl")}
        assert opened(acme.account, attributes["certificate"]) == {"data": shown, "meta": meta}
        assert Machine.objects.get().last_check_out is not None

    def test_encrypted_file_is_opened_with_the_key_and_the_fingerprint(self, acme, api, machine):
        response = api(acme.admin).get(f"{PATH}?encrypt=1")

        content = opened(acme.account, response.content.decode(), machine.license.key + "M")
        assert content["data"]["id"] == str(machine.pk)
        assert response["Content-Disposition"] == f'attachment; filename="{machine.pk}.lic"'

    def test_included_resources_come_in_one_order(self, acme, api, license, machine):
        attached = acme.user(email="attached@acme.test")
        license.license_users.create(account=acme.account, user=attached)
        component = make_component(machine)
        names = "components,license.users,owner,license.policy,license.product,license.user"

        response = api(acme.admin).post(f"{PATH}?include={names}")

        attributes = response.json()["data"]["attributes"]
        assert attributes["includes"] == [*names.split(",")[:-1], "license.owner"]
        content = opened(acme.account, attributes["certificate"])
        rows = [license, license.owner, component, license.product, license.policy, attached]
        assert [shown["id"] for shown in content["included"]] == [str(row.pk) for row in rows]
        assert content["data"]["relationships"]["components"]["data"] == [
            {"type": "components", "id": str(component.pk)}
        ]
        users = content["included"][0]["relationships"]["users"]["data"]
        assert [user["id"] for user in users] == [str(attached.pk), str(license.owner.pk)]

    @each_row(
        "options, detail, parameter, code",
        [
            ({"include": ["processes"]}, "invalid includes", "include", "INCLUDE"),
            ({"include": ["license", "nope"]}, "invalid includes", "include", "INCLUDE"),
            ({"ttl": 3599}, "must be greater than or equal to 3600 (1 hour)", "ttl", "TTL"),
            ({"algorithm": "rot13+ed25519"}, "invalid encoding algorithm", "algorithm", "ALGORITHM"),
            ({"algorithm": "base64+nope"}, "invalid signing algorithm", "algorithm", "ALGORITHM"),
        ],
    )
    def test_invalid_options_are_refused(self, acme, api, machine, options, detail, parameter, code):
        response = api(acme.admin).post(PATH, {"meta": options})

        expected = bad_request(detail, parameter=parameter, code=f"CHECKOUT_{code}_INVALID")
        assert_refused(response, BAD, expected)

    def test_included_resources_need_their_permissions(self, api, license, machine):
        assert api(license).post(f"{PATH}?include=license,components").status_code == 200
        for name in ("license.policy", "license.product", "license.owner", "owner"):
            assert_refused(api(license).post(f"{PATH}?include={name}"), FORBIDDEN, lacks_permission("license"))

    def test_file_of_a_hashed_key_is_not_encrypted(self, acme, api):
        license = make_license(make_policy(acme.product, encrypted=True))
        make_machine(license)

        response = api(acme.admin).post(f"{PATH}?encrypt=true")

        detail = "encryption is not supported for a legacy encrypted license"
        assert_refused(response, BAD, bad_request(detail, parameter="algorithm", code="CHECKOUT_ALGORITHM_INVALID"))


class TestProof:
    def prove(self, account, response):
        """The signed dataset of a response."""
        message, _, signature = response.json()["meta"]["proof"].partition(".")
        public_key(account, "rsa2048").verify(
            base64.urlsafe_b64decode(signature), message.encode(), padding.PKCS1v15(), hashes.SHA256()
        )
        return json.loads(base64.urlsafe_b64decode(message.removeprefix("proof/")))

    def test_proof_describes_the_machine(self, acme, api, machine):
        response = api(acme.admin).post("machines/M/actions/generate-offline-proof")

        dataset = self.prove(acme.account, response)
        assert list(dataset) == ["account", "product", "policy", "license", "machine", "ts"]
        assert dataset["machine"]["fingerprint"] == "M"
        assert dataset["license"]["key"] == machine.license.key
        assert response.json()["data"]["id"] == str(machine.pk)

    def test_dataset_of_the_client_is_signed(self, acme, api, machine):
        document = {"meta": {"dataset": {"someKey": "v", "n": 1, "z": None}}}

        response = api(acme.admin).post("machines/M/actions/generate-offline-proof", document)

        assert self.prove(acme.account, response) == {"some_key": "v", "n": 1, "z": None}

    @each_row(
        "meta, detail, pointer",
        [
            ({}, "is missing", "/meta/dataset"),
            ({"dataset": {}}, "cannot be blank", "/meta/dataset"),
            ({"dataset": None}, "cannot be null", "/meta/dataset"),
            ({"dataset": {"a": [1]}}, "unpermitted type (expected object of scalar types)", "/meta/dataset/a"),
            ({"nope": 1}, "unpermitted parameter", "/meta/nope"),
        ],
    )
    def test_malformed_dataset_is_refused(self, acme, api, machine, meta, detail, pointer):
        response = api(acme.admin).post("machines/M/actions/generate-offline-proof", {"meta": meta})

        assert_refused(response, BAD, bad_request(detail, pointer))

    def test_licensees_cannot_choose_the_dataset(self, api, license, machine):
        response = api(license).post("machines/M/actions/generate-offline-proof", {"meta": {"dataset": {"a": 1}}})

        assert_refused(response, BAD, bad_request("unpermitted parameter", "/meta"))
