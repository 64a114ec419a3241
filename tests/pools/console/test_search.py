"""The search of the console: its page, and the lists' own searches."""

import re
from datetime import timedelta
from html import unescape

import pytest
import time_machine
from django.conf import settings
from django.test import Client
from django.utils import timezone

from accounts.audit import AuditContext
from licensing.services import issue_license
from pools.models import Key, KeyEvent, KeyImport
from tests.accounts.groups import make_group
from tests.cast import add_keys, make_license
from tests.console import GROUPS, page, signed_in, staff, superuser
from tests.licensing.entitlements import make_entitlement
from tests.licensing.machines import make_floating, make_machine
from tests.tables import each_row

LONG = ["SKL3A-BCDEF-GHIJK-LMNOP-QE54L", "SKL3B-BCDEF-GHIJK-LMNOP-QX77M"]


def post(client, text, address=None):
    response = client.post(address or page("find"), {"q": text})
    assert response.status_code == 302
    return response


def find(client, text):
    """Search, and return the page that the search leads to."""
    return client.get(post(client, text)["Location"])


def found_in(response):
    """The titles of the groups of results, and the names of their hits."""
    return {group.title: [hit.name for hit in group.hits] for group in response.context["groups"]}


class TestPage:
    def test_a_single_exact_hit_opens_it(self, acme, client):
        key, _ = add_keys(acme.policy, *LONG)
        acme.policy.pool.pop(AuditContext(reference="Order 777"))

        for text in (LONG[0], LONG[0].lower().replace("-", ""), " Order 777 ", str(key.pk)):
            assert post(client, text)["Location"] == page("pools_key_change", key.pk), text
        assert post(client, str(acme.policy.pk))["Location"] == page("pools_pool_change", acme.policy.pk)
        assert post(client, acme.product.name)["Location"] == page("licensing_product_change", acme.product.pk)

    def test_several_hits_are_listed_by_kind_with_links(self, acme, client):
        keys = add_keys(acme.policy, *LONG)
        for _ in keys:
            acme.policy.pool.pop(AuditContext(reference="Order 10780"))
        user = acme.user("user", email="order10780@example.com", first_name="Ann", last_name="Lee")
        license = make_license(acme.unpooled, name="Seat 10780", owner=user)

        response = find(client, "10780")

        assert found_in(response) == {
            "Orders": ["Order 10780"],
            "Licenses": ["Seat 10780"],
            "Customers and team": ["Ann Lee"],
        }
        text = response.content.decode()
        for name, row in (("pools_key", keys[0]), ("pools_key", keys[1]), ("licensing_license", license)):
            assert f'href="{page(f"{name}_change", row.pk)}"' in text
        for word in ("SKL3…E54L", "handed out", "2 keys", "order10780@example.com", "customer"):
            assert word in text

    def test_machines_entitlements_and_groups_are_found(self, acme, rival, client):
        machine = make_machine(make_floating(acme.product, "Floating"), "AA:BB:CC", name="Studio 10780")
        entitlement = make_entitlement(acme.account, "CODE10780", "Offline mode")
        group = make_group(acme.account, "Hospital 10780")
        make_machine(make_floating(rival.product, "Theirs"), "AA:BB:CC", name="Studio 10780")
        make_entitlement(rival.account, "CODE10780")
        make_group(rival.account, "Hospital 10780")

        listed = found_in(find(client, "10780"))

        expected = {"Machines": ["Studio 10780"], "Entitlements": ["Offline mode"], "Groups": ["Hospital 10780"]}
        assert listed == expected
        for name, row, texts in (
            ("licensing_machine", machine, ("AA:BB:CC", "studio 10780")),
            ("licensing_entitlement", entitlement, ("code10780", "Offline mode")),
            ("accounts_group", group, ("hospital 10780",)),
        ):
            for text in (*texts, str(row.pk)):
                assert post(client, text)["Location"] == page(f"{name}_change", row.pk), text

    def test_an_order_leads_to_the_list_of_its_keys(self, acme, client):
        add_keys(acme.policy, *LONG, "OTHER-KEY-0001")
        for reference in ("Order 10780", "Order 10780", "Order 1"):
            acme.policy.pool.pop(AuditContext(reference=reference))
        (group,) = find(client, "10780").context["groups"]

        rows = client.get(group.hits[0].url).context["cl"].result_list

        assert sorted(key.key for key in rows) == LONG

    def test_nothing_found_says_what_can_be_found(self, acme, client):
        text = find(client, "ZZZZ").content.decode()

        assert "No results for “<bdi>ZZZZ</bdi>”" in text
        assert "Paste the whole key" in text
        assert "An order number" in text
        assert "Paste the whole key" not in find(client, "nothing of this kind").content.decode()

    def test_the_page_without_a_text_says_what_can_be_found(self, client):
        response = client.get(page("find"))

        assert response.status_code == 200
        assert "No results" not in response.content.decode()
        assert post(client, "  ")["Location"] == page("find")

    def test_a_text_is_shown_as_it_is(self, client):
        text = "<script>alert(1)</script>\0{{ x }}"

        response = find(client, text)

        assert response.status_code == 200
        assert "<script>alert" not in response.content.decode()
        assert "&lt;script&gt;alert(1)&lt;/script&gt;{{ x }}" in response.content.decode()

    def test_a_text_of_any_length_is_taken(self, client):
        assert find(client, "A" * 20_000).status_code == 200
        assert len(post(client, "€" * 20_000)["Location"]) < 6_000

    def test_the_number_of_statements_of_both_requests_is_bounded(self, acme, client, django_assert_max_num_queries):
        add_keys(acme.policy, *(f"{number:04}-MANY-KEYS-HERE-E54L" for number in range(60)))
        for number in range(60):
            acme.policy.pool.pop(AuditContext(reference=f"Order {number} E54L"))
            make_license(acme.unpooled, name=f"E54L {number}")

        with django_assert_max_num_queries(90):
            groups = find(client, "E54L").context["groups"]

        assert [len(group.hits) for group in groups] == [10, 50, 50]
        assert "Type more" in groups[1].note

    def test_a_superuser_sees_whose_a_hit_is(self, acme, rival):
        add_keys(acme.policy, LONG[0])
        add_keys(rival.policy, LONG[0])

        text = find(signed_in(superuser()), LONG[0]).content.decode()

        assert "Acme" in text
        assert "Rival" in text


class TestAddress:
    """A key is in no address, and the page can be reloaded and gone back to."""

    TEXTS = (LONG[1], LONG[1].lower(), "QX77M", "SKL3B-BCDEF-typo")

    @pytest.fixture
    def addresses(self, acme, client):
        add_keys(acme.policy, *LONG, "XX77M-BCDEF-GHIJK-LMNOP-QX77M")
        lists = [page(f"{name}_changelist") for name in ("pools_key", "licensing_license", "accounts_customer")]
        return [(text, post(client, text, each)["Location"]) for text in self.TEXTS for each in (page("find"), *lists)]

    def test_no_address_has_the_text(self, client, addresses):
        wrong = []
        for text, address in addresses:
            response = client.get(address)
            links = re.findall(r'(?:href|action|src)="([^"]*)"', response.content.decode())
            title = re.search(r"<title>(.*?)</title>", response.content.decode(), re.DOTALL)[1]
            wrong += [each for each in (address, *links, title) if text.lower() in unescape(each).lower()]

        assert wrong == []

    def test_a_page_of_results_can_be_opened_again(self, client, addresses):
        for text, address in addresses:
            first, second = client.get(address), client.get(address)
            assert first.status_code == second.status_code == 200
            if "q=" in address and page("pools_key_changelist") not in address:  # its field is for another search
                assert f'value="{text}"' in second.content.decode()

    def test_the_page_takes_no_text_from_an_address(self, acme, client):
        add_keys(acme.policy, *LONG)

        assert found_in(client.get(page("find"), {"q": "E54L"})) == {}

    def test_only_the_person_who_searched_can_open_it(self, acme, client):
        address = post(client, "Order 10780")["Location"]

        for other in (staff(acme, email="bob@acme.test"), superuser()):
            text = signed_in(other).get(address).content.decode()
            assert "This search is no longer open" in text
            assert "10780" not in text
        assert page("login") in Client().get(address)["Location"]

    def test_a_search_is_open_for_as_long_as_a_session(self, client):
        address = post(client, "Order 10780")["Location"]
        session = client.session
        session.set_expiry(settings.SESSION_COOKIE_AGE * 3)
        session.save()

        with time_machine.travel(timezone.now() + timedelta(seconds=settings.SESSION_COOKIE_AGE + 60)):
            assert "This search is no longer open" in client.get(address).content.decode()

    @each_row("sealed", ["~", "~AAAA", "~" + "A" * 80, "~é", "~ "])
    def test_a_damaged_address_opens_an_empty_search(self, client, sealed):
        for name in ("find", "pools_key_changelist"):
            response = client.get(page(name), {"q": sealed})

            assert response.status_code == 200
            assert "This search is no longer open" in response.content.decode()

    def test_a_list_keeps_its_filters(self, acme, client):
        add_keys(acme.policy, *LONG)
        acme.policy.pool.pop(AuditContext(reference="Order 10780"))
        values = {"q": "10780", "state": "popped", "policy": str(acme.policy.pk), "csrfmiddlewaretoken": "x"}

        address = client.post(page("pools_key_changelist"), values)["Location"]

        assert "csrf" not in address
        assert "state=popped" in address
        assert [key.key for key in client.get(address).context["cl"].result_list] == [LONG[0]]
        values["q"] = ""
        assert "q=" not in client.post(page("pools_key_changelist"), values)["Location"]


class TestPermissions:
    @each_row("group", GROUPS)
    def test_every_role_finds_what_it_may_see(self, acme, group):
        add_keys(acme.policy, *LONG)
        acme.policy.pool.pop(AuditContext(reference="Order 10780"))
        client = signed_in(staff(acme, group))

        assert list(found_in(find(client, "10780"))) == ["Orders"]
        assert list(found_in(find(client, "e54l"))) == ["Keys"]

    def test_only_kinds_that_one_may_see_are_searched(self, acme):
        person = staff(acme)
        add_keys(acme.policy, *LONG)
        acme.policy.pool.pop(AuditContext(reference="Order 10780"))
        acme.user("user", email="e54l@example.com")
        group = person.groups.get()
        group.permissions.set(group.permissions.filter(codename="view_user"))

        client = signed_in(person)

        assert list(found_in(find(client, "E54L"))) == ["Customers and team"]
        for text in (LONG[0], "10780", str(acme.policy.pk), str(Key.objects.first().pk)):
            assert found_in(find(client, text)) == {}, text
        assert "order number" not in client.get(page("find")).content.decode()

    def test_without_any_permission_the_address_is_refused(self, acme):
        person = staff(acme)
        person.groups.clear()

        assert signed_in(person).get(page("find")).status_code == 403
        assert signed_in(person).post(page("find"), {"q": "E54L"}).status_code == 403

    def test_support_learns_nothing_of_a_key_but_its_mask(self, acme):
        """A letter in front of the four that are shown finds the same, whether it is right or wrong."""
        add_keys(acme.policy, *LONG)
        client = signed_in(staff(acme, "Support"))

        assert found_in(find(client, "QE54L")) == found_in(find(client, "ZE54L")) == {"Keys": ["SKL3…E54L"]}
        assert (
            client.get(post(client, "ZE54L", page("pools_key_changelist"))["Location"]).context["cl"].result_count == 1
        )


class TestIsolation:
    @pytest.fixture
    def theirs(self, rival, audit):
        key, _ = add_keys(rival.policy, *LONG)
        license = issue_license(policy=rival.policy, audit=AuditContext(reference="Rival 10780"), name="Rival seat")
        user = rival.user("user", email="secret@rival.test", first_name="Rita")
        batch = KeyImport.objects.create(account=rival.account, policy=rival.policy, name="Rival batch")
        rows = (key, license, user, batch, rival.policy, rival.product, KeyEvent.objects.first())
        return [*LONG, "E54L", "SKL3…E54L", "10780", "Rival", "Rita", "secret@", *(str(row.pk) for row in rows)]

    def test_a_search_tells_nothing_of_another_account(self, acme, client, theirs):
        """Texts of another account and unknown texts get the same response."""
        for text in theirs:
            response = find(client, text)

            assert response.status_code == 200
            assert found_in(response) == {}, text
            assert response.content.decode().count("No results") == 1

    def test_the_same_key_of_another_account_changes_nothing(self, acme, client, theirs):
        (own,) = add_keys(acme.policy, LONG[1])

        assert post(client, LONG[1])["Location"] == page("pools_key_change", own.pk)
        assert found_in(find(client, "QX77M")) == {"Keys": ["SKL3…X77M"]}
