"""Keys, pools and the ledger in the console."""

import pytest
from uuid_utils.compat import uuid7

from accounts.audit import AuditContext
from licensing.services import issue_license
from pools.models import Key, KeyEvent, KeyImport
from pools.services.keys import withdraw_key
from tests.cast import add_keys, make_policy, numbered
from tests.console import act, page, shown, signed_in, staff


@pytest.fixture
def ann(acme):
    return staff(acme, email="ann@acme.test")


@pytest.fixture
def client(ann):
    return signed_in(ann)


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
        assert "Choose a pool" in response.content.decode()

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
            with django_assert_num_queries(9, exact=False) as statements:
                client.get(page("pools_key_changelist"))
            counts.append(len(statements))

        assert counts[0] == counts[1]

    def test_never_counts_to_the_end(self, acme, client, monkeypatch):
        monkeypatch.setattr("accounts.admin.base.MAX_COUNTED_ROWS", 3)
        add_keys(acme.policy, *numbered(6))

        text = client.get(page("pools_key_changelist")).content.decode()

        assert "The first 3 of more" in text


class TestKey:
    def test_key_page_tells_its_life(self, acme, client):
        (key,) = add_keys(acme.policy, "KEY-0001")
        acme.policy.pool.pop(AuditContext(operator="shop", reference="Order 4711"))
        act(client, "pools_key_return", Key.objects.get(), reference="Changed their mind", undelivered="on")

        response = client.get(page("pools_key_change", key.pk))

        assert [event.event for event, _ in response.context["life"].events] == ["returned", "popped"]
        for text in ("Order 4711", "shop", "Changed their mind", "ann@acme.test", "added"):
            assert text in response.content.decode()
        assert "KEY-0001" not in response.content.decode()

    def test_key_page_cannot_be_changed_or_deleted(self, acme, client):
        (key,) = add_keys(acme.policy, "KEY-0001")

        assert client.post(page("pools_key_change", key.pk), {"key": "OTHER-0001"}).status_code == 403
        assert client.post(page("pools_key_delete", key.pk), {"post": "yes"}).status_code == 403
        assert Key.objects.get().key == "KEY-0001"


class TestActs:
    def test_console_act_pop_hands_out_the_next_keys_and_shows_them(self, acme, client):
        add_keys(acme.policy, *numbered(3))

        response = client.post(
            page("licensing_policy_pop", acme.policy.pk),
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
            response = client.post(
                page("licensing_policy_pop", acme.policy.pk), {"count": 1, "once": once}, follow=True
            )

        assert response.context["text"] == "KEY-0001"
        assert acme.policy.pool.available().count() == 2

    def test_what_one_popped_another_does_not_see(self, acme, client):
        add_keys(acme.policy, *numbered(1))
        response = client.post(page("licensing_policy_pop", acme.policy.pk), {"count": 1, "once": uuid7()})

        other = signed_in(staff(acme, email="bob@acme.test"))

        assert other.get(response["Location"]).status_code == 404

    def test_console_act_pop_from_an_empty_pool_says_so(self, acme, client):
        response = client.post(page("licensing_policy_pop", acme.policy.pk), {"count": 1, "once": uuid7()})

        assert response.status_code == 422
        assert "Pool is empty" in response.content.decode()

    def test_console_act_reveal_shows_the_key_and_is_written_down(self, acme, client):
        (key,) = add_keys(acme.policy, "KEY-0001")

        before = client.get(f"{page('pools_key_reveal')}?id={key.pk}").content.decode()
        response = act(client, "pools_key_reveal", key, reference="Ticket 7")

        assert "KEY-0001" not in before
        assert shown(client, response) == "KEY-0001"
        assert "no-store" in client.get(response["Location"])["Cache-Control"]
        assert last_event() == ("revealed", "ann@acme.test", "Ticket 7")

    def test_a_revealed_key_does_not_go_back(self, acme, client, audit):
        (key,) = add_keys(acme.policy, "KEY-0001")
        acme.policy.pool.pop(audit)
        assert page("pools_key_return") in client.get(page("pools_key_change", key.pk)).content.decode()
        act(client, "pools_key_reveal", key)

        response = act(client, "pools_key_return", key, undelivered="on")

        assert response.status_code == 422
        assert "was shown to a person" in response.content.decode()
        assert Key.objects.get().popped
        assert page("pools_key_return") not in client.get(page("pools_key_change", key.pk)).content.decode()

    def test_a_key_popped_by_hand_does_not_go_back(self, acme, client):
        (key,) = add_keys(acme.policy, "KEY-0001")
        client.post(page("licensing_policy_pop", acme.policy.pk), {"count": 1, "once": uuid7()})

        response = act(client, "pools_key_return", key, undelivered="on")

        assert response.status_code == 422
        assert "was shown to a person" in response.content.decode()

    def test_the_key_of_a_revoked_license_does_not_go_back(self, acme, client, audit):
        (key,) = add_keys(acme.policy, "KEY-0001")
        license = issue_license(policy=acme.policy, audit=audit)
        act(client, "licensing_license_revoke", license)

        response = act(client, "pools_key_return", key, undelivered="on")

        assert response.status_code == 422
        assert "was issued with a license" in response.content.decode()

    def test_console_act_return_puts_a_key_back(self, acme, client, audit):
        (key,) = add_keys(acme.policy, "KEY-0001")
        acme.policy.pool.pop(audit)

        assert act(client, "pools_key_return", key).context["form"].errors["undelivered"]
        assert not acme.policy.pool.available().exists()
        act(client, "pools_key_return", key, reference="Mistake", undelivered="on")

        assert acme.policy.pool.available().get() == key
        assert last_event() == ("returned", "ann@acme.test", "Mistake")

    def test_console_act_withdraws_keys_and_says_what_became_of_others(self, acme, client, audit):
        keys = add_keys(acme.policy, *numbered(3))
        acme.policy.pool.pop(audit)
        withdraw_key(policy=acme.policy, text="KEY-0002", audit=audit)

        response = act(client, "pools_key_withdraw", *keys, reason="leaked")

        messages = [str(message) for message in client.get(response["Location"]).context["messages"]]
        assert messages == ["Withdrawn: 2.", "Left as they are: 1, which has been withdrawn."]
        assert Key.objects.filter(withdrawn__isnull=False).count() == 3
        assert KeyEvent.objects.filter(event="withdrawn", details={"reason": "leaked"}).count() == 2

    def test_the_list_leads_to_the_page_of_an_act(self, acme, client):
        keys = add_keys(acme.policy, *numbered(2))

        response = client.post(
            page("pools_key_changelist"), {"action": "withdraw", "_selected_action": [key.pk for key in keys]}
        )

        assert client.get(response["Location"]).context["title"] == "Withdraw: 2?"
        assert acme.policy.pool.available().count() == 2

    def test_console_act_withdraws_what_is_left_of_an_import(self, acme, client, audit):
        key_import = KeyImport.objects.create(account=acme.account, policy=acme.policy)
        add_keys(acme.policy, *numbered(3))
        Key.objects.update(key_import=key_import)
        acme.policy.pool.pop(audit)

        act(client, "pools_keyimport_withdraw", key_import, reference="Recalled")

        assert Key.objects.filter(withdrawn__isnull=False).count() == 2
        assert last_event() == ("withdrawn", "ann@acme.test", "Recalled")

    def test_console_act_export_sends_a_file_and_is_written_down(self, acme, client):
        add_keys(acme.policy, *numbered(2))

        response = client.post(
            page("licensing_policy_export", acme.policy.pk), {"state": "available", "format": "text"}
        )

        assert b"".join(response.streaming_content) == b"KEY-0001\nKEY-0002\n"
        assert response["Content-Disposition"].startswith("attachment")
        assert last_event() == ("exported", "ann@acme.test", "")


class TestHome:
    def test_home_page_shows_the_lowest_pool_first(self, acme, client):
        other = make_policy(acme.product, "Nearly empty", use_pool=True)
        add_keys(acme.policy, *numbered(3))
        add_keys(other, "OTHER-0001")

        text = client.get(page("index")).content.decode()

        assert text.index("Nearly empty") < text.index("Pooled")

    def test_home_page_warns_of_low_pools(self, acme, client):
        acme.policy.low_stock_threshold = 5
        acme.policy.save()
        add_keys(acme.policy, *numbered(2))

        assert "has 2 keys left; its low mark is 5" in client.get(page("index")).content.decode()

    def test_home_page_says_how_to_begin(self, acme, client):
        acme.policy.use_pool = False
        acme.policy.save()

        assert "There is no pool yet" in client.get(page("index")).content.decode()

    def test_home_page_costs_a_fixed_number_of_statements(self, acme, client, django_assert_num_queries):
        client.get(page("index"))  # counts the days that are over
        counts = []
        for number in (1, 5):
            for index in range(number):
                add_keys(make_policy(acme.product, f"Pool {index}", use_pool=True), f"KEY-{number}-{index:04}")
            client.get(page("index"))
            with django_assert_num_queries(9, exact=False) as statements:
                client.get(page("index"))
            counts.append(len(statements))

        assert counts[0] == counts[1]
