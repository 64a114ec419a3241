"""Suspend, reinstate, renew, check in (contract: licenses 7.1), and the status (2.2)."""

from datetime import timedelta

import pytest
from django.utils import timezone

from licensing.durations import MONTH, add_duration
from licensing.models import License
from licensing.models.license_errors import CheckInNotRequired
from tests.cast import make_license, make_policy
from tests.errors import UNPROCESSABLE, assert_refused
from tests.licensing.licenses import license_object, moment, shown
from tests.races import race
from tests.tables import each_row

DAY = timedelta(days=1)


def refusal(detail, attribute=None):
    error = {"title": "Unprocessable entity", "detail": detail}
    return error | ({"source": {"pointer": f"/data/attributes/{attribute}"}} if attribute else {})


@pytest.fixture
def act(acme, api):
    """Posts an action of a license, and reads the license again."""

    def post(license, name):
        response = api(acme.admin).post(f"licenses/{license.pk}/actions/{name}")
        license.refresh_from_db()
        return response

    return post


class TestSuspension:
    def test_suspension_begins(self, acme, act):
        license = make_license(acme.unpooled)

        response = act(license, "suspend")

        assert response.json() == {"data": license_object(license, suspended=True, status="SUSPENDED")}
        assert license.suspended

    def test_suspension_ends(self, acme, act):
        license = make_license(acme.unpooled, suspended=True)

        response = act(license, "reinstate")

        assert (response.status_code, response.json()) == (200, {"data": license_object(license)})
        assert not license.suspended

    def test_suspension_does_not_begin_twice(self, acme, act):
        license = make_license(acme.unpooled, suspended=True)

        assert_refused(act(license, "suspend"), UNPROCESSABLE, refusal("is already suspended", "suspended"))

    def test_suspension_does_not_end_twice(self, acme, act):
        assert_refused(
            act(make_license(acme.unpooled), "reinstate"), UNPROCESSABLE, refusal("is not suspended", "suspended")
        )


class TestRenewal:
    @pytest.mark.parametrize(
        ("basis", "days", "start"),
        [
            ("FROM_EXPIRY", -40, "expiry"),
            ("FROM_EXPIRY", 40, "expiry"),
            ("FROM_NOW", -40, "now"),
            ("FROM_NOW", 40, "now"),
            ("FROM_NOW_IF_EXPIRED", -40, "now"),
            ("FROM_NOW_IF_EXPIRED", 40, "expiry"),
        ],
    )
    def test_renewal_counts_from(self, acme, act, basis, days, start):
        before = timezone.now()
        expiry = before + days * DAY
        policy = make_policy(acme.product, duration=MONTH, renewal_basis=basis)
        license = make_license(policy, expiry=expiry)

        response = act(license, "renew")

        assert response.json()["data"]["attributes"]["expiry"] == shown(license.expiry)
        if start == "expiry":
            assert license.expiry == add_duration(expiry, MONTH)
        else:
            assert add_duration(before, MONTH) <= license.expiry <= add_duration(timezone.now(), MONTH)

    def test_renewal_goes_by_the_calendar(self, acme, act):
        license = make_license(make_policy(acme.product, duration=MONTH), expiry=moment("2031-01-31T12:00"))

        act(license, "renew")

        assert license.expiry == moment("2031-02-28T12:00")

    @pytest.mark.django_db(transaction=True)
    def test_renewal_of_several_at_once_counts_each(self, acme, api):
        license = make_license(make_policy(acme.product, duration=MONTH), expiry=moment("2031-01-01"))
        speaker = api(acme.admin)

        responses = race(6, lambda: speaker.post(f"licenses/{license.pk}/actions/renew"))

        license.refresh_from_db()
        assert {response.status_code for response in responses} == {200}
        assert license.expiry == moment("2031-07-01")

    def test_renewal_needs_a_duration(self, acme, act):
        error = refusal("cannot be renewed because the policy does not have a duration")

        assert_refused(act(make_license(acme.unpooled), "renew"), UNPROCESSABLE, error)

    def test_renewal_needs_an_expiry(self, acme, act):
        license = make_license(make_policy(acme.product, duration=MONTH))

        error = refusal("cannot be renewed because it does not have an expiry", "expiry")
        assert_refused(act(license, "renew"), UNPROCESSABLE, error)

    def test_renewal_ends_with_the_calendar(self, acme, act):
        license = make_license(make_policy(acme.product, duration=MONTH), expiry=moment("9999-12-15"))

        response = act(license, "renew")

        assert (response.status_code, response.json()["errors"][0]["code"]) == (422, "EXPIRY_INVALID")

    def test_renewal_is_possible_for_a_suspended_license(self, acme, act):
        license = make_license(make_policy(acme.product, duration=MONTH), expiry=timezone.now(), suspended=True)

        assert act(license, "renew").status_code == 200


class TestCheckIn:
    @pytest.fixture
    def policy(self, acme):
        return make_policy(acme.product, require_check_in=True, check_in_interval="day", check_in_interval_count=2)

    def test_check_in_is_now(self, act, policy):
        license = make_license(policy, last_check_in=timezone.now() - 9 * DAY)

        attributes = act(license, "check-in").json()["data"]["attributes"]

        assert timezone.now() - license.last_check_in < DAY
        assert attributes["lastCheckIn"] == shown(license.last_check_in)
        assert attributes["nextCheckIn"] == shown(license.last_check_in + 2 * DAY)

    def test_check_in_is_not_for_others(self, acme, act):
        error = refusal("cannot be checked in because the policy does not require it")

        assert_refused(act(make_license(acme.unpooled), "check-in"), UNPROCESSABLE, error)

    def test_check_in_asks_the_policy(self, acme):
        with pytest.raises(CheckInNotRequired):
            make_license(acme.unpooled).check_in()

    @pytest.mark.parametrize(
        ("interval", "count", "end"),
        [
            ("day", 2, "2021-02-02"),
            ("week", 1, "2021-02-07"),
            ("month", 1, "2021-02-28"),
            ("year", 2, "2023-01-31"),
        ],
    )
    def test_check_in_is_due(self, acme, interval, count, end):
        terms = {"check_in_interval": interval, "check_in_interval_count": count}
        license = make_license(make_policy(acme.product, require_check_in=True, **terms))
        license.last_check_in = moment("2021-01-31")

        assert license.next_check_in == moment(end)


class TestStatus:
    @each_row(
        ("fields", "banned", "status"),
        [
            ({}, False, "ACTIVE"),
            ({"suspended": True, "expiry": -1}, True, "BANNED"),
            ({"suspended": True, "expiry": -1}, False, "SUSPENDED"),
            ({"expiry": -1}, False, "EXPIRED"),
            ({"expiry": 2}, False, "EXPIRING"),
            ({"expiry": 4}, False, "ACTIVE"),
            ({"created": -91}, False, "INACTIVE"),
            ({"created": -91, "expiry": 2}, False, "EXPIRING"),
            ({"created": -91, "last_validated": -89}, False, "ACTIVE"),
            ({"created": -91, "last_check_in": -89}, False, "ACTIVE"),
            ({"created": -91, "last_check_out": -89}, False, "ACTIVE"),
            ({"created": -91, "last_check_out": -91}, False, "INACTIVE"),
        ],
    )
    def test_license_status_is_the_first_that_fits(self, acme, api, fields, banned, status):
        owner = acme.user(banned=timezone.now() if banned else None)
        fields = {
            name: timezone.now() + value * DAY if name != "suspended" else value for name, value in fields.items()
        }
        license = make_license(acme.unpooled, owner=owner, **fields)

        assert License.objects.get(pk=license.pk).status == status
        assert api(acme.admin).get(f"licenses/{license.pk}").json()["data"]["attributes"]["status"] == status
