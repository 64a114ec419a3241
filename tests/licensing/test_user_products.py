"""The products of which a user holds a license (contract: platform 8.1)."""

import pytest

from tests.cast import make_license, make_policy, make_product
from tests.errors import FORBIDDEN, NOT_FOUND, assert_refused, lacks_permission, not_found
from tests.licensing.documents import ids, product_object

PATH = "users/user@acme.test/products"


@pytest.fixture
def shared(acme):
    """A product of which Acme's user is attached to a license, and owns none."""
    product = make_product(acme.account, code="shared")
    make_license(make_policy(product)).users.add(acme.user(), through_defaults={"account": acme.account})
    return product


@pytest.fixture
def user(acme, shared):
    """They own two licenses of one product, share one of another, and have nothing to do with a third."""
    for _ in range(2):
        make_license(acme.policy, owner=acme.user())
    acme.another_product()
    return acme.user()


class TestProductsOfAUser:
    def test_products_of_a_user_are_those_of_licenses_that_they_own_or_share_each_once(self, acme, api, user, shared):
        response = api(acme.admin).get(PATH)

        expected = [product_object(shared, code="shared"), product_object(acme.product)]
        assert (response.status_code, response.json()) == (200, {"data": expected})
        assert ids(api(acme.admin).get(f"users/{user.pk}/products?page[size]=1&page[number]=2")) == [
            str(acme.product.pk)
        ]

    def test_products_of_a_user_are_named_by_id_or_code(self, acme, api, user, shared):
        for name in (shared.pk, "shared"):
            assert api(acme.admin).get(f"{PATH}/{name}").json()["data"]["id"] == str(shared.pk)

    def test_products_of_a_user_are_none_that_they_hold_no_license_of(self, acme, api, user):
        other = acme.another_product()

        assert_refused(api(acme.admin).get(f"{PATH}/{other.pk}"), NOT_FOUND, not_found("product", other.pk))

    @pytest.mark.parametrize("role", ["developer", "sales-agent", "support-agent", "read-only"])
    def test_products_of_a_user_are_for_all_staff_to_see(self, acme, api, user, shared, role):
        assert ids(api(acme.bearer(role)).get(PATH)) == [str(shared.pk), str(acme.product.pk)]

    def test_products_of_a_user_are_for_a_product_to_see_as_far_as_it_is_one(self, acme, api, user):
        assert ids(api(acme.product).get(PATH)) == [str(acme.product.pk)]

    def test_products_of_a_user_are_not_for_the_user(self, acme, api, user):
        assert_refused(api(user).get(PATH), FORBIDDEN, lacks_permission("user"))

    def test_products_of_a_user_of_a_stranger_are_not_found(self, acme, rival, api, user):
        assert_refused(api(rival.admin, account="rival").get(PATH), NOT_FOUND, not_found("user", "user@acme.test"))
