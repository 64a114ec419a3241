"""How many rows PostgreSQL reads for a page of licenses or users, most of which have an owner, and a machine each."""

from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone

from accounts.models import User
from licensing.models import License, LicenseUser, Machine
from tests.cast import make_license, make_policy, make_product
from tests.plans import rows_read
from tests.tables import each_row

MANY, EVERY, PAGE = 4_000, 100, 10  # one in EVERY licenses has no owner and no machine, and one in EVERY users none

pytestmark = [pytest.mark.postgresql, pytest.mark.django_db]


@pytest.fixture
def owners(acme):
    """The owners of the licenses, the oldest first."""
    account, first = acme.account, timezone.now() - timedelta(days=1)
    times = [first + timedelta(seconds=number) for number in range(MANY)]
    users = User.objects.bulk_create(
        (User(account=account, email=f"user{number}@acme.test", created=time) for number, time in enumerate(times)),
        batch_size=1_000,
    )
    licenses = License.objects.bulk_create(
        (
            License(
                account=account,
                product=acme.product,
                policy=acme.unpooled,
                owner=user if number % EVERY else None,
                key=f"LICENSE-{number}",
                created=time,
            )
            for number, (user, time) in enumerate(zip(users, times, strict=True))
        ),
        batch_size=1_000,
    )
    Machine.objects.bulk_create(
        (
            Machine(account=account, license=license, product=acme.product, fingerprint=license.key)
            for number, license in enumerate(licenses)
            if number % EVERY
        ),
        batch_size=1_000,
    )
    LicenseUser.objects.create(account=account, license=licenses[0], user=users[1])
    with connection.cursor() as cursor:
        for table in ("licensing_machine", "licensing_license", "licensing_licenseuser", "accounts_user"):
            cursor.execute(f"ANALYZE {table}")
    return users


@each_row("path", ["licenses?user={user}", "licenses?user=user1@acme.test", "users/{user}/licenses?", "licenses?"])
def test_licenses_of_a_user_are_found_by_the_user(acme, api, owners, path):
    """Those that the user owns, and those that the user is attached to. `licenses?` is the user's own list."""
    client = api(owners[1] if path == "licenses?" else acme.admin)
    url = path.format(user=owners[1].pk)

    assert {row["attributes"]["key"] for row in client.get(url).json()["data"]} == {"LICENSE-0", "LICENSE-1"}
    assert rows_read("licensing_license", lambda: client.get(url)) < 3 * PAGE


FILTERS = [
    *(f"licenses?{query}" for query in ("assigned=true", "assigned=false", "unassigned=true")),
    *(f"licenses?activated={value}" for value in ("true", "false")),
    *(f"users?{query}" for query in ("assigned=false", "active=false")),
]


@each_row("path", FILTERS)
def test_page_of_a_filter_ends_the_reading(acme, api, owners, path):
    """Without an index the rows are read in their order, one in EVERY of which matches, until the page is full."""
    client, url = api(acme.admin), f"{path}&page[size]={PAGE}"
    others = "accounts_user" if path.startswith("users") else "licensing_machine"

    assert len(client.get(url).json()["data"]) == PAGE
    for table in ("licensing_license", others):
        assert rows_read(table, lambda: client.get(url)) < (PAGE + 2) * EVERY


def test_page_after_a_cursor_starts_there_among_licenses_of_one_moment(acme, api, owners):
    """As after an import of an account."""
    License.objects.update(created=timezone.now())
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE licensing_license")
    ids = [str(pk) for pk in License.objects.order_by("-id").values_list("pk", flat=True)]
    client, url = api(acme.admin), f"licenses?page[size]={PAGE}&page[cursor]={ids[MANY // 2]}"

    assert [row["id"] for row in client.get(url).json()["data"]] == ids[MANY // 2 + 1 :][:PAGE]
    assert rows_read("licensing_license", lambda: client.get(url)) <= PAGE + 1


PRODUCT_USERS = ["users?product={product}", "products/{product}/users?", "users?product={product}&role=user"]


@each_row("path", PRODUCT_USERS)
def test_users_of_a_large_product_are_read_until_the_page_is_full(acme, api, owners, path, monkeypatch):
    monkeypatch.setattr("licensing.api.user_filters.MAX_COLLECTED_LICENSES", 50)
    client, url = api(acme.admin), f"{path.format(product=acme.product.pk)}&page[size]={PAGE}"

    expected = [str(user.pk) for number, user in enumerate(owners) if number % EVERY][: -PAGE - 1 : -1]
    assert [row["id"] for row in client.get(url).json()["data"]] == expected
    for table in ("licensing_license", "accounts_user"):
        assert rows_read(table, lambda: client.get(url)) < 15 * PAGE


@each_row("path", PRODUCT_USERS)
def test_users_of_a_small_product_are_found_by_its_licenses(acme, api, owners, path):
    product = make_product(acme.account, "Small", code="small")
    policy = make_policy(product, "Small")
    for owner, user in ((owners[1], None), (None, owners[2])):
        license = make_license(policy, owner=owner)
        license.users.add(*[user] if user else [], through_defaults={"account": acme.account})
    client, url = api(acme.admin), f"{path.format(product=product.pk)}&page[size]={PAGE}"

    assert {row["id"] for row in client.get(url).json()["data"]} == {str(owners[1].pk), str(owners[2].pk)}
    for table in ("licensing_license", "accounts_user"):
        assert rows_read(table, lambda: client.get(url)) < 15 * PAGE
