"""Lists of products and policies, and the lists below them (contract: keys 1.3, 1.4, 4)."""

import pytest

from tests.cast import make_license, make_policy, make_product
from tests.errors import ENDPOINT_NOT_FOUND, NOT_FOUND, assert_refused, not_found
from tests.licensing.documents import UNKNOWN, ids, policy_object, product_object
from tests.tables import each_row


@pytest.fixture
def admin(acme, api):
    return api(acme.admin)


class TestProducts:
    def test_products_are_listed_newest_first(self, acme, admin):
        newer = make_product(acme.account, code="newer")

        response = admin.get("products")

        expected = [product_object(newer, code="newer"), product_object(acme.product)]
        assert (response.status_code, response.json()) == (200, {"data": expected})

    def test_products_of_other_accounts_are_not(self, acme, rival, admin):
        assert ids(admin.get("products")) == [str(acme.product.pk)]

    def test_products_come_in_pages(self, acme, admin):
        products = [acme.product, *(make_product(acme.account) for _ in range(4))][::-1]

        response = admin.get("products?page[number]=2&page[size]=2")

        assert ids(response) == [str(product.pk) for product in products[2:4]]
        assert response.json()["links"]["meta"] == {"pages": 3, "count": 5}

    def test_products_have_no_filters(self, acme, admin):
        assert ids(admin.get(f"products?product={UNKNOWN}&code=x")) == [str(acme.product.pk)]

    @pytest.mark.parametrize("path", ["products", "policies"])
    def test_products_cost_the_same_however_many(self, acme, admin, django_assert_num_queries, path):
        for _ in range(20):
            make_policy(make_product(acme.account))

        with django_assert_num_queries(2):  # who asks, and the rows
            assert len(ids(admin.get(f"{path}?limit=20"))) == 20


class TestPolicies:
    def test_policies_are_listed_newest_first(self, acme, admin):
        response = admin.get("policies")

        expected = [
            policy_object(acme.unpooled, name="Unpooled"),
            policy_object(acme.policy, name="Pooled", usePool=True),
        ]
        assert (response.status_code, response.json()) == (200, {"data": expected})

    def test_policies_of_others_are_hidden_from_a_product(self, acme, rival, api):
        theirs = make_policy(acme.another_product())

        assert str(theirs.pk) not in ids(api(acme.product).get("policies"))
        assert len(ids(api(acme.product).get("policies"))) == 2

    @pytest.mark.parametrize(
        ("query", "listed"),
        [
            ("product={other}", ["other"]),
            ("product={acme}", ["unpooled", "pooled"]),
            ("product={unknown}", []),
            ("product=rocket", []),
            ("product=", ["other", "unpooled", "pooled"]),
            ("product[]={other}", ["other", "unpooled", "pooled"]),
            ("product[id]={other}", ["other", "unpooled", "pooled"]),
            ("name=Basic", ["other", "unpooled", "pooled"]),
        ],
    )
    def test_policies_are_filtered_by_product(self, acme, admin, query, listed):
        product = make_product(acme.account, code="rocket")
        policies = {"other": make_policy(product), "unpooled": acme.unpooled, "pooled": acme.policy}

        response = admin.get("policies?" + query.format(other=product.pk, acme=acme.product.pk, unknown=UNKNOWN))

        assert ids(response) == [str(policies[name].pk) for name in listed]


class TestPoliciesOfAProduct:
    def test_policies_of_a_product_are_listed(self, acme, admin):
        policy = make_policy(make_product(acme.account, code="satellite"))

        assert ids(admin.get("products/satellite/policies")) == [str(policy.pk)]
        assert ids(admin.get(f"products/{acme.product.pk}/policies")) == [str(acme.unpooled.pk), str(acme.policy.pk)]

    def test_policies_of_a_product_are_shown(self, acme, admin):
        response = admin.get(f"products/{acme.product.pk}/policies/{acme.policy.pk}")

        expected = policy_object(acme.policy, name="Pooled", usePool=True)
        assert (response.status_code, response.json()) == (200, {"data": expected})

    def test_policies_of_another_product_are_not_found(self, acme, admin):
        make_product(acme.account, code="satellite")

        response = admin.get(f"products/satellite/policies/{acme.policy.pk}")

        assert_refused(response, NOT_FOUND, not_found("policy", acme.policy.pk))

    @pytest.mark.parametrize("path", ["policies", "licenses", "licenses/x"])
    def test_policies_of_an_unknown_product_are_not_found(self, acme, admin, path):
        response = admin.get(f"products/satellite/{path}")

        assert_refused(response, NOT_FOUND, not_found("product", "satellite"))


@pytest.fixture
def licenses(acme):
    """Licenses by name: two of Acme's product under two policies, and one of another product."""
    other = make_policy(make_product(acme.account, code="satellite"))
    owner, attached = acme.user(email="owner@acme.test"), acme.user(email="attached@acme.test")
    found = {
        "pooled": make_license(acme.policy, owner=owner),
        "unpooled": make_license(acme.unpooled, "UNPOOLED-KEY", suspended=True),
        "other": make_license(other, owner=owner),
    }
    found["unpooled"].license_users.create(account=acme.account, user=attached)
    return found


class TestLicenses:
    @each_row(
        ("path", "listed"),
        [
            ("products/{product}/licenses", ["unpooled", "pooled"]),
            ("products/satellite/licenses", ["other"]),
            ("products/{product}/licenses?policy={policy}", ["pooled"]),
            ("products/{product}/licenses?policy=x", []),
            ("products/{product}/licenses?suspended=true", ["unpooled"]),
            ("products/{product}/licenses?suspended=false", ["pooled"]),
            ("products/{product}/licenses?suspended=0", ["pooled"]),
            ("products/{product}/licenses?suspended=", ["unpooled", "pooled"]),
            ("products/{product}/licenses?user={owner}", ["pooled"]),
            ("products/{product}/licenses?user=owner@acme.test", ["pooled"]),
            ("products/{product}/licenses?user=attached@acme.test", ["unpooled"]),
            ("products/{product}/licenses?user=unknown@acme.test", []),
            ("products/{product}/licenses?user=owner@acme.test&suspended=1", []),
            ("policies/{policy}/licenses", ["pooled"]),
            ("policies/{policy}/licenses?product={product}", ["pooled"]),
            ("policies/{policy}/licenses?product={unknown}", []),
            ("policies/{policy}/licenses?suspended=true", []),
            ("policies/{policy}/licenses?user={owner}", ["pooled"]),
        ],
    )
    def test_licenses_are_listed_and_filtered(self, acme, admin, licenses, path, listed):
        url = path.format(
            product=acme.product.pk, policy=acme.policy.pk, owner=licenses["pooled"].owner_id, unknown=UNKNOWN
        )

        assert ids(admin.get(url)) == [str(licenses[name].pk) for name in listed]

    @pytest.mark.parametrize("parent", ["products/{product}", "policies/{policy}"])
    @pytest.mark.parametrize("named", ["id", "key"])
    def test_licenses_are_shown_by_id_or_key(self, acme, admin, licenses, parent, named):
        license = licenses["unpooled"]
        path = parent.format(product=acme.product.pk, policy=acme.unpooled.pk)

        response = admin.get(f"{path}/licenses/{license.pk if named == 'id' else license.key}")

        assert (response.status_code, response.json()["data"]["id"]) == (200, str(license.pk))

    def test_licenses_of_another_parent_are_not_found(self, acme, admin, licenses):
        identifier = licenses["pooled"].pk

        for path in ("products/satellite", f"policies/{acme.unpooled.pk}"):
            response = admin.get(f"{path}/licenses/{identifier}")

            assert_refused(response, NOT_FOUND, not_found("license", identifier))

    @pytest.mark.parametrize("path", ["products/{product}/licenses", "policies/{policy}/licenses"])
    def test_licenses_cost_the_same_however_many(self, acme, admin, django_assert_num_queries, path):
        for number in range(20):
            make_license(acme.policy, f"LICENSE-{number:04}", owner=acme.user(email=f"{number}@acme.test"))
        url = path.format(product=acme.product.pk, policy=acme.policy.pk)

        with django_assert_num_queries(3):  # the bearer, the parent and the licenses
            assert len(ids(admin.get(f"{url}?limit=20"))) == 20


class TestUsersOfAProduct:
    @pytest.mark.parametrize(
        ("query", "listed"),
        [
            ("", ["attached", "owner"]),
            ("?roles[]=read-only", ["reader"]),
            ("?roles[]=user&roles[]=read-only", ["reader", "attached", "owner"]),
            # The filters of `/users` are not theirs.
            ("?status=BANNED", ["attached", "owner"]),
            ("?assigned=true", ["attached", "owner"]),
            ("?active=false", ["attached", "owner"]),
            ("?metadata[a]=1", ["attached", "owner"]),
            (f"?product={UNKNOWN}", ["attached", "owner"]),
            (f"?license={UNKNOWN}&group={UNKNOWN}", ["attached", "owner"]),
        ],
    )
    def test_users_of_a_product_hold_a_license_of_it(self, acme, admin, licenses, query, listed):
        acme.user(email="without-license@acme.test")
        reader = acme.user("read-only", email="reader@acme.test")
        licenses["pooled"].license_users.create(account=acme.account, user=reader)

        response = admin.get(f"products/{acme.product.pk}/users{query}")

        assert [user["attributes"]["email"] for user in response.json()["data"]] == [
            f"{name}@acme.test" for name in listed
        ]

    @pytest.mark.parametrize("named", ["id", "email"])
    def test_users_of_a_product_are_shown_by_id_or_email(self, acme, admin, licenses, named):
        owner = licenses["pooled"].owner

        response = admin.get(f"products/{acme.product.pk}/users/{owner.pk if named == 'id' else owner.email}")

        assert (response.status_code, response.json()["data"]["id"]) == (200, str(owner.pk))

    def test_users_of_another_product_are_not_found(self, acme, admin, licenses):
        response = admin.get("products/satellite/users/attached@acme.test")

        assert_refused(response, NOT_FOUND, not_found("user", "attached@acme.test"))

    def test_users_of_a_product_cost_the_same_however_many(self, acme, admin, django_assert_num_queries):
        for number in range(20):
            make_license(acme.policy, f"LICENSE-{number:04}", owner=acme.user(email=f"{number}@acme.test"))

        with django_assert_num_queries(4):  # who asks, the product, whether it has many licenses, and its users
            assert len(ids(admin.get(f"products/{acme.product.pk}/users?limit=20"))) == 20


@pytest.mark.parametrize(
    "path",
    [
        "releases",
        "products/{product}/releases",
        "products/{product}/artifacts",
        "products/{product}/platforms",
        "products/{product}/channels",
        "policies/{policy}/machines",
        "policies/{policy}/users",
    ],
)
def test_missing_routes_are_unknown_endpoints(acme, admin, path):
    response = admin.get(path.format(product=acme.product.pk, policy=acme.policy.pk))

    assert_refused(response, NOT_FOUND, ENDPOINT_NOT_FOUND, early=True)
