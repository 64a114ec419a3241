"""The key of a license under an `encrypted` policy is in one response only: nothing stores it, nothing is sealed with
its hash, and nothing takes the hash for the key."""

import pytest

from keygen_site.jsonapi import idempotency
from keygen_site.models import IdempotentResponse
from licensing.models import License
from tests.cast import make_policy
from tests.console import page, signed_in, staff
from tests.errors import assert_refused
from tests.licensing.test_issue_license import license_document

REFUSED = {
    "title": "Unprocessable resource",
    "detail": "is not supported for a license whose key is stored as a hash only (check it out without encryption)",
    "code": "CHECKOUT_ENCRYPTION_NOT_SUPPORTED",
    "links": {"about": "/docs#CHECKOUT_ENCRYPTION_NOT_SUPPORTED"},
    "source": {"parameter": "encrypt"},
}


@pytest.fixture
def policy(acme):
    return make_policy(acme.product, "Encrypted", encrypted=True, authentication_strategy="MIXED")


@pytest.fixture
def issued(acme, api, policy):
    """The response with the key."""
    return api(acme.admin).post("licenses", license_document(policy), Idempotency_Key="order-1")


@pytest.fixture
def license(issued):
    return License.objects.get()


class TestLicenseFile:
    @pytest.mark.parametrize(
        ("query", "meta"),
        [
            ("?encrypt=1", None),
            ("?algorithm=aes-256-gcm%2Brsa-sha256", None),
            ("", {"encrypt": True}),
            ("", {"algorithm": "aes-256-gcm+ed25519"}),
        ],
    )
    def test_a_file_that_could_not_be_decrypted_is_refused(self, acme, api, license, query, meta):
        address = f"licenses/{license.pk}/actions/check-out{query}"

        responses = [api(acme.admin).post(address, meta and {"meta": meta})]
        if query:
            responses.append(api(acme.admin).get(address))

        for response in responses:
            assert_refused(response, 422, REFUSED)
        license.refresh_from_db()
        assert license.last_check_out is None

    def test_an_open_file_is_given(self, acme, api, license):
        assert api(acme.admin).post(f"licenses/{license.pk}/actions/check-out").status_code == 200


class TestKey:
    def test_the_key_is_in_no_stored_response(self, acme, api, policy, issued):
        key = issued.json()["data"]["attributes"]["key"]

        again = api(acme.admin).post("licenses", license_document(policy), Idempotency_Key="order-1")

        assert key.encode() not in b"".join(bytes(stored.body) for stored in IdempotentResponse.objects.all())
        assert key.encode() not in again.content
        assert (again.status_code, again.json()["errors"][0]["code"]) == (409, "IDEMPOTENT_RESPONSE_SECRET")
        assert again["Location"].endswith(issued.json()["data"]["id"])
        assert License.objects.count() == 1

    def test_the_hash_is_not_the_key(self, acme, api, license):
        caller, text = api(), license.key
        assert text.startswith("sha-256:")

        assert caller.get("me", Authorization=f"License {text}").status_code == 401
        assert api(acme.admin).get(f"licenses/{text}").status_code == 404
        for meta in ({"key": text}, {"key": text, "encrypted": True}):
            answer = api(acme.admin).post("licenses/actions/validate-key", {"meta": meta})
            assert answer.json()["meta"]["code"] == "NOT_FOUND"

    def test_no_response_and_no_page_shows_the_key_or_its_hash(self, acme, api, license, issued):
        key = issued.json()["data"]["attributes"]["key"]
        operator, admin = signed_in(staff(acme)), api(acme.admin)
        contents = [
            admin.get(path).content
            for path in ("licenses", f"licenses/{license.pk}", f"policies/{license.policy_id}", "key-events")
        ]
        contents += [
            operator.get(address).content
            for address in (page("licensing_license_changelist"), page("licensing_license_change", license.pk))
        ]

        for content in contents:
            assert key.encode() not in content
            assert license.key.encode() not in content


def test_a_refusal_of_a_stored_response_is_complete(acme, api):
    policy = make_policy(acme.product, encrypted=True)
    send = lambda: api(acme.admin).post("licenses", license_document(policy), Idempotency_Key="a")  # noqa: E731
    first = send()

    second = send()

    assert_refused(
        second,
        409,
        {
            "title": "Conflict",
            "detail": idempotency.IdempotentResponseSecret.detail,
            "code": "IDEMPOTENT_RESPONSE_SECRET",
            "links": {"about": "/docs#IDEMPOTENT_RESPONSE_SECRET"},
            "source": {"header": "Idempotency-Key"},
        },
    )
    assert second["Location"] == first["Location"]
