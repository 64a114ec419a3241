"""Reports of imports: the detected format, warnings, the first and last keys, and reasons in words."""

import io
from datetime import UTC, datetime

import pytest

from accounts.audit import AuditContext
from pools.key_files import Line, ReadOptions, Reason, UsedRows, open_key_file
from pools.models import Key, KeyEvent, KeyImport
from pools.services.imports import (
    AlreadyImported,
    ImportRejected,
    WarningsNotAccepted,
    import_keys,
    stage_import,
)
from pools.services.keys import pop_keys, withdraw_key
from tests.cast import make_license, make_policy, numbered

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
