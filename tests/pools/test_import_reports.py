"""Reports of imports: what was understood, warnings, the first and last keys, and reasons in words."""

import io
import random
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from accounts.audit import AuditContext
from keygen_site.db.fields import digest
from licensing.services import issue_license
from pools.key_files import Line, ReadOptions, Reason, UsedRows, open_key_file
from pools.models import Key, KeyEvent, KeyImport
from pools.services.imports import (
    AlreadyImported,
    ImportRejected,
    WarningsNotAccepted,
    import_keys,
    stage_import,
)
from pools.services.keys import delete_key, pop_keys, reveal_key, withdraw_key
from pools.services.rejections import REJECTED_COLUMNS, Rejection, SeenLines, rejected_row
from tests.cast import add_keys, make_license, make_policy, numbered

ORIGIN = AuditContext(operator="tests", bearer_type="users")
TITLE = "LICENSE KEYS FOR ACME"


def lines(*texts):
    return [Line(number, text) for number, text in enumerate(texts, 1)]


def add(policy, *texts, audit=ORIGIN, **options):
    return import_keys(policy=policy, files=[lines(*texts)], audit=audit, **options)


def read(text, name="keys.txt", **options):
    return open_key_file(io.BufferedReader(io.BytesIO(text.encode())), ReadOptions(**options), name=name)


def today():
    now = datetime.now(UTC)
    return f"{now.day} {now:%b %Y}"


@pytest.fixture
def small_chunks(monkeypatch):
    """So that a few lines are several chunks."""
    monkeypatch.setattr("pools.services.import_chunks.CHUNK_LINES", 3)


class TestReport:
    def test_report_has_the_form_of_the_files_and_the_keys_at_both_ends(self, pooled_policy, small_chunks):
        keys = numbered(12)
        files = [
            read("note;key\n" + "".join(f"x;{key}\n" for key in keys[:9]), name="a.csv"),
            read("".join(f" {key}\n" for key in keys[9:]), name="b.txt", trim=True),
        ]

        report = import_keys(policy=pooled_policy, files=files, audit=ORIGIN)

        assert (report.added, report.refusal, report.warnings) == (12, None, [])
        assert (report.first_keys, report.last_keys) == (keys[:5], keys[7:])
        assert report.trimmed == 3
        shown = report.as_dict(["a.csv", "b.txt"])
        assert [(each["file"], each["kind"], each["delimiter"]) for each in shown["understood"]] == [
            ("a.csv", "csv", ";"),
            ("b.txt", "text", None),
        ]
        assert [each["ignoredColumns"] for each in shown["understood"]] == [["note"], []]
        assert (shown["firstKeys"], shown["lastKeys"], shown["trimmed"]) == (keys[:5], keys[7:], 3)
        assert (shown["wouldAdd"], shown["alreadyImported"], shown["warnings"]) == (None, False, [])

    def test_report_of_a_dry_run_says_how_many_would_be_added(self, pooled_policy):
        assert add(pooled_policy, *numbered(3), dry_run=True).would_add == 3
        flawed = [Line(1, "short", Reason.TOO_SHORT), Line(2, "KEY-0001")]
        for skip_invalid, count in ((False, 0), (True, 1)):
            report = import_keys(
                policy=pooled_policy, files=[flawed], audit=ORIGIN, dry_run=True, skip_invalid=skip_invalid
            )
            assert (report.would_add, report.as_dict()["wouldAdd"]) == (count, count)


class TestWarnings:
    @pytest.mark.parametrize("dry_run", [False, True])
    def test_serious_warnings_refuse_the_import(self, pooled_policy, dry_run):
        texts = [TITLE, *numbered(5)]

        with (
            pytest.raises(WarningsNotAccepted) as refused,
            stage_import(policy=pooled_policy, files=[lines(*texts)], audit=ORIGIN, dry_run=dry_run) as staged,
        ):
            staged.publish()

        error = refused.value
        assert (error.status, error.code) == (422, "IMPORT_WARNINGS")
        assert "Line 1 is a line of words." in error.detail
        assert "--accept-warnings" in error.detail
        assert error.meta["warnings"] == [
            {
                "code": "words",
                "message": "Line 1 is a line of words.",
                "serious": True,
                "count": 1,
                "lines": [1],
                "samples": [TITLE],
            }
        ]
        assert error.meta["wouldAdd"] == (0 if dry_run else None)
        assert not Key.objects.exists()
        assert not KeyImport.objects.exists()

    def test_accepted_warnings_stay_in_the_report(self, pooled_policy):
        texts = [TITLE, *numbered(5)]

        assert add(pooled_policy, *texts, accept_warnings=True, dry_run=True).would_add == 6
        report = add(pooled_policy, *texts, accept_warnings=True)

        assert (report.added, report.refusal) == (6, None)
        assert [warning.code for warning in report.warnings] == ["words"]

    def test_other_warnings_refuse_nothing(self, pooled_policy):
        report = add(pooled_policy, *numbered(20), "KEY-0021-2")

        assert report.added == 21
        assert [(each.code, each.is_serious, each.lines) for each in report.warnings] == [("odd_shape", False, (21,))]

    def test_rejected_lines_are_told_before_warnings(self, pooled_policy):
        report = add(pooled_policy, TITLE, *numbered(5), "KEY-0001")

        assert isinstance(report.refusal, ImportRejected)
        assert [warning.code for warning in report.refusal.report.warnings] == ["words"]
        assert isinstance(
            add(pooled_policy, TITLE, "KEY-0001", "KEY-0001", skip_invalid=True).refusal, WarningsNotAccepted
        )

    def test_warnings_name_their_file(self, pooled_policy):
        files = [lines(*numbered(5)), lines(TITLE, *numbered(9)[5:])]

        report = import_keys(policy=pooled_policy, files=files, audit=ORIGIN)

        assert [each["file"] for each in report.as_dict(["a.txt", "b.txt"])["warnings"]] == ["b.txt"]

    def test_keys_unlike_those_of_the_pool_are_a_warning(self, acme):
        add(acme.policy, *(f"ACME-{number:05}" for number in range(6)))
        others = [f"OTHER-{number:08}" for number in range(6)]

        report = add(acme.policy, *others, dry_run=True)

        (warning,) = report.warnings
        assert (warning.code, warning.is_serious, warning.count) == ("unlike_pool", False, 6)
        assert "begin with “ACME-” and have 10 characters" in warning.message
        assert add(acme.policy, *(f"ACME-{number:05}" for number in range(6, 9))).warnings == []

    def test_keys_are_compared_with_popped_ones_if_none_is_available(self, acme):
        add(acme.policy, *(f"ACME-{number:05}" for number in range(6)))
        pop_keys(policy=acme.policy, count=6, audit=ORIGIN)

        (warning,) = add(acme.policy, *(f"OTHER-{number:08}" for number in range(6))).warnings

        assert warning.code == "unlike_pool"

    def test_a_pool_with_few_keys_is_no_measure(self, acme):
        add(acme.policy, *(f"ACME-{number:05}" for number in range(4)))

        assert add(acme.policy, *(f"OTHER-{number:08}" for number in range(6))).warnings == []


class TestLookAlikes:
    PAIRS = (
        ("KEY-0001", "KEY‑0001"),
        ("KEY-0001", "KEY–0001"),
        ("KEY-0001", "KEY—0001"),
        ("KEY-0001", "KEY−0001"),
        ("SCHLÜSSEL-1", "SCHLU\u0308SSEL-1"),
        ("SCHLÜSSEL-1", "SCHLÜSSEL–1"),
        ("KEY-0001", "ＫＥＹ-0001"),
        ("KEY'S-0001", "KEY’S-0001"),
    )

    def test_keys_of_one_file_that_look_alike_are_a_warning(self, acme, small_chunks):
        wrong = []
        for dry_run in (True, False):
            for number, pair in enumerate((*self.PAIRS, *((b, a) for a, b in self.PAIRS))):
                first, second = (f"{text}-{number}" for text in pair)
                fillers = [f"FILL-{number:02}{each}" for each in range(5)]
                report = add(acme.policy, first, *fillers, second, dry_run=dry_run)
                found = [
                    (each.code, each.count, each.is_serious) for each in report.warnings if each.code == "look_alike"
                ]
                if found != [("look_alike", 1, False)]:
                    wrong.append((dry_run, pair, found))

        assert wrong == []

    def test_keys_that_look_like_one_of_the_account_are_a_warning(self, acme):
        other = make_policy(acme.product, "Other", use_pool=True)
        wrong = []
        for number, pair in enumerate((*self.PAIRS, *((b, a) for a, b in self.PAIRS[:5]))):
            first, second = (f"{text}{number}" for text in pair)
            add(other, first)
            found = [each.code for each in add(acme.policy, second).warnings]
            if "look_alike" not in found:
                wrong.append((pair, found))

        assert wrong == []

    def test_keys_that_differ_otherwise_are_no_warning(self, acme):
        texts = ["SCHLÜSSEL-1", "SCHLUSSEL-1", "SCHLÜSSEL-2", "schlüssel-1", "КЛЮЧ-0001", "KEY-0001"]

        report = add(acme.policy, *texts)

        assert [each for each in report.warnings if each.code == "look_alike"] == []

    def test_keys_of_another_account_are_no_measure(self, acme, rival):
        add(rival.policy, "KEY-0001")

        assert add(acme.policy, "KEY–0001").warnings == []


class TestAlreadyImported:
    @pytest.mark.parametrize("dry_run", [False, True])
    @pytest.mark.parametrize("skip_invalid", [False, True])
    def test_the_same_file_again_is_an_error_of_its_own(self, pooled_policy, small_chunks, dry_run, skip_invalid):
        add(pooled_policy, *numbered(7))
        pop_keys(policy=pooled_policy, count=2, audit=ORIGIN)
        withdraw_key(policy=pooled_policy, text="KEY-0004", audit=ORIGIN)

        with (
            pytest.raises(AlreadyImported) as refused,
            stage_import(
                policy=pooled_policy,
                files=[lines(*numbered(7), "KEY-0003", "KEY-0007")],
                audit=ORIGIN,
                dry_run=dry_run,
                skip_invalid=skip_invalid,
            ) as staged,
        ):
            staged.publish()

        assert (refused.value.status, refused.value.code) == (409, "ALREADY_IMPORTED")
        assert refused.value.meta["alreadyImported"] is True
        assert KeyImport.objects.count() == 1

    def test_a_file_with_bad_lines_again_is_told_when_they_are_left_out(self, pooled_policy):
        flawed = [*lines(*numbered(3)), Line(4, "short", Reason.TOO_SHORT)]
        import_keys(policy=pooled_policy, files=[flawed], audit=ORIGIN, skip_invalid=True)

        again = import_keys(policy=pooled_policy, files=[flawed], audit=ORIGIN, skip_invalid=True)
        strictly = import_keys(policy=pooled_policy, files=[flawed], audit=ORIGIN)

        assert isinstance(again.refusal, AlreadyImported)
        assert isinstance(strictly.refusal, ImportRejected)

    def test_other_files_are_not_the_same(self, acme):
        other = make_policy(acme.product, "Other", use_pool=True)
        add(acme.policy, *numbered(3))
        add(other, "KEY-0009")
        license = make_license(acme.unpooled, "LICENSE-1")

        for texts in ([*numbered(4)], ["KEY-0009"], [license.key], ["KEY-0001", license.key]):
            assert not add(acme.policy, *texts, dry_run=True).already_imported


class TestUsedRows:
    TIME = "2026-01-02T03:04:05Z"
    ROWS = f"key,popped\nKEY-0001,\nKEY-0002,{TIME}\nKEY-0003,\n"

    def test_used_rows_are_rejected(self, pooled_policy):
        report = import_keys(policy=pooled_policy, files=[read(self.ROWS, "a.csv")], audit=ORIGIN, skip_invalid=True)

        assert (report.added, report.used) == (2, 0)
        assert [(each.line, each.reason) for each in report.first] == [(3, Reason.USED_ROW)]
        assert report.first[0].sentence.startswith("The key is used, as another column of its row says")

    def test_used_rows_are_added_as_used(self, pooled_policy):
        file = read(self.ROWS, "a.csv", used_rows=UsedRows.USED)

        report = import_keys(policy=pooled_policy, files=[file], audit=ORIGIN)

        assert (report.added, report.used, report.as_dict()["used"]) == (3, 1, 1)
        popped = dict(Key.objects.values_list("key", "popped"))
        assert popped == {
            "KEY-0001": None,
            "KEY-0002": datetime.fromisoformat(self.TIME),
            "KEY-0003": None,
        }
        assert Key.objects.get(key="KEY-0002").disclosure == "used"
        assert "used" not in KeyEvent.objects.get(event="added").details

    def test_used_rows_without_a_time_are_used_now(self, pooled_policy):
        file = [Line(1, "KEY-0001", is_used=True), Line(2, "KEY-0002", popped="no time", is_used=True)]

        report = import_keys(policy=pooled_policy, files=[file], audit=ORIGIN, skip_invalid=True)

        assert (report.added, report.used) == (1, 1)
        assert Key.objects.get().popped
        assert [each.reason for each in report.first] == [Reason.NOT_A_TIME]
        assert KeyEvent.objects.get(event="added").details == {"count": 1, "used": True}

    def test_used_rows_are_available_when_the_column_is_ignored(self, pooled_policy):
        file = read(self.ROWS, "a.csv", used_rows=UsedRows.IGNORE)

        assert import_keys(policy=pooled_policy, files=[file], audit=ORIGIN).added == 3
        assert pooled_policy.pool.available().count() == 3


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
            "KEY-0001": "The key was popped before",
            "KEY-0002": "The key is already in another pool",
            "KEY-0003": f"Already in this pool since {today()}",
            "LICENSE-1": "The key is already a license's key",
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
