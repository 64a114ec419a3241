"""Licenses as earlier versions of the API show them (contract: licenses 2.4)."""

import pytest

from tests.cast import make_license
from tests.licensing.licenses import change, license_object, shown


def named(license, version):
    """The license, with its owner called as in a version."""
    expected = license_object(license, users=1, metadata={"orderId": 1, "shipTo": {"zipCode": 2}})
    if version <= "1.5":
        relationships = expected["relationships"]
        owner = relationships.pop("owner")
        owner["links"]["related"] = owner["links"]["related"].replace("/owner", "/user")
        relationships["user"] = owner
    if version <= "1.4":
        expected["attributes"]["metadata"] = {"orderId": 1, "shipTo": {"zip_code": 2}}
    return expected


@pytest.mark.parametrize("version", ["1.0", "1.1", "1.2", "1.3", "1.4", "1.5", "1.6", "1.7", "1.8"])
class TestLicenses:
    @pytest.fixture
    def license(self, acme):
        metadata = {"order_id": 1, "ship_to": {"zip_code": 2}}
        return make_license(acme.unpooled, owner=acme.user(), metadata=metadata)

    def test_licenses_of_earlier_versions_are_shown(self, acme, api, license, version):
        speaker = api(acme.admin)

        one = speaker.get(f"licenses/{license.pk}", Keygen_Version=version)
        many = speaker.get("licenses?page[size]=1", Keygen_Version=version)

        assert one.json() == {"data": named(license, version)}
        assert many.json()["data"] == [named(license, version)]

    def test_licenses_of_earlier_versions_are_answered(self, acme, api, license, version):
        speaker = api(acme.admin)
        path = f"licenses/{license.pk}"

        changed = speaker.patch(path, change(), Keygen_Version=version)
        validated = speaker.post(f"{path}/actions/validate", Keygen_Version=version)

        assert changed.json() == {"data": named(license, version)}
        license.refresh_from_db()
        expected = named(license, version)
        expected["attributes"]["lastValidated"] = shown(license.last_validated)
        assert validated.json()["data"] == expected

    def test_licenses_of_earlier_versions_name_their_bearer(self, api, license, version):
        response = api(license).get(f"licenses/{license.pk}", Keygen_Version=version)

        suffix = "-Id" if version <= "1.3" else ""
        assert response[f"Keygen-Bearer{suffix}"] == str(license.pk)
