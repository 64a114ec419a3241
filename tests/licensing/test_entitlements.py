"""The entitlements of an account (contract: entitlements-groups 2, 3)."""

import pytest

from accounts.models import Activity
from licensing.models import Entitlement, LicenseEntitlement, PolicyEntitlement
from tests.cast import make_license
from tests.errors import (
    BAD,
    FORBIDDEN,
    NOT_FOUND,
    UNPROCESSABLE,
    assert_refused,
    bad_request,
    forbidden,
    lacks_permission,
    not_found,
    unprocessable,
)
from tests.licensing.documents import UNKNOWN, document, ids
from tests.licensing.entitlements import attach, make_entitlement
from tests.licensing.licenses import shown
from tests.races import race, results_of
from tests.tables import each_row

STAFF = ["admin", "developer", "sales-agent", "support-agent", "read-only"]
CODE = "/data/attributes/code"


def entitlement_document(**attributes):
    return document("entitlements", {"name": "Offline mode", "code": "OFFLINE"} | attributes)


def code_error(detail, code):
    return unprocessable("entitlements", detail, code, CODE)


@pytest.fixture
def entitlement(acme):
    return make_entitlement(acme.account)


class TestEntitlements:
    def test_an_entitlement_is_created(self, acme, api):
        response = api(acme.admin).post("entitlements", entitlement_document(metadata={"plan": "pro"}))

        entitlement = Entitlement.objects.get()
        account = f"/v1/accounts/{acme.account.pk}"
        path = f"{account}/entitlements/{entitlement.pk}"
        assert (response.status_code, response["Location"]) == (201, f"http://testserver{path}")
        assert response.json()["data"] == {
            "id": str(entitlement.pk),
            "type": "entitlements",
            "links": {"self": path},
            "attributes": {
                "name": "Offline mode",
                "code": "OFFLINE",
                "metadata": {"plan": "pro"},
                "created": shown(entitlement.created),
                "updated": shown(entitlement.updated),
            },
            "relationships": {
                "account": {"links": {"related": account}, "data": {"type": "accounts", "id": str(acme.account.pk)}}
            },
        }

    def test_an_entitlement_is_named_by_its_code(self, acme, api, entitlement):
        client = api(acme.admin)

        for name in (entitlement.pk, str(entitlement.pk).upper(), "OFFLINE"):
            assert client.get(f"entitlements/{name}").json()["data"]["id"] == str(entitlement.pk)
        for name in ("offline", "nope", UNKNOWN):
            assert_refused(client.get(f"entitlements/{name}"), NOT_FOUND, not_found("entitlement", name))

    def test_an_entitlement_is_changed_and_deleted(self, acme, api, entitlement):
        client = api(acme.admin)

        response = client.patch("entitlements/OFFLINE", document("entitlements", {"code": "offline", "name": None}))

        attributes = response.json()["data"]["attributes"]
        assert (attributes["code"], attributes["name"]) == ("offline", "Offline mode")
        assert client.delete("entitlements/offline").status_code == 204
        assert [entry.event for entry in Activity.objects.filter(noun="entitlement")] == ["deleted", "changed"]

    @each_row(
        ("attributes", "status", "errors"),
        [
            ({"code": None}, BAD, [bad_request("cannot be null", CODE)]),
            ({"code": " "}, BAD, [bad_request("cannot be blank", CODE)]),
            ({"name": None}, BAD, [bad_request("cannot be null", "/data/attributes/name")]),
            ({"code": "offline"}, UNPROCESSABLE, [code_error("has already been taken", "CODE_TAKEN")]),
            ({"code": "actions"}, UNPROCESSABLE, [code_error("is reserved", "CODE_NOT_ALLOWED")]),
            ({"code": UNKNOWN.replace("-", "")}, UNPROCESSABLE, [code_error("is invalid", "CODE_INVALID")]),
            (
                {"code": "x" * 256, "name": "x" * 256},
                UNPROCESSABLE,
                [
                    code_error("is too long (maximum is 255 characters)", "CODE_TOO_LONG"),
                    unprocessable(
                        "entitlements",
                        "is too long (maximum is 255 characters)",
                        "NAME_TOO_LONG",
                        "/data/attributes/name",
                    ),
                ],
            ),
        ],
    )
    def test_attributes_of_an_entitlement_are_checked(self, acme, api, entitlement, attributes, status, errors):
        response = api(acme.admin).post("entitlements", entitlement_document(**attributes))

        assert_refused(response, status, *errors)

    def test_letters_that_are_one_in_lower_case_only_are_the_same(self, acme, api):
        """As the unique constraint of PostgreSQL has it: to the Kelvin sign, k is the small letter."""
        make_entitlement(acme.account, "KEY")

        response = api(acme.admin).post("entitlements", entitlement_document(code="\N{KELVIN SIGN}EY"))

        assert_refused(response, UNPROCESSABLE, code_error("has already been taken", "CODE_TAKEN"))

    def test_codes_are_unique_in_their_account_only(self, acme, rival, api, entitlement):
        assert api(rival.admin, "rival").post("entitlements", entitlement_document()).status_code == 201

    def test_deleting_an_entitlement_takes_it_from_all(self, acme, api, entitlement):
        license = make_license(acme.unpooled)
        attach(acme.policy, entitlement)
        attach(license, entitlement)

        assert api(acme.admin).delete(f"entitlements/{entitlement.pk}").status_code == 204

        assert not PolicyEntitlement.objects.exists()
        assert not LicenseEntitlement.objects.exists()


class TestRoles:
    @pytest.fixture
    def cast(self, acme):
        """Licenses and users, of whom some have entitlements: OWN of a license, INHERITED of its policy."""
        own, inherited = (make_entitlement(acme.account, code) for code in ("OWN", "INHERITED"))
        make_entitlement(acme.account, "UNUSED")
        owner, attached, stranger = (acme.user(email=f"{name}@acme.test") for name in ("owner", "attached", "stranger"))
        license = make_license(acme.unpooled, owner=owner)
        license.license_users.create(account=acme.account, user=attached)
        attach(license, own)
        attach(acme.unpooled, inherited)
        return {
            "owner": owner,
            "attached": attached,
            "stranger": stranger,
            "license": license,
            "other license": make_license(acme.policy),
            "product": acme.another_product(),
        }

    def test_entitlements_of_all_are_listed_for_staff_and_products(self, acme, api, cast):
        for bearer in (*(acme.bearer(role) for role in STAFF), cast["product"]):
            assert len(ids(api(bearer).get("entitlements"))) == 3
            assert api(bearer).get("entitlements/UNUSED").status_code == 200

    @each_row(
        ("name", "codes"),
        [
            *((name, ["INHERITED", "OWN"]) for name in ("owner", "attached", "license")),
            *((name, []) for name in ("stranger", "other license")),
        ],
    )
    def test_users_and_licenses_see_what_they_have(self, acme, api, cast, name, codes):
        client = api(cast[name])

        listed = client.get("entitlements").json()["data"]

        assert [each["attributes"]["code"] for each in listed] == codes
        for code in ("OWN", "INHERITED", "UNUSED"):
            assert client.get(f"entitlements/{code}").status_code == (200 if code in codes else 404)

    @each_row(
        ("role", "refusal"),
        [
            *((role, None) for role in ("admin", "developer")),
            *((role, forbidden()) for role in ("sales-agent", "support-agent")),
            *((role, lacks_permission(role)) for role in ("read-only", "product", "user", "license")),
        ],
    )
    def test_who_may_change_entitlements(self, acme, api, role, refusal):
        bearer = acme.bearer(role)
        attach(acme.policy, make_entitlement(acme.account, "SEEN"))
        if role == "user":
            make_license(acme.policy, owner=bearer)
        client = api(bearer)

        responses = [
            client.post("entitlements", entitlement_document()),
            client.patch("entitlements/SEEN", document("entitlements", {"name": "x"})),
            client.delete("entitlements/SEEN"),
        ]

        if refusal is None:
            assert [response.status_code for response in responses] == [201, 200, 204]
        for response in responses if refusal else []:
            assert_refused(response, FORBIDDEN, refusal)


@pytest.mark.django_db(transaction=True)
@pytest.mark.postgresql
def test_concurrent_codes_that_differ_in_case_are_created_once(acme, api):
    speaker, codes = api(acme.admin), iter(["PRO", "pro", "Pro", "PRO", "pRO", "prO"])

    responses = race(6, lambda: speaker.post("entitlements", entitlement_document(code=next(codes))))

    assert not results_of(Exception, responses)
    assert sorted(response.status_code for response in responses) == [201] + [422] * 5
    refusals = [response.json()["errors"] for response in responses if response.status_code == 422]
    assert refusals == [[code_error("has already been taken", "CODE_TAKEN")]] * 5
