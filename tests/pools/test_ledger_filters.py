"""The filters of the ledger, its export and its search, and the plans of their statements."""

import csv
from datetime import timedelta
from urllib.parse import urlencode
from uuid import UUID

import orjson
import pytest
from django.db import connection
from django.http import StreamingHttpResponse
from uuid_utils.compat import uuid7

from accounts.audit import AuditContext
from accounts.models import Token
from keygen_site.db.key_digests import key_digest
from keygen_site.db.uuids import uuid7_floor
from licensing.services import issue_license
from pools.models import KeyEvent, KeyImport
from tests.cast import add_keys, make_policy, numbered
from tests.errors import assert_refused, bad_request, forbidden, lacks_permission
from tests.plans import explained, in_vain
from tests.pools.test_import import add
from tests.pools.test_ledger import ids, search
from tests.pools.test_ledger_events import DAY
from tests.tables import each_row


class TestFilters:
    """Each filter, alone and with others, for the list and for the export."""

    @pytest.fixture
    def events(self, acme):
        """Three events on each of four days, the oldest first, with all attributes that filters compare."""
        policies = [acme.policy, make_policy(acme.another_product(), use_pool=True)]
        kinds, references = ["popped", "issued", "withdrawn", "added", "exported"], ["", "Order 1", "=1+1"]
        return KeyEvent.objects.bulk_create(
            KeyEvent(
                pk=UUID(int=uuid7_floor(created).int + number),
                created=created,
                account=acme.account,
                event=kinds[number % 5],
                product=policies[number % 2].product,
                policy=policies[number % 2],
                license_id=UUID(int=number % 4) if number % 4 else None,
                reference=references[number % 3],
                bearer_type="users",
                bearer_id=UUID(int=7 + number % 2),
                token_id=UUID(int=9 + number % 3) if number % 3 else None,
            )
            for number in range(12)
            for created in [DAY + timedelta(days=number // 3, seconds=number)]
        )

    def queries(self, events):
        """Queries with the conditions that they state."""
        other = events[1]
        middle = events[5].created
        yield {}, lambda event: True
        yield {"bearer": other.bearer_id}, lambda event: event.bearer_id == other.bearer_id
        yield {"token": other.token_id}, lambda event: event.token_id == other.token_id
        yield {"event": "withdrawn"}, lambda event: event.event == "withdrawn"
        yield {"policy": other.policy_id}, lambda event: event.policy_id == other.policy_id
        yield {"license": other.license_id}, lambda event: event.license_id == other.license_id
        yield {"reference": "=1+1"}, lambda event: event.reference == "=1+1"
        yield {"since": middle.isoformat()}, lambda event: event.created >= middle
        yield {"until": middle.isoformat()}, lambda event: event.created < middle
        yield {"since": "2026-03-02"}, lambda event: event.created.day >= 2
        yield {"until": "2026-03-02T00:00:00+00:00"}, lambda event: event.created.day < 2
        yield {"since": int(middle.timestamp())}, lambda event: event.created >= middle
        first, last = DAY + timedelta(days=1), DAY + timedelta(days=3)
        yield (
            {"since": first.isoformat(), "until": last.isoformat()},
            lambda event: first <= event.created < last,
        )
        yield {"since": last.isoformat(), "until": first.isoformat()}, lambda event: False
        yield (
            {"bearer": other.bearer_id, "token": other.token_id, "since": first.isoformat()},
            lambda event: (
                (event.bearer_id, event.token_id) == (other.bearer_id, other.token_id) and event.created >= first
            ),
        )
        yield (
            {"policy": other.policy_id, "event": "issued", "reference": "Order 1", "license": other.license_id},
            lambda event: event.pk == other.pk,
        )
        for name in ("bearer", "token", "policy", "license"):
            yield {name: "foo"}, lambda event: False
            yield {name: uuid7()}, lambda event: False
            yield {name: ""}, lambda event: True
        yield {"event": "foo"}, lambda event: False
        yield {"reference": "Order"}, lambda event: False
        yield {"since": "", "until": ""}, lambda event: True
        for time in ("0001-01-01", "1969-12-31T23:59:59Z", "0", "1970-01-01T00:00:30Z"):
            yield {"since": time}, lambda event: True
            yield {"until": time}, lambda event: False
        yield {"since": "9999-12-31T23:59:59.999999Z"}, lambda event: False
        yield {"until": "9999-12-31T23:59:59.999999Z"}, lambda event: True

    def test_filters_give_the_same_events_in_list_and_export(self, api, acme, events, monkeypatch):
        monkeypatch.setattr("pools.services.ledger.PAGE_SIZE", 2)
        admin, wrong = api(acme.admin), []

        for query, condition in self.queries(events):
            expected = [str(event.pk) for event in events[::-1] if condition(event)]
            encoded = urlencode(query)
            found = {
                "list": ids(admin.get(f"key-events?page[size]=100&{encoded}")),
                "csv": [row["id"] for row in exported(admin, "csv", encoded)],
                "ndjson": [row["id"] for row in exported(admin, "ndjson", encoded)],
            }
            wrong += [(encoded, name, len(rows)) for name, rows in found.items() if rows != expected]

        assert not wrong

    @each_row("path", ["key-events?", "key-events/actions/export?"])
    @each_row("name", ["since", "until"])
    @each_row(
        "value",
        ["yesterday", "2026-13-01", "2026-02-30T00:00:00Z", "-1", "1e400", "9" * 30, "0001-01-01T00:00:00+14:00"],
    )
    def test_filter_refuses_a_malformed_time(self, api, acme, path, name, value):
        response = api(acme.admin).get(f"{path}{urlencode({name: value})}")

        assert_refused(response, 400, bad_request("failed to coerce string to time", parameter=name))


def exported(speaker, format="csv", query=""):
    """The rows of an export of the ledger, as dictionaries."""
    response = speaker.get(f"key-events/actions/export?format={format}&{query}")
    assert response.status_code == 200, response.content
    assert isinstance(response, StreamingHttpResponse)
    text = b"".join(response.streaming_content).decode()
    if format == "csv":
        return list(csv.DictReader(text.splitlines()))
    return [orjson.loads(line) for line in text.splitlines()]


class TestExport:
    def test_ledger_export_has_all_columns(self, api, acme):
        token, text = Token.generate(acme.product, name="Shop")
        report = add(acme.policy, *numbered(2))
        license = issue_license(
            policy=acme.policy,
            audit=AuditContext(
                bearer_type="products",
                bearer_id=acme.product.pk,
                token_id=token.pk,
                token_name="Shop",
                request_id="request-1",
                reference="Order 4711",
            ),
        )
        issued = KeyEvent.objects.get(event="issued")

        csv_rows = exported(api(acme.admin))
        ndjson_rows = exported(api(acme.admin), "ndjson")

        first = {
            "id": str(issued.pk),
            "created": issued.created.isoformat(),
            "event": "issued",
            "key": str(issued.key_id),
            "product": str(acme.product.pk),
            "policy": str(acme.policy.pk),
            "license": str(license.pk),
            "import": None,
            "reference": "Order 4711",
            "bearerType": "products",
            "bearerId": str(acme.product.pk),
            "tokenId": str(token.pk),
            "tokenName": "Shop",
            "operator": None,
            "operatorId": None,
            "requestId": "request-1",
            "details": None,
        }
        assert ndjson_rows[0] == first
        assert csv_rows[0] == {name: value or "" for name, value in first.items()}
        assert ndjson_rows[1]["import"] == csv_rows[1]["import"] == str(report.key_import.pk)
        assert ndjson_rows[1]["details"] == orjson.loads(csv_rows[1]["details"]) == {"count": 2}
        assert len(csv_rows) == len(ndjson_rows) == 2

    @each_row(("format", "media_type"), [("csv", "text/csv"), ("ndjson", "application/x-ndjson")])
    def test_ledger_export_of_nothing(self, api, acme, format, media_type):
        response = api(acme.admin).get(f"key-events/actions/export?format={format}")

        assert response["Content-Type"] == f"{media_type}; charset=utf-8"
        assert len(b"".join(response.streaming_content).splitlines()) == (format == "csv")

    def test_ledger_export_refuses_an_unknown_format(self, api, acme):
        response = api(acme.admin).get("key-events/actions/export?format=text")

        assert_refused(response, 400, bad_request("must be one of: csv, ndjson", parameter="format"))

    def test_ledger_export_reads_a_page_at_a_time(self, api, acme, history, audit, monkeypatch):
        monkeypatch.setattr("pools.services.ledger.PAGE_SIZE", 2)
        add_keys(acme.policy, "KEY-0009")
        response = api(acme.admin).get("key-events/actions/export?format=ndjson")
        pages = iter(response.streaming_content)

        first = next(pages).splitlines()
        acme.policy.pool.pop(audit)
        rest = b"".join(pages).splitlines()

        assert len(first) == 2
        found = [orjson.loads(line)["id"] for line in first + rest]
        assert found == [str(event.pk) for event in history[::-1]]

    @each_row("text", ["=1+1", "+1", "-1", "@SUM(A1:A9)"])
    @each_row("name", ["reference", "token_name", "operator"])
    def test_ledger_export_defuses_formulas_in_csv(self, api, acme, text, name):
        add_keys(acme.policy, "KEY-0001")
        acme.policy.pool.pop(AuditContext(**{name: text}))
        column = {"token_name": "tokenName"}.get(name, name)

        (row,) = exported(api(acme.admin))
        (member,) = exported(api(acme.admin), "ndjson")

        assert (row[column], member[column]) == (f"'{text}", text)

    @each_row("role", ["admin", "developer", "support-agent", "read-only"])
    def test_ledger_export_for_staff_has_all(self, api, acme, history, role):
        assert len(exported(api(acme.bearer(role)))) == 4

    def test_ledger_export_for_a_product_has_its_own(self, api, acme, history):
        other = history[3]

        assert [row["id"] for row in exported(api(acme.product))] == [str(event.pk) for event in history[2::-1]]
        assert exported(api(acme.product), query=f"policy={other.policy_id}") == []

    @each_row(
        ("role", "error"),
        [
            ("sales-agent", forbidden()),
            ("user", lacks_permission("user")),
            ("license", lacks_permission("license")),
        ],
    )
    def test_ledger_export_is_refused_to_others(self, api, acme, history, role, error):
        assert_refused(api(acme.bearer(role)).get("key-events/actions/export"), 403, error)

    def test_ledger_export_of_another_tenant_has_none_of_it(self, api, acme, rival, history):
        stranger = api(rival.admin, "rival")

        assert exported(stranger) == exported(stranger, query=f"policy={acme.policy.pk}") == []
        assert api(rival.admin).get("key-events/actions/export").status_code in (401, 403, 404)


class TestSearchOfImports:
    def found(self, speaker, text):
        response = search(speaker, text)
        assert response.status_code == 200, response.content
        return [event["attributes"]["event"] for event in response.json()["data"]]

    def move(self, admin, source, key_import, destination):
        meta = {"import": str(key_import.pk), "policy": str(destination.pk)}
        response = admin.post(f"policies/{source.pk}/pool/actions/move-import", {"meta": meta})
        assert response.status_code == 200, response.content
        return KeyImport.objects.get(policy=destination, moved_from=key_import)

    def test_ledger_search_finds_the_import(self, api, acme, audit):
        add(acme.policy, *numbered(2))
        add(acme.policy, "KEY-0009")
        acme.policy.pool.pop(audit)

        assert self.found(api(acme.admin), "KEY-0001") == ["popped", "added"]
        assert self.found(api(acme.admin), "KEY-0002") == ["added"]

    def test_ledger_search_follows_moves(self, api, acme, rival, audit):
        admin = api(acme.admin)
        second, third = (make_policy(acme.another_product(name), name, use_pool=True) for name in ("B", "C"))
        key_import = add(acme.policy, *numbered(2)).key_import
        add(rival.policy, *numbered(2))
        moved = self.move(admin, acme.policy, key_import, second)
        self.move(admin, second, moved, third)
        third.pool.pop(audit)

        assert self.found(admin, "KEY-0001") == ["popped", "added", "moved", "added", "moved", "added"]
        assert self.found(api(acme.product), "KEY-0001") == ["moved", "added"]
        assert self.found(api(third.product), "KEY-0001") == ["popped", "added"]
        assert self.found(api(rival.admin, "rival"), "KEY-0001") == ["added"]

    def test_ledger_search_follows_moves_when_the_source_is_gone(self, api, acme, audit):
        admin = api(acme.admin)
        second, third = (make_policy(acme.product, name, use_pool=True) for name in ("B", "C"))
        moved = self.move(admin, acme.policy, add(acme.policy, "KEY-0001").key_import, second)
        self.move(admin, second, moved, third)
        acme.policy.delete()
        second.delete()

        assert self.found(admin, "KEY-0001") == ["added", "moved", "added", "moved", "added"]

    def test_ledger_search_of_another_tenants_text_finds_nothing(self, api, acme, rival, audit):
        add(rival.policy, "KEY-0001")
        rival.policy.pool.pop(audit)

        assert self.found(api(acme.admin), "KEY-0001") == []


class TestPlans:
    """The table is one that PostgreSQL would rather walk through, newest first. SQLite has no statistics."""

    @pytest.fixture
    def rare(self, acme):
        """An event of a bearer and a token of its own, amid many of another."""
        bearers, tokens = [uuid7(), uuid7()], [uuid7(), uuid7()]
        events = KeyEvent.objects.bulk_create(
            KeyEvent(
                account=acme.account,
                event="popped",
                policy=acme.policy,
                product=acme.product,
                key_digest=key_digest(f"KEY-{number}"),
                bearer_type="users",
                bearer_id=bearers[number != 1_500],
                token_id=tokens[number != 1_500],
            )
            for number in range(3_000)
        )
        if connection.vendor == "postgresql":
            with connection.cursor() as cursor:
                cursor.execute("ANALYZE pools_keyevent")
        return events[1_500]

    @each_row(
        ("query", "index"),
        [
            ("bearer={0.bearer_id}", "pools_keyevent_bearer"),
            ("token={0.token_id}", "pools_keyevent_token"),
            ("bearer={0.bearer_id}&since=2020-01-01", "pools_keyevent_bearer"),
            ("token={0.token_id}&event=popped", "pools_keyevent_token"),
        ],
    )
    @each_row("path", ["key-events?", "key-events/actions/export?format=ndjson&"])
    def test_plan_of_filter(self, api, acme, rare, path, query, index):
        for plan in plans(lambda: b"".join(api(acme.admin).get(path + query.format(rare)))):
            assert index in str(plan)
            assert reads_little(plan), plan

    def test_plan_of_search(self, api, acme, rare):
        add(acme.policy, "KEY-0001")

        for plan in plans(lambda: search(api(acme.admin), "KEY-0001")):
            assert reads_little(plan), plan


def plans(act):
    """The plans of the statements that read the ledger: a tree of PostgreSQL, or the lines of SQLite."""
    statements = []

    def note(execute, sql, parameters, many, context):
        if sql.startswith("SELECT") and 'FROM "pools_keyevent"' in sql:
            statements.append((sql, parameters))
        return execute(sql, parameters, many, context)

    with connection.execute_wrapper(note):
        act()
    assert statements
    if connection.vendor == "postgresql":
        return [explained(*statement) for statement in statements]
    found = []
    with connection.cursor() as cursor:
        for sql, parameters in statements:
            cursor.execute(f"EXPLAIN QUERY PLAN {sql}", parameters)
            found.append([detail for *_, detail in cursor.fetchall()])
    return found


def reads_little(plan):
    """Whether a plan reads hardly more events than it finds, rather than all of the account."""
    if connection.vendor == "postgresql":
        return max(in_vain(plan), most_rows(plan)) < 50
    return not any(step.startswith("SCAN pools_keyevent") or step.endswith("(account_id=?)") for step in plan)


def most_rows(step):
    """The most rows that a step of a plan of PostgreSQL has given to the next one."""
    return max(step["Actual Rows"] * step["Actual Loops"], *map(most_rows, step.get("Plans", [])), 0)
