"""The ledger: its events, their causes, its filters and its export."""

from urllib.parse import quote
from uuid import UUID

import pytest
from uuid_utils.compat import uuid7

from accounts.audit import AuditContext
from accounts.models import Token
from pools.models import Key, KeyEvent, KeyImport, PendingImport
from tests.cast import add_keys, numbered
from tests.console import act, page, signed_in, staff
from tests.errors import assert_refused, bad_request, forbidden, lacks_permission, not_found
from tests.pools.documents import moment
from tests.tables import each_row


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


def test_ledger_finds_a_reference_in_every_encoding_of_the_header(api, acme):
    add_keys(acme.policy, *numbered(6))
    admin = api(acme.admin)
    reference = "Bestellung Nr. 17 für Åse"
    sent = [reference.encode().decode("latin-1"), reference, f"UTF-8''{quote(reference)}", f"utf-8'de'{reference}"]
    for text in [*sent, "18", "UTF-8''%E2%86%92%20%F0%9F%94%91"]:
        assert admin.delete(f"policies/{acme.policy.pk}/pool", Keygen_Reference=text).status_code == 200

    found = admin.get(f"key-events?reference={quote(reference)}").json()["data"]

    assert [event["attributes"]["reference"] for event in found] == [reference] * 4
    assert len(admin.get(f"key-events?reference={quote('→ 🔑')}").json()["data"]) == 1


@pytest.mark.parametrize("reference", ["", " ", "x" * 256, "a\x01b", "a\x85b", "UTF-8''", "UTF-8''a%0Ab"])
def test_ledger_refuses_a_reference(api, acme, reference):
    add_keys(acme.policy, "KEY-0001")

    response = api(acme.admin).delete(f"policies/{acme.policy.pk}/pool", Keygen_Reference=reference)

    error = bad_request("must be between 1 and 255 characters, without control characters")
    assert_refused(response, 400, error | {"source": {"header": "Keygen-Reference"}})
    assert acme.policy.pool.available().exists()


def test_ledger_refuses_a_reference_with_a_wrong_encoding(api, acme):
    response = api(acme.admin).delete(f"policies/{acme.policy.pk}/pool", Keygen_Reference="UTF-8''M%FCller")

    error = bad_request("must be percent-encoded UTF-8 after UTF-8'', e.g. UTF-8''Bestellung%20M%C3%BCller")
    assert_refused(response, 400, error | {"source": {"header": "Keygen-Reference"}})


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

        client.post(page("pools_pool_pop", pk), {"count": 1, "once": uuid7()})
        act(client, "pools_key_withdraw", Key.objects.get(key="KEY-0002"))
        act(client, "pools_key_reveal", Key.objects.get(key="KEY-0003"))
        pooled.pool.pop(AuditContext(operator="tests"))
        add_keys(pooled, "KEY-0004")
        pooled.pool.pop(AuditContext(operator="tests"))
        act(client, "pools_key_return", Key.objects.get(key="KEY-0004"), undelivered="on")
        b"".join(client.post(page("pools_pool_export", pk), {"state": "all", "format": "csv"}))
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
            (AuditContext(operator="ann@acme.test", operator_id=UUID(int=1)), f"ann@acme.test ({UUID(int=1)})"),
            (AuditContext(operator="manage.py pop_key"), "manage.py pop_key"),
            (AuditContext(bearer_type="products", bearer_id=UUID(int=1)), f"products {UUID(int=1)}"),
            (AuditContext(), ""),
        ],
    )
    def test_actor_is_the_operator_or_the_bearer(self, acme, audit, actor):
        add_keys(acme.policy, "KEY-0001")

        key = acme.policy.pool.pop(audit)

        assert {audit.actor, KeyEvent.objects.get().actor, key.disclosed_to} == {actor}
