"""Addresses that no polite client would send: never a 5xx, and refusals are the contract's error document."""

import pytest
from django.db import transaction

from tests.errors import assert_refused, bad_request
from tests.fuzzing import CASES, ID, address, assert_answered, share, world_of
from tests.tables import each_row

NAMES = ["id", "policy", "product", "license", "user", "group", "machine", "account"]  # the parameters of URLs


@pytest.fixture
def world(acme):
    return world_of(acme)


class TestIds:
    @each_row(
        ("turn", "identifier"),
        enumerate(
            [
                "0",
                "-1",
                "1" * 5_000,
                "x" * 20_000,
                "null",
                "..",
                "../../etc/passwd",
                "a/b",
                " ",
                "%",
                "%zz",
                "é" * 100,
                "\u202e",
                "\U0010ffff",
                "\ufeff",
                "'; drop table keys; --",
                "{}",
                "[]",
                "{0.__class__}",
                f"{ID}\n",
                f"{ID}.json",
                ID.replace("-", ""),
                ID.upper(),
                f"{{{ID}}}",
                f"urn:uuid:{ID}",
                "00000000-0000-0000-0000-000000000000",
                "ffffffff-ffff-ffff-ffff-ffffffffffff",
                "٠١٢٣٤٥٦٧-٠١٢٣-٠١٢٣-٠١٢٣-٠١٢٣٤٥٦٧٨٩٠١",
            ]
        ),
    )
    def test_ids_of_every_shape_is_answered(self, api, acme, world, turn, identifier):
        speaker = api(acme.admin)

        for method, path in share(CASES, turn):
            names = [name for name in NAMES if f"{{{name}}}" in path]
            for name in names:
                with transaction.atomic():
                    response = speaker.request(method, address(path, world, **{name: identifier}))
                    transaction.set_rollback(True)
                assert_answered(response)
                if name != "id":
                    assert response.status_code >= 400 or path.endswith("/ping")


class TestQuery:
    @each_row(
        ("turn", "query"),
        enumerate(
            [
                "limit[]=1",
                "limit=1&limit=2",
                "limit=0x10",
                "limit=1e3",
                "limit=%D9%A1",
                "limit=" + "9" * 5_000,
                "page=2",
                "page[]=2",
                "page[number]=1&page[number][]=2",
                "page[size][]=1",
                "page[number]=" + "9" * 30 + "&page[size]=100",
                "page[cursor]=nonsense",
                "page[cursor]=00000000-0000-0000-0000-000000000000",
                "page[cursor]=ffffffff-ffff-7fff-bfff-ffffffffffff",
                "page[cursor]=ffffffff-ffff-4fff-bfff-ffffffffffff",
                "page[][number]=1",
                "page[number",
                "order[]=asc",
                "order=sideways",
                "&&&=&=&",
                "a" * 10_000,
                "&".join(f"a{number}=1" for number in range(1_001)),
                "product[]=1&policy[x]=1&user[]=&status[]=ACTIVE",
                "metadata[]=1&metadata[a][b]=1&metadata=1&metadata[a]=%5B",
                "metadata[a]=" + "[" * 5_000,
                "metadata[a]=" + "9" * 5_000,
                "metadata[" + "'%22%5C" * 20 + "]=1",
                "expires[within]=" + "9" * 5_000,
                "expires[within]=P999999999Y",
                "expires[before]=99999-01-01",
                "expires[after]=" + "9" * 400,
                "expires[on]=9999-12-31T23:59:59.999Z",
                "expired[in]=-1&activity[inside]=P1Y&activity[before]=0001-01-01T00:00:00%2B14:00",
                "activations[gte]=" + "9" * 19,
                "bearer[type]=account&bearer[id]=1&bearer[role][]=x",
                "roles[]=admin&roles=x&status=%F0%9F%98%80",
                "ttl=1e9&include=,,,&algorithm=%2B%2B&encrypt=perhaps",
                "ttl=" + "9" * 5_000,
                "format=xml&state=lost&since=yesterday&until=&import=1&for-spreadsheet=maybe",
                "skip-invalid=perhaps&dry-run=perhaps&column=" + "9" * 5_000,
                "include=policy&fields[keys]=key&sort=-created&filter[name]=x",
                "token=a&auth=b",
                "token=token:&auth=license:",
                "%2525%2500",
            ]
        ),
    )
    def test_query_of_every_shape_is_answered(self, api, acme, world, turn, query):
        speaker = api(acme.admin)

        for method, path in share(CASES, turn):
            with transaction.atomic():
                response = speaker.request(method, f"{address(path, world)}?{query}")
                transaction.set_rollback(True)
            assert_answered(response)

    @pytest.mark.parametrize("query", ["limit=%", "limit=%zz", "a=%u0041", "%f"])
    def test_query_of_broken_encoding_is_refused(self, api, acme, query):
        error = bad_request(
            "The request could not be completed because it contains invalid query parameters (check encoding)",
            code="PARAMETERS_INVALID",
        )

        assert_refused(api(acme.admin).get(f"keys?{query}"), 400, error, early=True)

    @pytest.mark.parametrize("number", [1_000, 1_001])
    def test_query_of_too_many_parameters_is_refused_and_not_logged(self, api, acme, client, caplog, number):
        """Anyone can send it: it must not fill the log with tracebacks."""
        query = "&".join(["limit=1"] * number)

        responses = [api(acme.admin).get(f"keys?{query}"), client.get(f"/admin/login/?{query}")]

        assert not [record for record in caplog.records if record.exc_info]
        if number <= 1_000:
            assert [response.status_code for response in responses] == [200, 200]
        else:
            detail = "The request could not be completed because it contains too many query parameters"
            assert_refused(responses[0], 400, bad_request(detail, code="PARAMETERS_INVALID"), early=True)
            assert responses[1].status_code == 400

    def test_form_of_too_many_fields_is_refused_and_not_logged(self, client, caplog):
        response = client.post("/admin/login/", {f"name{number}": "x" for number in range(1_001)})

        assert response.status_code == 400
        assert not [record for record in caplog.records if record.exc_info]


class TestMethod:
    @pytest.mark.parametrize("method", ["BREW", "G", "GETT", "get\u00e9", "A" * 5_000])
    def test_unknown_method_is_refused(self, api, acme, method):
        error = bad_request("The HTTP method for the request is not valid", code="HTTP_METHOD_INVALID")

        assert_refused(api(acme.admin).request(method, "keys"), 400, error, early=True)

    @each_row("method", ["PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "PROPFIND"])
    @each_row("path", ["keys", "ping", "nothing", "/v1/health", "/v1/accounts"])
    def test_method_that_leads_nowhere(self, api, acme, method, path):
        response = api(acme.admin).request(method, path)

        assert response.status_code == 404
        assert_answered(response)
