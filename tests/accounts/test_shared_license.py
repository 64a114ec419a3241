"""Routes below a user for users, licenses and products that share a license with them (contract: platform 5.5, 8.9)."""

from uuid import uuid4

import pytest

from accounts.models import Token
from licensing.services import attach_users
from tests.cast import make_license, make_policy, make_product
from tests.errors import FORBIDDEN, assert_refused, forbidden


@pytest.fixture
def olga(acme):
    return acme.user(email="olga@acme.test")


@pytest.fixture
def mate(acme, olga):
    """A user who is attached to a license of Olga's."""
    mate = acme.user(email="mate@acme.test")
    policy = make_policy(acme.product, "Shared", authentication_strategy="MIXED")
    license = make_license(policy, "SHARED-KEY", owner=olga)
    attach_users(license, [mate])
    return mate


def below(olga, *names):
    """URLs of existing rows and of rows that do not exist."""
    return [f"users/{olga.pk}/{folder}" for folder in names] + [
        f"users/{olga.pk}/{folder}/{identifier}"
        for folder in names
        for identifier in (uuid4(), *(Token.objects.for_bearer(olga).values_list("pk", flat=True)), "SHARED-KEY")
        if folder == "licenses" or identifier != "SHARED-KEY"
    ]


def test_a_mate_and_a_license_are_refused_for_existing_and_missing_rows(api, acme, olga, mate):
    Token.generate(olga)

    assert api(mate).get(f"users/{olga.pk}").status_code == 200
    for asking in (mate, olga.owned_licenses.get()):
        for path in below(olga, "tokens", "licenses"):
            assert_refused(api(asking).get(path), FORBIDDEN, forbidden())


def test_a_product_is_refused_rows_that_it_does_not_see(api, acme, olga):
    other = make_product(acme.account, "Other", code="other")
    license = make_license(make_policy(other, "Other"), "OTHER-KEY", owner=olga)
    token, _ = Token.generate(olga)
    make_license(acme.unpooled, "OWN-KEY", owner=olga)

    product = api(acme.product)

    assert_refused(product.get(f"users/{olga.pk}/licenses/{license.pk}"), FORBIDDEN, forbidden())
    assert product.get(f"users/{olga.pk}/licenses/{uuid4()}").status_code == 404
    assert product.get(f"users/{olga.pk}/licenses/OWN-KEY").status_code == 200
    assert product.get(f"users/{olga.pk}/tokens/{token.pk}").status_code == 200
