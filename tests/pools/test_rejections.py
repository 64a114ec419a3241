"""Rejected lines: their reasons in words, their rows in a CSV, and the lines that are repeated."""

import random
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from accounts.audit import AuditContext
from keygen_site.db.fields import digest
from licensing.services import issue_license
from pools.key_files import Line, Reason
from pools.services.imports import (
    import_keys,
)
from pools.services.keys import delete_key, pop_keys, reveal_key, withdraw_key
from pools.services.rejections import REJECTED_COLUMNS, Rejection, SeenLines, rejected_row
from tests.cast import add_keys, make_license, make_policy, numbered
from tests.pools.test_import_reports import ORIGIN, add, lines, read, today


class TestReasons:
    def sentences(self, policy, *texts, **options):
        report = add(policy, *texts, skip_invalid=True, dry_run=True, **options)
        return {each.text: each.sentence for each in report.first}

    def test_reasons_tell_the_history_of_a_key(self, acme):
        other = make_policy(acme.product, "Winter sale", use_pool=True)
        add(acme.policy, *numbered(5), name="ACME PO 4711")
        add_keys(acme.policy, "KEY-0006")
        add(other, "KEY-0007", "KEY-0008")
        add(acme.policy, "KEY-0009", used=datetime(2026, 1, 2, tzinfo=UTC))
        make_license(acme.unpooled, "LICENSE-1")
        make_license(acme.unpooled, "LICENSE-2", name="Meier")
        pop_keys(policy=acme.policy, count=1, audit=replace(ORIGIN, reference="Order 10021"))
        pop_keys(policy=acme.policy, count=1, audit=ORIGIN)
        issue_license(policy=acme.policy, audit=replace(ORIGIN, reference="Order 10022"))
        withdraw_key(policy=acme.policy, text="KEY-0004", audit=ORIGIN, reason="defective")
        (deleted,) = add_keys(acme.policy, "DELETED-1")
        reveal_key(deleted, ORIGIN)
        delete_key(deleted, ORIGIN)
        (sold,) = pop_keys(policy=other, count=1, audit=replace(ORIGIN, reference="Order 10023"))
        sold.delete()

        texts = [*numbered(9), "LICENSE-1", "LICENSE-2", "DELETED-1"]
        assert self.sentences(acme.policy, *texts) == {
            "KEY-0001": f"Already handed out on {today()} for Order 10021",
            "KEY-0002": f"Already handed out on {today()}",
            "KEY-0003": f"Already handed out on {today()} with a license for Order 10022",
            "KEY-0004": f"Withdrawn on {today()}: defective",
            "KEY-0005": f"Already in this pool since {today()}, from the import ACME PO 4711",
            "KEY-0006": f"Already in this pool since {today()}",
            "KEY-0007": f"Already handed out on {today()} for Order 10023; the key has been deleted since",
            "KEY-0008": "Already in the pool Winter sale",
            "KEY-0009": "Already used in another system on 2 Jan 2026",
            "LICENSE-1": f"Already the key of a license, created on {today()}",
            "LICENSE-2": f"Already the key of the license Meier, created on {today()}",
            "DELETED-1": "The key was used before, by a key or license that has been deleted",
        }

    def test_reasons_say_where_a_used_key_is_still_available(self, acme):
        other = make_policy(acme.product, "Winter sale", use_pool=True)
        add(other, "KEY-0001")

        assert self.sentences(acme.policy, "KEY-0001", used=datetime(2026, 1, 2, tzinfo=UTC)) == {
            "KEY-0001": "Available in the pool Winter sale, although it was used: withdraw it there"
        }

    def test_a_product_learns_nothing_of_the_keys_of_another(self, acme):
        other = make_policy(acme.another_product(), "Secret sale", use_pool=True)
        add(other, *numbered(2))
        pop_keys(policy=other, count=1, audit=replace(ORIGIN, reference="Order 10021"))
        license = make_license(make_policy(acme.another_product(), "Ordinary"), "LICENSE-1", name="Meier")
        product = AuditContext(bearer_type="products", bearer_id=acme.product.pk)
        add(acme.policy, "KEY-0003", audit=product)

        assert self.sentences(acme.policy, *numbered(3), license.key, audit=product) == {
            **dict.fromkeys([*numbered(2), "LICENSE-1"], "The key is already taken in this account"),
            "KEY-0003": f"Already in this pool since {today()}",
        }

    @pytest.mark.parametrize("dry_run", [False, True])
    def test_repeated_lines_name_the_first_one(self, pooled_policy, small_chunks, dry_run):
        files = [
            [*lines("KEY-0001", "KEY-0002", "KEY-0001", "KEY-0003", ""), Line(6, "KEY-0002"), Line(7, "KEY-0002")],
            lines("KEY-0004", "KEY-0003"),
        ]

        report = import_keys(policy=pooled_policy, files=files, audit=ORIGIN, dry_run=dry_run, skip_invalid=True)

        assert [(each.file, each.line, each.sentence) for each in report.first] == [
            (0, 3, "Same as line 1"),
            (0, 6, "Same as line 2"),
            (0, 7, "Same as line 2"),
            (1, 2, "Same as line 4 of file 1"),
        ]

    def test_reasons_name_the_file_of_the_first_line(self, pooled_policy):
        files = [read("KEY-0001\nKEY-0002\n", "first.txt"), read("KEY-0003\nKEY-0002\n", "second.txt")]

        report = import_keys(policy=pooled_policy, files=files, audit=ORIGIN)

        assert [each.sentence for each in report.first] == ["Same as line 2 of first.txt"]

    def test_reasons_describe_a_hidden_character(self, pooled_policy):
        report = import_keys(
            policy=pooled_policy, files=[read("KEY-0001\nKEY-\u200b0002\nKEY-0003\nKEY-0004\n")], audit=ORIGIN
        )

        (rejection,) = report.first
        assert rejection.text == "KEY-\\u200b0002"
        assert rejection.sentence == (
            "The key has characters that cannot be seen: U+200B ZERO WIDTH SPACE at character 5"
        )
        assert report.as_dict()["rejections"] == [
            {"line": 2, "code": "invisible", "detail": rejection.sentence},
        ]

    def test_only_reported_rejections_are_looked_up(self, pooled_policy, monkeypatch, small_chunks):
        monkeypatch.setattr("pools.services.imports.MAX_REPORTED_REJECTIONS", 4)
        add(pooled_policy, *numbered(9))
        heard = []

        add(pooled_policy, *numbered(9), on_rejected=heard.extend)

        assert [bool(each.detail) for each in heard] == [True] * 4 + [False] * 5

    def test_reasons_cost_few_queries(self, pooled_policy, django_assert_max_num_queries):
        add(pooled_policy, *numbered(400))
        with django_assert_max_num_queries(60):
            add(pooled_policy, *numbered(400), skip_invalid=True)


class TestRejectedRow:
    def test_cells_are_no_formulas(self):
        wrong = []
        for sign in "=+-@\t\r＝＋－＠":
            for text in (f"{sign}cmd|' /C calc'!A0", f"{sign}SUM(1+1)"):
                row = rejected_row(Rejection(0, 3, text, Reason.BLANKS, text), text)
                if any(cell.startswith(sign) for cell in row):
                    wrong.append(row)

        assert wrong == []

    def test_cells_are_named(self):
        row = rejected_row(Rejection(0, None, "KEY-0001", Reason.LICENSE), "keys.txt")

        assert dict(zip(REJECTED_COLUMNS, row, strict=True)) == {
            "file": "keys.txt",
            "line": "",
            "code": "license",
            "reason": "The key is already a license's key",
            "text": "KEY-0001",
        }


class TestSeenLines:
    def test_lines_are_found_one_by_one_and_by_a_scan(self):
        digests = [digest(str(number)) for number in range(500)]
        seen = SeenLines()
        for start in range(0, 500, 50):
            seen.add(start // 250, digests[start : start + 50], range(start % 250 + 1, start % 250 + 51))
            seen.add(start // 250, digests[:5], range(901, 906))
        expected = {each: (number // 250, number % 250 + 1) for number, each in enumerate(digests)}

        assert seen.find(digests) == expected
        assert {key: found for each in digests for key, found in seen.find([each]).items()} == expected
        assert seen.find([digest("unknown")]) == {}

    def test_a_part_that_spans_two_digests_is_not_found(self):
        source = random.Random(1)
        digests = [source.randbytes(32) for _ in range(3)]
        seen = SeenLines()
        seen.add(0, digests, [1, 2, 3])

        between = digests[0][4:8] + digests[1][:4] + bytes(24)

        assert seen.find([between]) == {}
        assert seen.find([between, *(source.randbytes(32) for _ in range(40))]) == {}

    def test_memory_is_bounded(self, monkeypatch):
        monkeypatch.setattr("pools.services.rejections.MAX_REMEMBERED_LINES", 4)
        digests = [digest(str(number)) for number in range(9)]
        seen = SeenLines()
        for start in (0, 3, 6):
            seen.add(0, digests[start : start + 3], range(start + 1, start + 4))

        assert len(seen.find(digests)) == 6
