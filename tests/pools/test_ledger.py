"""The ledger: its events, their causes, its filters and its export."""

import csv
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

import orjson
import pytest
from django.db import connection
from django.http import StreamingHttpResponse
from uuid_utils.compat import uuid7

from accounts.audit import AuditContext
from accounts.models import Token
from keygen_site.db.fields import digest
from keygen_site.db.uuids import uuid7_floor
from licensing.services import issue_license
from pools.models import Key, KeyEvent, KeyImport, PendingImport
from pools.services import exports
from tests.cast import add_keys, make_policy, numbered
from tests.console import act, page, signed_in, staff
from tests.errors import assert_refused, bad_request, forbidden, lacks_permission, not_found
from tests.pools.documents import key_document, moment
from tests.pools.test_import import add
from tests.pools.test_plans import explained, in_vain
from tests.tables import each_row


@pytest.fixture
def history(acme, audit):
    """Two keys popped, one issued, in another pool one popped; the lines of the ledger, the oldest first."""
    add_keys(acme.policy, *numbered(3))
    other = make_policy(acme.another_product(), use_pool=True)
    add_keys(other, "OTHER-0001")
    acme.policy.pool.pop(audit)
    issue_license(policy=acme.policy, audit=audit)
    acme.policy.pool.pop(audit)
    other.pool.pop(audit)
    return list(KeyEvent.objects.order_by("id"))


def ids(response):
    assert response.status_code == 200, response.content
    return [event["id"] for event in response.json()["data"]]


def search(speaker, key, query=""):
    return speaker.post(f"key-events/actions/search{query}", {"meta": {"key": key}})


def test_ledger_shows_a_line_whole(api, acme, history):
    event = history[1]

    response = api(acme.admin).get(f"key-events/{event.pk}")

    account = f"/v1/accounts/{acme.account.pk}"

    def related(name, uuid):
        return {"links": {"related": f"{account}/{name}/{uuid}"}, "data": {"type": name, "id": str(uuid)}}

    assert response.json()["data"] == {
        "id": str(event.pk),
        "type": "key-events",
        "links": {"self": f"{account}/key-events/{event.pk}"},
        "attributes": {
            "event": "issued",
            "details": None,
            "reference": None,
            "bearerType": None,
            "bearerId": None,
            "tokenId": None,
            "tokenName": None,
            "operator": "tests",
            "operatorId": None,
            "requestId": None,
            "created": moment(event.created),
        },
        "relationships": {
            "account": {
                "links": {"related": account},
                "data": {"type": "accounts", "id": str(acme.account.pk)},
            },
            "product": related("products", acme.product.pk),
            "policy": related("policies", acme.policy.pk),
            "key": related("keys", event.key_id),
            "license": related("licenses", event.license_id),
            "import": {"data": None, "links": {"related": None}},
        },
    }


def test_ledger_lists_the_latest_first(api, acme, history):
    assert ids(api(acme.admin).get("key-events")) == [str(event.pk) for event in history[::-1]]


def test_ledger_has_pages(api, acme, history):
    first = api(acme.admin).get("key-events?page[size]=3").json()
    second = api(acme.admin).get(first["links"]["next"]).json()

    assert [len(first["data"]), len(second["data"]), second["links"]["next"]] == [3, 1, None]


def test_ledger_filters(api, acme, history):
    license = history[1].license_id
    admin = api(acme.admin)

    assert ids(admin.get(f"key-events?license={license}")) == [str(history[1].pk)]
    assert ids(admin.get("key-events?event=issued")) == [str(history[1].pk)]
    assert ids(admin.get(f"key-events?policy={history[3].policy_id}")) == [str(history[3].pk)]
    assert ids(admin.get("key-events?event=foo")) == ids(admin.get("key-events?license=foo")) == []


def test_ledger_finds_a_reference_again(api, acme):
    add_keys(acme.policy, *numbered(2))
    admin = api(acme.admin)
    for reference in ("Bestellung Nr. 17 für Åse", "18"):
        sent = reference.encode().decode("latin-1")
        assert admin.delete(f"policies/{acme.policy.pk}/pool", Keygen_Reference=sent).status_code == 200

    found = admin.get("key-events?reference=Bestellung%20Nr.%2017%20f%C3%BCr%20%C3%85se").json()["data"]

    assert [event["attributes"]["reference"] for event in found] == ["Bestellung Nr. 17 für Åse"]


@pytest.mark.parametrize("reference", ["", " ", "x" * 256, "a\x01b", "\xff\xfe"])
def test_ledger_refuses_a_reference(api, acme, reference):
    add_keys(acme.policy, "KEY-0001")

    response = api(acme.admin).delete(f"policies/{acme.policy.pk}/pool", Keygen_Reference=reference)

    error = bad_request("must be between 1 and 255 characters, without control characters")
    assert_refused(response, 400, error | {"source": {"header": "Keygen-Reference"}})
    assert acme.policy.pool.available().exists()


class TestSearch:
    def test_ledger_search_finds_the_life_of_a_key(self, api, acme, history):
        admin = api(acme.admin)

        assert ids(search(admin, "KEY-0002")) == [str(history[1].pk)]
        assert ids(search(admin, "key-0002")) == ids(search(admin, "KEY-000")) == []

    def test_ledger_search_finds_a_key_that_was_deleted(self, api, acme):
        key = add_keys(acme.policy, "KEY-0001")[0]
        admin = api(acme.admin)
        admin.delete(f"keys/{key.pk}")

        found = search(admin, "KEY-0001").json()["data"]

        assert [event["attributes"]["event"] for event in found] == ["removed"]

    def test_ledger_search_has_pages(self, api, acme, history):
        assert search(api(acme.admin), "KEY-0001", "?page[size]=1").json()["links"]["next"] is None

    def test_ledger_search_refuses_a_malformed_document(self, api, acme):
        response = api(acme.admin).post("key-events/actions/search", {"meta": {}})

        assert_refused(response, 400, bad_request("is missing", "/meta/key"))


def test_ledger_stays_when_its_policy_goes(api, acme, history):
    acme.policy.delete()

    assert len(ids(api(acme.admin).get("key-events"))) == 4


class TestWho:
    @pytest.mark.parametrize("role", ["admin", "developer", "support-agent", "read-only"])
    def test_ledger_for_staff_sees_all(self, api, acme, history, role):
        assert len(ids(api(acme.bearer(role)).get("key-events"))) == 4

    def test_a_product_sees_its_own(self, api, acme, history):
        assert ids(api(acme.product).get("key-events")) == [str(event.pk) for event in history[2::-1]]
        assert ids(search(api(acme.product), "OTHER-0001")) == []

    @pytest.mark.parametrize(
        ("role", "error"),
        [
            ("sales-agent", forbidden()),
            ("user", lacks_permission("user")),
            ("license", lacks_permission("license")),
        ],
    )
    def test_ledger_for_others_do_not(self, api, acme, history, role, error):
        speaker = api(acme.bearer(role))

        assert_refused(speaker.get("key-events"), 403, error)
        assert_refused(search(speaker, "KEY-0001"), 403, error)

    def test_a_stranger_sees_nothing(self, api, acme, rival, history):
        stranger = api(rival.admin, "rival")

        assert ids(stranger.get("key-events")) == ids(search(stranger, "KEY-0001")) == []
        response = stranger.get(f"key-events/{history[0].pk}")
        assert_refused(response, 404, not_found("key event", history[0].pk))


class TestCause:
    """The bearer, the token and the operator of an event, in words that last."""

    @each_row("role", ["admin", "developer", "product"])
    def test_event_names_the_bearer_and_the_token(self, api, acme, role):
        add_keys(acme.policy, "KEY-0001")
        bearer = acme.bearer(role)
        token, text = Token.generate(bearer, name="Shop")

        response = api(text).delete(f"policies/{acme.policy.pk}/pool", Keygen_Reference="Order 4711")

        (event,) = api(acme.admin).get("key-events").json()["data"]
        attributes = event["attributes"]
        assert {name: attributes[name] for name in attributes if name != "created"} == {
            "event": "popped",
            "details": None,
            "reference": "Order 4711",
            "bearerType": "products" if role == "product" else "users",
            "bearerId": str(bearer.pk),
            "tokenId": str(token.pk),
            "tokenName": "Shop",
            "operator": None,
            "operatorId": None,
            "requestId": response["X-Request-Id"],
        }

    def test_event_keeps_the_token_as_it_was(self, api, acme):
        add_keys(acme.policy, "KEY-0001")
        token, text = Token.generate(acme.admin, name="Shop")
        api(text).delete(f"policies/{acme.policy.pk}/pool")
        before = KeyEvent.objects.values().get()
        assert (before["token_id"], before["token_name"]) == (token.pk, "Shop")

        token.name = "Another name"
        token.save(update_fields=["name"])
        assert KeyEvent.objects.values().get() == before
        token.delete()
        assert KeyEvent.objects.values().get() == before

    def test_event_of_a_token_without_a_name(self, api, acme):
        add_keys(acme.policy, "KEY-0001")

        api(acme.admin).delete(f"policies/{acme.policy.pk}/pool")

        event = KeyEvent.objects.get()
        assert (event.token_id, event.token_name) == (Token.objects.latest("id").pk, "")

    def test_event_tells_operators_of_the_same_email_apart(self, acme):
        (key,) = add_keys(acme.policy, "KEY-0001")
        ann = staff(acme, email="ann@acme.test")
        act(signed_in(ann), "pools_key_reveal", key)
        before = KeyEvent.objects.values().get()
        ann.email = "ann.smith@acme.test"
        ann.save()
        another_ann = staff(acme, email="ann@acme.test")
        act(signed_in(another_ann), "pools_key_reveal", key)

        first, second = KeyEvent.objects.order_by("id").values()

        assert first == before
        assert {first["operator"], second["operator"]} == {"ann@acme.test"}
        assert (first["operator_id"], second["operator_id"]) == (ann.pk, another_ann.pk)

    def test_events_of_the_console_name_the_operator(self, acme):
        add_keys(acme.policy, *numbered(3))
        ann = staff(acme, email="ann@acme.test")
        client = signed_in(ann)
        pooled, pk = acme.policy, acme.policy.pk

        client.post(page("licensing_policy_pop", pk), {"count": 1, "once": uuid7()})
        act(client, "pools_key_withdraw", Key.objects.get(key="KEY-0002"))
        act(client, "pools_key_reveal", Key.objects.get(key="KEY-0003"))
        pooled.pool.pop(AuditContext(operator="tests"))
        add_keys(pooled, "KEY-0004")
        pooled.pool.pop(AuditContext(operator="tests"))
        act(client, "pools_key_return", Key.objects.get(key="KEY-0004"), undelivered="on")
        b"".join(client.post(page("licensing_policy_export", pk), {"state": "all", "format": "csv"}))
        client.post(page("pools_pendingimport_import", pk), {"keys": "KEY-0005"})
        client.post(page("pools_pendingimport_change", PendingImport.objects.get().pk), {"all": "yes"})
        act(client, "pools_keyimport_withdraw", KeyImport.objects.get())

        events = KeyEvent.objects.exclude(operator="tests").order_by("id")
        kinds = ["popped", "withdrawn", "revealed", "returned", "exported", "added", "withdrawn"]
        assert [event.event for event in events] == kinds
        for event in events:
            assert (event.operator, event.operator_id, event.bearer_id) == ("ann@acme.test", ann.pk, None), event
            assert event.request_id, event

    @each_row(
        ("audit", "actor"),
        [
            (AuditContext(operator="ann@acme.test", operator_id=UUID(int=1)), "ann@acme.test"),
            (AuditContext(bearer_type="products", bearer_id=UUID(int=1)), f"products {UUID(int=1)}"),
            (AuditContext(), ""),
        ],
    )
    def test_actor_is_the_operator_or_the_bearer(self, acme, audit, actor):
        add_keys(acme.policy, "KEY-0001")

        key = acme.policy.pool.pop(audit)

        assert {audit.actor, KeyEvent.objects.get().actor, key.disclosed_to} == {actor}


@dataclass
class World:
    """An import of three keys, of which the first is popped and the third disclosed, and another key."""

    admin: Any
    operator: Any
    policy: Any
    other: Any
    batch: Any

    def act(self, action, **meta):
        return self.admin.post(f"policies/{self.policy.pk}/pool/actions/{action}", {"meta": meta})

    def send(self, text, query=""):
        path = f"policies/{self.policy.pk}/pool/actions/import{query}"
        return self.admin.post(path, text.encode(), content_type="text/plain")

    def export(self, query):
        return b"".join(self.admin.get(f"policies/{self.policy.pk}/pool/actions/export{query}"))

    def key(self, text):
        return Key.objects.get(key=text)

    def change(self, text, new):
        document = {"data": {"type": "keys", "attributes": {"key": new}}}
        return self.admin.patch(f"keys/{self.key(text).pk}", document)

    def undo(self):
        return self.act("undo-import", **{"import": str(self.batch.pk)})


EVENTS = {
    "add": (
        lambda world: world.admin.post("keys", key_document(world.policy, "KEY-0009")),
        lambda world: [("added", "KEY-0009", None)],
    ),
    "add a key that is taken": (
        lambda world: world.admin.post("keys", key_document(world.policy, "KEY-0001")),
        lambda world: [],
    ),
    "import": (
        lambda world: world.send("KEY-0008\nKEY-0009"),
        lambda world: [("added", None, {"count": 2})],
    ),
    "import the good lines": (
        lambda world: world.send("KEY-0008\nshort\nKEY-0001", "?skip-invalid"),
        lambda world: [("added", None, {"count": 1})],
    ),
    "import used keys": (
        lambda world: world.send("KEY-0008\nKEY-0009", "?used=true"),
        lambda world: [("added", None, {"count": 2, "used": True})],
    ),
    "import nothing": (lambda world: world.send("KEY-0009\nshort"), lambda world: []),
    "dry run": (lambda world: world.send("KEY-0009", "?dry-run"), lambda world: []),
    "change": (
        lambda world: world.change("KEY-0004", "KEY-0009"),
        lambda world: [("changed", "KEY-0004", None), ("added", "KEY-0009", None)],
    ),
    "change to the same text": (lambda world: world.change("KEY-0004", "KEY-0004"), lambda world: []),
    "change to a text that is taken": (lambda world: world.change("KEY-0004", "KEY-0001"), lambda world: []),
    "delete": (
        lambda world: world.admin.delete(f"keys/{world.key('KEY-0004').pk}"),
        lambda world: [("removed", "KEY-0004", None)],
    ),
    "undo": (lambda world: world.undo(), lambda world: [("removed", None, {"count": 1})]),
    "undo twice": (
        lambda world: (world.undo(), world.undo()),
        lambda world: [("removed", None, {"count": 1})],
    ),
    "pop": (
        lambda world: world.admin.delete(f"policies/{world.policy.pk}/pool"),
        lambda world: [("popped", "KEY-0002", None)],
    ),
    "pop many": (
        lambda world: world.act("pop", count=2),
        lambda world: [("popped", "KEY-0002", None), ("popped", "KEY-0003", None)],
    ),
    "pop too many": (lambda world: world.act("pop", count=9), lambda world: []),
    "return": (
        lambda world: world.act("return", key="KEY-0001", undelivered=True),
        lambda world: [("returned", "KEY-0001", None)],
    ),
    "withdraw": (
        lambda world: world.act("withdraw", key="KEY-0001"),
        lambda world: [("withdrawn", "KEY-0001", None)],
    ),
    "withdraw with a reason": (
        lambda world: world.act("withdraw", key="KEY-0004", reason=" leaked "),
        lambda world: [("withdrawn", "KEY-0004", {"reason": "leaked"})],
    ),
    "withdraw an import": (
        lambda world: world.act("withdraw-import", reason="recalled", **{"import": str(world.batch.pk)}),
        lambda world: [("withdrawn", f"KEY-000{number}", {"reason": "recalled"}) for number in (2, 3)],
    ),
    "replace": (
        lambda world: world.act("replace", key="KEY-0001", reason="defective"),
        lambda world: [
            ("popped", "KEY-0002", None),
            ("replaced", "KEY-0001", {"reason": "defective", "replacement": str(world.key("KEY-0002").pk)}),
        ],
    ),
    "move": (
        lambda world: world.act("move-import", policy=str(world.other.pk), **{"import": str(world.batch.pk)}),
        lambda world: [
            ("moved", None, {"count": 2, "destination": str(world.other.pk)}),
            ("added", None, {"count": 2, "source": str(world.batch.pk)}),
        ],
    ),
    "reveal": (
        lambda world: act(world.operator, "pools_key_reveal", world.key("KEY-0004")),
        lambda world: [("revealed", "KEY-0004", None)],
    ),
    "export": (
        lambda world: world.export(""),
        lambda world: [("exported", None, {"count": 3, "filter": {"state": "available"}})],
    ),
    "export of an import and a time": (
        lambda world: world.export(f"?state=all&format=csv&import={world.batch.pk}&since=2000-01-01&until=2100-01-01"),
        lambda world: [
            (
                "exported",
                None,
                {
                    "count": 3,
                    "filter": {
                        "state": "all",
                        "import": str(world.batch.pk),
                        "since": "2000-01-01T00:00:00+00:00",
                        "until": "2100-01-01T00:00:00+00:00",
                    },
                },
            )
        ],
    ),
    "export of nothing": (
        lambda world: world.export("?state=withdrawn"),
        lambda world: [("exported", None, {"count": 0, "filter": {"state": "withdrawn"}})],
    ),
}


class TestEvents:
    @pytest.fixture
    def world(self, api, acme, audit):
        batch = add(acme.policy, *numbered(3)).key_import
        acme.policy.pool.pop(audit)
        Key.objects.filter(key="KEY-0003").disclose(Key.Disclosure.REVEALED, audit)
        add_keys(acme.policy, "KEY-0004")
        other = make_policy(acme.product, "Other", use_pool=True)
        return World(api(acme.admin), signed_in(staff(acme)), acme.policy, other, batch)

    @each_row("name", EVENTS)
    def test_change_has_its_events(self, world, name):
        before = list(KeyEvent.objects.values_list("pk", flat=True))
        texts = {digest(text): text for text in numbered(9)}
        change, expected = EVENTS[name]

        change(world)

        events = KeyEvent.objects.exclude(pk__in=before).order_by("id")
        found = [
            (event.event, texts[bytes(event.key_digest)] if event.key_digest else None, event.details)
            for event in events
        ]
        assert found == expected(world)
        for event in events:
            assert (event.account_id, event.product_id) == (world.policy.account_id, world.policy.product_id)
            assert event.policy_id in (world.policy.pk, world.other.pk)
            # An event is of one key, or of an import, or an export.
            is_of_import = event.key_digest is None and event.event != "exported"
            assert (event.key_id is None, event.key_import_id is not None) == (event.key_digest is None, is_of_import)

    def test_events_of_a_license_name_it(self, api, acme, audit):
        add_keys(acme.policy, *numbered(2))
        license = issue_license(policy=acme.policy, audit=audit)
        admin = api(acme.admin)
        path = f"policies/{acme.policy.pk}/pool/actions"

        admin.post(f"{path}/replace", {"meta": {"key": "KEY-0001"}})
        admin.post(f"{path}/withdraw", {"meta": {"key": "KEY-0002", "suspendLicense": True}})

        events = KeyEvent.objects.order_by("id").values_list("event", "key__key", "license")
        assert list(events) == [
            ("issued", "KEY-0001", license.pk),
            ("issued", "KEY-0002", license.pk),
            ("replaced", "KEY-0001", license.pk),
            ("withdrawn", "KEY-0002", license.pk),
        ]

    def test_export_that_breaks_off_counts_the_keys_it_gave(self, world, monkeypatch):
        monkeypatch.setattr("pools.services.exports.PAGE_SIZE", 1)
        monkeypatch.setattr("pools.key_files.writing._ROWS_PER_BLOCK", 1)
        response = world.admin.get(f"policies/{world.policy.pk}/pool/actions/export")

        lines = iter(response.streaming_content)
        given = [next(lines), next(lines)]

        assert given == [b"KEY-0002\n", b"KEY-0003\n"]
        assert KeyEvent.objects.get(event="exported").details["count"] == 2

    def test_export_does_not_count_a_key_that_was_deleted_meanwhile(self, world, monkeypatch):
        def delete_and_disclose(keys, *arguments):
            Key.objects.filter(key="KEY-0004").delete()
            return disclose(keys, *arguments)

        disclose = exports._disclose
        monkeypatch.setattr(exports, "_disclose", delete_and_disclose)

        assert world.export("") == b"KEY-0002\nKEY-0003\n"
        assert KeyEvent.objects.get(event="exported").details["count"] == 2


DAY = datetime(2026, 3, 1, 12, tzinfo=UTC)


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
                key_digest=digest(f"KEY-{number}"),
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
