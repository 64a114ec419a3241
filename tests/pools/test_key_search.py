"""`POST key-events/actions/search` tells the state of the key and who has seen it."""

from pools.models import Key
from pools.services.keys import reveal_key, withdraw_key
from tests.cast import add_keys
from tests.pools.documents import moment


def search(speaker, text):
    response = speaker.post("key-events/actions/search", {"meta": {"key": text}})
    assert response.status_code == 200, response.content
    return response.json()["meta"]["key"]


def test_search_tells_that_no_one_has_seen_an_available_key(api, acme):
    (key,) = add_keys(acme.policy, "KEY-0001")

    assert search(api(acme.admin), "KEY-0001") == {
        "id": str(key.pk),
        "state": "available",
        **dict.fromkeys(["popped", "withdrawn", "disclosed", "disclosure", "disclosedTo"]),
    }


def test_search_tells_who_has_seen_a_key(api, acme, audit):
    add_keys(acme.policy, "KEY-0001")
    product = api(acme.product)
    product.delete(f"policies/{acme.policy.pk}/pool")

    found = search(api(acme.admin), "KEY-0001")

    key = Key.objects.get()
    assert (found["state"], found["disclosure"], found["disclosedTo"]) == (
        "popped",
        "popped",
        f"products {acme.product.pk}",
    )
    assert found["popped"] == found["disclosed"] == moment(key.popped)

    reveal_key(key, audit)
    withdraw_key(policy=acme.policy, text="KEY-0001", audit=audit)
    found = search(product, "KEY-0001")
    assert (found["state"], found["disclosure"], found["disclosedTo"]) == ("withdrawn", "revealed", "tests")


def test_search_tells_nothing_of_keys_out_of_sight(api, acme, rival):
    add_keys(acme.policy, "KEY-0001")
    add_keys(rival.policy, "KEY-0002")

    assert search(api(acme.another_product()), "KEY-0001") is None
    assert search(api(acme.admin), "KEY-0002") is None
    assert search(api(acme.admin), "KEY-0003") is None
