"""Exporting a pool over the API."""

import csv

import pytest

from pools.models import KeyEvent, KeyImport
from pools.services.keys import withdraw_key
from tests.cast import add_keys, numbered
from tests.errors import BAD, FORBIDDEN, NOT_FOUND, UNPROCESSABLE, assert_refused, not_found
from tests.pools.test_import_api import keys_of, send


def text_of(response):
    return b"".join(response.streaming_content).decode()


class TestExport:
    @pytest.fixture(autouse=True)
    def keys(self, pooled_policy, audit, monkeypatch):
        monkeypatch.setattr("pools.services.exports.PAGE_SIZE", 2)
        add_keys(pooled_policy, *numbered(7))
        for _ in range(3):
            pooled_policy.pool.pop(audit)
        withdraw_key(policy=pooled_policy, text="KEY-0005", audit=audit)

    @pytest.mark.parametrize(
        ("state", "numbers"),
        [
            ("", [4, 6, 7]),
            ("state=available", [4, 6, 7]),
            ("state=popped", [1, 2, 3]),
            ("state=withdrawn", [5]),
        ],
    )
    def test_export_writes_the_keys_of_a_state(self, acme, api, path, state, numbers):
        response = api(acme.admin).get(f"{path}/export?{state}")

        assert response["Content-Type"] == "text/plain; charset=utf-8"
        assert text_of(response).splitlines() == [f"KEY-{number:04}" for number in numbers]

    @pytest.mark.parametrize(("format", "media_type"), [("csv", "text/csv"), ("ndjson", "application/x-ndjson")])
    def test_export_writes_what_import_reads(self, acme, rival, api, path, format, media_type):
        response = api(acme.admin).get(f"{path}/export?format={format}&state=all")

        file = text_of(response).encode()
        theirs = api(rival.admin, "rival")
        imported = send(theirs, f"policies/{rival.policy.pk}/pool/actions", file, media_type, "?used-rows=ignore")
        assert imported.status_code == 200
        assert keys_of(rival.policy) == numbered(7)

    @pytest.mark.parametrize("query", ["state=all", "state=all&format=text"])
    def test_text_of_all_states_is_refused(self, acme, api, path, query):
        response = api(acme.admin).get(f"{path}/export?{query}")

        assert response.status_code == 422
        (error,) = response.json()["errors"]
        assert error["code"] == "EXPORT_STATES_LOST"
        assert "csv or ndjson" in error["detail"]
        assert not KeyEvent.objects.filter(event="exported").exists()

    def test_export_narrows_by_import_and_time(self, acme, api, path):
        admin = api(acme.admin)
        key_import = send(admin, path, b"KEY-0008").json()["meta"]["import"]

        assert text_of(admin.get(f"{path}/export?import={key_import}")) == "KEY-0008\n"
        assert text_of(admin.get(f"{path}/export?since=2100-01-01")) == ""
        assert text_of(admin.get(f"{path}/export?until=2000-01-01T00:00:00Z&state=popped")) == ""
        assert len(text_of(admin.get(f"{path}/export?since=2000-01-01&until=2100-01-01")).splitlines()) == 4

    @pytest.mark.parametrize(
        ("query", "parameter"),
        [
            ("format=xml", "format"),
            ("state=free", "state"),
            ("since=today", "since"),
            ("format=csv&for-spreadsheet=x", "for-spreadsheet"),
            ("for-spreadsheet", "for-spreadsheet"),
        ],
    )
    def test_export_refuses_a_query_that_makes_no_sense(self, acme, api, path, query, parameter):
        response = api(acme.admin).get(f"{path}/export?{query}")

        assert response.status_code == BAD
        assert response.json()["errors"][0]["source"] == {"parameter": parameter}

    def test_export_does_not_know_the_imports_of_other_pools(self, acme, rival, api, path):
        theirs = KeyImport.objects.create(account=rival.account, policy=rival.policy)

        response = api(acme.admin).get(f"{path}/export?import={theirs.pk}")

        assert_refused(response, NOT_FOUND, not_found("import", theirs.pk))

    @pytest.mark.parametrize("text", ["=1+1+2+3+4", "+1234567", "-1234567", "@SUM(A1:A9)"])
    def test_export_guards_keys_for_a_spreadsheet_when_asked(self, acme, api, path, text):
        add_keys(acme.policy, text)
        admin = api(acme.admin)

        def last(query):
            *_, row = csv.reader(text_of(admin.get(f"{path}/export?format=csv{query}")).splitlines())
            return row[0]

        assert last("&for-spreadsheet") == f'="{text}"'
        assert last("") == text

    def test_export_is_recorded_in_the_ledger(self, acme, api, path):
        api(acme.admin).get(f"{path}/export", Keygen_Reference="Audit 7")

        event = KeyEvent.objects.get(event="exported")
        assert (event.policy_id, event.bearer_id, event.reference) == (acme.policy.pk, acme.admin.pk, "Audit 7")

    @pytest.mark.parametrize("role", ["sales-agent", "support-agent", "read-only", "product"])
    def test_export_is_for_admins_and_developers(self, acme, api, path, role):
        assert api(acme.bearer(role)).get(f"{path}/export").status_code == FORBIDDEN
        assert api(acme.bearer("developer")).get(f"{path}/export").status_code == 200
        assert KeyEvent.objects.filter(event="exported").count() == 1

    def test_export_needs_a_pool(self, acme, api):
        response = api(acme.admin).get(f"policies/{acme.unpooled.pk}/pool/actions/export")

        assert response.status_code == UNPROCESSABLE
