"""The entitlements of policies and licenses, and their validation scope (contract: entitlements-groups 4 to 6)."""

import pytest

from accounts.models import Activity
from licensing.models import LicenseEntitlement, PolicyEntitlement
from tests.accounts.groups import one, several
from tests.cast import make_license, make_policy
from tests.errors import (
    BAD,
    DOCS,
    FORBIDDEN,
    NOT_FOUND,
    UNPROCESSABLE,
    assert_refused,
    bad_request,
    forbidden,
    lacks_permission,
    not_found,
)
from tests.licensing.documents import UNKNOWN, ids
from tests.licensing.entitlements import attach, make_entitlement
from tests.licensing.licenses import shown
from tests.races import race, results_of
from tests.tables import each_row

MISSING = (False, "is missing one or more required entitlements", "ENTITLEMENTS_MISSING")
VALID = (True, "is valid", "VALID")


@pytest.fixture
def license(acme):
    return make_license(acme.unpooled, "LICENSE-KEY")


@pytest.fixture
def named(acme, rival):
    """Entitlements by their codes, one of another account, and an id that nothing has."""
    known = {code: make_entitlement(acme.account, code) for code in ("OWN", "INHERITED", "BOTH", "FREE")}
    return known | {"RIVAL": make_entitlement(rival.account, "RIVAL"), "?": UNKNOWN}


@pytest.fixture
def entitled(acme, license, named):
    """A license with OWN and BOTH, whose policy has INHERITED and BOTH."""
    attach(license, named["OWN"], named["BOTH"])
    attach(acme.unpooled, named["INHERITED"], named["BOTH"])
    return license


def chosen(named, codes):
    return several("entitlements", *(named[code] for code in codes.split()))


def refused(detail, code):
    return {
        "title": "Unprocessable resource",
        "detail": detail,
        "code": code,
        "source": {"pointer": "/data/relationships/entitlement"},
        "links": {"about": f"{DOCS}/entitlements/#entitlements-object-relationships-entitlement"},
    }


NOT_KNOWN = refused("must exist", "ENTITLEMENT_NOT_FOUND")
TAKEN = refused("already exists", "ENTITLEMENT_TAKEN")
CONFLICT = refused("already exists (entitlement is attached through policy)", "ENTITLEMENT_CONFLICT")


def detached(detail, pointer, title="Unprocessable entity"):
    return {"title": title, "detail": detail, "source": {"pointer": pointer}}


class TestPolicies:
    def test_entitlements_are_attached_to_a_policy(self, acme, api, named):
        response = api(acme.admin).post(f"policies/{acme.policy.pk}/entitlements", chosen(named, "FREE OWN"))

        account = f"/v1/accounts/{acme.account.pk}"
        policy = f"{account}/policies/{acme.policy.pk}"
        assert response.status_code == 200
        assert response.json()["data"] == [
            {
                "id": str(each.pk),
                "type": "policy-entitlements",
                "links": {"related": f"{policy}/entitlements/{each.entitlement_id}"},
                "attributes": {"created": shown(each.created), "updated": shown(each.created)},
                "relationships": {
                    "account": {"links": {"related": account}} | one("accounts", acme.account),
                    "entitlement": {"links": {"related": f"{account}/entitlements/{each.entitlement_id}"}}
                    | one("entitlements", each.entitlement_id),
                    "policy": {"links": {"related": policy}} | one("policies", acme.policy),
                },
            }
            for each in PolicyEntitlement.objects.order_by("id")
        ]
        entry = Activity.objects.get(event="entitlements-attached")
        assert (entry.noun, entry.object_id, entry.details) == ("policy", acme.policy.pk, {"count": 2})
        listed = [str(named[code].pk) for code in ("FREE", "OWN")]  # by their creation, not that of the attachment
        assert ids(api(acme.admin).get(f"policies/{acme.policy.pk}/entitlements")) == listed

    def test_entitlements_of_a_policy_are_named_by_id_only(self, acme, api, named):
        attach(acme.policy, named["OWN"])
        path = f"policies/{acme.policy.pk}/entitlements"

        assert api(acme.admin).get(f"{path}/{named['OWN'].pk}").status_code == 200
        for name in ("OWN", named["FREE"].pk, UNKNOWN):
            assert_refused(api(acme.admin).get(f"{path}/{name}"), NOT_FOUND, not_found("entitlement", name))

    @each_row(
        ("codes", "error"),
        [
            ("FREE OWN", TAKEN),
            ("FREE FREE", TAKEN),
            ("FREE ?", NOT_KNOWN),
            ("RIVAL OWN", NOT_KNOWN),
        ],
    )
    def test_entitlements_are_attached_to_a_policy_all_or_none(self, acme, api, named, codes, error):
        attach(acme.policy, named["OWN"])

        response = api(acme.admin).post(f"policies/{acme.policy.pk}/entitlements", chosen(named, codes))

        assert_refused(response, UNPROCESSABLE, error)
        assert acme.policy.policy_entitlements.count() == 1

    def test_entitlements_are_detached_from_a_policy_all_or_none(self, acme, api, named):
        attach(acme.policy, named["OWN"], named["BOTH"])
        path = f"policies/{acme.policy.pk}/entitlements"

        response = api(acme.admin).delete(path, chosen(named, "OWN FREE"))

        detail = f"cannot detach entitlement '{named['FREE'].pk}' (entitlement is not attached)"
        assert_refused(response, UNPROCESSABLE, detached(detail, "/data/1"))
        assert api(acme.admin).delete(path, chosen(named, "OWN OWN")).status_code == 204
        assert ids(api(acme.admin).get(path)) == [str(named["BOTH"].pk)]

    @each_row(
        ("role", "read", "refusal"),
        [
            *((role, 200, None) for role in ("admin", "developer", "sales-agent", "product")),
            ("support-agent", 200, forbidden()),
            ("read-only", 200, lacks_permission("read-only")),
            *((role, 403, lacks_permission(role)) for role in ("user", "license")),
        ],
    )
    def test_who_may_attach_entitlements_to_a_policy(self, acme, api, named, role, read, refusal):
        bearer = acme.bearer(role)
        if role == "user":
            make_license(acme.policy, owner=bearer)
        client, path = api(bearer), f"policies/{acme.policy.pk}/entitlements"

        assert client.get(path).status_code == read
        assert_refused(client.post(path, {}), BAD, bad_request("is missing", "/data"))
        responses = [client.post(path, chosen(named, "OWN")), client.delete(path, chosen(named, "OWN"))]
        if refusal is None:
            assert [response.status_code for response in responses] == [200, 204]
        for response in responses if refusal else []:
            assert_refused(response, FORBIDDEN, refusal)

    def test_a_policy_of_another_product_is_not_found(self, acme, api, named):
        response = api(acme.another_product()).post(f"policies/{acme.policy.pk}/entitlements", {})

        assert_refused(response, NOT_FOUND, not_found("policy", acme.policy.pk))


class TestLicenses:
    def test_a_license_has_its_own_and_those_of_its_policy(self, acme, api, entitled, named):
        client, path = api(acme.admin), "licenses/LICENSE-KEY/entitlements"

        assert ids(client.get(path)) == [str(named[code].pk) for code in ("BOTH", "INHERITED", "OWN")]
        assert client.get(f"{path}/{named['INHERITED'].pk}").status_code == 200
        for name in ("OWN", named["FREE"].pk):
            assert_refused(client.get(f"{path}/{name}"), NOT_FOUND, not_found("entitlement", name))

    def test_a_license_under_another_policy_keeps_its_own(self, acme, api, entitled, named):
        other = make_policy(acme.product, "Other")

        assert api(acme.admin).put("licenses/LICENSE-KEY/policy", one("policies", other)).status_code == 200

        listed = ids(api(acme.admin).get("licenses/LICENSE-KEY/entitlements"))
        assert listed == [str(named[code].pk) for code in ("BOTH", "OWN")]

    def test_entitlements_are_attached_to_a_license(self, acme, api, entitled, named):
        response = api(acme.admin).post("licenses/LICENSE-KEY/entitlements", chosen(named, "FREE"))

        link = LicenseEntitlement.objects.get(entitlement=named["FREE"])
        account = f"/v1/accounts/{acme.account.pk}"
        path = f"{account}/licenses/{entitled.pk}"
        (shown_link,) = response.json()["data"]
        assert (shown_link["id"], shown_link["type"]) == (str(link.pk), "license-entitlements")
        assert list(shown_link["relationships"]) == ["account", "entitlement", "license"]
        assert shown_link["relationships"]["license"] == {"links": {"related": path}} | one("licenses", entitled)
        assert shown_link["links"] == {"related": f"{path}/entitlements/{named['FREE'].pk}"}

    @each_row(
        ("codes", "errors"),
        [
            ("FREE OWN", [TAKEN]),
            ("FREE FREE", [TAKEN]),
            ("FREE INHERITED", [CONFLICT]),
            ("BOTH", [TAKEN, CONFLICT]),
            ("FREE ?", [NOT_KNOWN]),
            ("RIVAL", [NOT_KNOWN]),
        ],
    )
    def test_entitlements_are_attached_to_a_license_all_or_none(self, acme, api, entitled, named, codes, errors):
        response = api(acme.admin).post("licenses/LICENSE-KEY/entitlements", chosen(named, codes))

        assert_refused(response, UNPROCESSABLE, *errors)
        assert entitled.license_entitlements.count() == 2

    @each_row(
        ("codes", "status", "code", "reason", "pointer"),
        [
            ("OWN INHERITED", FORBIDDEN, "INHERITED", "entitlement is attached through policy", "/data/1"),
            ("FREE INHERITED", FORBIDDEN, "INHERITED", "entitlement is attached through policy", "/data/1"),
            ("OWN FREE", UNPROCESSABLE, "FREE", "entitlement is not attached", "/data/1"),
        ],
    )
    def test_entitlements_are_detached_from_a_license_all_or_none(
        self, acme, api, entitled, named, codes, status, code, reason, pointer
    ):
        response = api(acme.admin).delete("licenses/LICENSE-KEY/entitlements", chosen(named, codes))

        title = "Access denied" if status == FORBIDDEN else "Unprocessable entity"
        detail = f"cannot detach entitlement '{named[code].pk}' ({reason})"
        assert_refused(response, status, detached(detail, pointer, title))
        assert entitled.license_entitlements.count() == 2

    def test_an_entitlement_of_license_and_policy_stays_through_the_policy(self, acme, api, entitled, named):
        response = api(acme.admin).delete("licenses/LICENSE-KEY/entitlements", chosen(named, "BOTH OWN"))

        assert response.status_code == 204
        listed = ids(api(acme.admin).get("licenses/LICENSE-KEY/entitlements"))
        assert listed == [str(named[code].pk) for code in ("BOTH", "INHERITED")]

    @each_row(
        ("role", "refusal"),
        [
            *((role, None) for role in ("admin", "developer", "sales-agent", "product")),
            ("support-agent", forbidden()),
            *((role, lacks_permission(role)) for role in ("read-only", "user", "license")),
        ],
    )
    def test_who_may_attach_entitlements_to_a_license(self, acme, api, named, license, role, refusal):
        bearer = license if role == "license" else acme.bearer(role)
        if role == "user":
            license.license_users.create(account=acme.account, user=bearer)
        client, path = api(bearer), "licenses/LICENSE-KEY/entitlements"

        assert client.get(path).status_code == 200
        assert_refused(client.post(path, {}), BAD, bad_request("is missing", "/data"))
        responses = [client.post(path, chosen(named, "OWN")), client.delete(path, chosen(named, "OWN"))]
        if refusal is None:
            assert [response.status_code for response in responses] == [200, 204]
        for response in responses if refusal else []:
            assert_refused(response, FORBIDDEN, refusal)

    @each_row(
        ("data", "pointer", "detail"),
        [
            ([], "/data", "length must be between 1 and 100 (inclusive)"),
            ([None], "/data/0", "cannot be null"),
            ([5], "/data/0", "type mismatch (received integer expected object)"),
            ([{"type": "entitlements", "id": "OWN"}], "/data/0/id", None),
            ([{"type": "policies", "id": UNKNOWN}], "/data/0/type", "is invalid"),
        ],
    )
    def test_attached_entitlements_have_a_shape(self, acme, api, license, data, pointer, detail):
        detail = detail or "type mismatch (received string expected UUID string)"
        for path in ("licenses/LICENSE-KEY", f"policies/{acme.policy.pk}"):
            for method in ("POST", "DELETE"):
                response = api(acme.admin).request(method, f"{path}/entitlements", {"data": data})
                assert_refused(response, BAD, bad_request(detail, pointer))


class TestScope:
    @each_row(
        ("codes", "expected"),
        [
            (["OWN"], VALID),
            (["INHERITED", "BOTH", "OWN"], VALID),
            (["OWN", "OWN"], VALID),
            (["own"], MISSING),
            ([" OWN"], MISSING),
            (["OWN", "FREE"], MISSING),
            (["NOPE"], MISSING),
            (["RIVAL"], MISSING),
            ([], (False, "entitlements scope is empty", "ENTITLEMENTS_SCOPE_EMPTY")),
            (None, VALID),
        ],
    )
    def test_a_scope_names_codes(self, acme, api, entitled, codes, expected):
        meta = {"key": "LICENSE-KEY", "scope": {"entitlements": codes}}

        response = api().post("licenses/actions/validate-key", {"meta": meta})

        verdict = response.json()["meta"]
        assert (verdict["valid"], verdict["detail"], verdict["code"]) == expected
        assert verdict["scope"].get("entitlements") == codes

    def test_a_scope_of_ids_does_not_match(self, acme, api, entitled, named):
        meta = {"key": "LICENSE-KEY", "scope": {"entitlements": [str(named["OWN"].pk)]}}

        response = api().post("licenses/actions/validate-key", {"meta": meta})

        assert response.json()["meta"]["code"] == "ENTITLEMENTS_MISSING"


@pytest.mark.django_db(transaction=True)
@pytest.mark.postgresql
@pytest.mark.parametrize("kind", ["policies", "licenses"])
def test_an_entitlement_attached_twice_at_once_is_attached_once(acme, api, kind):
    row = acme.policy if kind == "policies" else make_license(acme.unpooled)
    document, speaker = several("entitlements", make_entitlement(acme.account)), api(acme.admin)

    responses = race(6, lambda: speaker.post(f"{kind}/{row.pk}/entitlements", document))

    assert not results_of(Exception, responses)
    assert sorted(response.status_code for response in responses) == [200] + [422] * 5
    assert [response.json()["errors"] for response in responses if response.status_code == 422] == [[TAKEN]] * 5
