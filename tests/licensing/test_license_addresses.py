"""Finding a license by its id, or by its key with any characters (contract: licenses 4)."""

import logging
from urllib.parse import quote
from uuid import uuid4

import pytest
from django.test import Client

from keygen_site.observability.log_formatters import LineFormatter
from licensing.models import License
from tests.cast import make_license
from tests.errors import ENDPOINT_NOT_FOUND, NOT_FOUND, assert_refused, not_found
from tests.licensing.documents import UNKNOWN
from tests.licensing.licenses import license_object
from tests.tables import each_row

KEYS = [
    "C1B6DE-39A6E3-DE1529-8559A0-4AF593-V3",
    "key/eyJhIjoxfQ==.c2lnbmF0dXJl_-==",
    "a/b/c/d",
    "dots.in.it",
    "ends.json",
    "blank in it",
    "100% sure?",
    "schlüssel",
    "plus+and&amp=",
]


class TestKeys:
    @each_row("key", KEYS)
    def test_keys_name_a_license(self, acme, api, key):
        license = make_license(acme.unpooled, key)

        response = api(acme.admin).get(f"licenses/{quote(key, safe='')}")

        assert (response.status_code, response.json()) == (200, {"data": license_object(license)})

    @each_row("key", KEYS)
    @each_row(
        ("method", "path", "status"),
        [
            ("GET", "actions/validate", 200),
            ("POST", "actions/validate", 200),
            ("POST", "actions/suspend", 200),
            ("POST", "actions/increment-usage", 200),
            ("DELETE", "actions/revoke", 204),
            ("GET", "actions/check-out", 200),
            ("GET", "policy", 200),
            ("GET", "product", 200),
            ("GET", "owner", 200),
            ("GET", "users", 200),
            ("GET", "tokens", 200),
            ("POST", "tokens", 200),
            ("GET", "machines", 200),
            ("GET", "entitlements", 200),
        ],
    )
    def test_keys_find_the_license_in_paths_below_it(self, acme, api, key, method, path, status):
        make_license(acme.unpooled, key)

        response = api(acme.admin).request(method, f"licenses/{quote(key, safe='')}/{path}")

        assert response.status_code == status, response.content

    def test_keys_may_be_sent_with_bare_slashes(self, acme, api):
        license = make_license(acme.unpooled, KEYS[1])

        response = api(acme.admin).get(f"licenses/{KEYS[1]}")

        assert response.json()["data"]["id"] == str(license.pk)

    @pytest.mark.parametrize("path", ["policies/{}/licenses", "products/{}/licenses"])
    def test_keys_name_a_license_below_its_terms_too(self, acme, api, path):
        license = make_license(acme.unpooled, KEYS[1])
        parent = acme.unpooled if path.startswith("policies") else acme.product

        response = api(acme.admin).get(f"{path.format(parent.pk)}/{quote(KEYS[1], safe='')}")

        assert response.json()["data"]["id"] == str(license.pk)

    def test_keys_are_compared_exactly(self, acme, api):
        make_license(acme.unpooled, "license-key")

        assert_refused(api(acme.admin).get("licenses/LICENSE-KEY"), NOT_FOUND, not_found("license", "LICENSE-KEY"))

    def test_keys_of_another_account_name_nothing(self, acme, rival, api):
        make_license(rival.unpooled, "LICENSE-KEY")

        assert_refused(api(acme.admin).get("licenses/LICENSE-KEY"), NOT_FOUND, not_found("license", "LICENSE-KEY"))


class TestUnknown:
    def ask(self, acme, method, path):
        client = Client(headers={"Authorization": f"Bearer {acme.admin_token}"} if acme else {})
        return client.generic(method, f"/v1/accounts/acme/{path}", RAW_URI=f"/v1/accounts/acme/{path}")

    def test_unknown_addresses_below_a_license_are_not_the_license(self, acme):
        license, wrong = make_license(acme.unpooled, "LICENSE-KEY"), []
        below = ("account", "policies", "relationships/owner", "owner/x", "actions/unknown", "actions", "nothing/users")
        for below_license in below:
            for identifier in (license.pk, license.key, UNKNOWN):
                path = f"licenses/{identifier}/{below_license}"
                for who, prefix in ((acme, ""), (None, ""), (acme, f"policies/{acme.unpooled.pk}/")):
                    response = self.ask(who, "GET", prefix + path)
                    headers = {
                        "Keygen-Account",
                        "Keygen-Bearer",
                        "Keygen-Token",
                        "Keygen-Signature",
                        "WWW-Authenticate",
                    }
                    if response.json() != {"errors": [ENDPOINT_NOT_FOUND]} or headers & set(response.headers):
                        wrong.append((prefix, path, who is None, response.json()))
        assert wrong == []

    def test_unknown_addresses_are_told_from_keys_with_slashes(self, acme):
        license = make_license(acme.unpooled, "a/nothing")

        for path in ("licenses/a%2Fnothing", "licenses/a/nothing"):
            assert self.ask(acme, "GET", path).json()["data"]["id"] == str(license.pk)
        response = self.ask(acme, "GET", "licenses/b%2Fnothing")
        assert_refused(response, NOT_FOUND, not_found("license", "b/nothing"))


class TestIds:
    @pytest.mark.parametrize("spelled", [str, lambda uuid: str(uuid).upper(), lambda uuid: uuid.hex])
    def test_ids_name_a_license(self, acme, api, spelled):
        license = make_license(acme.unpooled)

        assert api(acme.admin).get(f"licenses/{spelled(license.pk)}").json() == {"data": license_object(license)}

    def test_ids_that_are_keys_too_name_the_older_license(self, acme, api):
        uuid = uuid4()
        older = make_license(acme.unpooled, str(uuid))
        License(
            pk=uuid, account=acme.account, product=acme.product, policy=acme.unpooled, key="ANOTHER", protected=True
        ).save()

        assert api(acme.admin).get(f"licenses/{uuid}").json()["data"]["id"] == str(older.pk)

    def test_ids_of_nothing_are_not_found(self, acme, api):
        uuid = str(uuid4())

        for path in (f"licenses/{uuid}", f"licenses/{uuid}/policy", f"licenses/{uuid}/users"):
            assert_refused(api(acme.admin).get(path), NOT_FOUND, not_found("license", uuid))


class TestRoutesBelowALicense:
    def test_license_without_machines_and_entitlements_has_empty_lists(self, acme, api):
        license = make_license(acme.unpooled)

        for name in ("machines", "entitlements"):
            assert api(acme.admin).get(f"licenses/{license.pk}/{name}").json() == {"data": []}
            page = api(acme.admin).get(f"licenses/{license.pk}/{name}?page[size]=5").json()
            assert (page["data"], page["links"]["next"]) == ([], None)

    @pytest.mark.parametrize("noun", ["machine", "entitlement"])
    def test_unknown_machine_or_entitlement_is_not_found(self, acme, api, noun):
        license = make_license(acme.unpooled)

        response = api(acme.admin).get(f"licenses/{license.pk}/{noun}s/x")

        assert_refused(response, NOT_FOUND, not_found(noun, "x"))

    def test_group_of_a_license_without_one_is_not_found(self, acme, api):
        error = {"title": "Not found", "detail": "The requested group was not found", "code": "NOT_FOUND"}

        assert_refused(api(acme.admin).get(f"licenses/{make_license(acme.unpooled).pk}/group"), NOT_FOUND, error)

    @pytest.mark.parametrize(
        ("method", "path"),
        [
            ("POST", "group"),
            ("POST", "machines"),
            ("POST", "actions/nonsense"),
            ("GET", "actions/suspend"),
            ("DELETE", "tokens"),
        ],
    )
    def test_other_urls_are_unknown_endpoints(self, acme, api, method, path):
        response = api(acme.admin).request(method, f"licenses/{make_license(acme.unpooled).pk}/{path}")

        assert_refused(response, NOT_FOUND, ENDPOINT_NOT_FOUND, early=True)

    def test_key_is_not_validated_by_get(self, acme, api):
        response = api(acme.admin).get("licenses/actions/validate-key")

        assert_refused(response, NOT_FOUND, ENDPOINT_NOT_FOUND, early=True)


@pytest.mark.parametrize(
    ("path", "logged"),
    [
        (f"/v1/licenses/{KEYS[1]}", "/v1/licenses/***"),
        (f"/v1/licenses/{KEYS[1]}/actions/validate", "/v1/licenses/***/actions/validate"),
        (f"/v1/licenses/{KEYS[1]}/users/ann@acme.test", "/v1/licenses/***/users/ann@acme.test"),
        (f"/v1/policies/1/licenses/{KEYS[1]}", "/v1/policies/1/licenses/***"),
        ("/v1/licenses/a/b/c/d?limit=1", "/v1/licenses/***?limit=1"),
        ("/v1/licenses/a%2Fb/policy", "/v1/licenses/***/policy"),
        ("/v1/licenses/actions/validate-key", "/v1/licenses/actions/validate-key"),
    ],
)
def test_keys_stay_out_of_logs(path, logged):
    record = logging.LogRecord("django.server", logging.INFO, __file__, 1, "%s", (f"GET {path} 404",), None)

    assert LineFormatter("{message}", style="{").format(record) == f"GET {logged} 404"
