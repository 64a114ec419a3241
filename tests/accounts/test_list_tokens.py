"""Lists of tokens (contract: platform 5.5)."""

import pytest

from accounts.models import Token
from tests.conftest import API
from tests.errors import NOT_FOUND, assert_refused, not_found
from tests.tables import each_row

STAFF = ["admin", "developer", "sales-agent", "support-agent", "read-only"]
EVERYBODY = [*STAFF, "product", "license", "user"]


SEES = {
    "admin": {"all"},
    "developer": {"all"},
    "sales-agent": {"all"},
    "support-agent": {"all"},
    "read-only": {"all"},
    "product": {"product", "license", "another license", "user"},
    "license": {"license"},
    "user": {"user"},
}


class TestList:
    @pytest.fixture
    def tokens(self, bearers, rival):
        """A token of each of the bearers, by its name."""
        Token.objects.all().delete()
        return {name: Token.generate(bearer) for name, bearer in bearers.items()}

    @pytest.mark.parametrize("who", EVERYBODY)
    def test_list_of_tokens_has_what_a_bearer_sees(self, tokens, who):
        asking = API(tokens[who][1])
        seen = set(tokens) if SEES[who] == {"all"} else SEES[who]

        listed = {shown["id"] for shown in asking.get("tokens?limit=100").json()["data"]}

        assert listed == {str(tokens[name][0].pk) for name in seen}
        for name, (token, _) in tokens.items():
            response = asking.get(f"tokens/{token.pk}")
            if name in seen:
                assert response.status_code == 200
            else:
                assert_refused(response, NOT_FOUND, not_found("token", token.pk))

    @each_row(
        ("query", "expected"),
        [
            ("bearer[type]=product", {"product", "another product"}),
            ("bearer[type]=products", {"product", "another product"}),
            ("bearer[type]=licenses", {"license", "another license"}),
            ("bearer[type]=policies", set()),
            ("bearer[type]=", None),
            ("bearer[id]={user}", {"user"}),
            ("bearer[id]=nonsense", set()),
            ("bearer[role]=admin", {"admin", "another admin"}),
            ("bearer[role][]=developer&bearer[role][]=product", {"developer", "product", "another product"}),
            ("bearer[role]=user&bearer[type]=user", {"user", "another user"}),
            ("bearer[role]=user&bearer[type]=product", set()),
            ("bearer[role]=emperor", set()),
            ("bearer=product", None),
        ],
    )
    def test_list_of_tokens_is_filtered(self, tokens, bearers, query, expected):
        query = query.format(user=bearers["user"].pk)

        response = API(tokens["admin"][1]).get(f"tokens?limit=100&{query}")

        found = {shown["id"] for shown in response.json()["data"]}
        assert found == {str(tokens[name][0].pk) for name in (tokens if expected is None else expected)}

    def test_list_of_tokens_of_any_length_costs_one_statement(self, tokens, django_assert_num_queries):
        with django_assert_num_queries(2):  # one for the bearer
            API(tokens["admin"][1]).get("tokens?limit=100")
