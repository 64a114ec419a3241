"""Policy, product and owner of a license (contract: licenses 8.1 to 8.3)."""

from datetime import timedelta

import pytest
from django.utils import timezone

from keygen_site.jsonapi.versions import VERSIONS
from licensing.durations import MONTH, add_duration
from tests.cast import add_keys, make_license, make_policy
from tests.errors import (
    BAD,
    FORBIDDEN,
    UNPROCESSABLE,
    assert_refused,
    bad_request,
    forbidden,
    unprocessable,
)
from tests.licensing.documents import UNKNOWN, policy_object, product_object
from tests.licensing.licenses import license_object, linkage

OWNER, USER = "/data/relationships/owner", "/data/relationships/user"
# An earlier version names the owner its user, except in the link.
USER_IS_MISSING = unprocessable("licenses", "must exist", "OWNER_NOT_FOUND", OWNER) | {
    "code": "USER_NOT_FOUND",
    "source": {"pointer": USER},
}


@pytest.fixture
def license(acme):
    return make_license(acme.unpooled, "LICENSE-KEY")


class TestPolicyAndProduct:
    def test_policy_and_product_are_shown(self, acme, api, license):
        policy = api(acme.admin).get("licenses/LICENSE-KEY/policy")
        product = api(acme.admin).get("licenses/LICENSE-KEY/product")

        assert policy.json() == {"data": policy_object(acme.unpooled, name="Unpooled")}
        assert product.json() == {"data": product_object(acme.product)}


class TestAnotherPolicy:
    def move(self, api, bearer, license, policy, method="PUT"):
        response = api(bearer).request(method, f"licenses/{license.pk}/policy", linkage("policies", policy))
        license.refresh_from_db()
        return response

    @pytest.mark.parametrize("method", ["PUT", "PATCH"])
    def test_another_policy_brings_its_terms_and_its_product(self, acme, api, license, method):
        other = make_policy(acme.another_product(), max_uses=9, protected=False, strict=True)

        response = self.move(api, acme.admin, license, other, method)

        assert (license.policy, license.product) == (other, other.product)
        assert response.json() == {"data": license_object(license, maxUses=9, strict=True, protected=False)}

    def test_another_policy_leaves_the_license_its_own(self, acme, api, license):
        license.max_uses, license.expiry = 3, timezone.now() + timedelta(days=9)
        license.save()

        self.move(api, acme.admin, license, make_policy(acme.product, max_uses=9, duration=MONTH))

        assert (license.key, license.max_uses) == ("LICENSE-KEY", 3)
        assert license.expiry < timezone.now() + timedelta(days=9)

    @pytest.mark.parametrize("duration", [MONTH, None])
    def test_another_policy_may_restart_the_duration(self, acme, api, license, duration):
        license.expiry = timezone.now() + timedelta(days=9)
        license.save()
        before = timezone.now()

        self.move(
            api, acme.admin, license, make_policy(acme.product, transfer_strategy="RESET_EXPIRY", duration=duration)
        )

        if duration:
            assert add_duration(before, MONTH) <= license.expiry <= add_duration(timezone.now(), MONTH)
        else:
            assert license.expiry is None

    def test_another_policy_may_be_the_same(self, acme, api, license):
        response = self.move(api, acme.admin, license, acme.unpooled)

        assert (response.status_code, response.json()) == (200, {"data": license_object(license)})

    def test_another_policy_of_another_pool_takes_nothing_from_it(self, acme, api):
        license = make_license(acme.policy)
        pooled = make_policy(acme.product, use_pool=True)
        add_keys(pooled, "KEY-0001")
        key = license.key

        response = self.move(api, acme.admin, license, pooled)

        assert (response.status_code, license.key, license.policy) == (200, key, pooled)
        assert pooled.pool.available().count() == 1

    @pytest.mark.parametrize(
        ("before", "after", "detail"),
        [
            (
                {"encrypted": True},
                {"use_pool": True},
                "cannot change from an encrypted policy to an unencrypted policy (or vice-versa)",
            ),
            (
                {"use_pool": True},
                {"scheme": "ED25519_SIGN"},
                "cannot change from a pooled policy to an unpooled policy (or vice-versa)",
            ),
            ({}, {"use_pool": True}, "cannot change from a pooled policy to an unpooled policy (or vice-versa)"),
            ({}, {"scheme": "ED25519_SIGN"}, "cannot change to a policy with a different scheme"),
            (
                {"scheme": "ED25519_SIGN"},
                {"scheme": "ECDSA_P256_SIGN"},
                "cannot change to a policy with a different scheme",
            ),
            (
                {"machine_uniqueness_strategy": "UNIQUE_PER_LICENSE"},
                {"machine_uniqueness_strategy": "UNIQUE_PER_POLICY"},
                "cannot change to a policy with a more strict machine uniqueness strategy",
            ),
            (
                {"machine_uniqueness_strategy": "UNIQUE_PER_PRODUCT"},
                {"machine_uniqueness_strategy": "UNIQUE_PER_ACCOUNT"},
                "cannot change to a policy with a more strict machine uniqueness strategy",
            ),
            (
                {"component_uniqueness_strategy": "UNIQUE_PER_MACHINE"},
                {"component_uniqueness_strategy": "UNIQUE_PER_LICENSE"},
                "cannot change to a policy with a more strict component uniqueness strategy",
            ),
            # The first difference decides.
            (
                {"machine_uniqueness_strategy": "UNIQUE_PER_ACCOUNT"},
                {"component_uniqueness_strategy": "UNIQUE_PER_ACCOUNT"},
                None,
            ),
            (
                {"machine_uniqueness_strategy": "UNIQUE_PER_LICENSE"},
                {
                    "machine_uniqueness_strategy": "UNIQUE_PER_ACCOUNT",
                    "component_uniqueness_strategy": "UNIQUE_PER_ACCOUNT",
                },
                "cannot change to a policy with a more strict machine uniqueness strategy",
            ),
            ({"machine_uniqueness_strategy": "UNIQUE_PER_ACCOUNT"}, {}, None),
            ({"component_uniqueness_strategy": "UNIQUE_PER_ACCOUNT"}, {}, None),
        ],
    )
    def test_another_policy_has_to_fit(self, acme, api, before, after, detail):
        license = make_license(make_policy(acme.product, **before))
        policy = make_policy(acme.product, **after)

        response = self.move(api, acme.admin, license, policy)

        if detail:
            error = unprocessable("licenses", detail, "POLICY_NOT_COMPATIBLE", "/data/relationships/policy")
            assert_refused(response, UNPROCESSABLE, error)
        assert (license.policy == policy) == (detail is None)

    def test_another_policy_has_to_fit_the_limits_of_the_license(self, acme, api):
        floating = make_policy(acme.product, floating=True, max_machines=9)
        license = make_license(floating, max_machines=5)

        response = self.move(api, acme.admin, license, acme.unpooled)

        detail = "must be equal to 1 for non-floating policy"
        error = unprocessable("licenses", detail, "MAX_MACHINES_INVALID", "/data/attributes/maxMachines")
        assert_refused(response, UNPROCESSABLE, error)
        assert license.policy == floating

    def test_another_policy_has_to_be_there(self, acme, rival, api, license):
        error = unprocessable("licenses", "must exist", "POLICY_NOT_FOUND", "/data/relationships/policy")

        for policy in (UNKNOWN, rival.unpooled):
            assert_refused(self.move(api, acme.admin, license, policy), UNPROCESSABLE, error)
            assert_refused(self.move(api, acme.product, license, policy), FORBIDDEN, forbidden())

    def test_another_policy_of_another_product_is_not_for_a_product(self, acme, api, license):
        response = self.move(api, acme.product, license, make_policy(acme.another_product()))

        assert_refused(response, FORBIDDEN, forbidden())
        assert self.move(api, acme.product, license, make_policy(acme.product)).status_code == 200

    @pytest.mark.parametrize(
        ("license_protected", "policy_protected", "owned", "status"),
        [(False, False, True, 200), (True, False, True, 403), (False, True, True, 403), (False, False, False, 403)],
    )
    def test_another_policy_may_be_chosen_by_the_owner_where_nothing_is_protected(
        self, acme, api, license, license_protected, policy_protected, owned, status
    ):
        user = acme.user()
        license.protected = license_protected
        license.owner = user if owned else None
        license.save()
        if not owned:
            license.license_users.create(account=acme.account, user=user)

        response = self.move(api, user, license, make_policy(acme.product, protected=policy_protected))

        assert response.status_code == status

    @pytest.mark.parametrize(
        ("document", "error"),
        [
            ({}, bad_request("is missing", "/data")),
            ({"data": None}, bad_request("cannot be null", "/data")),
            ({"data": {"type": "keys", "id": UNKNOWN}}, bad_request("is invalid", "/data/type")),
            (
                {"data": {"type": "policies", "id": "x"}},
                bad_request("type mismatch (received string expected UUID string)", "/data/id"),
            ),
        ],
    )
    @pytest.mark.parametrize("role", ["admin", "read-only"])
    def test_another_policy_has_a_shape_before_anybody_is_refused(self, acme, api, license, document, error, role):
        assert_refused(api(acme.bearer(role)).put(f"licenses/{license.pk}/policy", document), BAD, error)


class TestOwner:
    def give(self, api, bearer, license, user, path="owner", **headers):
        response = api(bearer).put(f"licenses/{license.pk}/{path}", linkage("users", user), **headers)
        license.refresh_from_db()
        return response

    def test_owner_is_null_at_first(self, acme, api, license):
        response = api(acme.admin).get(f"licenses/{license.pk}/owner")

        assert (response.status_code, response.json()) == (200, {"data": None})

    def test_owner_comes_and_goes(self, acme, api, license):
        ann = acme.user(email="ann@acme.test")

        response = self.give(api, acme.admin, license, ann)
        assert response.json() == {"data": license_object(license, users=1)}
        assert license.owner == ann
        assert api(acme.admin).get(f"licenses/{license.pk}/owner").json()["data"]["id"] == str(ann.pk)

        response = self.give(api, acme.admin, license, None)
        assert response.json() == {"data": license_object(license)}
        assert license.owner is None

    def test_owner_has_to_be_there(self, acme, rival, api, license):
        error = unprocessable("licenses", "must exist", "OWNER_NOT_FOUND", OWNER)

        for user in (UNKNOWN, rival.admin):
            assert_refused(self.give(api, acme.admin, license, user), UNPROCESSABLE, error)

    def test_owner_is_not_attached_as_well(self, acme, api, license):
        ann = acme.user(email="ann@acme.test")
        license.license_users.create(account=acme.account, user=ann)

        detail = "already exists (user is attached through users)"
        error = unprocessable("licenses", detail, "OWNER_INVALID", OWNER)
        assert_refused(self.give(api, acme.admin, license, ann), UNPROCESSABLE, error)

    @pytest.mark.parametrize(("overage", "status"), [("NO_OVERAGE", 422), ("ALWAYS_ALLOW_OVERAGE", 200)])
    def test_owner_counts_as_a_user(self, acme, api, overage, status):
        license = make_license(make_policy(acme.product, max_users=1, overage_strategy=overage))
        license.license_users.create(account=acme.account, user=acme.user(email="bob@acme.test"))

        response = self.give(api, acme.admin, license, acme.user(email="ann@acme.test"))

        assert response.status_code == status
        if status == 422:
            detail = "user count has exceeded maximum allowed for license (1)"
            error = unprocessable("licenses", detail, "USER_LIMIT_EXCEEDED", "/data/relationships/users")
            assert_refused(response, UNPROCESSABLE, error)

    def test_owner_may_be_another_however_many_there_may_be(self, acme, api):
        license = make_license(make_policy(acme.product, max_users=1), owner=acme.user(email="bob@acme.test"))

        assert self.give(api, acme.admin, license, acme.user(email="ann@acme.test")).status_code == 200


class TestTheOwnerOfEarlierVersions:
    def test_the_owner_of_earlier_versions_is_the_user(self, acme, api, license):
        ann = acme.user(email="ann@acme.test")

        response = TestOwner().give(api, acme.admin, license, ann, "user", Keygen_Version="1.5")

        relationships = response.json()["data"]["relationships"]
        link = f"/v1/accounts/{acme.account.pk}/licenses/{license.pk}/user"
        assert relationships["user"] == {"links": {"related": link}, "data": {"type": "users", "id": str(ann.pk)}}
        assert list(relationships)[3:6] == ["group", "user", "users"]
        assert "owner" not in relationships
        shown_user = api(acme.admin).get(f"licenses/{license.pk}/user", Keygen_Version="1.5")
        assert shown_user.json()["data"]["id"] == str(ann.pk)

    def test_the_owner_of_earlier_versions_has_its_address_in_every_version(self, acme, api, license):
        ann = acme.user(email="ann@acme.test")
        speaker, wrong = api(acme.admin), []
        for version in VERSIONS:
            for method in ("PUT", "PATCH"):
                given = speaker.request(
                    method, f"licenses/{license.pk}/user", linkage("users", ann), Keygen_Version=version
                )
                shown = speaker.get(f"licenses/{license.pk}/user", Keygen_Version=version)
                missed = speaker.request(
                    method, f"licenses/{license.pk}/user", linkage("users", UNKNOWN), Keygen_Version=version
                )
                name = "user" if version <= "1.5" else "owner"
                answers = (
                    given.json()["data"]["relationships"][name]["data"]["id"],
                    shown.json()["data"]["id"],
                    missed.json()["errors"][0]["code"],
                )
                if answers != (str(ann.pk), str(ann.pk), f"{name.upper()}_NOT_FOUND"):
                    wrong.append((version, method, answers))
        assert wrong == []

    def test_the_owner_of_earlier_versions_is_the_owner_where_owner_and_policy_are_changed(self, acme, api, license):
        wrong = []
        for version in VERSIONS:
            for path, row in (("owner", linkage("users", acme.admin)), ("policy", linkage("policies", license.policy))):
                response = api(acme.admin).put(f"licenses/{license.pk}/{path}", row, Keygen_Version=version)
                if "owner" not in response.json()["data"]["relationships"]:
                    wrong.append((version, path))
        assert wrong == []

    @pytest.mark.parametrize("version", ["1.0", "1.5", "1.8"])
    def test_the_owner_of_earlier_versions_is_read_as_the_owner(self, acme, api, version):
        relationships = {"policy": linkage("policies", acme.unpooled), "user": {"data": {"type": "users", "id": "x"}}}
        document = {"data": {"type": "licenses", "relationships": relationships}}

        response = api(acme.admin).post("licenses", document, Keygen_Version=version)

        detail = "type mismatch (received string expected UUID string)"
        assert_refused(response, BAD, bad_request(detail, f"{OWNER}/data/id"))

    @pytest.mark.parametrize(
        ("version", "name", "error"),
        [
            ("1.5", "user", USER_IS_MISSING),
            ("1.5", "owner", USER_IS_MISSING),
            ("1.8", "user", unprocessable("licenses", "must exist", "OWNER_NOT_FOUND", OWNER)),
            ("1.8", "owner", unprocessable("licenses", "must exist", "OWNER_NOT_FOUND", OWNER)),
        ],
    )
    def test_the_owner_of_earlier_versions_is_missed_by_its_name(self, acme, api, version, name, error):
        relationships = {"policy": linkage("policies", acme.unpooled), name: linkage("users", UNKNOWN)}
        document = {"data": {"type": "licenses", "relationships": relationships}}

        response = api(acme.admin).post("licenses", document, Keygen_Version=version)

        assert_refused(response, UNPROCESSABLE, error)

    @pytest.mark.parametrize("version", ["1.5", "1.8"])
    def test_the_owner_of_earlier_versions_may_be_said_for_the_owner(self, acme, api, version):
        ann = acme.user(email="ann@acme.test")
        relationships = {"policy": linkage("policies", acme.unpooled), "user": linkage("users", ann)}
        document = {"data": {"type": "licenses", "relationships": relationships}}

        response = api(acme.admin).post("licenses", document, Keygen_Version=version)

        owner = response.json()["data"]["relationships"]["user" if version == "1.5" else "owner"]
        assert (response.status_code, owner["data"]["id"]) == (201, str(ann.pk))
