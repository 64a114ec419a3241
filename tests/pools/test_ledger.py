"""Looking into the ledger."""

import pytest

from licensing.services import issue_license
from pools.models import KeyEvent
from tests.cast import add_keys, make_policy, numbered
from tests.errors import assert_refused, bad_request, forbidden, lacks_permission, not_found
from tests.pools.documents import moment

HELD = "key-events"


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
