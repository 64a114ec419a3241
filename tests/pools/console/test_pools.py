"""The pages of a pool in the console: the list, the page with its tabs, a new pool, and export."""

import csv
import io
import re
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from django.utils import timezone

from accounts.models import Token
from licensing.models import Policy, Product
from pools.models import DailyRefusalCount, Key, KeyEvent, KeyImport
from pools.services.keys import pop_keys_for_operator, withdraw_key
from tests.cast import add_keys, make_policy, make_product, numbered
from tests.console import page, shown, signed_in, staff, superuser


def text_of(response):
    """The text of a page, without tags and with single blanks."""
    return " ".join(re.sub(r"<[^>]*>", " ", response.content.decode()).split())


def rows_of(response):
    text = b"".join(response.streaming_content).decode().lstrip("\ufeff")
    return list(csv.DictReader(io.StringIO(text)))


class TestList:
    def test_list_has_the_stock_of_each_pool_and_no_other_policy(self, acme, client):
        acme.policy.low_stock_threshold = 5
        acme.policy.save()
        make_policy(acme.product, "Nothing in it", use_pool=True)
        add_keys(acme.policy, *numbered(3))

        response = client.get(page("pools_pool_changelist"))

        text = text_of(response)
        assert "state-low" in response.content.decode()
        assert "state-empty" in response.content.decode()
        assert "Pooled Rocket low 3" in text
        assert "at 5 keys left" in text
        assert "Unpooled" not in text

    def test_list_costs_a_fixed_number_of_statements(self, acme, client, django_assert_num_queries):
        counts = []
        for number in (1, 6):
            for index in range(number):
                add_keys(make_policy(acme.product, f"Pool {index}", use_pool=True), f"KEY-{number}-{index:04}")
            client.get(page("pools_pool_changelist"))  # counts the days that are over
            with django_assert_num_queries(13, exact=False) as statements:
                client.get(page("pools_pool_changelist"))
            counts.append(len(statements))

        assert counts[0] == counts[1]

    def test_list_finds_pools_by_part_of_the_name(self, acme, client):
        make_policy(acme.product, "Students", use_pool=True)

        response = client.get(page("pools_pool_changelist", q="tuden"))

        assert [pool.name for pool in response.context["cl"].queryset] == ["Students"]


class TestPage:
    def test_page_shows_the_stock_and_how_long_it_lasts(self, acme, client, audit):
        add_keys(acme.policy, *numbered(40))
        acme.policy.pool.pop(audit)

        text = text_of(client.get(page("pools_pool_change", acme.policy.pk)))

        assert "39 left" in text
        assert "1 out today" in text
        assert "Gone " in text

    def test_page_of_an_empty_pool_leads_to_the_import(self, acme, client):
        response = client.get(page("pools_pool_change", acme.policy.pk))

        assert "0 left" in text_of(response)
        assert page("pools_pendingimport_import", acme.policy.pk) in response.content.decode()
        assert "None handed out" not in text_of(response)

    def test_page_of_an_empty_pool_says_since_when_and_how_many_requests_it_refused(self, acme, client, audit):
        add_keys(acme.policy, "KEY-0001")
        acme.policy.pool.pop(audit)
        DailyRefusalCount.objects.create(policy=acme.policy, day=timezone.now().date(), refused=1234)

        text = text_of(client.get(page("pools_pool_change", acme.policy.pk)))

        assert f"empty since {timezone.now():%-d %b %Y}" in text
        assert "1,234 requests refused today" in text

    def test_page_shows_the_keys_that_were_handed_out_last_masked(self, acme, client, audit):
        add_keys(acme.policy, "KEY-AAAA-0001", "KEY-AAAA-0002")
        acme.policy.pool.pop(audit)

        response = client.get(page("pools_pool_change", acme.policy.pk))

        (latest,) = response.context["latest"]
        assert latest.key == "KEY-AAAA-0001"
        assert latest.masked in response.content.decode()
        assert "KEY-AAAA-0001" not in response.content.decode()

    def test_buttons_are_those_that_an_operator_may_press(self, acme):
        names = {}
        for group in ("Operator", "Auditor"):
            text = signed_in(staff(acme, group)).get(page("pools_pool_change", acme.policy.pk)).content.decode()
            names[group] = {
                name
                for name in ("pendingimport_import", "pool_pop", "pool_export", "pool_alert", "pool_test")
                if page(f"pools_{name}", acme.policy.pk) in text
            }

        assert len(names["Operator"]) == 5
        assert names["Auditor"] == set()

    @pytest.mark.parametrize("tab", ["change", "imports", "activity", "usage", "terms"])
    def test_each_tab_leads_to_the_others(self, acme, client, tab):
        response = client.get(page(f"pools_pool_{tab}", acme.policy.pk))

        text = response.content.decode()
        assert [page(f"pools_pool_{name}", acme.policy.pk) in text for name in ("change", "imports", "terms")] == [
            True
        ] * 3
        (current,) = re.findall(r'<a href="([^"]*)" aria-current="page">', text.partition('class="tabs"')[2])
        assert current == page(f"pools_pool_{tab}", acme.policy.pk)

    def test_names_of_users_are_isolated_from_the_text_around_them(self, acme, client):
        acme.policy.name = "<b>\u202eevil"
        acme.policy.save()

        text = client.get(page("pools_pool_change", acme.policy.pk)).content.decode()

        assert "<bdi>&lt;b&gt;\u202eevil</bdi>" in text
        assert "<b>\u202e" not in text

    def test_chart_follows_imports_and_pops(self, acme, client, audit):
        now = timezone.now()
        Policy.objects.filter(pk=acme.policy.pk).update(created=now - timedelta(days=10))
        KeyImport.objects.create(account=acme.account, policy=acme.policy, added=30, created=now - timedelta(days=5))
        add_keys(acme.policy, *numbered(30))
        for _ in range(3):
            key = acme.policy.pool.pop(audit)
            Key.objects.filter(pk=key.pk).update(popped=now - timedelta(days=2))

        history = client.get(page("pools_pool_change", acme.policy.pk)).context["chart"].history

        assert [each.stock for each in history] == [0] * 5 + [30] * 3 + [27] * 3
        assert [each.imported for each in history if each.imported] == [30]
        assert [each.handed_out for each in history if each.handed_out] == [3]

    def test_chart_has_at_most_120_points(self, acme, client):
        Policy.objects.filter(pk=acme.policy.pk).update(created=timezone.now() - timedelta(days=700))

        response = client.get(page("pools_pool_change", acme.policy.pk, days=730))

        assert 100 < len(response.context["chart"].history) <= 120
        assert response.context["chart"].days == 6


class TestImportsAndActivity:
    def test_imports_tab_lists_batches(self, acme, client):
        KeyImport.objects.create(account=acme.account, policy=acme.policy, name="PO 4711", added=1234)

        text = text_of(client.get(page("pools_pool_imports", acme.policy.pk)))

        assert "PO 4711 1,234" in text

    def test_activity_tab_says_who_did_what(self, acme, client, audit):
        add_keys(acme.policy, *numbered(3))
        client.post(page("pools_pool_pop", acme.policy.pk), {"count": 1, "reference": "Order 7"})
        withdraw_key(policy=acme.policy, text="KEY-0002", audit=audit)

        text = text_of(client.get(page("pools_pool_activity", acme.policy.pk)))

        assert re.search(r"ann@acme.test handed out KE…01 Order 7", text)
        assert "retired KE…02" in text


class TestNewPool:
    def form(self, **values):
        return {"name": "Retail", "duration_never": "on", "alert_at": "10", "alert_unit": "keys", **values}

    def test_new_pool_with_a_new_product_leads_to_its_import(self, acme, client):
        response = client.post(
            page("pools_pool_add"),
            self.form(new_product="Sketchline", duration_never="", duration_number="2", duration_unit="years"),
        )

        pool = Policy.objects.get(name="Retail")
        assert response["Location"] == page("pools_pendingimport_import", pool.pk)
        assert (pool.account, pool.product.name, pool.use_pool) == (acme.account, "Sketchline", True)
        assert (pool.duration, pool.low_stock_threshold) == (2 * 31_556_952, 10)

    def test_new_pool_of_a_product_that_is_there(self, acme, client):
        client.post(page("pools_pool_add"), self.form(product=acme.product.pk))

        assert Policy.objects.get(name="Retail").product == acme.product
        assert Policy.objects.get(name="Retail").duration is None

    def test_new_pool_is_created_once(self, acme, client):
        values = self.form(new_product="Sketchline", once=client.get(page("pools_pool_add")).context["once"])

        for _ in range(2):
            client.post(page("pools_pool_add"), values)

        assert Product.objects.filter(name="Sketchline").count() == 1
        assert Policy.objects.filter(name="Retail").count() == 1

    @pytest.mark.parametrize(
        ("values", "error"),
        [
            ({"product": UUID(int=7)}, "Select a valid choice"),
            ({}, "Name the product, or choose one."),
            ({"new_product": "A", "name": ""}, "Give the pool a name."),
            ({"new_product": "A", "duration_number": "3", "duration_unit": "days"}, "Clear “never expires”"),
            ({"new_product": "A", "duration_never": ""}, "Enter a number, or tick “never expires”."),
            ({"new_product": "A", "alert_at": "-1"}, "Enter 0 or more."),
            ({"new_product": "A", "alert_at": "400", "alert_unit": "days"}, "Enter 1 to 365 days."),
        ],
    )
    def test_new_pool_shows_the_errors_of_its_form(self, acme, client, values, error):
        response = client.post(page("pools_pool_add"), self.form(**values))

        assert error in response.content.decode()
        assert not Policy.objects.filter(name="Retail").exists()
        assert not Product.objects.filter(name="A").exists()

    def test_a_superuser_chooses_the_account_of_a_new_product(self, acme, rival):
        client = signed_in(superuser())

        refused = client.post(page("pools_pool_add"), self.form(new_product="Sketchline"))
        client.post(page("pools_pool_add"), self.form(new_product="Sketchline", account=rival.account.pk))

        assert "Choose the account of the new product." in refused.content.decode()
        assert Policy.objects.get(name="Retail").account == rival.account


class TestHandOut:
    def test_more_keys_than_are_left_are_refused_with_their_number(self, acme, client):
        add_keys(acme.policy, *numbered(2))

        response = client.post(page("pools_pool_pop", acme.policy.pk), {"count": 5})

        assert response.status_code == 422
        assert "Only 2 left: nothing was handed out." in response.content.decode()
        assert '<button type="submit" name="count" value="2"' in response.content.decode()
        assert acme.policy.pool.available().count() == 2

    def test_result_has_the_keys_their_pages_and_what_remains(self, acme, client):
        first, *_ = add_keys(acme.policy, *numbered(5))

        response = client.post(page("pools_pool_pop", acme.policy.pk), {"count": 3, "reference": "Contoso"})
        result = client.get(response["Location"])
        download = client.get(f"{response['Location']}?download")

        assert "3 keys for “Contoso”" in text_of(result)
        assert "3 keys left the pool, 2 remain." in text_of(result)
        assert page("pools_key_change", first.pk) in result.content.decode()
        assert download.content == b"KEY-0001\nKEY-0002\nKEY-0003\n"


class TestUsage:
    def test_usage_has_the_real_address_in_three_languages(self, acme, client):
        text = text_of(client.get(page("pools_pool_usage", acme.policy.pk)))

        assert text.count(f"/v1/accounts/acme/policies/{acme.policy.pk}/pool") == 3
        assert text.count("YOUR-TOKEN") == 3

    def test_token_is_made_in_place_and_shown_once(self, acme, client, api):
        add_keys(acme.policy, "KEY-0001")
        form = {"name": "Shop", "once": client.get(page("pools_pool_usage", acme.policy.pk)).context["once"]}

        response = client.post(page("pools_pool_usage", acme.policy.pk), form)
        again = client.post(page("pools_pool_usage", acme.policy.pk), form)
        result = client.get(response["Location"])

        token = result.context["token"]
        assert result.content.decode().count(token) == 4
        assert again["Location"] == response["Location"]
        assert Token.objects.get(name="Shop").bearer == acme.product
        assert api(token).delete(f"policies/{acme.policy.pk}/pool").status_code == 200
        assert "YOUR-TOKEN" in text_of(client.get(page("pools_pool_usage", acme.policy.pk)))

    def test_token_is_shown_to_its_maker_and_for_its_pool_only(self, acme, client):
        other = make_policy(acme.product, "Other", use_pool=True)
        location = client.post(page("pools_pool_usage", acme.policy.pk), {"name": "Shop"})["Location"]
        query = location.partition("?")[2]

        bob = signed_in(staff(acme, email="bob@acme.test")).get(location)
        elsewhere = client.get(f"{page('pools_pool_usage', other.pk)}?{query}")

        assert bob.context["token"] == elsewhere.context["token"] == ""

    @pytest.mark.parametrize("group", ["Support", "Auditor"])
    def test_others_make_no_token(self, acme, group):
        client = signed_in(staff(acme, group))

        assert not client.get(page("pools_pool_usage", acme.policy.pk)).context["may_make"]
        assert client.post(page("pools_pool_usage", acme.policy.pk), {"name": "Shop"}).status_code == 403
        assert not Token.objects.filter(name="Shop").exists()


class TestExport:
    @pytest.fixture
    def last_month(self):
        return timezone.now().replace(day=1, hour=12) - timedelta(days=3)

    def test_preset_exports_what_was_handed_out_last_month(self, acme, client, audit, last_month):
        add_keys(acme.policy, *numbered(3))
        for _ in range(2):
            key = acme.policy.pool.pop(audit)
        Key.objects.filter(key="KEY-0001").update(popped=last_month)

        response = client.post(page("pools_pool_export", acme.policy.pk), {"preset": "Handed out last month"})

        assert [row["pool"].strip('="') for row in rows_of(response)] == ["Pooled"]
        assert key.key == "KEY-0002"
        details = KeyEvent.objects.get(event="exported").details
        start = last_month.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
        assert details["filter"]["since"] == start.isoformat()

    def test_dates_are_whole_days(self, acme, client):
        form = {"state": "available", "format": "text", "since": "2026-01-01", "until": "2026-01-31"}

        b"".join(client.post(page("pools_pool_export", acme.policy.pk), form))

        options = KeyEvent.objects.get().details["filter"]
        assert options["since"] == datetime(2026, 1, 1, tzinfo=UTC).isoformat()
        assert options["until"] == datetime(2026, 2, 1, tzinfo=UTC).isoformat()

    def test_all_pools_are_exported_into_one_file(self, acme, rival, client):
        other = make_policy(make_product(acme.account, "Another"), "Other", use_pool=True)
        for policy in (acme.policy, other, rival.policy):
            add_keys(policy, f"{policy.name.upper()}-{policy.account.slug}-0001")

        every = rows_of(client.post(page("pools_pool_export_all"), {"state": "available", "format": "csv"}))
        one = rows_of(
            client.post(
                page("pools_pool_export_all"), {"state": "available", "format": "csv", "product": other.product_id}
            )
        )

        assert [row["pool"] for row in every] == ["Pooled", "Other"]
        assert [row["pool"] for row in one] == ["Other"]
        assert KeyEvent.objects.filter(event="exported", operator="ann@acme.test").count() == 3


def test_result_of_a_hand_out_is_no_page_of_another(acme, client, audit):
    add_keys(acme.policy, *numbered(2))
    response = client.post(page("pools_pool_pop", acme.policy.pk), {"count": 1})

    assert shown(client, response) == "KEY-0001"
    assert signed_in(staff(acme, email="bob@acme.test")).get(response["Location"]).status_code == 404
    assert pop_keys_for_operator(policy=acme.policy, count=1, audit=audit)[0].key == "KEY-0002"
