"""Show, Replace, Retire and Put back in the console. No key may reach two people."""

import re

import pytest
from uuid_utils.compat import uuid7

from accounts.audit import AuditContext
from licensing.models import License
from licensing.services import issue_license
from pools.models import Key, KeyEvent
from pools.services.exports import export_keys
from pools.services.keys import pop_keys_for_operator, reveal_key, withdraw_key
from tests.cast import add_keys, numbered
from tests.console import act, page, shown, signed_in, staff
from tests.tables import each_row

ORDER = AuditContext(operator="shop", reference="Order 4711")


def last_event():
    event = KeyEvent.objects.first()
    return event.event, event.operator, event.reference


def text_of(response):
    return response.content.decode().replace("&#x27;", "'")


def offered(client, key):
    """The names of the actions on the page of a key that have a button, and the reasons of those that have none."""
    response = client.get(page("pools_key_change", key.pk))
    buttons = re.findall(r'class="button[^"]* act-(\w+)"', text_of(response))
    reasons = {action.name: re.sub("<[^>]+>", "", str(why)) for action, why in response.context["unsafe_actions"]}
    return buttons, reasons


def state():
    """All that an action could change."""
    return list(Key.objects.order_by("pk").values_list()), KeyEvent.objects.count(), list(License.objects.values_list())


def opened(client, name, *keys):
    """The values that the form of an action's page would send."""
    text = text_of(client.get(page(f"pools_key_{name}") + "?" + "&".join(f"id={key.pk}" for key in keys)))
    return {field: re.search(f'name="{field}" value="([^"]+)"', text)[1] for field in ("once", "seen")}


class TestShow:
    def test_show_shows_the_key_and_is_written_down(self, acme, client):
        (key,) = add_keys(acme.policy, "KEY-0001")

        before = text_of(client.get(page("pools_key_reveal", id=key.pk)))
        response = act(client, "pools_key_reveal", key, reference="Ticket 7")

        assert "It stays available and will go to the next customer" in before
        assert "KEY-0001" not in before
        assert shown(client, response) == "KEY-0001"
        assert "no-store" in client.get(response["Location"])["Cache-Control"]
        assert last_event() == ("revealed", "ann@acme.test", "Ticket 7")

    def test_show_is_for_one_key(self, acme, client):
        keys = add_keys(acme.policy, *numbered(2))

        assert act(client, "pools_key_reveal", *keys).status_code == 404
        assert not KeyEvent.objects.exists()


class TestPutBack:
    def test_put_back_makes_the_key_the_next_one(self, acme, client):
        key, _ = add_keys(acme.policy, *numbered(2))
        acme.policy.pool.pop(ORDER)

        assert "return" in offered(client, key)[0]
        act(client, "pools_key_return", key, reference="Mistake", undelivered="on")

        assert acme.policy.pool.available_in_order().first() == key
        assert last_event() == ("returned", "ann@acme.test", "Mistake")

    def test_put_back_needs_a_confirmation_that_the_key_was_not_delivered(self, acme, client):
        (key,) = add_keys(acme.policy, "KEY-0001")
        acme.policy.pool.pop(ORDER)

        assert act(client, "pools_key_return", key).context["form"].errors["undelivered"]
        assert not acme.policy.pool.available().exists()

    @each_row(
        ("how", "reason"),
        [
            ("available", "This key was not handed out: it is still available."),
            ("popped here", "ann@acme.test saw this key on"),
            ("shown", "ann@acme.test saw this key on"),
            ("shown before the pop", "ann@acme.test saw this key on"),
            ("issued", "The license of customer@acme.test has this key. Replace or retire it instead."),
            ("issued and revoked", "This key was issued with a license, so the customer may have it."),
            ("exported", "shop exported this key on"),
            ("exported before the pop", "shop exported this key on"),
            ("used", "This key was used in another system before it was imported"),
            ("retired", "This key is retired, and that is permanent."),
        ],
    )
    def test_put_back_is_not_offered_where_a_person_may_have_seen_the_key(self, acme, client, ann, how, reason):
        (key,) = add_keys(acme.policy, "KEY-0001")
        by_ann = AuditContext(operator=ann.email, operator_id=ann.pk, request_id=str(uuid7()))
        if how == "shown before the pop":
            reveal_key(key, by_ann)
        if how == "exported before the pop":
            list(export_keys(policy=acme.policy, audit=ORDER, state="available"))
        if how == "popped here":
            pop_keys_for_operator(policy=acme.policy, count=1, audit=by_ann)
        elif how.startswith("issued"):
            issue_license(policy=acme.policy, audit=ORDER, owner=acme.user(email="customer@acme.test"))
        elif how != "available":
            acme.policy.pool.pop(ORDER)
        if how == "shown":
            reveal_key(key, by_ann)
        if how == "issued and revoked":
            License.objects.get().delete()
        if how == "exported":
            list(export_keys(policy=acme.policy, audit=ORDER, state="popped"))
        if how == "used":
            Key.objects.update(disclosure=Key.Disclosure.USED)
        if how == "retired":
            withdraw_key(policy=acme.policy, text="KEY-0001", audit=ORDER)
        before = state()

        buttons, reasons = offered(client, key)
        form = text_of(client.get(page("pools_key_return", id=key.pk)))
        sent = act(client, "pools_key_return", key, undelivered="on")

        assert "return" not in buttons
        assert reason in reasons["return"]
        assert re.sub("<[^>]+>", "", form).count(reason) == 1
        assert "undelivered" not in form
        assert sent.status_code == 422
        assert "Nothing was changed. " in text_of(sent)
        assert state() == before


class TestReplace:
    def test_replace_hands_out_the_next_key_for_the_same_order_and_shows_it(self, acme, client):
        old, new, _ = add_keys(acme.policy, *numbered(3))
        acme.policy.pool.pop(ORDER)

        form = client.get(page("pools_key_replace", id=old.pk))
        response = act(client, "pools_key_replace", old, reason="refunded")

        assert list(form.context["form"].fields) == ["reason", "seen"]
        assert "Order 4711" in text_of(form)
        result = client.get(response["Location"])
        assert result.context["text"] == "KEY-0002"
        assert result.context["title"] == "New key for Order 4711"
        assert result.context["back"] == page("pools_key_change", new.pk)
        assert [key.state for key in Key.objects.order_by("id")] == ["withdrawn", "popped", "available"]
        events = KeyEvent.objects.order_by("id").values_list("event", "key__key", "reference", "details")
        assert list(events) == [
            ("popped", "KEY-0001", "Order 4711", None),
            ("popped", "KEY-0002", "Order 4711", None),
            ("replaced", "KEY-0001", "Order 4711", {"reason": "refunded", "replacement": str(new.pk)}),
        ]

    def test_the_new_key_can_not_be_put_back_because_the_operator_saw_it(self, acme, client):
        old, new = add_keys(acme.policy, *numbered(2))
        acme.policy.pool.pop(ORDER)
        act(client, "pools_key_replace", old)

        response = act(client, "pools_key_return", new, undelivered="on")

        assert response.status_code == 422
        assert "ann@acme.test" in offered(client, new)[1]["return"]
        assert not acme.policy.pool.available().exists()

    def test_replace_asks_for_a_reference_if_the_key_was_handed_out_for_none(self, acme, client, audit):
        old, _ = add_keys(acme.policy, *numbered(2))
        acme.policy.pool.pop(audit)

        act(client, "pools_key_replace", old, reference="Order 5")

        assert KeyEvent.objects.get(event="popped", key__key="KEY-0002").reference == "Order 5"

    def test_replace_gives_the_license_the_new_key(self, acme, client):
        old, _ = add_keys(acme.policy, *numbered(2))
        license = issue_license(policy=acme.policy, audit=ORDER, owner=acme.user(email="customer@acme.test"))

        form = text_of(client.get(page("pools_key_replace", id=old.pk)))
        response = act(client, "pools_key_replace", old)

        license.refresh_from_db()
        assert "The license of <bdi>customer@acme.test</bdi> gets the new key" in form
        assert shown(client, response) == license.key == "KEY-0002"

    def test_replace_happens_once_however_often_the_form_is_sent(self, acme, client):
        old, *_ = add_keys(acme.policy, *numbered(4))
        acme.policy.pool.pop(ORDER)
        form = opened(client, "replace", old)

        results = {shown(client, act(client, "pools_key_replace", old, **form)) for _ in range(3)}

        assert results == {"KEY-0002"}
        assert acme.policy.pool.available().count() == 2

    def test_replace_from_an_empty_pool_changes_nothing(self, acme, client):
        (old,) = add_keys(acme.policy, "KEY-0001")
        acme.policy.pool.pop(ORDER)
        before = state()

        response = act(client, "pools_key_replace", old)

        assert response.status_code == 422
        assert "There is no other key in Pooled. Import keys first." in offered(client, old)[1]["replace"]
        assert state() == before

    @each_row(
        ("how", "reason"),
        [
            ("available", "This key was not handed out, so there is nothing to replace."),
            ("retired", "This key is retired already. Hand out another key from its pool instead."),
            ("revoked", "The license that this key was issued with is revoked or has another key by now."),
        ],
    )
    def test_replace_is_not_offered_if_no_customer_waits_for_a_key(self, acme, client, how, reason):
        key, _ = add_keys(acme.policy, *numbered(2))
        if how == "retired":
            acme.policy.pool.pop(ORDER)
            withdraw_key(policy=acme.policy, text="KEY-0001", audit=ORDER)
        if how == "revoked":
            issue_license(policy=acme.policy, audit=ORDER).delete()
        before = state()

        buttons, reasons = offered(client, key)
        response = act(client, "pools_key_replace", key)

        assert "replace" not in buttons
        assert reasons["replace"].startswith(reason)
        assert response.status_code == 422
        assert state() == before

    def test_replace_needs_the_permissions_to_retire_to_hand_out_and_to_issue(self, acme):
        key, _ = add_keys(acme.policy, *numbered(2))
        acme.policy.pool.pop(ORDER)
        person = staff(acme, "Operator", email="bob@acme.test")
        for codename in ("pop_key", "withdraw_key", "add_license"):
            group = person.groups.get()
            taken = group.permissions.get(codename=codename)
            group.permissions.remove(taken)

            assert act(signed_in(person), "pools_key_replace", key).status_code == 403
            assert "replace" not in offered(signed_in(person), key)[0]

            group.permissions.add(taken)
        assert "replace" in offered(signed_in(person), key)[0]


class TestRetire:
    def test_retire_several_says_what_became_of_others(self, acme, client):
        keys = add_keys(acme.policy, *numbered(3))
        acme.policy.pool.pop(ORDER)
        withdraw_key(policy=acme.policy, text="KEY-0002", audit=ORDER)

        form = client.get(page("pools_key_withdraw") + "?" + "&".join(f"id={key.pk}" for key in keys))
        response = act(client, "pools_key_withdraw", *keys, reason="leaked")

        messages = [str(message) for message in client.get(response["Location"]).context["messages"]]
        assert (form.context["title"], form.context["button"]) == ("Retire 3 keys?", "Retire 3 keys")
        assert messages == ["2 keys retired.", "1 unchanged: retired already."]
        assert Key.objects.filter(withdrawn__isnull=False).count() == 3
        assert KeyEvent.objects.filter(event="withdrawn", details={"reason": "leaked"}).count() == 2

    @pytest.mark.parametrize("suspend", [True, False])
    def test_retire_offers_to_suspend_the_license(self, acme, client, suspend):
        (key,) = add_keys(acme.policy, "KEY-0001")
        license = issue_license(policy=acme.policy, audit=ORDER, owner=acme.user(email="customer@acme.test"))

        form = text_of(client.get(page("pools_key_withdraw", id=key.pk)))
        act(client, "pools_key_withdraw", key, **({"suspend_license": "on"} if suspend else {}))

        license.refresh_from_db()
        assert "Suspend the license of <bdi>customer@acme.test</bdi> too" in form
        assert license.suspended == suspend
        assert Key.objects.get().withdrawn

    def test_retire_suspends_no_license_without_the_permission_for_that(self, acme):
        (key,) = add_keys(acme.policy, "KEY-0001")
        license = issue_license(policy=acme.policy, audit=ORDER)
        person = staff(acme, "Operator")
        group = person.groups.get()
        group.permissions.remove(group.permissions.get(codename="suspend_license"))
        client = signed_in(person)

        form = text_of(client.get(page("pools_key_withdraw", id=key.pk)))
        act(client, "pools_key_withdraw", key, suspend_license="on")

        license.refresh_from_db()
        assert 'name="suspend_license"' not in form
        assert not license.suspended
        assert Key.objects.get().withdrawn

    def test_retire_is_not_offered_twice(self, acme, client):
        (key,) = add_keys(acme.policy, "KEY-0001")
        act(client, "pools_key_withdraw", key)

        buttons, reasons = offered(client, key)

        assert buttons == ["reveal"]
        assert reasons["withdraw"] == "This key is retired already. That is permanent."

    def test_a_reason_is_one_line(self, acme, client):
        (key,) = add_keys(acme.policy, "KEY-0001")

        response = act(client, "pools_key_withdraw", key, reason="two\nlines")

        assert response.context["form"].errors["reason"] == ["Enter one line of text."]
        assert not Key.objects.get().withdrawn


def test_an_action_of_the_list_leads_to_its_page(acme, client):
    keys = add_keys(acme.policy, *numbered(2))
    choice = {"action": ["", "withdraw", "return"], "index": 1, "_selected_action": [key.pk for key in keys]}

    response = client.post(page("pools_key_changelist"), choice)

    assert client.get(response["Location"]).context["title"] == "Retire 2 keys?"
    assert acme.policy.pool.available().count() == 2
