"""Regenerating and revoking tokens (contract: platform 5.5)."""

from datetime import timedelta

import pytest
from django.utils import timezone

from accounts.models import Token
from tests.cast import token_of
from tests.conftest import API
from tests.errors import (
    FORBIDDEN,
    NOT_FOUND,
    UNAUTHORIZED,
    assert_refused,
    forbidden,
    lacks_permission,
    not_found,
    unauthorized,
)
from tests.tables import each_row

INVALID = unauthorized("TOKEN_INVALID", about="authentication/#token-authentication")

NOT_ALLOWED = forbidden()
# Bearer, the token's owner, the response to PUT, the response to DELETE.
CHANGES = [
    ("admin", "admin", 200, 204),
    ("admin", "another admin", NOT_ALLOWED, 204),
    ("admin", "developer", NOT_ALLOWED, 204),
    ("admin", "product", 200, 204),
    ("admin", "license", 200, 204),
    ("admin", "user", 200, 204),
    ("developer", "admin", NOT_ALLOWED, forbidden("developer lacks privileges to perform action on user")),
    ("developer", "user", 200, 204),
    ("sales-agent", "sales-agent", 200, 204),
    ("sales-agent", "user", NOT_ALLOWED, NOT_ALLOWED),
    ("support-agent", "support-agent", 200, 204),
    ("support-agent", "product", NOT_ALLOWED, NOT_ALLOWED),
    ("read-only", "read-only", lacks_permission("read-only"), lacks_permission("read-only")),
    ("product", "product", 200, 204),
    ("product", "license", 200, 204),
    ("product", "user", 200, 204),
    ("product", "another user", 404, 404),
    ("product", "another product", 404, 404),
    ("product", "admin", 404, 404),
    ("license", "license", 200, 204),
    ("license", "another license", 404, 404),
    ("license", "user", 404, 404),
    ("user", "user", 200, 204),
    ("user", "another user", 404, 404),
    ("user", "license", 404, 404),
]


class TestChange:
    @each_row(("who", "whose", "answer", "other"), CHANGES)
    def test_token_regenerates(self, api, bearers, who, whose, answer, other):
        token, text = Token.generate(bearers[whose])

        response = api(bearers[who]).put(f"tokens/{token.pk}")

        if answer == 200:
            new = response.json()["data"]["attributes"]["token"]
            assert (response.status_code, response.json()["data"]["id"]) == (200, str(token.pk))
            assert API(new).get("me").status_code == 200
            assert_refused(API(text).get("me"), UNAUTHORIZED, INVALID)
        else:
            self.assert_refused(response, token, answer)
            assert API(text).get("me").status_code == 200

    @each_row(("who", "whose", "other", "answer"), CHANGES)
    def test_token_revokes(self, api, bearers, who, whose, other, answer):
        token, text = Token.generate(bearers[whose])

        response = api(bearers[who]).delete(f"tokens/{token.pk}")

        if answer == 204:
            assert (response.status_code, response.content) == (204, b"")
            assert_refused(API(text).get("me"), UNAUTHORIZED, INVALID)
        else:
            self.assert_refused(response, token, answer)
            assert API(text).get("me").status_code == 200

    def assert_refused(self, response, token, answer):
        if answer == 404:
            assert_refused(response, NOT_FOUND, not_found("token", token.pk))
        else:
            assert_refused(response, FORBIDDEN, answer)

    @pytest.mark.parametrize("method", ["put", "delete", "get"])
    def test_knows_no_token_of_another_account(self, api, acme, rival, method):
        token = Token.objects.get(account=rival.account)

        response = getattr(api(acme.admin), method)(f"tokens/{token.pk}")

        assert_refused(response, NOT_FOUND, not_found("token", token.pk))

    def test_token_regenerates_the_one_in_use(self, acme):
        text = token_of(acme.product)

        response = API(text).put("tokens")

        assert response.json()["data"]["id"] == response["Keygen-Token"]
        assert_refused(API(text).get("me"), UNAUTHORIZED, INVALID)
        assert API(response.json()["data"]["attributes"]["token"]).get("me").status_code == 200

    def test_has_no_token_in_use_where_a_license_key_is(self, acme, held_license):
        held_license.policy.authentication_strategy = "MIXED"
        held_license.policy.save()

        response = API().put("tokens", Authorization=f"License {held_license.key}")

        error = {"title": "Not found", "detail": "The requested token was not found", "code": "NOT_FOUND"}
        assert_refused(response, NOT_FOUND, error)

    @pytest.mark.parametrize(("expiry", "days"), [(None, None), (timedelta(days=1), 14), (timedelta(days=900), 14)])
    def test_token_renews_an_expiry_to_two_weeks(self, api, acme, expiry, days):
        token, _ = Token.generate(acme.product, expiry=expiry and timezone.now() + expiry)

        api(acme.admin).put(f"tokens/{token.pk}")

        token.refresh_from_db()
        assert (token.expiry and round((token.expiry - timezone.now()) / timedelta(days=1))) == days

    def test_token_has_no_patch(self, api, acme):
        token = Token.objects.get(account=acme.account)

        assert api(acme.admin).patch(f"tokens/{token.pk}").status_code == 404
