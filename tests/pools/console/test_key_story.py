"""The page of a key: its story in one sentence, who has seen it, and its history."""

import re

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts.audit import AuditContext
from licensing.services import issue_license
from pools.models import Key, KeyEvent, KeyImport
from pools.services.exports import export_keys
from pools.services.keys import reveal_key, withdraw_key
from tests.cast import add_keys, numbered, shop_audit
from tests.console import act, page, signed_in, staff


@pytest.fixture
def shop(acme):
    return shop_audit(acme.product, "SHOP-500421", request_id="0192f0c0-0000-7000-8000-00000000beef")


def plain(html):
    """HTML as text; every time is written as {time}."""
    text = re.sub("<time.*?</time>", "{time}", str(html))
    return re.sub("<[^>]+>", "", text).replace("&#x27;", "'")


def story(client, key):
    return client.get(page("pools_key_change", key.pk)).context["story"]


def sentence(client, key):
    return plain(story(client, key).sentence)


def seen_by(client, key):
    return [plain(who) for who in story(client, key).seen_by]


class TestSentence:
    def test_an_available_key(self, acme, client):
        (key,) = add_keys(acme.policy, "KEY-0001")

        assert sentence(client, key) == "Available since {time}."

    def test_a_key_that_a_shop_popped(self, acme, client, shop):
        (key,) = add_keys(acme.policy, "KEY-0001")
        acme.policy.pool.pop(shop)

        assert sentence(client, key) == "Handed out on {time} to Rocket (token “Shop EU”) for SHOP-500421."

    def test_a_key_whose_shop_is_gone(self, acme, client, shop):
        other = acme.another_product()
        (key,) = add_keys(acme.policy, "KEY-0001")
        acme.policy.pool.pop(AuditContext(bearer_type="products", bearer_id=other.pk))
        ending = str(other.pk)[-12:]
        other.delete()

        assert sentence(client, key) == f"Handed out on {{time}} to a deleted product (…{ending})."

    def test_a_key_that_an_operator_handed_out(self, acme, client, ann):
        (key,) = add_keys(acme.policy, "KEY-0001")
        acme.policy.pool.pop(AuditContext(operator=ann.email, operator_id=ann.pk, reference="Partner Contoso"))

        assert sentence(client, key) == "Handed out on {time} by ann@acme.test in the console for Partner Contoso."

    def test_a_key_that_a_command_handed_out(self, acme, client):
        (key,) = add_keys(acme.policy, "KEY-0001")
        acme.policy.pool.pop(AuditContext(operator="manage.py pop_key"))

        assert sentence(client, key) == "Handed out on {time} by the command manage.py pop_key."

    def test_the_key_of_a_license(self, acme, client, shop):
        (key,) = add_keys(acme.policy, "KEY-0001")
        owner = acme.user(email="customer@acme.test")
        license = issue_license(policy=acme.policy, audit=shop, owner=owner, name="Retail")

        assert sentence(client, key) == (
            "Issued on {time} to customer@acme.test by Rocket (token “Shop EU”) with the license Retail for "
            "SHOP-500421."
        )
        assert plain(story(client, key).license_name) == "Retail of customer@acme.test"
        license.delete()
        assert "with a license that is revoked by now for SHOP-500421." in sentence(client, key)

    def test_a_key_that_was_replaced_and_its_replacement(self, acme, client, shop):
        old, new = add_keys(acme.policy, *numbered(2))
        acme.policy.pool.pop(shop)
        act(client, "pools_key_replace", old, reason="ticket 881")

        assert sentence(client, old) == (
            "Handed out on {time} to Rocket (token “Shop EU”) for SHOP-500421, "
            "then replaced with KE…02 on {time} by ann@acme.test (ticket 881)."
        )
        assert sentence(client, new) == (
            "Handed out on {time} by ann@acme.test in the console for SHOP-500421, in place of KE…01."
        )

    def test_a_retired_key(self, acme, client):
        (key,) = add_keys(acme.policy, "KEY-0001")
        act(client, "pools_key_withdraw", key, reason="leaked")

        assert sentence(client, key) == "Retired on {time} by ann@acme.test (leaked)."

    def test_a_key_that_was_put_back(self, acme, client, shop):
        (key,) = add_keys(acme.policy, "KEY-0001")
        acme.policy.pool.pop(shop)
        act(client, "pools_key_return", key, undelivered="on")

        assert sentence(client, key) == "Available: put back on {time} by ann@acme.test."
        assert seen_by(client, key) == []

    def test_a_key_that_was_used_in_another_system(self, acme, client, audit):
        (key,) = add_keys(acme.policy, "KEY-0001")
        acme.policy.pool.pop(audit)
        KeyEvent.objects.all().delete()
        Key.objects.update(disclosure=Key.Disclosure.USED)

        assert sentence(client, key) == "Used in another system, before it was imported on {time}."
        assert seen_by(client, key) == ["another system, before the import ({time})"]

    def test_names_are_escaped(self, acme, client):
        acme.product.name = "<script>alert(1)</script>"
        acme.product.save()
        (key,) = add_keys(acme.policy, "KEY-0001")
        acme.policy.pool.pop(AuditContext(bearer_type="products", bearer_id=acme.product.pk, reference="<b>"))

        text = client.get(page("pools_key_change", key.pk)).content.decode()

        assert "<script>alert" not in text
        assert "<strong><bdi>&lt;b&gt;</bdi></strong>" in text


class TestSeenBy:
    def test_the_shop_and_each_operator_once(self, acme, client, ann, shop):
        (key,) = add_keys(acme.policy, "KEY-0001")
        acme.policy.pool.pop(shop)
        for _ in range(2):
            reveal_key(key, AuditContext(operator=ann.email, operator_id=ann.pk))

        assert seen_by(client, key) == ["Rocket (token “Shop EU”) by the API ({time})", "ann@acme.test ({time})"]

    def test_the_customer_and_the_operator_who_issued_it(self, acme, client, ann):
        (key,) = add_keys(acme.policy, "KEY-0001")
        by_ann = AuditContext(operator=ann.email, operator_id=ann.pk)
        issue_license(policy=acme.policy, audit=by_ann, owner=acme.user(email="customer@acme.test"))

        assert seen_by(client, key) == ["customer@acme.test ({time})", "ann@acme.test ({time})"]

    def test_an_export(self, acme, client, shop):
        (key,) = add_keys(acme.policy, "KEY-0001")
        list(export_keys(policy=acme.policy, audit=shop))

        assert seen_by(client, key) == ["Rocket in an export ({time})"]


class TestPage:
    def test_history_has_all_events_and_the_arrival(self, acme, client, ann, shop):
        (key,) = add_keys(acme.policy, "KEY-0001")
        batch = KeyImport.objects.create(
            account=acme.account, policy=acme.policy, name="PO 4711", operator=ann.email, operator_id=ann.pk
        )
        Key.objects.update(key_import=batch)
        acme.policy.pool.pop(shop)
        act(client, "pools_key_return", key, reference="Changed their mind", undelivered="on")
        act(client, "pools_key_withdraw", key, reason="leaked")

        rows = story(client, key).history

        assert [(row["words"], plain(row["by"])) for row in rows] == [
            ("retired", "ann@acme.test"),
            ("put back", "ann@acme.test"),
            ("handed out", "Rocket (token “Shop EU”)"),
            ("imported", "ann@acme.test"),
        ]
        text = client.get(page("pools_key_change", key.pk)).content.decode()
        for expected in ("leaked", "Changed their mind", "SHOP-500421", "…0000beef", "PO 4711"):
            assert expected in text
        assert "KEY-0001" not in text

    def test_page_names_the_other_keys_of_the_order(self, acme, client, shop):
        first, second, third = add_keys(acme.policy, *numbered(3))
        for _ in range(2):
            acme.policy.pool.pop(shop)
        acme.policy.pool.pop(AuditContext(operator="shop", reference="Other"))

        assert [plain(key) for key in story(client, first).other_keys] == ["KE…02"]
        assert story(client, third).other_keys == []

    def test_names_are_links_where_the_operator_may_follow_them(self, acme, shop):
        (key,) = add_keys(acme.policy, "KEY-0001")
        acme.policy.pool.pop(shop)
        token = page("accounts_token_change", shop.token_id)
        product = page("licensing_product_change", acme.product.pk)
        links = {
            group: [
                address in signed_in(staff(acme, group)).get(page("pools_key_change", key.pk)).content.decode()
                for address in (token, product)
            ]
            for group in ("Operator", "Support")
        }

        assert links == {"Operator": [True, True], "Support": [False, True]}

    def test_support_sees_the_story_and_no_action(self, acme, shop):
        (key,) = add_keys(acme.policy, "KEY-0001")
        acme.policy.pool.pop(shop)

        response = signed_in(staff(acme, "Support")).get(page("pools_key_change", key.pk))

        assert response.context["action_links"] == response.context["unsafe_actions"] == []
        assert "SHOP-500421" in response.content.decode()

    def test_page_cannot_be_changed_or_deleted(self, acme, client):
        (key,) = add_keys(acme.policy, "KEY-0001")

        assert client.post(page("pools_key_change", key.pk), {"key": "OTHER-0001"}).status_code == 403
        assert client.post(page("pools_key_delete", key.pk), {"post": "yes"}).status_code == 403
        assert Key.objects.get().key == "KEY-0001"

    def test_page_costs_a_fixed_number_of_statements(self, acme, client, ann, shop):
        first, second = add_keys(acme.policy, *numbered(2))
        for _ in range(2):
            acme.policy.pool.pop(shop)
        for _ in range(30):
            reveal_key(second, AuditContext(operator=ann.email, operator_id=ann.pk))
        reveal_key(first, AuditContext(operator=ann.email, operator_id=ann.pk))
        counts = []
        for key in (first, second):
            client.get(page("pools_key_change", key.pk))
            with CaptureQueriesContext(
                connection,
            ) as statements:
                client.get(page("pools_key_change", key.pk))
            counts.append(len(statements))

        assert counts[0] == counts[1]


def test_a_key_of_another_account_is_not_named(acme, rival, client, audit):
    """A replacement or another key of a reference is always of the same account."""
    (key,) = add_keys(acme.policy, "KEY-0001")
    (theirs,) = add_keys(rival.policy, "RIVAL-0001")
    for policy in (acme.policy, rival.policy):
        policy.pool.pop(AuditContext(operator="shop", reference="Order 1"))
    withdraw_key(policy=acme.policy, text="KEY-0001", audit=audit)
    KeyEvent.objects.filter(event="withdrawn").update(event="replaced", details={"replacement": str(theirs.pk)})

    text = client.get(page("pools_key_change", key.pk)).content.decode()

    assert theirs.masked not in text
    assert str(theirs.pk) not in text
    assert "then replaced" in text
