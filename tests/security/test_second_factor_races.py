"""Two requests about the second factor of one user at the same moment (contract: security 1.1, 1.5)."""

import pytest

from accounts.errors import CodeInvalid
from accounts.models import SecondFactor
from accounts.second_factors import (
    SecondFactorPresent,
    disable_second_factor,
    enable_second_factor,
    remove_second_factor,
    start_second_factor,
)
from keygen_site.jsonapi.errors import NotFound
from tests.races import run_while_held

PASSWORD = "open sesame"

pytestmark = [pytest.mark.postgresql, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def joe(acme):
    return acme.user("user", email="joe@acme.test", password=PASSWORD)


@pytest.fixture
def factor(joe):
    return start_second_factor(joe)


def enable_in_another_request():
    return enable_second_factor(SecondFactor.objects.get())


def test_second_of_two_new_factors_is_refused(api, joe):
    client = api(joe)

    waited, response = run_while_held(
        lambda: start_second_factor(joe),
        lambda: client.post(f"users/{joe.pk}/second-factors", {"meta": {"password": PASSWORD}}),
    )

    assert waited
    assert (response.status_code, response.json()["errors"][0]["detail"]) == (409, SecondFactorPresent.detail)
    assert SecondFactor.objects.count() == 1


def test_factor_that_is_being_enabled_is_not_deleted_without_a_code(api, joe, factor):
    client = api(joe)

    waited, response = run_while_held(
        enable_in_another_request, lambda: client.delete(f"users/{joe.pk}/second-factors/{factor.pk}")
    )

    assert waited
    assert (response.status_code, response.json()["errors"][0]["code"]) == (401, "OTP_INVALID")
    assert SecondFactor.objects.get().enabled


def test_factor_that_is_being_deleted_is_neither_enabled_nor_disabled(joe, factor):
    for act in (enable_second_factor, disable_second_factor):
        factor = SecondFactor.objects.get_or_create(user=joe)[0]

        waited, result = run_while_held(lambda: remove_second_factor(joe), lambda: act(factor))  # noqa: B023 it ends here

        assert waited
        assert isinstance(result, NotFound)


def test_factor_that_is_being_enabled_keeps_the_first_recovery_codes(joe, factor):
    waited, codes = run_while_held(enable_in_another_request, lambda: enable_second_factor(factor))

    assert waited
    assert codes == []
    assert factor.count_recovery_codes() == 10


def test_factor_with_a_new_secret_is_not_enabled_by_a_code_of_the_old_one(joe, factor):
    """Otherwise the user could not sign in any more."""
    enable_in_another_request()

    waited, result = run_while_held(
        lambda: disable_second_factor(SecondFactor.objects.get()), lambda: enable_second_factor(factor)
    )

    assert waited
    assert isinstance(result, CodeInvalid)
    assert not SecondFactor.objects.get().enabled
