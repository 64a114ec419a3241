"""How many machines PostgreSQL reads for a page of a list. The table is one that it would rather walk through."""

from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone

from accounts.models import User
from licensing.api.viewsets.machines import INDEXED_FILTERS
from licensing.models import License, LicenseUser, Machine
from tests.accounts.groups import make_group
from tests.cast import make_license, make_policy
from tests.plans import rows_read
from tests.tables import each_row

FEW, MANY = 2_000, 3_000  # machines of the old license, and newer ones of others
PAGE = 10

pytestmark = [pytest.mark.postgresql, pytest.mark.django_db]


@pytest.fixture
def old(acme):
    """A license of a product of its own, with an owner and a group, whose machines are older than all others."""
    old = make_license(make_policy(acme.another_product("Old"), "Old"), key="OLD-LICENSE")
    user = User.objects.create(account=acme.account, email="old@acme.test")
    License.objects.filter(pk=old.pk).update(owner=user)
    LicenseUser.objects.create(account=acme.account, license=make_license(acme.unpooled, "SHARED"), user=user)
    about = {"account": acme.account, "product": acme.product, "policy": acme.unpooled}
    others = License.objects.bulk_create(License(key=f"LICENSE-{number}", **about) for number in range(400))
    first = timezone.now() - timedelta(days=1)
    add(FEW, [old], first - timedelta(days=1), owner=user, group=make_group(acme.account))
    add(MANY, others, first)
    with connection.cursor() as cursor:
        for table in ("licensing_machine", "licensing_license", "licensing_licenseuser", "accounts_user"):
            cursor.execute(f"ANALYZE {table}")
    return old


def add(count, licenses, first, **fields):
    machines = (
        Machine(
            account_id=license.account_id,
            license=license,
            fingerprint=f"{license.key}-{number}",
            created=first + timedelta(seconds=number),
            **fields,
        )
        for number, license in zip(range(count), licenses * count, strict=False)
    )
    Machine.objects.bulk_create(machines, batch_size=1_000)


LISTS = [
    "machines?",
    "machines?license={machine.license_id}&",
    "machines?owner={machine.owner_id}&",
    "machines?group={machine.group_id}&",
    "machines?product={machine.product_id}&",
    "machines?fingerprint={machine.fingerprint}&",
    "licenses/{machine.license_id}/machines?",
    "products/{machine.product_id}/machines?",
    "groups/{machine.group_id}/machines?",
]


@each_row("path", LISTS)
def test_each_page_reads_little_more_than_it_shows(acme, api, old, path):
    client, machines = api(acme.admin), old.machines.order_by("-created")
    url = f"{path.format(machine=machines[0])}page[size]={PAGE}"
    middle = Machine.objects.order_by("-created")[MANY // 2] if path == "machines?" else machines[FEW // 2]

    assert rows_read("licensing_machine", lambda: client.get(url)) < 3 * PAGE
    assert rows_read("licensing_machine", lambda: client.get(f"{url}&page[cursor]={middle.pk}")) < 3 * PAGE


@each_row("name", sorted(INDEXED_FILTERS))
def test_filter_without_a_value_reads_as_little_as_no_filter(acme, api, old, name):
    """The list has the order of the account's index then."""
    for value in ("", "%20"):
        url = f"machines?{name}={value}&page[size]={PAGE}"
        assert rows_read("licensing_machine", lambda url=url: api(acme.admin).get(url)) < 3 * PAGE


@each_row("path", ["machines?user={owner}", "users/{owner}/machines"])
def test_list_of_a_user_reads_the_machines_of_the_user_only(acme, api, old, path):
    url = path.format(owner=old.machines.first().owner_id)

    assert rows_read("licensing_machine", lambda: api(acme.admin).get(url)) < FEW + MANY // 2


def test_lists_of_bearers_read_no_others(acme, api, old):
    owner = old.machines.first().owner

    assert rows_read("licensing_machine", lambda: api(old.product).get("machines")) < 3 * PAGE
    assert rows_read("licensing_machine", lambda: api(owner).get("machines")) < FEW + MANY // 2
    assert len(api(owner).get("machines").json()["data"]) == PAGE
