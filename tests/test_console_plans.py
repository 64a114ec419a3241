"""Database cost of a page of a list, in rows or steps: no more in a large account.

SQLite counts the instructions of its virtual machine; it has no statistics here, as in any database without a run of
ANALYZE. PostgreSQL has statistics, as it makes them itself, and says how many rows each step has looked at.
"""

import json
from datetime import timedelta
from urllib.parse import quote

import pytest
from django.contrib.contenttypes.models import ContentType
from django.db import connection, transaction
from django.utils import timezone
from uuid_utils.compat import uuid7

from accounts.models import Activity, Token, User
from keygen_site.db.fields import digest
from keygen_site.db.key_digests import key_digest
from licensing.models import License, LicenseEntitlement, Machine
from pools.models import Key, KeyEvent, KeyImport
from pools.services.activity import KINDS
from tests.accounts.groups import make_group
from tests.cast import make_policy
from tests.console import page, signed_in, staff, superuser
from tests.licensing.entitlements import make_entitlement

FEW, MANY = 500, 2_500  # rows of a kind
IMPORTED = 60  # keys of the one import that pages are asked for
STEPS = 100  # instructions of SQLite, between two looks
# Plans differ a little with the size. A walk over all rows of a kind costs more: there are 2,000 more of them.
SLACK = {"sqlite": 1_500, "postgresql": 500}


class Crowd:
    """An account in which clients have made many rows of each kind; a small pool of it, and a large one."""

    def __init__(self, company):
        self.company, self.count = company, 0
        self.account, self.large = company.account, company.policy
        self.small = make_policy(company.product, "Small", use_pool=True)
        self.key_import = KeyImport.objects.create(account=self.account, policy=self.large, name="Batch")
        self.add_keys(self.large, IMPORTED, self.key_import)
        self.add_keys(self.small, 30)
        self.group = make_group(self.account, max_users=100_000)
        self.entitlement = make_entitlement(self.account)

    def grow_to(self, count):
        added = count - self.count
        self.add_keys(self.large, added)
        users = [
            User(
                account=self.account,
                email=f"{self.count + n}@acme.test",
                first_name=f"First{self.count + n}",
                last_name=f"Last{self.count + n}",
                group=self.group,
                password="!",
            )
            for n in range(added)
        ]
        User.objects.bulk_create(users)
        licenses = License.objects.bulk_create(
            License(
                account=self.account,
                product=self.company.product,
                policy=self.company.unpooled,
                key=f"LICENSE-{user.pk}",
                name=f"Seat {user.email}",
                reference=f"Order {user.pk}",
                owner=user,
                group=self.group,
            )
            for user in users
        )
        LicenseEntitlement.objects.bulk_create(
            LicenseEntitlement(account=self.account, license=license, entitlement=self.entitlement)
            for license in licenses
        )
        Machine.objects.bulk_create(
            Machine(
                account=self.account,
                license=license,
                fingerprint=f"MACHINE-{license.pk}",
                digest=digest(f"MACHINE-{license.pk}"),
                name=f"Studio {license.owner.email}",
                group=self.group,
                last_heartbeat=timezone.now(),
            )
            for license in licenses
        )
        kind = ContentType.objects.get_for_model(User)
        Token.objects.bulk_create(
            Token(account=self.account, bearer_type=kind, bearer_id=user.pk, digest=digest(str(user.pk)))
            for user in users
        )
        Activity.objects.bulk_create(
            Activity(
                account=self.account,
                event="changed",
                noun=("user", "license")[number % 2],
                object_id=user.pk,
                policy_id=self.large.pk if number % 2 else None,
                bearer_type="users",
                bearer_id=user.pk,
                reference=f"Order {user.pk}",
            )
            for number, user in enumerate(users)
        )
        self.count = count
        if connection.vendor == "postgresql":
            with connection.cursor() as cursor:
                # Ours only: all tables include those that the server's databases share.
                cursor.execute(f"ANALYZE {', '.join(connection.introspection.django_table_names(only_existing=True))}")

    def add_keys(self, policy, count, key_import=None):
        """Keys that are popped, issued, withdrawn and waiting in turns, with their lines in the ledger."""
        now = timezone.now()
        keys = []
        for number in range(count):
            key = Key(account=self.account, policy=policy, key_import=key_import)
            key.key, key.digest = f"{key.pk}-{number % 1000:04}", key_digest(f"{key.pk}-{number % 1000:04}")
            if number % 4 < 2:
                key.popped = key.disclosed = now + timedelta(seconds=number)
                key.disclosure, key.disclosed_to = Key.Disclosure.POPPED, ""
            key.withdrawn = now if number % 4 == 2 else None
            keys.append(key)
        Key.objects.bulk_create(keys)
        # Withdrawals are rare: those of the crowd are not written down.
        kinds = ["popped", "issued", "withdrawn"] if count < FEW else ["popped", "issued"]
        KeyEvent.objects.bulk_create(
            KeyEvent(
                account=self.account,
                event=kinds[number % 4],
                key=key,
                key_digest=key.digest,
                product=policy.product,
                policy=policy,
                license_id=key.pk,  # of some license that is gone
                reference=f"Order {key.pk}",
            )
            for number, key in enumerate(keys)
            if number % 4 < len(kinds)
        )

    def pages(self):
        """Lists of all kinds; of keys and events, which are the most, with their filters and searches."""
        for name in ("pools_keyimport", "licensing_license", "licensing_policy", "licensing_product"):
            yield page(f"{name}_changelist")
        for name in ("licensing_machine", "licensing_entitlement", "accounts_group"):
            yield page(f"{name}_changelist")
        for name in ("licensing_machine", "licensing_license", "accounts_customer"):
            yield page(f"{name}_changelist", group=self.group.pk)
        for machine in Machine.objects.order_by("id")[:1]:
            yield page("licensing_machine_change", machine.pk)
            yield page("licensing_license_change", machine.license_id)
            yield f"{page('licensing_machine_changelist')}?q={machine.fingerprint}"
        for text in ("Studio 17@", "nothing to find"):
            yield f"{page('licensing_machine_changelist')}?q={quote(text)}"
        yield page("licensing_license_changelist", entitlement=self.entitlement.pk)
        yield page("pools_pool_changelist")
        for name in ("change", "imports", "activity", "usage", "terms"):
            yield page(f"pools_pool_{name}", self.large.pk)
        for name in ("accounts_user", "accounts_customer", "accounts_token", "accounts_account", "accounts_invitation"):
            yield page(f"{name}_changelist")
        for name in ("licensing_license", "accounts_customer"):
            for text in (
                "17@acme.test",
                "acme.test",
                "last17",
                "First17 Last17",
                "Seat 17@",
                "Order 0",
                "nothing to find",
            ):
                yield f"{page(f'{name}_changelist')}?q={quote(text)}"
        yield page("settings")
        popped = self.large.pool.filter(popped__isnull=False).earliest("id")
        waiting = self.small.pool.available().earliest("id")
        keys = page("pools_key_changelist")
        for policy in (self.large, self.small):
            for state in ("available", "popped", "withdrawn"):
                for more in ("", "&since=1", "&p=2"):
                    yield f"{keys}?policy={policy.pk}&state={state}{more}"
            for kind in ("", "licenses"):
                yield page("activity", policy=policy.pk, kind=kind)
        for state in ("available", "popped", "withdrawn"):
            yield f"{keys}?policy={self.large.pk}&state={state}&import={self.key_import.pk}"
        for text in (popped.key, waiting.key, popped.pk, f"Order {popped.pk}", "nothing to find"):
            yield f"{keys}?q={text}"
        event = KeyEvent.objects.filter(policy=self.large).earliest("id")
        for kind in ("", *KINDS):
            yield page("activity", kind=kind)
        yield page("activity", since="2020-01-01", before=event.pk)
        for who in (self.company.admin.pk, self.company.product.pk, event.pk):
            yield page("activity", who=who)
        yield page("activity", who=self.company.admin.pk, kind="licenses")
        yield page("activity", reference=event.reference)
        yield page("activity", reference="nothing")
        yield page("pools_key_change", popped.pk)
        yield from (page("index"), page("index", view="cards", pool="Large"), page("inbox"))

    def searches(self):
        """Texts for the search of all kinds, found and not."""
        popped = self.large.pool.filter(popped__isnull=False).earliest("id")
        waiting = self.small.pool.available().earliest("id")
        yield from (popped.key, popped.key.upper(), popped.key.replace("-", ""), waiting.key.upper())
        yield from ("ABCDE-FGHIJ-KLMNO-PQRST-UVWXY", "abcdefghijklmnopqrstuvwxy", "ABCD…0001", "0001", "NOPE-001")
        yield from (str(popped.pk), str(uuid7()), f"Order {popped.pk}", f"order {popped.pk}", str(popped.pk)[-9:])
        yield from (Machine.objects.earliest("id").fingerprint, "Studio 17@", "Hospital", "OFFLINE")
        yield from ("Order", "17@acme.test", "acme.test", "last17", "First17 Last17", "Seat 17@", "Batch", "Small")


@pytest.fixture
def crowd(acme, rival, monkeypatch):
    monkeypatch.setattr("accounts.admin.base.MAX_COUNTED_ROWS", 50)
    monkeypatch.setattr("accounts.admin.base.ConsoleAdmin.list_per_page", 10)
    monkeypatch.setattr("pools.admin.pool_base.MAX_COUNTED_KEYS_OF_PAGE", 50)
    for name in ("LIST", "STATE"):
        monkeypatch.setattr(f"pools.admin.pools.MAX_COUNTED_KEYS_OF_{name}", 50)
    monkeypatch.setattr("licensing.admin.groups.MAX_COUNTED_MEMBERS", 50)
    monkeypatch.setattr("pools.services.stock_history.MAX_RETIRED_KEYS", 50)
    for name in ("admin.overview.MAX_COUNTED_KEYS", "services.charts.MAX_COUNTED_KEYS"):
        monkeypatch.setattr(f"pools.{name}", 50)
    monkeypatch.setattr("pools.admin.overview.MAX_COUNTED_LICENSES", 50)
    monkeypatch.setattr("pools.admin.overview.MAX_COUNTED_KEYS_OF_PAGE", 50)
    monkeypatch.setattr("pools.admin.overview._most_counted", lambda pools: 50)
    monkeypatch.setattr("pools.services.key_search.MAX_SEARCHED_KEYS", 50)
    monkeypatch.setattr("pools.services.key_search.MAX_COMPARED_KEYS", 50)
    monkeypatch.setattr("licensing.search.MAX_COMPARED_LICENSES", 50)
    monkeypatch.setattr("pools.services.order_search.MAX_SCANNED_ROWS", 50)
    monkeypatch.setattr("pools.services.order_search.MAX_COMPARED_EVENTS", 50)
    monkeypatch.setattr("pools.services.order_search.MAX_FOUND_EVENTS", 50)
    monkeypatch.setattr("keygen_site.db.text_search.MAX_SCANNED_ROWS", 50)
    monkeypatch.setattr("pools.services.activity.WINDOW", 50)
    monkeypatch.setattr("pools.services.activity.PAGE_ENTRIES", 20)
    monkeypatch.setattr("pools.admin.activity.RECENT_ENTRIES", 20)
    monkeypatch.setattr("accounts.search.MAX_FOUND_ROWS", 10)
    return Crowd(acme)


def cost(client, address, text=None):
    """Costs of the statements of a page, or of the search for a text: `{statement: steps or rows}`."""
    statements = []

    def note(execute, sql, parameters, many, context):
        counted = [0]
        if connection.vendor == "sqlite":
            connection.connection.set_progress_handler(lambda: counted.__setitem__(0, counted[0] + 1), STEPS)
        try:
            cursor = execute(sql, parameters, many, context)
        finally:
            statements.append((sql, parameters, counted))
        return cursor

    with connection.execute_wrapper(note):
        response = client.get(address) if text is None else client.post(address, {"q": text})
    if connection.vendor == "sqlite":
        connection.connection.set_progress_handler(None, STEPS)
        costs = [(sql, STEPS * counted[0]) for sql, _, counted in statements]
    else:
        costs = [(sql, rows_of(plan(sql, parameters))) for sql, parameters, _ in statements if sql.startswith("SELECT")]
    return response, costs


def plan(sql, parameters):
    with transaction.atomic(), connection.cursor() as cursor:
        # Tables as small as these are cheaper to walk through, in particular once the tests before have left indexes
        # full of dead entries. Tables without a suitable index are walked through nevertheless.
        cursor.execute("SET LOCAL enable_seqscan = off")
        cursor.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {sql}", parameters)
        said = cursor.fetchone()[0]
    return (json.loads(said) if isinstance(said, str) else said)[0]["Plan"]


def rows_of(step):
    """The rows that a plan has read from tables and indexes, wanted or not."""
    steps = step.get("Plans", [])
    own = 0
    if "Scan" in step["Node Type"] and "Subquery" not in step["Node Type"]:
        removed = sum(step.get(f"Rows Removed by {kind}", 0) for kind in ("Filter", "Index Recheck"))
        own = (step["Actual Rows"] + removed) * step["Actual Loops"]
    return own + sum(map(rows_of, steps))


@pytest.mark.parametrize("who", ["operator", "superuser"])
def test_a_list_costs_no_more_in_a_large_account(acme, crowd, who):
    client = signed_in(staff(acme) if who == "operator" else superuser())
    costs = {}
    for count in (FEW, MANY):
        crowd.grow_to(count)
        for address in crowd.pages():
            response, found = cost(client, address)
            expected = 403 if who == "operator" and "/account/" in address else 200
            assert response.status_code == expected, address
            costs.setdefault(address, []).append((sum(number for _, number in found), found))

    assert_not_grown(costs)


@pytest.mark.parametrize("who", ["operator", "superuser"])
def test_a_search_costs_no_more_in_a_large_account(acme, crowd, who):
    client = signed_in(staff(acme) if who == "operator" else superuser())
    costs = {}
    for count in (FEW, MANY):
        crowd.grow_to(count)
        for text in crowd.searches():
            response, found = cost(client, page("find"), text)
            assert response.status_code == 302, text
            costs.setdefault(text, []).append((sum(number for _, number in found), found))

    assert len(costs) > 20
    # The ids that were made up differ from one round to the other.
    assert_not_grown({text: each for text, each in costs.items() if len(each) == 2})


def assert_not_grown(costs):
    grown = []
    # An address or text with an id that was made up is measured once.
    for name, ((few, _), (many, statements)) in ((name, each) for name, each in costs.items() if len(each) == 2):
        if many > 1.5 * few + SLACK[connection.vendor]:
            dearest = max(statements, key=lambda each: each[1])
            grown.append(f"{name}: {few} -> {many}; {dearest[1]} by {dearest[0][:300]}")
    assert not grown, "\n".join(grown)


def test_a_count_asks_for_ids_only(acme, crowd):
    client = signed_in(superuser())
    wrong = []
    for address in crowd.pages():
        _, statements = cost(client, address)
        for sql, _ in statements:
            inner = sql.partition("COUNT(*) FROM (SELECT ")[2].partition(" FROM ")[0]
            if inner and ("," in inner or "(" in inner):
                wrong.append(f"{address}: {inner}")

    assert wrong == []
