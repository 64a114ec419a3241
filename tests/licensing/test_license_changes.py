"""Changing and deleting a license (contract: licenses 6)."""

import pytest

from accounts.models import Token
from keygen_site.jsonapi.text import snake
from licensing.models import License, LicenseUser, PoolEmpty
from licensing.services import issue_license
from tests.cast import add_keys, make_license, make_policy, token_of
from tests.errors import BAD, NOT_FOUND, UNPROCESSABLE, assert_refused, bad_request, not_found, unprocessable
from tests.licensing.licenses import LIMITS, change, license_object
from tests.tables import each_row

FLOATING_LIMITS = dict.fromkeys(LIMITS, 7)


@pytest.fixture
def license(acme):
    policy = make_policy(acme.product, floating=True, max_machines=3, max_uses=5, max_users=2)
    return make_license(policy, "LICENSE-KEY", protected=True)


@pytest.fixture
def patch(acme, api, license):
    """Changes attributes of the license, and reads it again."""

    def send(**attributes):
        response = api(acme.admin).patch(f"licenses/{license.pk}", change(**attributes))
        license.refresh_from_db()
        return response

    return send


def policys(**attributes):
    return {"floating": True, "maxMachines": 3, "maxUses": 5, "maxUsers": 2} | attributes


class TestUpdate:
    @each_row(
        ("said", "shown"),
        [
            ({"name": "Ann's"}, {"name": "Ann's"}),
            ({"name": ""}, {"name": ""}),
            ({"name": None}, {"name": None}),
            ({"expiry": "2031-05-06T07:08:09.123Z"}, {"expiry": "2031-05-06T07:08:09.123Z"}),
            ({"expiry": 1935731289}, {"expiry": "2031-05-05T07:08:09.000Z"}),
            ({"expiry": "2021-05-06"}, {"expiry": "2021-05-06T00:00:00.000Z", "status": "EXPIRED"}),
            ({"expiry": None}, {"expiry": None}),
            ({"suspended": True}, {"suspended": True, "status": "SUSPENDED"}),
            ({"suspended": None}, {}),
            ({"protected": False}, {"protected": False}),
            ({"protected": None}, {}),
            (FLOATING_LIMITS, FLOATING_LIMITS),
            ({"maxUses": None, "maxUsers": 0}, {}),
            ({"metadata": {"order_id": 1, "tags": ["a"]}}, {"metadata": {"orderId": 1, "tags": ["a"]}}),
            ({"metadata": {}}, {}),
            ({"metadata": None}, {}),
            ({}, {}),
        ],
    )
    def test_update_of_a_license_changes(self, license, patch, said, shown):
        response = patch(**said)

        license.refresh_from_db()
        assert (response.status_code, response.json()) == (200, {"data": license_object(license, **policys(**shown))})

    def test_update_of_a_license_goes_by_key_and_ignores_the_id(self, acme, api, license):
        document = change(name="Ann's")
        document["data"]["id"] = "LICENSE-KEY"

        response = api(acme.admin).put("licenses/LICENSE-KEY", document)

        assert response.json()["data"]["attributes"]["name"] == "Ann's"

    def test_update_of_a_license_replaces_metadata_as_a_whole(self, license, patch):
        patch(metadata={"a": 1})
        patch(metadata={"b": 2})

        assert license.metadata == {"b": 2}

    def test_update_of_a_license_takes_away_what_was_set(self, license, patch):
        patch(expiry="2031-01-01", maxUses=9)

        attributes = patch(expiry=None, maxUses=None).json()["data"]["attributes"]

        assert (attributes["expiry"], attributes["maxUses"]) == (None, 5)

    def test_update_of_a_license_works_above_the_limit_of_uses(self, license, patch):
        License.objects.update(uses=9)

        assert patch(name="Ann's").status_code == 200

    @pytest.mark.parametrize(
        ("name", "value", "detail"),
        [
            ("key", "ANOTHER-KEY", "unpermitted parameter"),
            ("uses", 1, "unpermitted parameter"),
            ("status", "ACTIVE", "unpermitted parameter"),
            ("permissions", [], "unpermitted parameter"),
            ("scheme", None, "unpermitted parameter"),
            ("name", 1, "type mismatch (received integer expected string)"),
            ("suspended", "yes", "type mismatch (received string expected boolean)"),
            ("maxUses", "5", "type mismatch (received string expected integer)"),
            ("expiry", "soon", "failed to coerce string to time"),
            ("expiry", "T12:00", "failed to coerce string to time"),
            ("metadata", [], "type mismatch (received array expected object)"),
        ],
    )
    def test_update_of_a_license_refuses_a_shape(self, license, patch, name, value, detail):
        assert_refused(patch(**{name: value}), BAD, bad_request(detail, f"/data/attributes/{name}"))

    @pytest.mark.parametrize(
        ("document", "error"),
        [
            ({}, bad_request("is missing", "/data")),
            ({"data": {"type": "licenses"}}, bad_request("is missing", "/data/attributes")),
            ({"data": {"type": "keys", "attributes": {}}}, bad_request("is invalid", "/data/type")),
            (
                {"data": {"type": "licenses", "attributes": {}, "relationships": {}}},
                bad_request("unpermitted parameter", "/data/relationships"),
            ),
        ],
    )
    def test_update_of_a_license_refuses_a_document(self, acme, api, license, document, error):
        assert_refused(api(acme.admin).patch(f"licenses/{license.pk}", document), BAD, error)

    @pytest.mark.parametrize(
        ("name", "value", "detail", "code"),
        [
            ("name", "x" * 1025, "is too long (maximum is 1024 characters)", "NAME_TOO_LONG"),
            ("maxUses", -1, "must be greater than or equal to 0", "MAX_USES_INVALID"),
            ("maxUses", 2**31, "must be less than or equal to 2147483647", "MAX_USES_INVALID"),
            ("maxUsers", -1, "must be greater than or equal to 0", "MAX_USERS_INVALID"),
            ("maxProcesses", -1, "must be greater than or equal to 0", "MAX_PROCESSES_INVALID"),
            ("maxCores", -1, "must be greater than or equal to 1", "MAX_CORES_INVALID"),
            ("maxMemory", -1, "must be greater than or equal to 1", "MAX_MEMORY_INVALID"),
            ("maxDisk", -1, "must be greater than or equal to 1", "MAX_DISK_INVALID"),
            (
                "maxMachines",
                -1,
                "must be greater than or equal to 0",
                "MAX_MACHINES_INVALID",
            ),
            ("metadata", {"a": "x" * 16_384}, "too large (exceeded limit of 16384 bytes)", "METADATA_TOO_LONG"),
        ],
    )
    def test_update_of_a_license_refuses_a_value(self, license, patch, name, value, detail, code):
        error = unprocessable("licenses", detail, code, f"/data/attributes/{name}")

        assert_refused(patch(**{name: value}), UNPROCESSABLE, error)

    @each_row("name", LIMITS)
    @each_row("floating", [True, False])
    def test_update_of_a_license_takes_0_for_no_limit_of_its_own(self, acme, api, name, floating):
        license = make_license(make_policy(acme.product, floating=floating, max_machines=1))

        response = api(acme.admin).patch(f"licenses/{license.pk}", change(**{name: 0}))

        shown = response.json()["data"]["attributes"][name]
        assert (response.status_code, shown) == (200, getattr(license.policy, snake(name)))


class TestDelete:
    @pytest.mark.parametrize("path", ["licenses/{}", "licenses/{}/actions/revoke"])
    def test_deletion_also_deletes_the_rows_of_the_license(self, acme, api, license, path):
        license.license_users.create(account=acme.account, user=acme.user())
        token_of(license)

        response = api(acme.admin).delete(path.format(license.pk))

        assert (response.status_code, response.content) == (204, b"")
        assert not License.objects.exists()
        assert not LicenseUser.objects.exists()
        assert not Token.objects.for_bearer(license).exists()
        assert_refused(api(acme.admin).delete(path.format("x")), NOT_FOUND, not_found("license", "x"))

    def test_deletion_does_not_put_the_key_back(self, acme, api, audit):
        add_keys(acme.policy, "KEY-0001")
        license = issue_license(policy=acme.policy, audit=audit)

        api(acme.admin).delete(f"licenses/{license.key}/actions/revoke")

        with pytest.raises(PoolEmpty):
            acme.policy.pool.pop(audit)

    def test_deletion_of_a_license_ends_its_access(self, acme, api, license):
        speaker = api(license)
        api(acme.admin).delete(f"licenses/{license.pk}")

        assert speaker.get("me").status_code == 401
