"""Earlier versions of the API: old names, old defaults, old answers (contract: keys 7.4, platform 2.4)."""

import pytest

from licensing.models import Policy
from tests.cast import add_keys, make_license, make_policy, make_product
from tests.errors import BAD, UNPROCESSABLE, assert_refused, bad_request, unprocessable
from tests.licensing.documents import DEFAULTS, document, policy_document
from tests.tables import each_row

VERSIONS = ["1.0", "1.1", "1.2", "1.3", "1.4", "1.5", "1.6", "1.7", "1.8"]
# old name: new name, the last version with the old name, a value of the old name, its value under the new name
NAMES = {
    "leasingStrategy": ("processLeasingStrategy", "1.6", "PER_USER", "PER_USER"),
    "fingerprintUniquenessStrategy": ("machineUniquenessStrategy", "1.3", "UNIQUE_PER_POLICY", "UNIQUE_PER_POLICY"),
    "fingerprintMatchingStrategy": ("machineMatchingStrategy", "1.3", "MATCH_ALL", "MATCH_ALL"),
    "concurrent": ("overageStrategy", "1.1", True, "ALWAYS_ALLOW_OVERAGE"),
}


def up_to(last):
    return VERSIONS[: VERSIONS.index(last) + 1]


def after(last):
    return VERSIONS[VERSIONS.index(last) + 1 :]


def attributes_in(version):
    """The names of a policy's attributes in a version."""
    renamed = {new: old for old, (new, last, *_) in NAMES.items() if version in up_to(last) and old != "concurrent"}
    names = {renamed.get(name, name) for name in (*DEFAULTS, "name", "created", "updated")}
    return names | ({"concurrent"} if version in up_to("1.1") else set())


@pytest.fixture
def create(acme, api):
    """Posts a policy with these attributes in a version of the API."""
    admin = api(acme.admin)
    return lambda version, **attributes: admin.post(
        "policies", policy_document(acme.product, **attributes), Keygen_Version=version
    )


class TestNames:
    @each_row(("name", "version"), [(name, v) for name in NAMES for v in up_to(NAMES[name][1])])
    def test_names_are_understood_and_shown(self, create, name, version):
        new, _, value, meaning = NAMES[name]

        response = create(version, **{name: value})

        assert response.status_code == 201
        shown = response.json()["data"]["attributes"]
        assert shown[name] == value
        assert (new in shown) == (name == "concurrent")
        words = "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in new)
        assert getattr(Policy.objects.latest("id"), words) == meaning

    @each_row(("name", "version"), [(name, v) for name in NAMES for v in after(NAMES[name][1])])
    def test_names_are_unknown_later(self, acme, api, create, name, version):
        error = bad_request("unpermitted parameter", f"/data/attributes/{name}")
        value = NAMES[name][2]
        changes = document("policies", {name: value})

        assert_refused(create(version, **{name: value}), BAD, error)
        response = api(acme.admin).patch(f"policies/{acme.policy.pk}", changes, Keygen_Version=version)
        assert_refused(response, BAD, error)

    @each_row(("name", "version"), [(name, v) for name in NAMES for v in up_to(NAMES[name][1])])
    def test_names_of_today_are_always_understood(self, create, name, version):
        new, _, shown, value = NAMES[name]

        response = create(version, **{new: value})

        assert response.json()["data"]["attributes"][name] == shown

    @each_row(("name", "is_first"), [(name, is_first) for name in NAMES for is_first in (True, False)])
    def test_earlier_names_count_where_both_are_sent(self, create, name, is_first):
        new, until, _, value = NAMES[name]
        if name == "concurrent":  # here the later one counts
            attributes = (
                {"concurrent": True, new: "NO_OVERAGE"} if is_first else {new: "NO_OVERAGE", "concurrent": True}
            )
            expected = not is_first
        else:
            other = "PER_LICENSE" if name == "leasingStrategy" else "UNIQUE_PER_ACCOUNT"
            other = "MATCH_MOST" if name == "fingerprintMatchingStrategy" else other
            attributes = {name: other, new: value} if is_first else {new: value, name: other}
            expected = other

        response = create(until, **attributes)

        assert response.json()["data"]["attributes"][name] == expected

    @pytest.mark.parametrize(
        ("attributes", "detail", "pointer"),
        [
            ({"leasingStrategy": 1}, "type mismatch (received integer expected string)", "leasingStrategy"),
            ({"leasingStrategy": ""}, "cannot be blank", "leasingStrategy"),
            ({"concurrent": "true"}, "type mismatch (received string expected boolean)", "concurrent"),
        ],
    )
    def test_names_are_checked_like_those_of_today(self, create, attributes, detail, pointer):
        assert_refused(create("1.0", **attributes), BAD, bad_request(detail, f"/data/attributes/{pointer}"))

    def test_names_hold_the_values_of_today(self, create):
        response = create("1.0", leasingStrategy="PER_DAY")

        detail, code = "unsupported process leasing strategy", "PROCESS_LEASING_STRATEGY_NOT_ALLOWED"
        pointer = "/data/attributes/processLeasingStrategy"
        assert_refused(response, UNPROCESSABLE, unprocessable("policies", detail, code, pointer))


class TestUpdate:
    @pytest.mark.parametrize(("sent", "kept"), [(True, "ALWAYS_ALLOW_OVERAGE"), (False, "NO_OVERAGE")])
    def test_update_of_earlier_versions_understands_concurrent(self, acme, api, sent, kept):
        policy = make_policy(acme.product, overage_strategy="ALLOW_2X_OVERAGE")

        response = api(acme.admin).patch(
            f"policies/{policy.pk}", document("policies", {"concurrent": sent}), Keygen_Version="1.1"
        )

        shown = response.json()["data"]["attributes"]
        assert (shown["concurrent"], shown["overageStrategy"]) == (sent, kept)

    def test_update_of_earlier_versions_has_no_defaults(self, acme, api):
        changes = document("policies", {"name": "Pro"})

        api(acme.admin).patch(f"policies/{acme.policy.pk}", changes, Keygen_Version="1.0")

        acme.policy.refresh_from_db()
        assert acme.policy.overage_strategy == "NO_OVERAGE"


class TestDefaults:
    @pytest.mark.parametrize("version", VERSIONS)
    def test_defaults_are_those_of_the_version(self, create, version):
        response = create(version, requireHeartbeat=True)

        shown = response.json()["data"]["attributes"]
        assert shown["overageStrategy"] == ("ALWAYS_ALLOW_OVERAGE" if version in up_to("1.1") else "NO_OVERAGE")
        assert shown["heartbeatBasis"] == ("FROM_FIRST_PING" if version in up_to("1.2") else "FROM_CREATION")

    def test_sent_values_override_the_defaults(self, create):
        response = create("1.0", heartbeatBasis="FROM_CREATION", overageStrategy="NO_OVERAGE")

        shown = response.json()["data"]["attributes"]
        assert (shown["heartbeatBasis"], shown["overageStrategy"], shown["concurrent"]) == (
            "FROM_CREATION",
            "NO_OVERAGE",
            False,
        )


class TestAnswers:
    @pytest.mark.parametrize("version", VERSIONS)
    def test_answers_of_earlier_versions_name_attributes_as_the_version_does(self, acme, api, version):
        key = add_keys(acme.policy, "KEY-0001")[0]
        admin = api(acme.admin)

        for path in (
            f"policies/{acme.policy.pk}",
            "policies",
            f"products/{acme.product.pk}/policies",
            f"keys/{key.pk}/policy",
        ):
            response = admin.get(path, Keygen_Version=version)

            data = response.json()["data"]
            for policy in data if isinstance(data, list) else [data]:
                assert set(policy["attributes"]) == attributes_in(version)
            assert response["Keygen-Version"] == version

    def test_answers_of_earlier_versions_follow_the_version_of_the_account(self, acme, api):
        acme.account.api_version = "1.0"
        acme.account.save_changes("api_version")

        response = api(acme.admin).get(f"policies/{acme.policy.pk}")

        assert set(response.json()["data"]["attributes"]) == attributes_in("1.0")

    @pytest.mark.parametrize("version", VERSIONS)
    def test_answers_of_earlier_versions_spell_the_names_within_metadata_as_the_version_does(self, acme, api, version):
        metadata = {"outerName": {"innerName": [{"deepName": 1}]}}
        product = make_product(acme.account, metadata=metadata)

        response = api(acme.admin).get(f"products/{product.pk}", Keygen_Version=version)

        old = {"outerName": {"inner_name": [{"deep_name": 1}]}}
        assert response.json()["data"]["attributes"]["metadata"] == (old if version in up_to("1.4") else metadata)


@pytest.mark.parametrize("version", ["1.0", "1.8"])
class TestLists:
    """Lists that are no pages of a query have to be turned into older ones too."""

    def test_lists_of_earlier_versions_of_the_newest_keys(self, acme, api, version):
        add_keys(acme.policy, "KEY-0001")

        response = api(acme.admin).get("keys", Keygen_Version=version)

        assert [key["attributes"]["key"] for key in response.json()["data"]] == ["KEY-0001"]

    def test_lists_of_earlier_versions_of_popped_keys(self, acme, api, version):
        add_keys(acme.policy, "KEY-0001")
        address = f"policies/{acme.policy.pk}/pool/actions/pop"

        response = api(acme.admin).post(address, {"meta": {"count": 1}}, Keygen_Version=version)

        assert [key["attributes"]["key"] for key in response.json()["data"]] == ["KEY-0001"]

    def test_lists_of_earlier_versions_of_attached_users(self, acme, api, version):
        linkage = {"data": [{"type": "users", "id": str(acme.user().pk)}]}
        address = f"licenses/{make_license(acme.unpooled).pk}/users"

        response = api(acme.admin).post(address, linkage, Keygen_Version=version)

        assert [each["type"] for each in response.json()["data"]] == ["license-users"]
