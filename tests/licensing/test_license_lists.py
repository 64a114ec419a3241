"""Lists of licenses and their filters (contract: licenses 5)."""

from datetime import UTC, datetime, timedelta
from urllib.parse import quote

import pytest
from django.utils import timezone

from licensing.durations import parse_duration
from licensing.models import License
from tests.cast import make_license, make_policy
from tests.errors import FORBIDDEN, UNAUTHORIZED, assert_refused, forbidden, not_found, unauthorized
from tests.licensing.documents import UNKNOWN, ids
from tests.licensing.licenses import license_object
from tests.tables import each_row

DAY = timedelta(days=1)
MOMENTS = ("created", "expiry", "last_validated", "last_check_in", "last_check_out")
# The licenses of Acme: their names and fields. Moments are days from now.
LICENSES = {
    "plain": {},
    "owned": {"owner": "ann"},
    "shared": {"users": ["ann", "bob"]},
    "banned": {"owner": "eve"},
    "suspended": {"suspended": True},
    "expired": {"expiry": -5},
    "long expired": {"expiry": -50},
    "expiring": {"expiry": 2},
    "lasting": {"expiry": 20},
    "silent": {"created": -100},
    "heard": {"created": -100, "last_validated": -50},
    "checked in": {"created": -100, "last_check_in": -80},
    "checked out": {"created": -100, "last_check_out": -10},
    "tagged": {"metadata": {"order_id": 17, "paid": True, "note": "17"}},
    "other policy": {"policy": "other"},
    "other product": {"policy": "foreign"},
}
ALL = set(LICENSES)
NOBODYS = ALL - {"owned", "shared", "banned"}
PERPETUAL = ALL - {"expired", "long expired", "expiring", "lasting"}


@pytest.fixture
def people(acme):
    banned = timezone.now()
    return {
        name: acme.user(email=f"{name}@acme.test", banned=banned if name == "eve" else None)
        for name in ("ann", "bob", "eve")
    }


@pytest.fixture
def policies(acme):
    return {
        "other": make_policy(acme.product, "Other"),
        "foreign": make_policy(acme.another_product(), "Foreign"),
    }


@pytest.fixture
def licenses(acme, people, policies):
    made = {}
    for name, fields in LICENSES.items():
        fields = dict(fields)
        policy = policies.get(fields.pop("policy", None), acme.unpooled)
        users = fields.pop("users", ())
        for moment in fields.keys() & set(MOMENTS):
            fields[moment] = timezone.now() + fields[moment] * DAY
        if "owner" in fields:
            fields["owner"] = people[fields["owner"]]
        made[name] = make_license(policy, name.upper().replace(" ", "-"), **fields)
        for user in users:
            made[name].license_users.create(account=acme.account, user=people[user])
    return made


@pytest.fixture
def listed(acme, api, licenses):
    """The names of the licenses that a query finds."""

    def get(query, bearer=None, path="licenses"):
        found = set(ids(api(bearer or acme.admin).get(f"{path}?limit=100&{query}")))
        return {name for name, license in licenses.items() if str(license.pk) in found}

    return get


def days(number):
    """A moment so many days from now, as a query spells it."""
    return quote((timezone.now() + number * DAY).isoformat())


class TestFilters:
    @each_row(
        ("query", "found"),
        [
            ("", ALL),
            ("product={product}", ALL - {"other product"}),
            (f"product={UNKNOWN}", set()),
            ("product=rocket", set()),
            ("product=", ALL),
            ("policy={other}", {"other policy"}),
            ("policy=x", set()),
            ("group=x", set()),
            ("group=", ALL),
            ("machine=x", set()),
            ("owner={ann}", {"owned"}),
            ("owner=ann@acme.test", {"owned"}),
            ("owner=bob@acme.test", set()),
            ("owner=x", set()),
            ("owner=", ALL),
            ("owner[x]=ann@acme.test", ALL),
            ("user={ann}", {"owned", "shared"}),
            ("user=ANN@acme.test", {"owned", "shared"}),
            ("user=bob@acme.test", {"shared"}),
            ("user=x", set()),
            ("suspended=true", {"suspended"}),
            ("suspended=0", ALL - {"suspended"}),
            ("expired=true", {"expired", "long expired"}),
            ("expired=false", ALL - {"expired", "long expired"}),
            ("expiring=1", {"expiring"}),
            ("expiring=off", ALL - {"expiring"}),
            ("assigned=true", ALL - NOBODYS),
            ("assigned=F", NOBODYS),
            ("unassigned=true", NOBODYS),
            ("unassigned=f", ALL - NOBODYS),
            ("activated=true", set()),
            ("activated=false", ALL),
            ("activations[eq]=0", ALL),
            ("activations[eq]=1", set()),
            ("activations[gt]=0", set()),
            ("activations[gte]=0", ALL),
            ("activations[lt]=1", ALL),
            ("activations[lte]=-1", set()),
            ("activations[eq]=x", ALL),
            ("activations[eq]=0.9", ALL),
            ("activations[gt]=x", set()),
            ("activations[]=1", ALL),
            ("activity[]=P1D", ALL),
            ("expires[]=3d", ALL),
            ("expired[]=1", {"expired", "long expired"}),
            ("expired[unknown]=1", {"expired", "long expired"}),
            ("expired=%20", ALL),
            ("status=%20", ALL),
            ("status=%20ACTIVE", set()),
            ("policy={other}%20", set()),
            ("suspended=%20false", {"suspended"}),
            ("activations[ne]=0", set()),
            ("activations=0", ALL),
            ("status=suspended", {"suspended"}),
            ("status=EXPIRED", {"expired", "long expired"}),
            ("status=Expiring", {"expiring"}),
            ("status=BANNED", {"banned"}),
            ("status=ACTIVE", ALL - {"banned", "silent"}),
            ("status=INACTIVE", {"silent"}),
            ("status=x", set()),
            ("status=", ALL),
            ("metadata[orderId]=17", {"tagged"}),
            ("metadata[order_id]=17", {"tagged"}),
            ("metadata[paid]=true", {"tagged"}),
            ("metadata[note]=17&metadata[paid]=true", {"tagged"}),
            ("metadata[note]=17&metadata[paid]=false", set()),
            ("metadata[other]=1", set()),
            ("metadata=x", ALL),
            ("status=ACTIVE&owner={ann}&suspended=false", {"owned"}),
        ],
    )
    def test_license_filters_find(self, acme, listed, people, policies, query, found):
        assert listed(query.format(product=acme.product.pk, other=policies["other"].pk, ann=people["ann"].pk)) == found

    @each_row(
        ("name", "kind", "value", "found"),
        [
            ("expired", "within", "30d", {"expired"}),
            ("expired", "in", "P2M", {"expired", "long expired"}),
            ("expired", "within", "86400", set()),
            ("expired", "before", -30, {"long expired"}),
            ("expired", "before", 30, {"expired", "long expired"}),
            ("expired", "after", -30, {"expired"}),
            ("expired", "on", -5, {"expired"}),
            ("expires", "within", "P1W", {"expiring"}),
            ("expires", "in", "30D", {"expiring", "lasting"}),
            ("expires", "within", "99999999999999999999", {"expiring", "lasting"}),
            ("expires", "before", 10, {"expiring"}),
            ("expires", "after", 10, {"lasting"}),
            ("expires", "after", -100, {"expiring", "lasting"}),
            ("expires", "on", 20, {"lasting"}),
            ("expires", "on", -5, {"expired"}),
            ("expires", "around", 20, set()),
            ("expires", "within", "soon", set()),
            ("expires", "before", "soon", set()),
            ("expired", "on", 20, set()),
            ("expires", "within", "48h", set()),
            ("expires", "within", "p1m", set()),
            ("activity", "inside", "60d", ALL - {"silent", "checked in", "banned"}),
            ("activity", "outside", "60d", {"silent", "checked in"}),
            ("activity", "after", -20, ALL - {"silent", "heard", "checked in", "banned"}),
            ("activity", "before", -20, {"silent", "heard", "checked in"}),
            ("activity", "inside", "x", set()),
            ("activity", "during", "60d", set()),
        ],
    )
    def test_license_filters_find_by_moments(self, listed, name, kind, value, found):
        value = days(value) if isinstance(value, int) else value

        assert listed(f"{name}[{kind}]={value}") == found

    def test_license_filters_of_moments_that_have_several_parts_look_at_the_first(self, listed):
        assert listed(f"expires[after]={days(10)}&expires[within]=P1W") == {"expiring"}

    @each_row(
        ("bound", "found"),
        [
            ("expires[before]=2090-02-03T04:05:06.789Z", {"plain"}),
            ("expires[before]=2090-02-03T04:05:06.788Z", set()),
            ("expires[after]=2090-02-03T04:05:06.789Z", {"plain"}),
            ("expires[after]=2090-02-03T04:05:06.790Z", set()),
            ("expires[before]=2090-02-03T06:05:06.789 02:00", {"plain"}),
            ("expires[on]=20900203", {"plain"}),
            ("expires[on]=3.2.2090", {"plain"}),
            ("expires[on]=2090-02-03T23:59:59Z", {"plain"}),
            ("expires[on]=2090-02-04", set()),
            ("expired[before]=2001-02-03T04:05:06.789Z", {"owned"}),
            ("expired[after]=2001-02-03T04:05:06.789Z", {"owned"}),
            ("expired[before]=981173106", set()),
            ("expired[after]=981173106", {"owned"}),
        ],
    )
    def test_license_filters_of_moments_include_the_shown_millisecond(self, licenses, listed, bound, found):
        License.objects.update(expiry=None)
        for name, year in (("plain", 2090), ("owned", 2001)):
            moment = datetime(year, 2, 3, 4, 5, 6, 789_999, UTC)
            License.objects.filter(pk=licenses[name].pk).update(expiry=moment)

        assert listed(bound) == found

    @pytest.mark.parametrize("name", ["expires", "expired", "activity"])
    def test_license_filters_of_moments_without_parts_do_not_filter(self, listed, name):
        assert listed(f"{name}[within]=&{name}[inside]=") == ALL


@each_row(
    ("text", "seconds"),
    [
        ("60", 60),
        ("P1D", 86_400),
        ("30d", 30 * 86_400),
        ("P2W", 14 * 86_400),
        ("P13DT59M59S", 13 * 86_400 + 59 * 60 + 59),
        ("t1h", 3_600),
        ("1.5d", 129_600),
        ("PT1.5H", 5_400),
        ("1y", 31_556_952),
        ("P1M", 2_629_746),
        ("P", None),
        ("", None),
        ("soon", None),
        ("-1", None),
        ("pt1h", None),
        ("1h", None),
        ("PT", None),
        ("1.5y2d", None),
        ("1w2d", None),
        ("٣", None),
    ],
)
def test_durations_are_read(text, seconds):
    assert parse_duration(text) == seconds


class TestVisibleLicenses:
    @pytest.mark.parametrize("role", ["admin", "developer", "sales-agent", "support-agent", "read-only"])
    def test_license_list_shows_staff_all(self, acme, listed, role):
        assert listed("", acme.bearer(role)) == ALL

    def test_a_product_its_own(self, acme, listed):
        assert listed("", acme.product) == ALL - {"other product"}

    def test_a_user_what_they_own_or_share(self, listed, people):
        assert listed("", people["ann"]) == {"owned", "shared"}
        assert listed("user=bob@acme.test", people["ann"]) == {"shared"}

    def test_a_license_no_list(self, api, licenses):
        assert_refused(api(licenses["plain"]).get("licenses"), FORBIDDEN, forbidden())

    def test_a_request_without_a_credential_gets_no_list(self, acme, api):
        assert_refused(api().get("licenses"), UNAUTHORIZED, unauthorized("TOKEN_MISSING", about="authentication/"))


class TestOfAUser:
    def test_licenses_of_a_user_are_what_they_own_or_share(self, acme, listed, people, policies):
        path = f"users/{people['ann'].pk}/licenses"

        assert listed("", path=path) == {"owned", "shared"}
        assert listed("suspended=true", path=path) == set()
        assert listed(f"product={acme.product.pk}", path="users/ann@acme.test/licenses") == {"owned", "shared"}
        assert listed(f"policy={policies['other'].pk}", path=path) == set()

    def test_licenses_of_a_user_are_theirs_to_see(self, acme, api, listed, people, licenses):
        path = "users/ann@acme.test/licenses"

        assert listed("", people["ann"], path) == {"owned", "shared"}
        assert_refused(api(people["bob"]).get(path), FORBIDDEN, forbidden())  # shares one of them
        assert_refused(api(acme.user()).get(path), 404, not_found("user", "ann@acme.test"))
        assert_refused(api(licenses["owned"]).get(path), FORBIDDEN, forbidden())

    def test_licenses_of_a_user_are_found_by_key(self, acme, api, licenses):
        response = api(acme.admin).get("users/ann@acme.test/licenses/OWNED")

        assert response.json() == {"data": license_object(licenses["owned"], users=1)}


def test_a_list_costs_as_much_for_many_as_for_few(acme, api, licenses, django_assert_num_queries):
    speaker = api(acme.admin)
    speaker.get("licenses")

    with django_assert_num_queries(2):
        speaker.get("licenses?limit=1")
    with django_assert_num_queries(2):
        speaker.get("licenses?limit=100")
