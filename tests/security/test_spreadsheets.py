"""Files run no formula when a spreadsheet opens them, and guarded texts are read back exactly.

The texts come from others: a partner's file of keys, a customer's reference. A spreadsheet takes a semicolon or a tab
for the delimiter where its country does, so each file is read with each.
"""

import csv
import io
import re

import pytest
from django.core.management import call_command

from pools.key_files import ReadOptions, defuse_formula, open_key_file
from pools.key_files.guards import guard_cell, unguard_cell
from pools.models import Key, PendingImport
from tests.cast import add_keys, make_policy
from tests.console import page, signed_in, staff
from tests.pools.documents import key_document
from tests.tables import each_row

RUNS = ("=", "+", "-", "@", "＝", "＋", "－", "＠")
FORMULAS = [f"{sign}cmd|'/c calc'!A1" for sign in RUNS]
HOSTILE = [
    *FORMULAS,
    *(f" {formula}" for formula in FORMULAS),
    *(f"KEY-0001;{formula}" for formula in FORMULAS),
    *(f"KEY-0001; {formula}" for formula in FORMULAS),
    *(f'KEY "1";{formula}' for formula in FORMULAS),
    *(f"{formula};{formula};{formula}" for formula in FORMULAS),
    *(f"KEY,0001;{formula},2" for formula in FORMULAS),
]
WITH_TABS = [f"KEY-0001\t{formula}" for formula in FORMULAS] + [f"\t{formula}" for formula in FORMULAS]
CHANGED = ["0012345678", "12E34567", "3-12-2077", "TRUEFALSE;1", '="guarded"', '"quoted";=1+1', "A" * 300 + ";=1+1"]


def cells_that_run(text):
    """The cells that a spreadsheet would run as formulas, with each delimiter. A string, as in `="00123"`, is none."""
    rows = [
        row
        for delimiter in (",", ";", "\t")
        for row in csv.reader(io.StringIO(text.removeprefix("\ufeff")), delimiter=delimiter)
    ]
    return [cell for row in rows for cell in row if cell.strip().startswith(RUNS) and not is_string(cell)]


def is_string(cell):
    """Whether a cell is the formula of strings, or the beginning of one, which a spreadsheet cannot run.

    With another delimiter, the rest of a row may come after it. Then it is no formula, but a text.
    """
    string = re.match(r'="(?:[^"]|"")*("(?:&"(?:[^"]|"")*")*)?', cell.strip())
    if not string:
        return False
    first, *others = cell.strip()[string.end() :].split(",")
    return not first and not any(other.strip().startswith(RUNS) for other in others)


@each_row("text", [*HOSTILE, *WITH_TABS])
@each_row("write", [defuse_formula, guard_cell])
def test_no_cell_runs_with_any_delimiter(text, write):
    file = io.StringIO()
    csv.writer(file).writerows([[text, "x", text], ["x", text]])
    assert cells_that_run(file.getvalue()), "the check finds what it should"
    file = io.StringIO()

    csv.writer(file).writerows([[write(text), "x", write(text)], ["x", write(text)]])

    assert cells_that_run(file.getvalue()) == []


@each_row("text", [*HOSTILE, *WITH_TABS, *CHANGED])
def test_a_guard_is_taken_off_exactly(text):
    assert unguard_cell(guard_cell(text)) == text


@each_row("text", ["KEY-0001", "Order 10021", "Order 1; 2", "a-b", "x@y.test", "2026-11-27 14:00", "", "'x"])
def test_harmless_texts_stay_as_they_are(text):
    assert defuse_formula(text) == text


class TestRejectedLines:
    """Some are rejected as no keys; the others of each text, as repeated."""

    LINES = [text for text in HOSTILE if text == text.strip()]

    @pytest.fixture
    def lines(self):
        return "".join(f"{line}\n" for line in [*self.LINES, *self.LINES])

    def test_rejected_lines_of_the_console_run_nothing(self, acme, lines):
        client = signed_in(staff(acme))
        form = {"keys": lines, "format": "text", "header": "no"}
        client.post(page("pools_pendingimport_import", acme.policy.pk), form)
        pending = PendingImport.objects.get()
        assert pending.report.get("rejected", 0) >= len(self.LINES), (pending.problem, pending.report)

        response = client.get(page("pools_pendingimport_rejected", pending.pk))

        text = b"".join(response.streaming_content).decode()
        assert cells_that_run(text) == []
        assert response["Content-Disposition"].startswith("attachment")

    def test_rejected_lines_of_the_command_run_nothing(self, acme, lines, tmp_path):
        given, rejected = tmp_path / "keys.txt", tmp_path / "rejected.csv"
        given.write_text(lines)

        with pytest.raises(SystemExit):
            call_command(
                "import_keys",
                str(given),
                "--policy=Pooled",
                "--format=text",
                "--no-header",
                "--dry-run",
                f"--rejected={rejected}",
            )

        assert len(rejected.read_text().splitlines()) > len(self.LINES)
        assert cells_that_run(rejected.read_text()) == []


class TestExports:
    TEXTS = [text for text in [*HOSTILE, *CHANGED] if text == text.strip()]

    def test_the_console_writes_for_spreadsheets_by_default_and_reads_it_back_exactly(self, acme):
        add_keys(acme.policy, *self.TEXTS)
        client = signed_in(staff(acme))
        address = page("pools_pool_export", acme.policy.pk)
        form = client.get(address).context["form"]
        values = {name: form.get_initial_for_field(field, name) or "" for name, field in form.fields.items()}
        values |= {"state": "available", "format": "csv", "for_spreadsheet": "on" if values["for_spreadsheet"] else ""}

        text = b"".join(client.post(address, values)).decode()

        assert cells_that_run(text) == []
        assert keys_of(text) == self.TEXTS

    def test_the_keys_come_back_by_an_import(self, acme, rival, api):
        add_keys(acme.policy, *self.TEXTS)
        exported = api(acme.admin).get(f"policies/{acme.policy.pk}/pool/actions/export?format=csv&for-spreadsheet=true")
        policy = make_policy(rival.product, "Copy", use_pool=True)

        response = api(rival.admin, "rival").request(
            "POST",
            f"policies/{policy.pk}/pool/actions/import?accept-warnings=true",
            b"".join(exported),
            content_type="text/csv",
        )

        assert response.status_code == 200, response.content
        assert [key.key for key in Key.objects.filter(policy=policy).order_by("id")] == self.TEXTS

    def test_references_of_the_ledger_run_nothing(self, acme, api):
        admin = api(acme.admin)
        for number, text in enumerate(text for text in HOSTILE if text.isascii() and text == text.strip()):
            admin.post("keys", key_document(acme.policy, f"KEY-{number:04}"), Keygen_Reference=text)
            meta = {"meta": {"key": f"KEY-{number:04}", "reason": text}}
            admin.post(f"policies/{acme.policy.pk}/pool/actions/withdraw", meta, Keygen_Reference=text)

        text = b"".join(admin.get("key-events/actions/export?format=csv")).decode()

        assert text.count("cmd|") > 20
        assert cells_that_run(text) == []


def keys_of(text):
    file = io.BufferedReader(io.BytesIO(text.encode()))
    return [line.text for line in open_key_file(file, ReadOptions())]
