"""Texts that one row of an import calls used, and another one free."""

import io

import pytest

from accounts.audit import AuditContext
from pools.key_files import ReadOptions, UsedRows, open_key_file
from pools.models import Key, UsedText
from pools.services import import_chunks, used_rows
from pools.services.imports import import_keys
from tests.cast import numbered

AUDIT = AuditContext(operator="tests")
FREE, USED = "K1-AAAA-0001,", "K1-AAAA-0001,yes"
OTHERS = [f"{key}," for key in numbered(7)]
# The lines of each file: a free and a used row of one key, in one chunk or several, in one file or two.
ORDERS = {
    "free first": [[FREE, USED, *OTHERS]],
    "used first": [[USED, FREE, *OTHERS]],
    "free thrice": [[FREE, USED, FREE, *OTHERS, FREE]],
    "free first, far apart": [[FREE, *OTHERS, USED]],
    "used first, far apart": [[USED, *OTHERS, FREE]],
    "used twice, far apart": [[USED, FREE, *OTHERS, USED]],
    "free in the first file": [[FREE], [USED, *OTHERS]],
    "used in the first file": [[USED], [FREE, *OTHERS]],
}


def run(policy, files, used_rows, **options):
    opened = [
        open_key_file(
            io.BufferedReader(io.BytesIO("\n".join(["key,used", *lines, ""]).encode())),
            ReadOptions(used_rows=used_rows),
        )
        for lines in files
    ]
    return import_keys(policy=policy, files=opened, audit=AUDIT, skip_invalid=True, accept_warnings=True, **options)


@pytest.mark.django_db
class TestUsedRows:
    @pytest.fixture(autouse=True)
    def small_parts(self, monkeypatch):
        monkeypatch.setattr(import_chunks, "CHUNK_LINES", 3)
        monkeypatch.setattr(used_rows, "_TEXTS_PER_SCAN", 1)

    @pytest.mark.parametrize("order", ORDERS)
    def test_key_that_a_row_calls_used_is_not_added(self, pooled_policy, order):
        lines = [line for file in ORDERS[order] for line in file]
        previewed = run(pooled_policy, ORDERS[order], UsedRows.REJECT, dry_run=True)
        rejected = []

        report = run(pooled_policy, ORDERS[order], UsedRows.REJECT, on_rejected=rejected.extend)

        assert list(Key.objects.order_by("id").values_list("key", flat=True)) == numbered(7)
        assert previewed.would_add == report.added == 7
        assert previewed.reasons == report.reasons
        assert len(rejected) == report.rejected == sum(line.startswith("K1") for line in lines)
        assert {each.text for each in rejected} == {"K1-AAAA-0001"}
        assert "K1-AAAA-0001" not in [*report.first_keys, *report.last_keys]
        assert not UsedText.objects.exists()

    @pytest.mark.parametrize("order", ORDERS)
    def test_key_that_a_row_calls_used_is_added_as_used(self, pooled_policy, order):
        previewed = run(pooled_policy, ORDERS[order], UsedRows.USED, dry_run=True)

        report = run(pooled_policy, ORDERS[order], UsedRows.USED)

        key = Key.objects.get(key="K1-AAAA-0001")
        assert (key.popped is not None, key.disclosure) == (True, Key.Disclosure.USED)
        assert sorted(pooled_policy.pool.available().values_list("key", flat=True)) == numbered(7)
        assert previewed.would_add == report.added == 8
        assert previewed.used == report.used == 1

    def test_row_with_an_unknown_time_blocks_the_others(self, pooled_policy):
        files = [["key,popped", "K1-AAAA-0001,", *OTHERS, "K1-AAAA-0001,in spring"]]
        opened = open_key_file(
            io.BufferedReader(io.BytesIO("\n".join([*files[0], ""]).encode())), ReadOptions(used_rows=UsedRows.USED)
        )

        report = import_keys(policy=pooled_policy, files=[opened], audit=AUDIT, skip_invalid=True, accept_warnings=True)

        assert (report.added, report.rejected) == (7, 2)
        assert not Key.objects.filter(key="K1-AAAA-0001").exists()

    def test_refusal_names_both_ways_out(self, pooled_policy):
        report = import_keys(
            policy=pooled_policy,
            files=[open_key_file(io.BufferedReader(io.BytesIO(b"key,customer\nKEY-0001,Ann\n")), ReadOptions())],
            audit=AUDIT,
        )

        assert "customer" in report.refusal.detail
        assert "--used-rows ignore" in report.refusal.detail
