"""Across a move no key is handed out twice: not one that a license has, nor one that was popped before."""

from datetime import datetime
from io import BytesIO
from uuid import uuid4

import pytest

from accounts.audit import AuditContext
from accounts.models import Account
from licensing.models import License, Policy
from pools.key_files import ReadOptions, UsedRows, open_key_file
from pools.models import Key, KeyEvent, KeyImport
from pools.popping import forget_hints
from pools.services.imports import import_keys
from pools.services.keys import return_key
from tests.moving.exports import ACCOUNT_ID, SECRETS, SHOWN, import_fixture, read_export, write_export
from tests.races import race

POPPED, WAITING = SECRETS["pool"]["popped"], SECRETS["pool"]["waiting, oldest first"]
POOLED = [each["key"] for name, each in SECRETS["licenses"].items() if name.startswith("pooled")]
[POOL] = [each["id"] for each in SHOWN["policies"] if each["attributes"]["name"] == "Beta pool"]
AUDIT = AuditContext(operator="tests")


def key_file(*texts, name="used.txt"):
    return open_key_file(BytesIO("\n".join(texts).encode()), ReadOptions(used_rows=UsedRows.IGNORE), name=name)


def with_keys(*texts, **columns):
    """The export with further keys in the pool, the newest of all."""
    rows = read_export()
    [last] = [row for row in rows["Key"] if row["key"] == WAITING[-1]]
    rows["Key"] += [last | {"id": str(uuid4()), "key": text, **columns} for text in texts]
    return write_export(rows)


def add(*texts):
    """Import keys into the moved pool; the number of those that were added."""
    policy = Policy.objects.get(pk=POOL)
    return import_keys(policy=policy, files=[key_file(*texts)], audit=AUDIT, skip_invalid=True).added


def pop_all():
    policy = Policy.objects.get(pk=POOL)
    return [policy.pool.pop(AUDIT).key for _ in range(policy.pool.available().count())]


class TestLeftOut:
    def test_keys_that_a_license_has_are_left_out_and_named(self, db):
        report = import_fixture(with_keys(POOLED[0], SECRETS["licenses"]["own key"]["key"]))

        assert (report.counts["Key"].read, report.counts["Key"].kept) == (21, 19)
        assert {(each.class_name, each.label, each.kept) for each in report.findings} == {
            ("Key", "BETA…6299", False),
            ("Key", "MY-O…lash", False),
        }
        assert pop_all() == WAITING

    def test_key_that_spells_the_id_of_a_license_is_left_out(self, db):
        license = SECRETS["licenses"]["perpetual"]["id"]

        report = import_fixture(with_keys(license.upper().replace("-", "")))

        assert [each.problem for each in report.findings] == ["spells the id of a license"]
        assert pop_all() == WAITING

    def test_of_two_equal_keys_the_older_one_is_kept(self, db):
        report = import_fixture(with_keys(WAITING[3]))

        assert [each.problem for each in report.findings] == ["waits twice: the older one was imported"]
        assert pop_all() == WAITING

    def test_used_keys_are_left_out_and_never_enter_a_pool(self, db):
        report = import_fixture(used_keys=[key_file(WAITING[0], *POPPED, ""), key_file(WAITING[2], name="more")])

        assert {each.id for each in report.findings if each.class_name == "Key"} == {
            row["id"] for row in read_export()["Key"] if row["key"] in (WAITING[0], WAITING[2])
        }
        assert (report.counts["used keys"].read, report.counts["used keys"].kept) == (6, 6)
        assert add(WAITING[0], *POPPED, "A-NEW-KEY") == 1
        assert pop_all() == [WAITING[1], *WAITING[3:], "A-NEW-KEY"]

    def test_used_keys_may_be_a_table(self, db):
        table = "key;order\n" + "\n".join(f"{key};{number}" for number, key in enumerate(POPPED))

        report = import_fixture(used_keys=[key_file(table)])

        assert report.counts["used keys"].kept == len(POPPED)
        assert add(*POPPED) == 0


class TestAfterwards:
    def test_key_of_a_pooled_license_never_enters_a_pool(self, moved):
        assert add(*POOLED) == 0

        License.objects.filter(account=moved, key__in=POOLED).delete()

        assert add(*POOLED) == 0

    def test_key_of_a_pooled_license_is_no_key_of_another_license(self, moved):
        License.objects.filter(account=moved, key=POOLED[0]).delete()

        license = License(account=moved, policy=Policy.objects.get(account=moved, name="Perpetual"), key=POOLED[0])

        assert license.is_key_taken()

    def test_keys_that_moved_in_come_before_those_that_are_added(self, moved):
        assert add("KEY-0001", "KEY-0002") == 2

        assert pop_all() == [*WAITING, "KEY-0001", "KEY-0002"]

    def test_order_is_that_of_creation_and_not_of_ids(self, moved):
        ids = [str(Key.objects.with_key(text).get().pk) for text in WAITING]

        assert ids != sorted(ids)
        assert pop_all() == WAITING

    def test_key_that_is_put_back_is_the_next_one(self, moved):
        policy = Policy.objects.get(pk=POOL)
        first, second = policy.pool.pop(AUDIT), policy.pool.pop(AUDIT)

        return_key(policy=policy, text=first.key, undelivered=True, audit=AUDIT)
        forget_hints(policy)  # as at the commit

        assert [first.key, second.key] == WAITING[:2]
        assert pop_all() == [WAITING[0], *WAITING[2:]]

    def test_ledger_tells_where_the_keys_came_from(self, moved):
        key_import = KeyImport.objects.get(policy=POOL)

        assert (key_import.name, key_import.added) == ("Moved in from keygen-api", len(WAITING))
        event = KeyEvent.objects.get(key_import=key_import)
        assert (event.event, event.details) == ("added", {"count": len(WAITING)})

    def test_license_gets_the_next_key(self, moved_admin):
        document = {
            "data": {
                "type": "licenses",
                "relationships": {"policy": {"data": {"type": "policies", "id": POOL}}},
            }
        }
        response = moved_admin.post("licenses", document)

        assert response.status_code == 201, response.content
        assert response.json()["data"]["attributes"]["key"] == WAITING[0]


@pytest.mark.postgresql
@pytest.mark.django_db(transaction=True)
def test_concurrent_pops_of_a_moved_pool_hand_out_each_key_once():
    newest = datetime.fromisoformat("2026-11-28T00:00:00Z")
    import_fixture(with_keys(*(f"MOVED-{number:04}" for number in range(60)), created_at=newest))
    policy = Policy.objects.get(pk=POOL)

    def pop_many():
        return [policy.pool.pop(AUDIT).key for _ in range(12)]

    popped = [text for texts in race(6, pop_many) for text in texts]

    assert len(popped) == len(set(popped)) == 72
    assert set(WAITING) <= set(popped)
    assert Account.objects.get(pk=ACCOUNT_ID).keys.available().count() == 16 + 60 - 72 + 3
