"""Texts of nothing but blanks: 400 before anything happens, where keygen-api refuses them (contract: keys 0.3)."""

import pytest

from keygen_site.jsonapi.versions import VERSIONS
from licensing.api.viewsets.licenses import LicenseViewSet
from licensing.models import License
from licensing.models.policies import SCHEMES
from pools.models import KeyEvent
from tests.accounts.documents import token_document, user_document
from tests.cast import add_keys, make_license, make_policy, numbered
from tests.errors import BAD, assert_refused, bad_request

BLANKS = ["", " ", "      ", "\t\r\n", "\u00a0" * 6, "\u3000" * 6, "\u2028 \u2029"]


def license_document(policy, key):
    relationships = {"policy": {"data": {"type": "policies", "id": str(policy.pk)}}}
    return {"data": {"type": "licenses", "attributes": {"key": key}, "relationships": relationships}}


class TestKeyOfALicense:
    @pytest.fixture
    def policies(self, acme):
        """A policy of each kind that gives licenses their keys."""
        signed = [make_policy(acme.product, scheme, scheme=scheme) for scheme in SCHEMES[1:]]
        encrypted = make_policy(acme.product, "Encrypted", encrypted=True, scheme=SCHEMES[0])
        return [acme.policy, acme.unpooled, encrypted, *signed]

    def test_key_of_a_license_is_refused_and_takes_no_key_from_the_pool(self, api, acme, policies):
        add_keys(acme.policy, *numbered(3))
        refusal = bad_request("cannot be blank", "/data/attributes/key")
        speaker = api(acme.admin)

        accepted = []
        for policy in policies:
            for version in VERSIONS:
                for key in BLANKS:
                    response = speaker.post("licenses", license_document(policy, key), Keygen_Version=version)
                    if (response.status_code, response.json().get("errors")) != (BAD, [refusal]):
                        accepted.append((policy.name, version, key, response.status_code))

        assert not accepted
        assert not License.objects.exists()
        assert not KeyEvent.objects.exists()
        assert acme.policy.pool.available().count() == 3

    @pytest.mark.parametrize("role", ["sales-agent", "product"])
    def test_blank_key_of_a_license_is_refused_from_every_role(self, api, acme, role):
        add_keys(acme.policy, "KEY-0001")

        response = api(acme.bearer(role)).post("licenses", license_document(acme.policy, ""))

        assert_refused(response, BAD, bad_request("cannot be blank", "/data/attributes/key"))
        assert acme.policy.pool.available().count() == 1

    def test_key_of_a_license_that_is_null_or_absent_is_still_no_key(self, api, acme):
        add_keys(acme.policy, *numbered(2))

        for document in (license_document(acme.policy, None), license_document(acme.policy, "?")):
            if document["data"]["attributes"]["key"]:
                del document["data"]["attributes"]
            response = api(acme.admin).post("licenses", document)

            assert response.status_code == 201, response.content


def unrefused(responses):
    """Those of `(response, pointer)` that are not 400 `cannot be blank` at this pointer."""
    return [
        (pointer, response.status_code, response.content)
        for response, pointer in responses
        if response.status_code != BAD or response.json()["errors"] != [bad_request("cannot be blank", pointer)]
    ]


class TestOtherTexts:
    def test_other_texts_of_a_password(self, api, acme):
        speaker, joe = api(acme.admin), acme.user(email="joe@acme.test")
        pointer = "/data/attributes/password"

        answers = [
            (speaker.post("users", user_document(email="new@acme.test", password=text)), pointer) for text in BLANKS
        ] + [(speaker.patch(f"users/{joe.pk}", user_document(password=text)), pointer) for text in BLANKS]

        assert not unrefused(answers)

    def test_other_texts_of_a_tokens_name(self, api, acme):
        speaker, license, user = api(acme.admin), make_license(acme.unpooled), acme.user()
        parents = ("", f"licenses/{license.pk}/", f"products/{acme.product.pk}/", f"users/{user.pk}/")

        answers = [
            (speaker.post(f"{parent}tokens", token_document(name=text)), "/data/attributes/name")
            for parent in parents
            for text in BLANKS
        ]

        assert not unrefused(answers)

    def test_other_texts_of_a_scope(self, api, acme):
        license = make_license(acme.unpooled)
        scopes = LicenseViewSet.operations["validate"].takes["meta"].members["scope"].members

        answers = []
        for name, member in scopes.items():
            pointer = f"/meta/scope/{name}" + ("/0" if member.items else "")
            for text in BLANKS:
                meta = {"scope": {name: [text] if member.items else text}}
                by_id = api(acme.admin).post(f"licenses/{license.pk}/actions/validate", {"meta": meta})
                by_key = api().post("licenses/actions/validate-key", {"meta": meta | {"key": license.key}})
                answers += [(by_id, pointer), (by_key, pointer)]

        assert not unrefused(answers)
