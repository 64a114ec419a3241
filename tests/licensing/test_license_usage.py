"""Counting uses (contract: licenses 7.2)."""

from datetime import timedelta

import pytest
from django.core.exceptions import ValidationError
from django.utils import timezone

from licensing.durations import MONTH, add_duration
from licensing.models import License
from tests.cast import make_license, make_policy
from tests.errors import BAD, FORBIDDEN, UNPROCESSABLE, assert_refused, bad_request, lacks_permission, unprocessable
from tests.licensing.licenses import license_object, shown
from tests.races import race, results_of

USES = "/data/attributes/uses"
BELOW_ZERO = unprocessable("licenses", "must be greater than or equal to 0", "USES_INVALID", USES)


def exceeds(limit):
    detail = f"usage exceeds maximum allowed for license ({limit})"
    return unprocessable("licenses", detail, "USES_LIMIT_EXCEEDED", USES)


@pytest.fixture
def use(acme, api):
    """Posts a usage action of a license, and reads the license again."""

    def post(license, action, number="absent"):
        document = None if number == "absent" else {"meta": {action: number}}
        response = api(acme.admin).post(f"licenses/{license.pk}/actions/{action}-usage", document)
        license.refresh_from_db()
        return response

    return post


class TestUses:
    @pytest.mark.parametrize(
        ("action", "number", "uses"),
        [
            ("increment", "absent", 6),
            ("increment", None, 6),
            ("increment", 1, 6),
            ("increment", 4, 9),
            ("increment", 0, 5),
            ("increment", -3, 2),
            ("decrement", "absent", 4),
            ("decrement", 5, 0),
            ("decrement", -1, 6),
        ],
    )
    def test_uses_are_counted(self, acme, use, action, number, uses):
        license = make_license(acme.unpooled, uses=5)

        response = use(license, action, number)

        assert (response.status_code, response.json()) == (200, {"data": license_object(license, uses=uses)})
        assert license.uses == uses

    def test_uses_are_reset(self, acme, api):
        license = make_license(acme.unpooled, uses=5)

        response = api(acme.admin).post(f"licenses/{license.pk}/actions/reset-usage")

        license.refresh_from_db()
        assert response.json() == {"data": license_object(license, uses=0)}
        assert license.uses == 0

    @pytest.mark.parametrize(
        ("own", "policys", "uses", "action", "number", "error"),
        [
            (None, 5, 5, "increment", 1, exceeds(5)),
            (None, 5, 3, "increment", 3, exceeds(5)),
            (None, 0, 0, "increment", 1, exceeds(0)),
            (6, 5, 5, "increment", 1, None),
            (4, 5, 4, "increment", 1, exceeds(4)),
            (0, 5, 4, "increment", 1, None),
            (None, None, 2**31 - 2, "increment", 1, None),
            (None, None, 1, "decrement", 2**31, BELOW_ZERO),
            (None, None, 1, "decrement", 2**64 - 1, BELOW_ZERO),
            (None, None, 1, "increment", -(2**31), BELOW_ZERO),
            (None, 5, 1, "increment", 2**64 - 1, exceeds(5)),
            (None, 5, 9, "increment", 0, None),
            (None, 5, 9, "decrement", 0, None),
            (None, None, 1, "decrement", 2, BELOW_ZERO),
            (None, None, 1, "increment", -2, BELOW_ZERO),
            (None, 5, 9, "decrement", 1, None),
        ],
    )
    def test_uses_have_bounds(self, acme, use, own, policys, uses, action, number, error):
        license = make_license(make_policy(acme.product, max_uses=policys), max_uses=own, uses=uses)

        response = use(license, action, number)

        if error:
            assert_refused(response, UNPROCESSABLE, error)
            assert license.uses == uses
        else:
            assert (response.status_code, license.uses) == (200, uses + (number if action == "increment" else -number))

    @pytest.mark.parametrize(
        ("uses", "action", "number"),
        [
            (2**31 - 1, "increment", 1),
            (0, "increment", 2**31),
            (0, "increment", 2**64 - 1),
            (0, "decrement", -(2**31)),
        ],
    )
    def test_uses_without_a_limit_fit_the_column(self, acme, use, uses, action, number):
        license = make_license(acme.unpooled, uses=uses)

        assert_refused(use(license, action, number), BAD, bad_request("integer is too large", f"/meta/{action}"))
        assert license.uses == uses

    @pytest.mark.parametrize(
        ("action", "number", "starts"),
        [("increment", 1, True), ("increment", 0, True), ("decrement", 0, False), ("decrement", -1, False)],
    )
    def test_uses_start_the_duration_when_they_are_counted(self, acme, use, action, number, starts):
        license = make_license(make_policy(acme.product, duration=86_400, expiration_basis="FROM_FIRST_USE"))

        assert use(license, action, number).status_code == 200

        license.refresh_from_db()
        assert (license.expiry is not None) == starts

    @pytest.mark.parametrize("action", ["increment", "decrement"])
    @pytest.mark.parametrize(
        ("number", "detail"),
        [
            ("1", "type mismatch (received string expected integer)"),
            (1.5, "type mismatch (received float expected integer)"),
        ],
    )
    def test_uses_are_numbers(self, acme, use, action, number, detail):
        license = make_license(acme.unpooled)

        assert_refused(use(license, action, number), BAD, bad_request(detail, f"/meta/{action}"))

    def test_uses_are_counted_up_by_those_who_use(self, acme, api):
        user = acme.user()
        license = make_license(acme.unpooled, owner=user, protected=False, uses=5)

        for bearer, role in ((license, "license"), (user, "user")):
            response = api(bearer).post(f"licenses/{license.pk}/actions/increment-usage", {"meta": {"increment": -1}})
            assert_refused(response, FORBIDDEN, lacks_permission(role))
            assert api(bearer).post(f"licenses/{license.pk}/actions/increment-usage").status_code == 200

        license.refresh_from_db()
        assert license.uses == 7


class TestFirstUse:
    @pytest.fixture
    def policy(self, acme):
        return make_policy(acme.product, duration=MONTH, expiration_basis="FROM_FIRST_USE")

    def test_first_use_starts_the_duration(self, policy, use):
        license = make_license(policy)
        before = timezone.now()

        attributes = use(license, "increment").json()["data"]["attributes"]

        assert add_duration(before, MONTH) <= license.expiry <= add_duration(timezone.now(), MONTH)
        assert attributes["expiry"] == shown(license.expiry)

    def test_first_use_is_only_one(self, policy, use):
        expiry = timezone.now() + timedelta(days=5)
        license = make_license(policy, expiry=expiry, uses=1)

        use(license, "increment")

        assert license.expiry == expiry

    @pytest.mark.parametrize("action", ["decrement", "reset"])
    def test_first_use_is_none_where_uses_are_taken_back(self, policy, use, action):
        license = make_license(policy, uses=3)

        use(license, action)

        assert license.expiry is None


@pytest.mark.django_db(transaction=True)
class TestManyAtOnce:
    def test_many_at_once_lose_no_use(self, acme):
        license = make_license(acme.unpooled)

        results = race(32, lambda: License.objects.with_api_fields().get(pk=license.pk).add_uses(1))

        assert results == [None] * 32
        license.refresh_from_db()
        assert license.uses == 32

    def test_many_at_once_do_not_exceed_the_limit(self, acme):
        license = make_license(make_policy(acme.product, max_uses=20))

        results = race(32, lambda: License.objects.with_api_fields().get(pk=license.pk).add_uses(1))

        license.refresh_from_db()
        assert license.uses == 20
        assert len(results_of(ValidationError, results)) == 12

    @pytest.mark.postgresql
    def test_over_http_lose_no_use(self, acme, api):
        license = make_license(acme.unpooled)
        speaker = api(license)

        responses = race(32, lambda: speaker.post(f"licenses/{license.pk}/actions/increment-usage"))

        license.refresh_from_db()
        assert license.uses == 32
        uses = [response.json()["data"]["attributes"]["uses"] for response in responses]
        assert sorted(uses) == list(range(1, 33))
