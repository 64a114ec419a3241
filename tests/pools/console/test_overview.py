"""The overview: the most urgent tasks first, with any number of pools."""

import re
from datetime import timedelta

import pytest
from django.contrib.auth.models import Permission
from django.utils import timezone

from licensing.models import Policy
from pools.models import Key, KeyEvent
from pools.services.keys import pop_keys
from pools.services.low_pools import mute_pool
from pools.services.refusals import flush_refusals
from tests.cast import add_keys, make_license, make_policy, make_product, numbered
from tests.console import page, signed_in, staff, superuser


def text_of(response):
    """The text of a page, without its tags."""
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", response.content.decode())).replace(" ,", ",")


def overview(client, **query):
    response = client.get(page("index", **query))
    assert response.status_code == 200
    return response


def many_pools(acme, count, low):
    """Pools with five keys each and an alert at three, `low` of them with two keys."""
    policies = [
        Policy(
            account=acme.account,
            product=acme.product,
            name=f"Pool {number:03}",
            use_pool=True,
            low_stock_threshold=3,
            protected=False,
        )
        for number in range(count)
    ]
    Policy.objects.bulk_create(policies)
    Key.objects.bulk_create(
        Key(account=acme.account, policy=policy, key=f"KEY-{place:03}-{number}")
        for place, policy in enumerate(policies)
        for number in range(2 if place < low else 5)
    )
    return policies


class TestNeedyPools:
    def test_the_page_and_its_title_count_them(self, acme, client):
        make_policy(acme.product, "Other", use_pool=True)

        response = overview(client)

        assert "2 pools need you" in text_of(response)
        assert "<title>(2) Overview |" in response.content.decode()

    def test_a_low_pool_shows_its_stock_and_links_to_the_import(self, acme, client):
        Policy.objects.filter(pk=acme.policy.pk).update(low_stock_threshold=5)
        add_keys(acme.policy, *numbered(2))

        response = overview(client)

        assert "1 pool needs you" in text_of(response)
        assert "2 left · alert at 5" in text_of(response)
        assert page("pools_pendingimport_import", acme.policy.pk) in response.content.decode()

    def test_an_empty_pool_says_since_when_and_what_it_cost(self, acme, api, audit, client):
        add_keys(acme.policy, "KEY-0001")
        key = acme.policy.pool.pop(audit)
        for _ in range(2):
            api(acme.admin).delete(f"policies/{acme.policy.pk}/pool")
        flush_refusals()

        text = text_of(overview(client))

        assert f"Empty since {key.popped:%-d %b %Y} · 2 requests refused today" in text

    def test_a_pool_that_was_never_filled_says_so(self, acme, client):
        assert "No keys yet" in text_of(overview(client))

    def test_it_says_when_the_pool_will_be_gone(self, acme, audit, client):
        Policy.objects.filter(pk=acme.policy.pk).update(low_stock_threshold=5)
        add_keys(acme.policy, *numbered(6))
        pop_keys(policy=acme.policy, count=5, audit=audit)

        assert re.search(r"1 left, gone (today|between|about)", text_of(overview(client)))

    def test_a_muted_pool_is_left_out(self, acme, client):
        mute_pool(acme.policy, acme.admin)

        response = overview(client)

        assert "need you" not in text_of(response)
        assert "<title>Overview |" in response.content.decode()

    def test_all_low_pools_of_500_are_counted_and_reachable(self, acme, client):
        acme.policy.delete()
        policies = many_pools(acme, 500, low=48)

        response = overview(client)
        inbox = client.get(page("inbox")).content.decode()

        assert "48 pools need you" in text_of(response)
        assert "See all 48 in the inbox" in text_of(response)
        assert '<span class="note">48</span>' in response.content.decode()
        assert all(page("pools_pendingimport_import", policy.pk) in inbox for policy in policies[:48])
        assert page("pools_pendingimport_import", policies[48].pk) not in inbox

    def test_all_500_pools_are_on_some_page_the_low_ones_first(self, acme, client):
        acme.policy.delete()
        policies = many_pools(acme, 500, low=48)
        shown = []
        for number in range(1, 11):
            shown += [summary.policy.pk for summary in overview(client, p=number).context["summaries"]]

        assert set(shown[:48]) == {policy.pk for policy in policies[:48]}
        assert sorted(shown) == sorted(policy.pk for policy in policies)

    def test_the_statements_do_not_grow_with_the_pools(self, acme, client, django_assert_max_num_queries):
        counts = []
        for number in (3, 40):
            many_pools(acme, number, low=3)
            Key.objects.all().delete()
            overview(client)  # counts the days that are over
            with django_assert_max_num_queries(40) as statements:
                overview(client)
            counts.append(len(statements))

        assert counts[0] == counts[1]


class TestPools:
    def test_the_lowest_pool_comes_first(self, acme, client):
        other = make_policy(acme.product, "Nearly empty", use_pool=True)
        add_keys(acme.policy, *numbered(3))
        add_keys(other, "OTHER-0001")

        pools = [summary.policy.name for summary in overview(client).context["summaries"]]

        assert pools == ["Nearly empty", "Pooled"]

    @pytest.mark.parametrize("view", ["table", "cards"])
    def test_pools_as_table_or_cards(self, acme, audit, client, view):
        add_keys(acme.policy, *numbered(30))
        pop_keys(policy=acme.policy, count=2, audit=audit)

        response = overview(client, view=view)

        text = text_of(response)
        assert ("pool-table" in response.content.decode()) == (view == "table")
        assert "28" in text
        assert page("pools_pendingimport_import", acme.policy.pk) in response.content.decode()
        assert page("pools_pool_pop", acme.policy.pk) in response.content.decode()

    def test_by_product_and_by_part_of_the_name(self, acme, client):
        other = make_policy(make_product(acme.account, "Sketchline"), "Home edition", use_pool=True)

        by_product = overview(client, product=other.product.pk).context["summaries"]
        by_name = overview(client, pool="EDITION").context["summaries"]
        nothing = overview(client, pool="nothing")

        assert [summary.policy for summary in by_product] == [other]
        assert [summary.policy for summary in by_name] == [other]
        assert "No pool has this name or product" in text_of(nothing)

    def test_wrong_filters_are_left_out(self, acme, client):
        for query in ({"product": "x"}, {"p": "x"}, {"days": "7"}, {"view": "x"}, {"p": "99"}):
            assert len(overview(client, **query).context["summaries"]) == 1

    def test_large_numbers_have_separators(self, acme, client, monkeypatch):
        Key.objects.bulk_create(
            Key(account=acme.account, policy=acme.policy, key=f"KEY-{number}") for number in range(1_234)
        )

        assert "1,234" in text_of(overview(client))

    def test_an_incomplete_count_is_marked(self, acme, client, monkeypatch):
        monkeypatch.setattr("pools.admin.overview.MAX_COUNTED_KEYS", 2)
        add_keys(acme.policy, *numbered(3))

        assert "2+" in text_of(overview(client))


class TestTotals:
    def test_totals_with_the_week_before(self, acme, client):
        add_keys(acme.policy, *numbered(6))
        for days, number in ((0, 3), (7, 2)):
            when = timezone.now() - timedelta(days=days)
            for key in acme.policy.pool.available()[:number]:
                fields = {"popped": when, "disclosed": when, "disclosure": "popped", "disclosed_to": ""}
                Key.objects.filter(pk=key.pk).update(**fields)
        Policy.objects.update(created=timezone.now() - timedelta(days=20))

        text = text_of(overview(client))

        assert f"out today, +50% on last {timezone.now():%a} 3" in text
        assert "out in 7 days, +50% on the week before 3" in text
        assert re.search(r"available 1\b", text)

    def test_licenses_and_those_that_expire_soon(self, acme, client):
        make_license(acme.unpooled, expiry=timezone.now() + timedelta(days=1))
        make_license(acme.unpooled)

        assert "licenses, 1 expires within 3 days 2" in text_of(overview(client))

    def test_the_chart_has_a_table(self, acme, audit, client):
        add_keys(acme.policy, *numbered(2))
        pop_keys(policy=acme.policy, count=2, audit=audit)

        response = overview(client)

        assert "<svg" in response.content.decode()
        assert f"{timezone.now():%a %-d %b %Y} 2 2" in text_of(response)


class TestActivity:
    def test_keys_of_one_request_are_one_line(self, acme, act, client):
        add_keys(acme.policy, *numbered(5))
        act("pop", count=3)
        KeyEvent.objects.update(reference="Order 7")

        response = overview(client)

        assert "admin@acme.test handed out 3 keys · Pooled · Order 7" in text_of(response)

    def test_a_key_is_masked_and_leads_to_its_page(self, acme, audit, client):
        add_keys(acme.policy, "C1B6DE-39A6E3-59V3")
        key = acme.policy.pool.pop(audit)

        response = overview(client)

        assert "handed out C1B6…59V3" in text_of(response)
        assert page("pools_key_change", key.pk) in response.content.decode()
        assert key.key not in response.content.decode()

    def test_a_product_and_its_token_have_names(self, acme, api, client):
        add_keys(acme.policy, "KEY-0001")
        api(acme.product).delete(f"policies/{acme.policy.pk}/pool")
        KeyEvent.objects.update(token_name="Shop EU")

        assert "Rocket · Shop EU handed out" in text_of(overview(client))

    def test_a_deleted_pool_and_key_break_nothing(self, acme, audit, client):
        add_keys(acme.policy, "KEY-0001")
        acme.policy.pool.pop(audit)
        make_policy(acme.product, "Other", use_pool=True)
        acme.policy.delete()

        assert "tests handed out a deleted key · a deleted pool" in text_of(overview(client))


class TestFirstSteps:
    def test_nothing_yet(self, acme, client):
        acme.policy.delete()
        acme.product.delete()

        response = overview(client)

        assert "Hand out your first key" in text_of(response)
        assert page("licensing_product_add") in response.content.decode()

    def test_keys_are_the_third_step(self, acme, client):
        text = text_of(overview(client))

        assert "Done: Add a product" in text
        assert "Done: Create a pool" in text
        assert "Done: Import keys" not in text

    def test_the_last_step_is_a_line_to_copy(self, acme, client):
        add_keys(acme.policy, "KEY-0001")

        content = overview(client).content.decode()

        assert f"curl -X DELETE http://testserver/v1/accounts/acme/policies/{acme.policy.pk}/pool" in content
        assert page("licensing_product_token") in content

    def test_it_goes_away_with_the_first_key(self, acme, audit, client):
        add_keys(acme.policy, *numbered(2))
        acme.policy.pool.pop(audit)

        assert "Hand out your first key" not in text_of(overview(client))


class TestPermissions:
    def test_a_person_without_a_role_is_told_so(self, acme):
        person = staff(acme)
        person.groups.clear()

        text = text_of(overview(signed_in(person)))

        assert "You have no role yet" in text
        assert "Pooled" not in text

    def test_nothing_of_another_account_is_shown(self, acme, rival, audit, client):
        Policy.objects.filter(pk=rival.policy.pk).update(name="Secret pool")
        add_keys(rival.policy, "RIVAL-SECRET-0001")
        rival.policy.pool.pop(audit)
        make_license(rival.unpooled)

        for query in ({}, {"view": "cards"}, {"product": rival.product.pk}, {"pool": "Secret"}):
            content = overview(client, **query).content.decode()
            assert "Secret pool" not in content
            assert "rival" not in content.lower()
            assert str(rival.policy.pk) not in content

    def test_a_superuser_sees_all_accounts(self, acme, rival):
        text = text_of(overview(signed_in(superuser())))

        assert "2 pools need you" in text
        assert "Rival" in text

    def test_an_auditor_sees_no_buttons(self, acme):
        add_keys(acme.policy, "KEY-0001")

        content = overview(signed_in(staff(acme, "Auditor"))).content.decode()

        assert page("pools_pendingimport_import", acme.policy.pk) not in content
        assert page("pools_pool_pop", acme.policy.pk) not in content
        assert page("pools_pool_add") not in content

    def test_without_the_ledger_there_is_no_activity(self, acme, audit):
        person = staff(acme)
        add_keys(acme.policy, *numbered(2))
        acme.policy.pool.pop(audit)
        person.groups.clear()
        person.user_permissions.set(Permission.objects.filter(codename="view_policy"))

        content = overview(signed_in(person)).content.decode()

        assert "handed out" not in re.sub(r"Keys handed out[^<]*|aria-label=\"[^\"]*\"", "", content)
