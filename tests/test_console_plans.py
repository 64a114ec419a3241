"""What a page of a list costs the database, by the rows or steps that it takes: no more in a large account.

SQLite counts the instructions of its virtual machine; it has no statistics here, as in any database where nobody has
said ANALYZE. PostgreSQL has statistics, as it makes them itself, and says how many rows each step has looked at.
"""

import json
from datetime import timedelta

import pytest
from django.contrib.contenttypes.models import ContentType
from django.db import connection, transaction
from django.utils import timezone

from accounts.models import Token, User
from keygen_site.db.fields import digest
from keygen_site.db.key_digests import key_digest
from licensing.models import License
from pools.models import Key, KeyEvent, KeyImport
from tests.cast import make_policy
from tests.console import page, signed_in, staff, superuser

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

    def grow_to(self, count):
        added = count - self.count
        self.add_keys(self.large, added)
        users = [User(account=self.account, email=f"{self.count + n}@acme.test", password="!") for n in range(added)]
        User.objects.bulk_create(users)
        License.objects.bulk_create(
            License(
                account=self.account,
                product=self.company.product,
                policy=self.company.unpooled,
                key=f"LICENSE-{user.pk}",
                owner=user,
            )
            for user in users
        )
        kind = ContentType.objects.get_for_model(User)
        Token.objects.bulk_create(
            Token(account=self.account, bearer_type=kind, bearer_id=user.pk, digest=digest(str(user.pk)))
            for user in users
        )
        self.count = count
        if connection.vendor == "postgresql":
            with connection.cursor() as cursor:
                cursor.execute("ANALYZE")

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
        for name in ("pools_keyevent", "pools_keyimport", "licensing_license", "licensing_policy", "licensing_product"):
            yield page(f"{name}_changelist")
        for name in ("accounts_user", "accounts_token", "accounts_account"):
            yield page(f"{name}_changelist")
        popped = self.large.pool.filter(popped__isnull=False).earliest("id")
        waiting = self.small.pool.available().earliest("id")
        keys = page("pools_key_changelist")
        for policy in (self.large, self.small):
            for state in ("available", "popped", "withdrawn"):
                for more in ("", "&since=1", "&p=2"):
                    yield f"{keys}?policy={policy.pk}&state={state}{more}"
            yield f"{page('pools_keyevent_changelist')}?policy__id__exact={policy.pk}"
        for state in ("available", "popped", "withdrawn"):
            yield f"{keys}?policy={self.large.pk}&state={state}&import={self.key_import.pk}"
        for text in (popped.key, waiting.key, popped.pk, f"Order {popped.pk}", "nothing to find"):
            for address in (keys, page("pools_keyevent_changelist")):
                yield f"{address}?q={text}"
        for event in KeyEvent.Event:
            yield f"{page('pools_keyevent_changelist')}?event__exact={event}"
        yield page("pools_key_change", popped.pk)


@pytest.fixture
def crowd(acme, rival, monkeypatch):
    monkeypatch.setattr("accounts.admin.base.MAX_COUNTED_ROWS", 50)
    monkeypatch.setattr("accounts.admin.base.ConsoleAdmin.list_per_page", 10)
    monkeypatch.setattr("pools.admin.key_search.MAX_SEARCHED_KEYS", 50)
    return Crowd(acme)


def cost(client, address):
    """What the statements of a page cost, `{statement: steps or rows}`."""
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
        response = client.get(address)
    if connection.vendor == "sqlite":
        connection.connection.set_progress_handler(None, STEPS)
        costs = [(sql, STEPS * counted[0]) for sql, _, counted in statements]
    else:
        costs = [(sql, rows_of(plan(sql, parameters))) for sql, parameters, _ in statements if sql.startswith("SELECT")]
    return response, costs


def plan(sql, parameters):
    with transaction.atomic(), connection.cursor() as cursor:
        # Tables as small as these are cheaper to walk through, in particular once the tests before have left indexes
        # full of dead entries. What has no index is walked through nevertheless.
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

    grown = []
    for address, ((few, _), (many, statements)) in costs.items():
        if many > 1.5 * few + SLACK[connection.vendor]:
            dearest = max(statements, key=lambda each: each[1])
            grown.append(f"{address}: {few} -> {many}; {dearest[1]} by {dearest[0][:300]}")
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
