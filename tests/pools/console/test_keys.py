"""The list of keys, pools and the home page in the console."""

import re

import pytest
from uuid_utils.compat import uuid7

from accounts.audit import AuditContext
from licensing.services import issue_license
from pools.models import Key, KeyEvent, KeyImport
from tests.cast import add_keys, make_policy, numbered
from tests.console import act, page, signed_in, staff


def rows_of(response):
    return list(response.context["cl"].result_list)


def last_event():
    event = KeyEvent.objects.first()
    return event.event, event.operator, event.reference


class TestList:
    def test_list_of_keys_masks_keys(self, acme, client):
        add_keys(acme.policy, "C1B6DE-39A6E3-59V3", "ABCDEFGH")

        text = client.get(page("pools_key_changelist")).content.decode()

        assert "C1B6…59V3" in text
        assert "AB…GH" in text
        assert "DE-39A6E3" not in text
        assert "CDEF" not in text

    def test_list_of_keys_shows_the_only_pool_in_the_order_in_which_it_goes(self, acme, client):
        keys = add_keys(acme.policy, *numbered(3))

        assert rows_of(client.get(page("pools_key_changelist"))) == keys

    def test_list_of_keys_asks_for_a_pool_where_there_are_several(self, acme, client):
        other = make_policy(acme.product, "Other", use_pool=True)
        add_keys(acme.policy, "KEY-0001")

        response = client.get(page("pools_key_changelist"))

        assert rows_of(response) == []
        assert f"?policy={other.pk}" in response.content.decode()
        assert "Or look through a pool" in response.content.decode()

    def test_list_of_keys_opens_on_the_field_that_finds_a_key(self, acme, client):
        make_policy(acme.product, "Other", use_pool=True)

        opened = client.get(page("pools_key_changelist")).content.decode()
        chosen = client.get(page("pools_key_changelist", policy=acme.policy.pk)).content.decode()

        assert "<h1>Find a key</h1>" in opened
        assert " autofocus>" in opened
        assert " autofocus>" not in chosen

    def test_list_of_keys_has_the_columns_of_the_chosen_pool_and_state(self, acme, client):
        make_policy(acme.product, "Other", use_pool=True)
        columns = {
            state: [
                name
                for name in client.get(page("pools_key_changelist", policy=acme.policy.pk, state=state))
                .context["cl"]
                .list_display
                if name != "action_checkbox"
            ]
            for state in ("available", "popped", "withdrawn")
        }

        assert columns == {
            "available": ["masked", "available_since", "of_import"],
            "popped": ["masked", "reference", "handed_out", "of_import"],
            "withdrawn": ["masked", "reference", "retired", "of_import"],
        }

    def test_list_of_keys_has_a_button_for_each_action_on_several(self, acme, client, audit):
        *_, last = add_keys(acme.policy, *numbered(3))
        acme.policy.pool.pop(audit)
        act(client, "pools_key_withdraw", last)

        buttons = {
            state: re.findall(
                r'name="index" value="\d">([^<]+)<', client.get(page("pools_key_changelist", **query)).content.decode()
            )
            for state, query in [("any", {"q": "KEY-0002"}), *((each, {"state": each}) for each in Key.State.values)]
        }

        assert buttons == {
            "any": ["Retire…", "Put back…"],
            "available": ["Retire…"],
            "popped": ["Retire…", "Put back…"],
            "withdrawn": [],
        }

    def test_list_of_keys_filters_by_state(self, acme, client, audit):
        first, second, third = add_keys(acme.policy, *numbered(3))
        acme.policy.pool.pop(audit)
        act(client, "pools_key_withdraw", third)

        states = {
            state: rows_of(client.get(page("pools_key_changelist", state=state)))
            for state in ("available", "popped", "withdrawn")
        }

        assert states == {"available": [second], "popped": [first], "withdrawn": [third]}

    def test_list_of_keys_filters_by_import_and_date(self, acme, client):
        key_import = KeyImport.objects.create(account=acme.account, policy=acme.policy)
        add_keys(acme.policy, "KEY-0001")
        (key,) = add_keys(acme.policy, "KEY-0002")
        Key.objects.filter(pk=key.pk).update(key_import=key_import)
        query = {"policy": acme.policy.pk, "import": key_import.pk}

        assert rows_of(client.get(page("pools_key_changelist", **query))) == [key]
        assert rows_of(client.get(page("pools_key_changelist", **query, since="1"))) == [key]

    @pytest.mark.parametrize("text", ["KEY-0001", "0001", "Order 4711", " KEY-0001 "])
    @pytest.mark.parametrize("popped", [True, False])
    def test_list_of_keys_finds(self, acme, client, text, popped):
        key, _ = add_keys(acme.policy, "KEY-0001", "KEY-0002")
        if popped:
            acme.policy.pool.pop(AuditContext(reference="Order 4711"))
        found = rows_of(client.get(page("pools_key_changelist", q=text)))

        assert found == ([key] if popped or "Order" not in text else [])

    def test_list_of_keys_finds_the_key_of_a_license(self, acme, client, audit):
        (key,) = add_keys(acme.policy, "KEY-0001")
        license = issue_license(policy=acme.policy, audit=audit)

        assert rows_of(client.get(page("pools_key_changelist", q=license.pk))) == [key]

    def test_list_of_keys_costs_a_fixed_number_of_statements(self, acme, client, audit, django_assert_num_queries):
        counts = []
        for number in (2, 12):
            add_keys(acme.policy, *(f"{number}-KEY-{index:04}" for index in range(number)))
            with django_assert_num_queries(12, exact=False) as statements:
                client.get(page("pools_key_changelist"))
            counts.append(len(statements))

        assert counts[0] == counts[1]

    def test_never_counts_to_the_end(self, acme, client, monkeypatch):
        monkeypatch.setattr("accounts.admin.base.MAX_COUNTED_ROWS", 3)
        add_keys(acme.policy, *numbered(6))

        text = client.get(page("pools_key_changelist")).content.decode()

        assert "Showing the first 3." in text


class TestActs:
    def test_console_act_pop_hands_out_the_next_keys_and_shows_them(self, acme, client):
        add_keys(acme.policy, *numbered(3))

        response = client.post(
            page("pools_pool_pop", acme.policy.pk),
            {"count": 2, "reference": "Order 1", "once": uuid7()},
            follow=True,
        )

        assert response.context["text"] == "KEY-0001\nKEY-0002"
        assert last_event() == ("popped", "ann@acme.test", "Order 1")
        assert acme.policy.pool.available().count() == 1

    def test_console_act_pop_happens_once_however_often_the_form_is_sent(self, acme, client):
        add_keys(acme.policy, *numbered(3))
        once = uuid7()

        for _ in range(2):
            response = client.post(page("pools_pool_pop", acme.policy.pk), {"count": 1, "once": once}, follow=True)

        assert response.context["text"] == "KEY-0001"
        assert acme.policy.pool.available().count() == 2

    def test_popped_keys_are_not_shown_to_another_operator(self, acme, client):
        add_keys(acme.policy, *numbered(1))
        response = client.post(page("pools_pool_pop", acme.policy.pk), {"count": 1, "once": uuid7()})

        other = signed_in(staff(acme, email="bob@acme.test"))

        assert other.get(response["Location"]).status_code == 404

    def test_console_act_pop_from_an_empty_pool_says_so(self, acme, client):
        response = client.post(page("pools_pool_pop", acme.policy.pk), {"count": 1, "once": uuid7()})

        assert response.status_code == 422
        assert "This pool is empty" in response.content.decode()

    def test_console_act_withdraws_the_unused_keys_of_an_import(self, acme, client, audit):
        key_import = KeyImport.objects.create(account=acme.account, policy=acme.policy)
        add_keys(acme.policy, *numbered(3))
        Key.objects.update(key_import=key_import)
        acme.policy.pool.pop(audit)

        act(client, "pools_keyimport_withdraw", key_import, reference="Recalled")

        assert Key.objects.filter(withdrawn__isnull=False).count() == 2
        assert last_event() == ("withdrawn", "ann@acme.test", "Recalled")

    def test_console_act_export_sends_a_file_and_is_written_down(self, acme, client):
        add_keys(acme.policy, *numbered(2))

        response = client.post(page("pools_pool_export", acme.policy.pk), {"state": "available", "format": "text"})

        assert b"".join(response.streaming_content) == b"KEY-0001\nKEY-0002\n"
        assert response["Content-Disposition"].startswith("attachment")
        assert last_event() == ("exported", "ann@acme.test", "")
