"""Permissions of a license by its key and by its tokens, for each policy strategy (contract: licenses 9.1)."""

from datetime import timedelta

import pytest
from django.utils import timezone

from licensing.services import issue_license
from tests.cast import add_keys, make_license, make_policy, token_of
from tests.errors import assert_refused

BY_KEY = {
    "title": "Access denied",
    "detail": "License key authentication is not allowed by policy",
    "code": "LICENSE_NOT_ALLOWED",
    "links": {"about": "https://keygen.sh/docs/api/authentication/#license-authentication"},
}
BY_TOKEN = {
    "title": "Access denied",
    "detail": "Token authentication is not allowed by policy",
    "code": "TOKEN_NOT_ALLOWED",
    "links": {"about": "https://keygen.sh/docs/api/authentication/#token-authentication"},
}


@pytest.mark.parametrize(
    ("strategy", "by_key", "by_token"),
    [
        ("TOKEN", False, True),
        ("LICENSE", True, False),
        ("MIXED", True, True),
        ("SESSION", False, False),
        ("NONE", False, False),
    ],
)
def test_the_policy_says_how(acme, api, strategy, by_key, by_token):
    license = make_license(make_policy(acme.product, authentication_strategy=strategy), "LICENSE-KEY")
    path = f"licenses/{license.pk}/actions/validate"

    key = api().post(path, Authorization="License LICENSE-KEY")
    token = api(token_of(license)).post(path)

    for response, allowed, refusal in ((key, by_key, BY_KEY), (token, by_token, BY_TOKEN)):
        if allowed:
            assert response.json()["meta"]["code"] == "VALID"
        else:
            assert_refused(response, 403, refusal)


def test_a_key_from_a_pool_opens_its_license_the_same_second(acme, api, audit):
    policy = make_policy(acme.product, use_pool=True, authentication_strategy="LICENSE")
    add_keys(policy, "KEY-0001", "KEY-0002")
    issue_license(policy=policy, audit=audit)

    issued = api().get("me", Authorization="License KEY-0001")
    waiting = api().get("me", Authorization="License KEY-0002")

    assert (issued.status_code, issued.json()["data"]["attributes"]["key"]) == (200, "KEY-0001")
    assert waiting.status_code == 401


@pytest.mark.parametrize(
    "fields", [{"suspended": True}, {"expiry": timezone.now() - timedelta(days=1)}], ids=["suspended", "expired"]
)
def test_a_token_outlives_what_a_key_does_not(acme, api, fields):
    policy = make_policy(acme.product, authentication_strategy="MIXED", expiration_strategy="REVOKE_ACCESS")
    license = make_license(policy, "LICENSE-KEY", **fields)

    assert api().get("me", Authorization="License LICENSE-KEY").status_code == 403
    assert api(token_of(license)).get("me").status_code == 200


def test_a_license_acts_by_its_key(acme, api):
    license = make_license(make_policy(acme.product, authentication_strategy="LICENSE", max_uses=2), "LICENSE-KEY")
    header = {"Authorization": "License LICENSE-KEY"}

    for _ in range(2):
        assert api().post("licenses/LICENSE-KEY/actions/increment-usage", **header).status_code == 200
    refused = api().post("licenses/LICENSE-KEY/actions/increment-usage", **header)

    license.refresh_from_db()
    assert (refused.status_code, license.uses) == (422, 2)
