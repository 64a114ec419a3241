"""An action on a key is refused if the key changed after the page with the action was opened."""

import re

from accounts.audit import AuditContext
from licensing.models import License
from pools.admin.key_actions import KeyForm
from pools.models import Key, KeyEvent
from pools.services.keys import return_key, reveal_key
from tests.cast import add_keys, numbered
from tests.console import act, page
from tests.tables import each_row

CHANGED = "changed since you opened this page, so nothing was done"
ORDER = AuditContext(operator="shop", reference="Order 4711")
VALUES = {"return": {"undelivered": "on"}, "reveal": {}, "withdraw": {}, "replace": {}}


def text_of(response):
    return response.content.decode().replace("&#x27;", "'")


def state():
    """All that an action could change."""
    return list(Key.objects.order_by("pk").values_list()), KeyEvent.objects.count(), list(License.objects.values_list())


def opened(client, name, *keys):
    """The values that the form of an action's page would send."""
    text = text_of(client.get(page(f"pools_key_{name}") + "?" + "&".join(f"id={key.pk}" for key in keys)))
    return {field: re.search(f'name="{field}" value="([^"]+)"', text)[1] for field in ("once", "seen")}


def hand_out_again(policy):
    """Put the first key back, and hand it out to another customer."""
    return_key(policy=policy, text="KEY-0001", undelivered=True, audit=ORDER)
    assert policy.pool.pop(AuditContext(operator="shop", reference="Order 9")).key == "KEY-0001"


@each_row("name", VALUES)
def test_a_key_that_went_to_another_customer_meanwhile_is_left_alone(acme, client, name):
    key, _ = add_keys(acme.policy, *numbered(2))
    acme.policy.pool.pop(ORDER)
    form = opened(client, name, key)
    hand_out_again(acme.policy)
    before = state()

    response = act(client, f"pools_key_{name}", key, **form, **VALUES[name])

    assert f"This key has {CHANGED}" in text_of(response)
    assert "Order 9" in text_of(response)
    assert state() == before


def test_a_key_that_was_handed_out_meanwhile_is_not_retired(acme, client):
    (key,) = add_keys(acme.policy, "KEY-0001")
    form = opened(client, "withdraw", key)
    acme.policy.pool.pop(ORDER)

    response = act(client, "pools_key_withdraw", key, **form)

    assert CHANGED in text_of(response)
    assert not Key.objects.get().withdrawn
    again = re.search('name="seen" value="([^"]+)"', text_of(response))[1]
    act(client, "pools_key_withdraw", key, once=form["once"], seen=again)
    assert Key.objects.get().withdrawn


def test_of_several_keys_none_is_changed_if_one_was_handed_out_meanwhile(acme, client):
    keys = add_keys(acme.policy, *numbered(3))
    form = opened(client, "withdraw", *keys)
    acme.policy.pool.pop(ORDER)

    response = act(client, "pools_key_withdraw", *keys, **form)

    assert f"Some of these keys have {CHANGED}" in text_of(response)
    assert not Key.objects.exclude(withdrawn=None).exists()


@each_row("name", VALUES)
def test_a_key_that_changes_after_the_form_was_checked_is_left_alone(acme, client, monkeypatch, name):
    """The state is compared once more when the key is locked."""
    key, _ = add_keys(acme.policy, *numbered(2))
    acme.policy.pool.pop(ORDER)
    form = opened(client, name, key)
    clean = KeyForm.clean

    def clean_slowly(form):
        values = clean(form)
        hand_out_again(acme.policy)
        return values

    with monkeypatch.context() as patch:
        patch.setattr(KeyForm, "clean", clean_slowly)
        response = act(client, f"pools_key_{name}", key, **form, **VALUES[name])

    assert response.status_code == 422
    assert "changed since the page was opened, so nothing was done" in text_of(response)
    assert [event.event for event in KeyEvent.objects.order_by("id")] == ["popped", "returned", "popped"]
    assert Key.objects.get(pk=key.pk).disclosure == Key.Disclosure.POPPED


def test_a_key_that_was_shown_meanwhile_is_not_put_back(acme, client, audit):
    (key,) = add_keys(acme.policy, "KEY-0001")
    acme.policy.pool.pop(ORDER)
    form = opened(client, "return", key)
    reveal_key(key, audit)

    response = act(client, "pools_key_return", key, **form, undelivered="on")

    assert "tests</bdi> saw this key on" in text_of(response)
    assert 'name="undelivered"' not in text_of(response)
    assert not acme.policy.pool.available().exists()
