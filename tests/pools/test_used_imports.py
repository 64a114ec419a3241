"""Imports of keys that were used in another system."""

import csv
import json
from datetime import UTC, datetime, timedelta

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from pools.bulk_import import bulk_importer
from pools.key_files import FileUnreadable, Line, Reason
from pools.key_rows import RowMaker
from pools.models import DailyPopCount, Key, KeyEvent, KeyImport, UsedText
from pools.services.imports import import_keys, stage_import
from pools.services.low_stock import alert_if_low
from pools.services.statistics import count_pools, summarize_pools
from tests.cast import add_keys, make_license, make_policy, numbered
from tests.errors import assert_refused, bad_request
from tests.pools.test_import import ORIGIN, add
from tests.pools.test_import_api import send
from tests.pools.test_import_command import run  # noqa: F401
from tests.tables import each_row

USED = datetime(2024, 1, 31, tzinfo=UTC)


@pytest.fixture
def path(pooled_policy):
    return f"policies/{pooled_policy.pk}/pool/actions"


def states():
    """The states of all keys by text."""
    return dict(Key.objects.values_list("key", "popped"))


class TestQuery:
    """The parameter `used`."""

    @each_row("query", ["?used=true", "?used", "?used=1", "?used=TRUE"])
    def test_used_keys_are_popped_now(self, acme, api, path, query):
        before = timezone.now()

        response = send(api(acme.admin), path, query=query)

        assert (response.status_code, response.json()["meta"]["added"]) == (200, 3)
        for key in Key.objects.all():
            assert before <= key.popped <= timezone.now()
            assert (key.disclosed, key.disclosure, key.disclosed_to) == (key.popped, "used", "")

    @each_row("time", ["2024-01-31", "2024-01-31T00:00:00Z", "2024-01-31T01:00:00%2B01:00", "1706659200"])
    def test_used_keys_are_popped_at_a_time(self, acme, api, path, time):
        response = send(api(acme.admin), path, query=f"?used={time}")

        assert response.status_code == 200, response.content
        assert states() == dict.fromkeys(numbered(3), USED)

    @each_row("query", ["", "?used=false", "?used=0"])
    def test_keys_that_are_not_used_are_available(self, acme, api, path, query):
        send(api(acme.admin), path, query=query)

        assert acme.policy.pool.available().undisclosed().count() == 3

    @each_row("value", ["maybe", "2100-01-01", "-1", "9" * 30, "2024-02-30", "0001-01-01T00:00:00%2B14:00", "nan"])
    def test_used_is_refused_unless_it_is_a_time_in_the_past(self, acme, api, path, value):
        response = send(api(acme.admin), path, query=f"?used={value}")

        assert_refused(response, 400, bad_request("must be true, false or a time in the past", parameter="used"))
        assert not Key.objects.exists()


FILES = {"csv": "text/csv", "ndjson": "application/x-ndjson"}


def file_of(format, rows):
    """A file with the members `key` and `popped`."""
    if format == "ndjson":
        return "\n".join(json.dumps({"key": key, "popped": popped}) for key, popped in rows).encode()
    return "\n".join(["popped,key", *(f"{popped or ''},{key}" for key, popped in rows)]).encode()


class TestFile:
    """The column or member `popped`."""

    @each_row("format", FILES)
    def test_popped_of_the_file_precedes_the_query(self, acme, api, path, format):
        times = {
            "KEY-0001": "2023-05-06T07:08:09.123456+00:00",
            "KEY-0002": "2023-05-06T09:08:09.123456+02:00",
            "KEY-0003": "2023-05-06 07:08:09.123456",
            "KEY-0004": "2023-05-06",
            "KEY-0005": None,
        }

        response = send(api(acme.admin), path, file_of(format, times.items()), FILES[format], "?used=2024-01-31")

        assert response.status_code == 200, response.content
        time = datetime(2023, 5, 6, 7, 8, 9, 123456, UTC)
        assert states() == dict.fromkeys(numbered(3), time) | {
            "KEY-0004": datetime(2023, 5, 6, tzinfo=UTC),
            "KEY-0005": USED,
        }
        assert all(key.disclosed == key.popped for key in Key.objects.all())

    @each_row("format", FILES)
    def test_our_own_export_is_read_back(self, acme, rival, api, path, audit, format):
        add_keys(acme.policy, *numbered(4))
        for _ in range(3):
            acme.policy.pool.pop(audit)
        before = dict(acme.policy.pool.exclude(popped=None).values_list("key", "popped"))
        file = b"".join(api(acme.admin).get(f"{path}/export?state=popped&format={format}").streaming_content)

        theirs = f"policies/{rival.policy.pk}/pool/actions"
        response = send(api(rival.admin, "rival"), theirs, file, FILES[format], "?used")

        assert response.json()["meta"]["added"] == 3
        assert dict(rival.policy.pool.values_list("key", "popped")) == before

    @each_row("format", FILES)
    def test_line_with_a_malformed_time_is_rejected(self, acme, api, path, format):
        wrong = ["yesterday", "2100-01-01", "2024-02-30", "1706659200", "0001-01-01T00:00:00+14:00"]
        if format == "ndjson":
            wrong += [1706659200, True, [], {}]
        rows = [(f"KEY-{number:04}", popped) for number, popped in enumerate(wrong, 1)]
        body = file_of(format, [*rows, ("KEY-0099", "2023-05-06")])

        response = send(api(acme.admin), path, body, FILES[format], "?used&skip-invalid")

        meta = response.json()["meta"]
        first = 2 if format == "csv" else 1
        assert meta["rejections"] == [
            {"line": line, "code": "not_a_time", "detail": "The key has no valid time in the column popped"}
            for line in range(first, first + len(wrong))
        ]
        assert states() == {"KEY-0099": datetime(2023, 5, 6, tzinfo=UTC)}

    @each_row("format", FILES)
    def test_rows_with_a_time_are_rejected_unless_they_are_used_or_the_column_is_ignored(self, acme, api, path, format):
        body = file_of(format, [("KEY-0001", "2023-05-06"), ("KEY-0002", "nonsense")])

        response = send(api(acme.admin), path, body, FILES[format])
        assert [each["code"] for each in response.json()["meta"]["rejections"]] == ["used_row"] * 2

        send(api(acme.admin), path, body, FILES[format], "?used-rows=ignore")
        assert states() == dict.fromkeys(numbered(2))


class TestLife:
    """Used keys stay blocked."""

    @pytest.fixture(autouse=True)
    def used_keys(self, pooled_policy):
        add(pooled_policy, *numbered(2), used=USED)

    def act(self, api, acme, action, **meta):
        return api(acme.admin).post(f"policies/{acme.policy.pk}/pool/actions/{action}", {"meta": meta})

    def test_used_keys_are_not_available(self, acme, api):
        admin = api(acme.admin)

        assert admin.delete(f"policies/{acme.policy.pk}/pool").json()["errors"][0]["detail"] == "pool is empty"
        assert admin.get("keys").json()["data"] == []

    def test_used_keys_are_not_returned(self, acme, api):
        response = self.act(api, acme, "return", key="KEY-0001", undelivered=True)

        assert (response.status_code, response.json()["errors"][0]["code"]) == (422, "KEY_DISCLOSED")
        assert states() == dict.fromkeys(numbered(2), USED)

    def test_used_keys_can_be_replaced(self, acme, api):
        add_keys(acme.policy, "KEY-0003")

        response = self.act(api, acme, "replace", key="KEY-0001")

        assert response.json()["data"]["attributes"]["key"] == "KEY-0003"
        assert Key.objects.get(key="KEY-0001").state == "withdrawn"

    def test_used_keys_can_be_withdrawn(self, acme, api):
        assert self.act(api, acme, "withdraw", key="KEY-0001").status_code == 200

    @each_row("action", ["undo-import", "move-import", "withdraw-import"])
    def test_used_keys_are_left_by_a_change_of_their_import(self, acme, api, action):
        other = make_policy(acme.product, "Other", use_pool=True)
        extra = {"policy": str(other.pk)} if action == "move-import" else {}

        response = self.act(api, acme, action, **{"import": str(KeyImport.objects.get().pk)}, **extra)

        assert response.json()["meta"] == {"changed": 0, "popped": 2, "withdrawn": 0, "disclosed": 0}
        assert dict(acme.policy.pool.values_list("key", "popped")) == dict.fromkeys(numbered(2), USED)

    @each_row("used", [None, USED])
    def test_used_keys_are_not_imported_again(self, acme, used):
        other = make_policy(acme.product, "Other", use_pool=True)

        for policy in (acme.policy, other):
            assert add(policy, *numbered(2), used=used).reasons == {Reason.POPPED: 2}

    def test_used_key_that_waits_in_a_pool_is_named(self, acme):
        """Its pool would hand it out, although it was used."""
        other = make_policy(acme.product, "Other", use_pool=True)
        add(acme.policy, "WAITING-0001")

        for policy in (acme.policy, other):
            assert add(policy, "WAITING-0001", used=USED).reasons == {Reason.STILL_AVAILABLE: 1}

    @each_row("used", [None, USED])
    def test_used_keys_stay_blocked_when_their_policy_is_deleted(self, acme, api, used):
        acme.policy.delete()
        other = make_policy(acme.product, "Other", use_pool=True)

        assert UsedText.objects.filter(kind=UsedText.Kind.KEY).count() == 2
        assert add(other, *numbered(2), used=used).reasons == {Reason.USED: 2}

    def test_used_keys_block_licenses(self, acme, api):
        for deleted in (False, True):
            if deleted:
                acme.policy.delete()
            document = {
                "type": "licenses",
                "attributes": {"key": "KEY-0001"},
                "relationships": {"policy": {"data": {"type": "policies", "id": str(acme.unpooled.pk)}}},
            }
            response = api(acme.admin).post("licenses", {"data": document})

            assert (response.status_code, deleted) == (422, deleted)

    def test_used_keys_are_in_the_ledger_once(self, acme):
        (event,) = KeyEvent.objects.all()

        assert (event.event, event.details) == ("added", {"count": 2, "used": True})


@pytest.fixture
def small_chunks(monkeypatch):
    monkeypatch.setattr("pools.services.import_chunks.CHUNK_LINES", 2)


def break_off(lines):
    """The lines of a file that is cut off."""
    yield from lines
    raise FileUnreadable("The file is not a whole gzip file")


class TestNothingIsBlocked:
    """An import that adds nothing, or not all, blocks no text that it does not add."""

    def lines(self, *texts):
        return [Line(number, text) for number, text in enumerate(texts, 1)]

    def assert_free(self, policy, *texts):
        assert not UsedText.objects.filter(kind=UsedText.Kind.KEY).exists()
        assert not KeyImport.objects.exists()
        assert add(policy, *texts).added == len(texts)

    @each_row(
        "wrong",
        [
            Line(5, "short", Reason.TOO_SHORT),
            Line(5, "KEY-0001"),
            Line(5, "KEY-0005", popped="yesterday"),
            Line(5, "LICENSE-0001"),
            Line(5, "OTHER-0001"),
        ],
    )
    def test_rejected_used_import(self, acme, small_chunks, wrong):
        make_license(acme.unpooled, "LICENSE-0001")
        add_keys(acme.policy, "OTHER-0001")

        lines = [*self.lines(*numbered(4)), wrong]
        report = import_keys(policy=acme.policy, files=[lines], audit=ORIGIN, used=USED)

        assert (report.added, report.rejected) == (0, 1)
        assert states() == {"OTHER-0001": None}
        self.assert_free(acme.policy, *numbered(4))

    def test_used_import_of_a_file_that_breaks_off(self, pooled_policy, small_chunks):
        with pytest.raises(FileUnreadable):
            files = [break_off(self.lines(*numbered(4)))]
            import_keys(policy=pooled_policy, files=files, audit=ORIGIN, used=USED)

        assert states() == {}
        self.assert_free(pooled_policy, *numbered(4))

    def test_used_import_that_is_not_published(self, pooled_policy, small_chunks):
        with stage_import(policy=pooled_policy, files=[self.lines(*numbered(4))], audit=ORIGIN, used=USED):
            pass

        assert states() == {}
        self.assert_free(pooled_policy, *numbered(4))

    def test_dry_run_of_a_used_import(self, pooled_policy, small_chunks):
        lines = [*self.lines(*numbered(3)), Line(4, "KEY-0004", popped="yesterday")]

        report = import_keys(policy=pooled_policy, files=[lines], audit=ORIGIN, used=USED, dry_run=True)

        assert (report.good, report.reasons) == (3, {Reason.NOT_A_TIME: 1})
        assert states() == {}
        assert not KeyEvent.objects.exists()
        self.assert_free(pooled_policy, *numbered(4))

    def test_rejected_lines_of_a_used_import_are_not_blocked(self, acme, small_chunks):
        """The text of a license is blocked by the license alone, so that it can be created again."""
        license = make_license(acme.unpooled, "LICENSE-0001")

        report = add(acme.policy, "KEY-0001", "LICENSE-0001", "KEY-0002", used=USED, skip_invalid=True)

        assert (report.added, report.reasons) == (2, {Reason.LICENSE: 1})
        assert not UsedText.objects.exists()
        license.delete()
        assert UsedText.objects.get().kind == UsedText.Kind.LICENSE

    @pytest.mark.postgresql
    def test_used_key_that_a_license_got_meanwhile_is_not_blocked_as_a_key(self, acme):
        lines = self.lines("KEY-0001", "LICENSE-0001")
        with stage_import(policy=acme.policy, files=[lines], audit=ORIGIN, used=USED, skip_invalid=True) as staged:
            make_license(acme.unpooled, "LICENSE-0001")
            staged.publish()

        assert (staged.report.added, staged.report.reasons) == (1, {Reason.LICENSE: 1})
        assert not UsedText.objects.exists()

    @pytest.mark.sqlite
    def test_used_import_of_a_killed_process(self, pooled_policy, monkeypatch):
        key_import = KeyImport(account=pooled_policy.account, policy=pooled_policy)
        with monkeypatch.context() as patch:
            patch.setattr("pools.bulk_import._delete_unpublished", lambda account_id: None)
            with bulk_importer(key_import) as importer:
                rows = [RowMaker().make(text, USED) for text in numbered(2)]
                importer.write(importer.encode(rows))
        assert Key.objects.count() == 2

        add(pooled_policy, "KEY-0009")

        assert list(states()) == ["KEY-0009"]
        assert not UsedText.objects.exists()


class TestStatistics:
    """Used keys were not handed out here."""

    @pytest.fixture(autouse=True)
    def keys(self, acme):
        acme.policy.created = timezone.now() - timedelta(days=20)
        acme.policy.low_stock_threshold = 5
        acme.policy.save()
        add_keys(acme.policy, "KEY-0001")
        now = timezone.now()
        for number, used in enumerate([now, now - timedelta(days=2), now - timedelta(days=9)], 2):
            add(acme.policy, f"KEY-{number:04}", used=used)

    def pools(self, acme):
        return type(acme.policy).objects.filter(pk=acme.policy.pk)

    def test_used_keys_are_counted_as_popped_only(self, acme):
        (counts,) = count_pools(self.pools(acme))

        assert (counts.available, counts.popped, counts.withdrawn, counts.day, counts.week) == (1, 3, 0, 0, 0)

    def test_used_keys_are_not_in_the_counts_of_days(self, acme):
        (summary,) = summarize_pools(self.pools(acme))

        assert (summary.available, summary.today, summary.week, summary.days_left) == (1, 0, 0, None)
        assert {number for _, number in summary.days} == {0}
        assert set(DailyPopCount.objects.values_list("popped", flat=True)) == {0}

    def test_used_keys_are_counted_once_replaced(self, acme, api):
        path = f"policies/{acme.policy.pk}/pool/actions/replace"
        api(acme.admin).post(path, {"meta": {"key": "KEY-0002"}})

        (counts,) = count_pools(self.pools(acme))

        assert (counts.available, counts.popped, counts.withdrawn, counts.day, counts.week) == (0, 3, 1, 1, 1)

    def test_used_keys_in_the_command(self, acme, capsys):
        call_command("pools", "--json", "--account", "acme")

        (row,) = json.loads(capsys.readouterr().out)["pools"]
        assert [row[name] for name in ("popped", "poppedLastDay", "poppedLastWeek", "daysLeft")] == [3, 0, 0, None]

    def test_used_keys_do_not_end_an_alert(self, acme):
        alert_if_low(acme.policy)
        acme.policy.refresh_from_db()
        alerted = acme.policy.low_stock_alerted
        assert alerted

        add(acme.policy, *(f"USED-{number:04}" for number in range(9)), used=USED)

        acme.policy.refresh_from_db()
        assert acme.policy.low_stock_alerted == alerted


class TestCommand:
    @pytest.fixture(autouse=True)
    def file(self, tmp_path):
        (tmp_path / "a.txt").write_text("KEY-0001\nKEY-0002\n")

    def test_used_without_a_time_is_now(self, pooled_policy, run):  # noqa: F811
        before = timezone.now()

        said, code = run("a.txt", "--policy", pooled_policy.pk, "--used")

        assert (code, Key.objects.filter(disclosure="used", popped__range=(before, timezone.now())).count()) == (0, 2)

    @each_row("time", ["2024-01-31", "2024-01-31T00:00:00Z", "2024-01-31T01:00+01:00"])
    def test_used_at_a_time(self, pooled_policy, run, time):  # noqa: F811
        run("a.txt", "--policy", pooled_policy.pk, "--used", time)

        assert states() == dict.fromkeys(numbered(2), USED)

    @each_row(
        ("time", "said"),
        [
            ("tomorrow", "--used: 'tomorrow' is not a day or time such as 2026-01-31"),
            ("2024-02-30", "--used: '2024-02-30' is not a day or time"),
            ("", "--used: '' is not a day or time"),
            ("0001-01-01T00:00:00+14:00", "--used: '0001-01-01T00:00:00.14:00' is not a day or time"),
            ("2100-01-01", "--used must be a time in the past"),
        ],
    )
    def test_used_is_refused_unless_it_is_a_time_in_the_past(self, pooled_policy, run, tmp_path, time, said):  # noqa: F811
        with pytest.raises(CommandError, match=said) as failed:
            run("a.txt", "--policy", pooled_policy.pk, "--rejected", "rejected.csv", f"--used={time}")

        assert failed.value.returncode == 2
        assert not Key.objects.exists()
        assert not (tmp_path / "rejected.csv").exists()

    def test_used_reads_the_column_popped(self, pooled_policy, run, tmp_path):  # noqa: F811
        (tmp_path / "a.csv").write_text("key,popped\nKEY-0001,2024-01-31\nKEY-0002,nonsense\n")

        said, code = run(
            "a.csv", "--policy", pooled_policy.pk, "--used", "--rejected", "rejected.csv", "--skip-invalid"
        )

        assert (code, states()) == (3, {"KEY-0001": USED})
        assert "a.csv:3: KEY-…: The key has no valid time in the column popped" in said
        with (tmp_path / "rejected.csv").open() as file:
            assert list(csv.reader(file))[1][1:3] == ["3", "not_a_time"]
