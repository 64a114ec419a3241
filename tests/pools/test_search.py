"""The search of the console, by its service."""

import pytest
from django.db import connection

from accounts.audit import AuditContext
from accounts.models import User
from accounts.search import SearchScope
from licensing.services import issue_license
from pools.models import Key, KeyImport
from pools.services.keys import withdraw_key
from pools.services.search import Kind, search
from tests.cast import add_keys, make_license, make_policy
from tests.encryption import encryption, new_key

LONG = ["SKL3A-BCDEF-GHIJK-LMNOP-QE54L", "SKL3B-BCDEF-GHIJK-LMNOP-QX77M"]


@pytest.fixture
def find(acme):
    """`find(text)` searches as someone of Acme who may see and reveal everything."""

    def run(text, may_reveal=True, account=acme.account, kinds=tuple(Kind)):
        return search(SearchScope(account), text, kinds=kinds, may_reveal=may_reveal)

    return run


def customer(company, email, first=None, last=None):
    return User.objects.create_user(email, account=company.account, first_name=first, last_name=last)


class TestKeys:
    @pytest.mark.parametrize("state", ["available", "popped", "withdrawn"])
    @pytest.mark.parametrize("is_encrypted", [False, True])
    def test_search_finds_a_whole_key_in_any_spelling(self, acme, audit, find, state, is_encrypted):
        with encryption(*[new_key("one")] * is_encrypted):
            key, _ = add_keys(acme.policy, *LONG)
            if state == "popped":
                acme.policy.pool.pop(audit)
            if state == "withdrawn":
                withdraw_key(policy=acme.policy, text=key.key, audit=audit)

            for text in (key.key, key.key.lower(), key.key.replace("-", ""), key.key.lower().replace("-", " ")):
                result = find(text)
                assert result[Kind.KEY].exact == [key.pk], text
                assert result.single_hit == (Kind.KEY, key.pk)

    def test_search_follows_the_keys_of_a_pool(self, acme, find):
        _, key = add_keys(acme.policy, "Acme-Pro_AB12/CD34", "Acme-Pro_XY98/ZW76")

        assert find("ACMEPROXY98ZW76").single_hit == (Kind.KEY, key.pk)

    def test_search_finds_used_keys_in_mixed_case(self, acme, audit, find):
        (key,) = add_keys(acme.policy, "aBcDeFgHiJkLmNoPqR")
        acme.policy.pool.pop(audit)

        assert find("ABCDEFGHIJKLMNOPQR").single_hit == (Kind.KEY, key.pk)

    def test_search_opens_none_of_two_keys_that_differ_by_case(self, acme, audit, find):
        upper, lower = add_keys(acme.policy, "ABCDEFGHIJKL", "abcdefghijkl")

        assert set(find("ABCDEF-GHIJKL")[Kind.KEY].exact) == {upper.pk, lower.pk}
        assert find("ABCDEF-GHIJKL").single_hit is None
        assert find("abcdefghijkl").single_hit == (Kind.KEY, lower.pk)

    @pytest.mark.parametrize("popped", [True, False])
    @pytest.mark.parametrize(
        "text", ["SKL3…E54L", "skl3...e54l", "E54L", "e54l", "QE54L", "pqe54l", "OP-QE54L", "NOPQE54L"]
    )
    def test_search_finds_masks_and_endings(self, acme, audit, find, text, popped):
        key, _ = add_keys(acme.policy, *LONG)
        if popped:
            acme.policy.pool.pop(audit)

        result = find(text)

        assert (result[Kind.KEY].exact, result[Kind.KEY].partial) == ([], [key.pk])
        assert result.single_hit is None  # another key may end alike

    @pytest.mark.parametrize("popped", [True, False])
    def test_search_finds_the_mask_of_a_short_key(self, acme, audit, find, popped):
        key, _ = add_keys(acme.policy, "KEY-0001", "KEY-0002")
        if popped:
            acme.policy.pool.pop(audit)

        assert find("KE…01")[Kind.KEY].partial == [key.pk]

    def test_search_does_not_spell_out_keys_to_who_may_not_reveal_them(self, acme, find):
        (key,) = add_keys(acme.policy, LONG[0])

        found = {text: find(text, may_reveal=False)[Kind.KEY].ids for text in ("E54L", "QE54L", "ZE54L", "NOPZE54L")}

        assert set(map(tuple, found.values())) == {(key.pk,)}

    def test_search_looks_through_a_bounded_number_of_available_keys(self, acme, find, monkeypatch):
        monkeypatch.setattr("pools.services.key_search.MAX_SEARCHED_KEYS", 1)
        _, second = add_keys(acme.policy, *LONG)

        assert len([*find("QX77M")[Kind.KEY].ids, *find("QE54L")[Kind.KEY].ids]) == 1
        assert find(LONG[1].lower()).single_hit == (Kind.KEY, second.pk)

    def test_search_finds_no_key_of_an_unfinished_import(self, acme, find):
        (key,) = add_keys(acme.policy, LONG[0])
        loading = KeyImport.objects.create(account=acme.account, policy=acme.policy, loading=key.created)
        Key.objects.update(key_import=loading)
        # On PostgreSQL an import is one transaction, so there is no such row.
        expected = [] if connection.vendor == "sqlite" else [key.pk]

        for text in (LONG[0], LONG[0].lower(), "E54L", "SKL3…E54L"):
            assert find(text)[Kind.KEY].ids == expected, text

    def test_search_finds_the_key_of_a_revoked_license(self, acme, audit, find):
        (key,) = add_keys(acme.policy, LONG[0])
        license = issue_license(policy=acme.policy, audit=audit)
        pk = license.pk
        license.delete()

        assert find(str(pk)).single_hit == (Kind.KEY, key.pk)


class TestOrders:
    @pytest.fixture
    def orders(self, acme):
        add_keys(acme.policy, *(f"ORDER-KEY-{number:04}" for number in range(4)))
        for reference in ("Order 10780", "SHOP-EU-500421-B", "Order 10780", "order 777"):
            acme.policy.pool.pop(AuditContext(reference=reference))

    @pytest.mark.parametrize("text", ["Order 10780", "order 10780", "10780", "0780", "Order 107", "order 107", "1078"])
    def test_search_finds_an_order_by_a_part(self, orders, find, text):
        found = find(text).orders

        assert [(order.reference, len(order.key_ids)) for order in found] == [("Order 10780", 2)]
        assert found[0].is_exact == (text.lower() == "order 10780")

    def test_search_finds_the_middle_of_a_recent_order(self, orders, find):
        assert [order.reference for order in find("500421").orders] == ["SHOP-EU-500421-B"]

    def test_search_finds_ends_among_all_events_and_the_middle_among_recent_ones(self, orders, find, monkeypatch):
        monkeypatch.setattr("pools.services.order_search.MAX_SCANNED_ROWS", 0)

        found = {text: [order.reference for order in find(text).orders] for text in ("10780", "SHOP-EU", "500421")}

        assert found == {"10780": ["Order 10780"], "SHOP-EU": ["SHOP-EU-500421-B"], "500421": []}

    def test_an_order_with_one_key_opens_the_key(self, orders, find):
        key = Key.objects.get(events__reference="order 777")

        assert find("Order 777").single_hit == (Kind.KEY, key.pk)
        assert find("777").single_hit is None
        assert find("Order 10780").single_hit is None

    def test_search_counts_the_keys_of_a_large_order_to_a_bound(self, orders, find, monkeypatch):
        monkeypatch.setattr("pools.services.order_search.MAX_KEYS_OF_ORDER", 1)

        (order,) = find("Order 10780").orders

        assert (len(order.key_ids), order.has_more) == (1, True)


class TestOtherRows:
    @pytest.mark.parametrize(
        "text", ["customer25", "CUSTOMER25@example", "example.com", "Novák", "novak", "Jana Nov", "jana", "omer25@ex"]
    )
    def test_search_finds_a_customer_by_a_part_of_email_or_name(self, acme, find, text):
        jana = customer(acme, "customer25@example.com", "Jana", "Novák")
        license = make_license(acme.unpooled, owner=jana)

        result = find(text)

        assert (result[Kind.USER].ids, result[Kind.LICENSE].ids) == ([jana.pk], [license.pk])

    @pytest.mark.parametrize("text", ["customer25@example.com", "Customer25@Example.com", "jana novák"])
    def test_a_whole_email_or_name_opens_the_customer(self, acme, find, text):
        jana = customer(acme, "customer25@example.com", "Jana", "Novák")
        customer(acme, "customer26@example.com", "Jana", "Nováková")

        assert find(text).single_hit == (Kind.USER, jana.pk)

    def test_search_finds_customers_by_the_beginning_among_all(self, acme, find, monkeypatch):
        monkeypatch.setattr("keygen_site.db.text_search.MAX_SCANNED_ROWS", 0)
        jana = customer(acme, "customer25@example.com", "Jana", "Novak")

        for text in ("customer25", "Jan", "nov", "jana nov"):
            assert find(text)[Kind.USER].ids == [jana.pk], text
        assert find("omer25")[Kind.USER].ids == []

    def test_search_finds_a_license_by_id_key_and_name(self, acme, find):
        license = make_license(acme.unpooled, key="ABCDEF-GHIJKL-123456-V3", name="Studio Änderung, 5 seats")

        for text in (str(license.pk), license.key, "abcdefghijkl123456v3", "studio änderung, 5 seats"):
            assert find(text).single_hit == (Kind.LICENSE, license.pk), text
        for text in ("studio", "5 seats", "anderung", "ABCD…6-V3", "456v3"):
            assert find(text)[Kind.LICENSE].partial == [license.pk], text

    def test_search_finds_a_license_by_its_reference(self, acme, find, audit):
        license = issue_license(policy=acme.unpooled, audit=AuditContext(reference="Order 4711"))

        assert find("order 4711").single_hit == (Kind.LICENSE, license.pk)
        assert find("4711")[Kind.LICENSE].partial == find("Order")[Kind.LICENSE].partial == [license.pk]

    def test_search_finds_a_license_whose_key_is_hashed(self, acme, find, audit):
        policy = make_policy(acme.product, "Hashed", encrypted=True)
        license = issue_license(policy=policy, audit=audit)
        stored = license.key

        assert find(license.revealed).single_hit == (Kind.LICENSE, license.pk)
        assert find(stored)[Kind.LICENSE].ids == []

    def test_a_key_that_a_license_has_opens_the_key(self, acme, find, audit):
        (key,) = add_keys(acme.policy, LONG[0])
        license = issue_license(policy=acme.policy, audit=audit)

        result = find(LONG[0].lower())

        assert result[Kind.LICENSE].exact == [license.pk]
        assert result.single_hit == (Kind.KEY, key.pk)

    def test_search_finds_pools_products_and_imports(self, acme, find):
        pool = make_policy(acme.product, "First thousand users", use_pool=True)
        batch = KeyImport.objects.create(account=acme.account, policy=pool, name="ACME PO 4711", source="keys.csv")

        assert find("First Thousand Users").single_hit == (Kind.POOL, pool.pk)
        assert find("thousand")[Kind.POOL].partial == [pool.pk]
        assert find("rocket").single_hit == (Kind.PRODUCT, acme.product.pk)
        assert find("po 4711")[Kind.IMPORT].partial == [batch.pk]
        assert find("KEYS.CSV").single_hit == (Kind.IMPORT, batch.pk)
        for row, kind in ((pool, Kind.POOL), (acme.product, Kind.PRODUCT), (batch, Kind.IMPORT)):
            assert find(str(row.pk)).single_hit == (kind, row.pk)
        assert find("Unpooled")[Kind.POOL].ids == []

    def test_search_finds_nothing_by_two_characters(self, acme, find):
        customer(acme, "customer25@example.com", "Jana", "Novak")

        for text in ("", " ", "cu", "--", "%%", "…"):
            assert find(text).is_empty, text


class TestWhose:
    @pytest.fixture
    def theirs(self, rival, audit):
        """Rows of Rival's, each with texts that find it."""
        (key,) = add_keys(rival.policy, LONG[0])
        license = issue_license(policy=rival.policy, audit=AuditContext(reference="Order 10780"), name="Rival seat")
        user = customer(rival, "secret@rival.test", "Rita", "Rival")
        batch = KeyImport.objects.create(account=rival.account, policy=rival.policy, name="Rival batch")
        return [
            *(LONG[0], LONG[0].lower(), "E54L", "SKL3…E54L", "10780", "Order 10780", "Rival seat", "rita", "secret@"),
            *("secret@rival.test", "Rival batch"),
            *(str(row.pk) for row in (key, license, user, batch, rival.policy, rival.product)),
        ]

    def test_search_finds_nothing_of_another_account(self, find, theirs):
        assert [text for text in theirs if not find(text).is_empty] == []

    def test_a_superuser_finds_rows_of_all_accounts(self, find, theirs):
        assert [text for text in theirs if find(text, account=None).is_empty] == []

    def test_search_finds_only_the_kinds_that_it_is_asked_for(self, acme, find, theirs):
        for kind in Kind:
            for text in theirs:
                result = find(text, account=None, kinds=[kind])
                assert {each for each in Kind if result[each].ids} <= {kind, Kind.KEY if kind == Kind.ORDER else kind}
                assert kind == Kind.ORDER or not result.orders
