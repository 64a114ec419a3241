"""Lists, their pages and their order; keys stand for all resources."""

from urllib.parse import parse_qsl, urlsplit
from uuid import UUID, uuid4

import pytest

from tests.cast import add_keys, make_policy, numbered
from tests.errors import assert_refused, bad_request, lacks_permission

NEWEST_FIRST = numbered(12)[::-1]


@pytest.fixture
def reader(api, acme):
    """Acme's reader, in front of twelve keys."""
    add_keys(acme.policy, *numbered(12))
    return api(acme.user("read-only"))


def keys_of(response):
    assert response.status_code == 200, response.content
    return [key["attributes"]["key"] for key in response.json()["data"]]


PAGE = "page must be an object containing a cursor or number and optional size"


class TestPage:
    @pytest.mark.parametrize(
        "query",
        [
            *("page=1", "page=", "page[]=1", "page[foo]=1", "page[Number]=1", "page[number][]=1", "page[number][a]=1"),
            *("page[cursor][]=", "page[number]=1&page=2", "page[size]=1&page[foo]=2", "page[]=1&page=1"),
        ],
    )
    def test_page_is_an_object(self, reader, query):
        assert_refused(reader.get(f"keys?{query}"), 400, bad_request(PAGE, parameter="page"))

    @pytest.mark.parametrize(
        "query", ["page=2&page[number]=1", "page[]=1&page[number]=1", "page[number]=1&page[]=2", "page=1&page[]=2"]
    )
    def test_page_of_two_kinds_cannot_be_read(self, reader, query):
        error = bad_request(
            "The request could not be completed because it contains invalid query parameters (check encoding)",
            code="PARAMETERS_INVALID",
        )
        for path in ("keys", "me"):
            assert_refused(reader.get(f"{path}?{query}"), 400, error, early=True)

    @pytest.mark.parametrize(
        ("path", "query"),
        [
            ("keys", "page[number]=1&page[number][a]=2"),
            ("keys", "page[number][]=1&page[number][a]=2"),
            ("keys", "limit=1&limit[]=2"),
            ("keys", "order[a]=asc&order[]=asc"),
            ("keys", "policy=a&policy%5Bid%5D=b"),
            ("users", "roles=user&roles[]=user"),
            ("users", "metadata[a]=1&metadata[a][b]=2"),
            ("users", "metadata[a][b]=1&metadata[a][]=2"),
            ("tokens", "bearer[role]=user&bearer[role][]=admin"),
            ("licenses", "expires[on]=2030-01-01&expires[on][a]=1"),
            ("licenses/any/actions/check-out", "ttl=3600&ttl[]=3600"),
            ("licenses/any/actions/check-out", "include=policy&include[]=product"),
        ],
    )
    def test_parameter_of_two_kinds_cannot_be_read(self, reader, path, query):
        error = bad_request(
            "The request could not be completed because it contains invalid query parameters (check encoding)",
            code="PARAMETERS_INVALID",
        )
        assert_refused(reader.get(f"{path}?{query}"), 400, error, early=True)

    @pytest.mark.parametrize("query", ["policy[a]=1&policy=", "policy[]=1&policy[]=2", "other=1&other[a]=2", "policy["])
    def test_parameter_that_ends_as_one_kind_can_be_read(self, reader, query):
        assert len(keys_of(reader.get(f"keys?limit=20&{query}"))) == 12

    @pytest.mark.parametrize("query", ["page[number]=1", "page[cursor]="])
    def test_page_ignores_further_members(self, reader, query):
        document = reader.get(f"keys?{query}&page[foo]=1&page[size]=2").json()

        assert len(document["data"]) == 2
        assert "foo" not in document["links"]["self"]

    def test_page_takes_its_size_from_the_limit(self, reader):
        detail = "page size must be a number between 1 and 100 (got 0)"

        for query in ("page[number]=2&limit=0", "page[cursor]=&limit=0"):
            assert_refused(reader.get(f"keys?{query}"), 400, bad_request(detail, parameter="page[size]"))

    def test_cursor_is_quoted_in_its_error(self, reader):
        detail = 'page cursor must be a valid UUID (got "\\"\\\\")'

        assert_refused(reader.get("keys?page[cursor]=%22%5C"), 400, bad_request(detail, parameter="page[cursor]"))


class TestLimit:
    @pytest.mark.parametrize(
        ("query", "count"),
        [
            ("", 10),
            ("?limit=1", 1),
            ("?limit=15", 12),
            ("?limit=100", 12),
            ("?limit=%2010", 10),
            ("?limit=2.0", 2),
            ("?limit=2abc", 2),
            ("?limit=2;order=asc", 2),
        ],
    )
    def test_limited_list_lists_the_newest_first(self, reader, query, count):
        assert keys_of(reader.get(f"keys{query}")) == NEWEST_FIRST[:count]

    def test_limited_list_has_data_only(self, reader):
        assert set(reader.get("keys?limit=3").json()) == {"data"}

    @pytest.mark.parametrize(
        ("value", "got"),
        [
            ("0", 0),
            ("-1", -1),
            ("101", 101),
            ("abc", 0),
            ("", 0),
            ("0x2", 0),
            (".5", 0),
            ("200.5", 200),
            ("9" * 25, int("9" * 25)),
            ("٣", 0),
        ],
    )
    def test_limited_list_is_between_1_and_100(self, reader, value, got):
        detail = f"limit must be a number between 1 and 100 (got {got})"

        assert_refused(reader.get(f"keys?limit={value}"), 400, bad_request(detail, parameter="limit"))

    @pytest.mark.parametrize("query", ["order[]=asc", "order=", "order=up", "order[a]=asc"])
    def test_limited_list_has_one_order(self, reader, query):
        assert_refused(reader.get(f"keys?{query}"), 400, bad_request("order is invalid", parameter="order"))

    def test_limited_list_is_no_array(self, reader):
        detail = "limit must be a number between 1 and 100 (got 0)"

        assert_refused(reader.get("keys?limit[]=1"), 400, bad_request(detail, parameter="limit"))


class TestOrder:
    @pytest.mark.parametrize("order", ["asc", "ASC"])
    def test_order_can_be_turned_round(self, reader, order):
        assert keys_of(reader.get(f"keys?order={order}&limit=3")) == numbered(3)

    def test_order_is_one_of_two(self, reader):
        assert_refused(reader.get("keys?order=up"), 400, bad_request("order is invalid", parameter="order"))


class TestNumbered:
    @pytest.mark.parametrize("brackets", [True, False])
    def test_numbered_page_has_links(self, reader, brackets):
        query = "page[size]=5&page[number]=2" if brackets else "page%5Bsize%5D=5&page%5Bnumber%5D=2"

        response = reader.get(f"keys?{query}")

        assert keys_of(response) == NEWEST_FIRST[5:10]
        path = "/v1/accounts/acme/keys?page%5Bnumber%5D={}&page%5Bsize%5D=5"
        assert response.json()["links"] == {
            "self": path.format(2),
            "prev": path.format(1),
            "next": path.format(3),
            "first": path.format(1),
            "last": path.format(3),
            "meta": {"pages": 3, "count": 12},
        }

    @pytest.mark.parametrize(("number", "prev", "next"), [(1, False, True), (3, True, False), (4, False, False)])
    def test_numbered_page_has_no_neighbours_at_the_ends(self, reader, number, prev, next):
        links = reader.get(f"keys?page[number]={number}&page[size]=5").json()["links"]

        assert (links["prev"] is not None, links["next"] is not None) == (prev, next)

    def test_numbered_page_has_no_end(self, reader):
        assert keys_of(reader.get("keys?page[number]=1000000")) == []
        assert keys_of(reader.get(f"keys?page[number]={'9' * 30}")) == []

    def test_numbered_page_of_nothing(self, api, acme):
        links = api(acme.admin).get("keys?page[number]=1").json()["links"]

        assert links["meta"] == {"pages": 0, "count": 0}
        assert links["last"] == links["first"].replace("%5D=1&", "%5D=0&", 1)

    def test_numbered_page_keeps_other_parameters_but_credentials(self, reader, acme):
        response = reader.get(f"keys?policy={acme.policy.pk}&auth=a&token=b&page[number]=1&page[size]=5")

        query = dict(parse_qsl(urlsplit(response.json()["links"]["next"]).query))
        assert query == {"policy": str(acme.policy.pk), "page[number]": "2", "page[size]": "5"}

    @pytest.mark.parametrize(
        ("query", "shown"),
        [
            ("b=2&a=1", "a=1&b=2&page%5B"),
            ("a=x%20y+z%26%E9%94%AE", "a=x+y+z%26%E9%94%AE&page%5B"),
            ("a", "a&page%5B"),
            ("a=", "a=&page%5B"),
            ("a=1&a=2", "a=2&page%5B"),
            ("a[]=1&a[]=2", "a%5B%5D=1&a%5B%5D=2&page%5B"),
            ("%61=%62", "a=b&page%5B"),
            ("a=~*'()!$,;:@/?", "a=~%2A%27%28%29%21%24%2C%3B%3A%40%2F%3F&page%5B"),
        ],
    )
    def test_numbered_page_spells_other_parameters_in_one_way(self, reader, query, shown):
        for path in ("keys", "keys/"):
            links = reader.get(f"{path}?{query}&page[number]=1&page[size]=1").json()["links"]

            assert links["self"] == f"/v1/accounts/acme/keys?{shown}number%5D=1&page%5Bsize%5D=1"

    @pytest.mark.parametrize(
        ("query", "detail", "parameter"),
        [
            ("page[number]=0", "page number must be a number between 1 and 100 (got 0)", "page[number]"),
            ("page[number]=x", "page number must be a number between 1 and 100 (got 0)", "page[number]"),
            ("page[number]=0&page[size]=0", "page number must be a number between 1 and 100 (got 0)", "page[number]"),
            ("page[number]=1&page[size]=0", "page size must be a number between 1 and 100 (got 0)", "page[size]"),
            ("page[number]=1&page[size]=101", "page size must be a number between 1 and 100 (got 101)", "page[size]"),
            ("page[size][]=1", "page size must be a number between 1 and 100 (got 0)", "page[size]"),
            ("page[number]=1&page[size][x]=1", "page size must be a number between 1 and 100 (got 0)", "page[size]"),
            ("page=2", "page must be an object containing a cursor or number and optional size", "page"),
            ("page[foo]=2", "page must be an object containing a cursor or number and optional size", "page"),
        ],
    )
    def test_numbered_page_refuses_invalid_input(self, reader, query, detail, parameter):
        assert_refused(reader.get(f"keys?{query}"), 400, bad_request(detail, parameter=parameter))


class TestCursor:
    def test_cursor_page_walks_to_the_end(self, reader):
        address, walked, pages = "keys?page[cursor]=&page[size]=5", [], 0

        while address:
            response = reader.get(address)
            walked += keys_of(response)
            address = response.json()["links"]["next"]
            pages += 1

        assert (walked, pages) == (NEWEST_FIRST, 3)

    def test_cursor_page_size_alone_is_the_first_page(self, reader):
        response = reader.get("keys?page[size]=12")

        assert keys_of(response) == NEWEST_FIRST
        assert response.json()["links"] == {
            "self": "/v1/accounts/acme/keys?page%5Bcursor%5D=&page%5Bsize%5D=12",
            "next": None,
        }

    def test_cursor_page_wins_over_a_number(self, reader):
        assert "meta" not in reader.get("keys?page[cursor]=&page[number]=2").json()["links"]

    def test_cursor_page_goes_the_other_way(self, reader):
        response = reader.get("keys?order=asc&page[cursor]=&page[size]=5")

        assert keys_of(response) == numbered(5)
        assert keys_of(reader.get(response.json()["links"]["next"])) == numbered(10)[5:]

    def test_cursor_page_goes_on_when_its_key_was_popped(self, reader, acme, audit):
        address = reader.get("keys?order=asc&page[size]=5").json()["links"]["next"]
        for _ in range(6):
            acme.policy.pool.pop(audit)

        assert keys_of(reader.get(address)) == numbered(11)[6:]

    def test_cursor_page_that_no_row_can_have_leads_nowhere(self, reader):
        response = reader.get(f"keys?page[cursor]={uuid4()}")

        assert (keys_of(response), response.json()["links"]["next"]) == ([], None)

    def test_cursor_page_is_an_id(self, reader):
        detail = 'page cursor must be a valid UUID (got "foo")'

        for query in ("page[cursor]=foo", "page[cursor]=foo&page[size]=0", "page[cursor]=foo&limit=x&page[number]=0"):
            assert_refused(reader.get(f"keys?{query}"), 400, bad_request(detail, parameter="page[cursor]"))

    def test_uses_the_limit_as_its_size(self, reader):
        assert len(keys_of(reader.get("keys?page[cursor]=&limit=3"))) == 3


class TestFilters:
    def test_filters_by_policy_and_product(self, api, acme):
        other = make_policy(acme.another_product(), use_pool=True)
        add_keys(acme.policy, "KEY-0001")
        add_keys(other, "KEY-0002")
        admin = api(acme.admin)

        assert keys_of(admin.get(f"keys?policy={other.pk}")) == ["KEY-0002"]
        assert keys_of(admin.get(f"keys?product={acme.product.pk}")) == ["KEY-0001"]
        assert keys_of(admin.get(f"keys?product={acme.product.pk}&policy={other.pk}")) == []

    @pytest.mark.parametrize("bearer", ["admin", "product"])
    def test_pages_through_the_pools_of_a_product(self, api, acme, bearer):
        second, empty = (make_policy(acme.product, use_pool=True) for _ in range(2))
        foreign = make_policy(acme.another_product(), use_pool=True)
        for policy, text in zip([acme.policy, second, foreign, second, acme.policy, foreign], numbered(6), strict=True):
            add_keys(policy, text)
        product = f"keys?product={acme.product.pk}"
        reader = api(acme.bearer(bearer))

        assert keys_of(reader.get(product)) == ["KEY-0005", "KEY-0004", "KEY-0002", "KEY-0001"]
        assert keys_of(reader.get(f"{product}&order=asc&limit=3")) == ["KEY-0001", "KEY-0002", "KEY-0004"]
        first = reader.get(f"{product}&page[size]=3")
        assert keys_of(first) == ["KEY-0005", "KEY-0004", "KEY-0002"]
        assert keys_of(reader.get(first.json()["links"]["next"])) == ["KEY-0001"]
        assert keys_of(reader.get(f"{product}&policy={empty.pk}")) == []

    @pytest.mark.parametrize("value", [str(UUID(int=0)), "foo"])
    def test_filters_by_something_unknown_finds_nothing(self, reader, value):
        assert keys_of(reader.get(f"keys?policy={value}")) == []

    @pytest.mark.parametrize("query", ["policy=", "policy[]=x", "policy[a]=x", "unknown=1", "sort=key", "include=x"])
    def test_filters_that_say_nothing_are_ignored(self, reader, query):
        assert len(keys_of(reader.get(f"keys?{query}&limit=100"))) == 12


class TestSight:
    def test_list_in_sight_of_another_account_is_nothing(self, reader, rival):
        add_keys(rival.policy, "RIVAL-0001")

        assert keys_of(reader.get("keys?limit=100")) == NEWEST_FIRST

    def test_list_in_sight_of_a_product_is_its_own(self, api, acme):
        other = acme.another_product()
        add_keys(make_policy(other, use_pool=True), "KEY-0002")
        add_keys(acme.policy, "KEY-0001")

        assert keys_of(api(acme.product).get("keys")) == ["KEY-0001"]

    @pytest.mark.parametrize("role", ["license", "user"])
    def test_list_in_sight_is_refused_to_licenses_and_users(self, api, acme, role):
        assert_refused(api(acme.bearer(role)).get("keys"), 403, lacks_permission(role))

    @pytest.mark.parametrize("role", ["admin", "developer", "sales-agent", "support-agent", "read-only", "product"])
    def test_list_in_sight_is_given_to(self, api, acme, role):
        assert api(acme.bearer(role)).get("keys").status_code == 200


def test_list_of_any_length_costs_one_statement(reader, django_assert_num_queries):
    reader.get("keys")

    with django_assert_num_queries(2):  # one for the bearer
        reader.get("keys?limit=100")
