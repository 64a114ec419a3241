"""URLs as the web server passes them to the application, and the part of them that names a row.

`test_encoded_slashes.py` has names with slashes over a real connection.
"""

import pytest
from django.test import Client

from tests.cast import make_license, make_product
from tests.conftest import API
from tests.errors import ENDPOINT_NOT_FOUND, NOT_FOUND, assert_refused, not_found


class TestServers:
    """The path as other WSGI servers than ours pass it on."""

    @pytest.fixture
    def two(self, acme):
        return make_license(acme.unpooled, "WRONG-KEY-1"), make_license(acme.unpooled, "WRONG-KEY-1/")

    def ask(self, acme, path, **environ):
        client = Client(headers={"Authorization": f"Bearer {acme.admin_token}"})
        return client.get(path, **environ)

    @pytest.mark.parametrize("variable", ["RAW_URI", "REQUEST_URI"])
    @pytest.mark.parametrize(
        ("sent", "which"),
        [
            ("/v1/accounts/acme/licenses/WRONG-KEY-1%2F", 1),
            ("/v1/accounts/acme/licenses/WRONG-KEY-1%2f?limit=1", 1),
            ("/v1/accounts/acme/licenses/WRONG-KEY-1/", 0),
            ("/v1/accounts/acme//licenses///WRONG-KEY-1//", 0),
            ("http://testserver/v1/accounts/acme/licenses/WRONG-KEY-1%2F", 1),
            ("/v1/accounts/acme/licenses/WRONG%2DKEY-1", 0),
        ],
    )
    def test_servers_that_pass_the_path_on_as_it_was_sent(self, acme, two, variable, sent, which):
        response = self.ask(acme, sent.removeprefix("http://testserver"), **{variable: sent})

        assert response.json()["data"]["id"] == str(two[which].pk)

    @pytest.mark.parametrize(
        ("sent", "shown"),
        [("%25FF", "%FF"), ("%C3%84%25C3", "Ä%C3"), ("%FF", None), ("%25%FF", None), ("%25C3%28%C3", None)],
    )
    def test_percent_signs_are_no_bytes_that_are_not_utf8(self, acme, sent, shown):
        path = f"/v1/accounts/acme/licenses/{sent}"

        response = self.ask(acme, path, RAW_URI=path)

        if shown is None:
            assert response.json()["errors"][0]["code"] == "ENCODING_INVALID"
        else:
            assert_refused(response, NOT_FOUND, not_found("license", shown))

    def test_servers_that_do_not_leave_a_slash_at_the_end_of_a_key(self, acme, two):
        # A client that means the other license is told that there is none, rather than shown this one.
        shorter, longer = two

        response = self.ask(acme, "/v1/accounts/acme/licenses/WRONG-KEY-1%2F")
        assert response.json()["data"]["id"] == str(longer.pk)
        longer.delete()
        response = self.ask(acme, "/v1/accounts/acme/licenses/WRONG-KEY-1%2F")
        assert_refused(response, NOT_FOUND, not_found("license", "WRONG-KEY-1/"))
        # After an id, a slash is no part of it.
        assert self.ask(acme, f"/v1/accounts/acme/licenses/{shorter.pk}/").status_code == 200
        assert self.ask(acme, "/v1/accounts/acme/licenses/WRONG-KEY-1/policy/").status_code == 200

    def test_whose_word_does_not_fit_the_path_are_not_believed(self, acme, two):
        # Something in front of the application has rewritten the address.
        for sent in ("/v1/accounts/acme/licenses/WRONG-KEY-1%2F", "/keygen/v1/x", "*", "/\u20ac", ""):
            response = self.ask(acme, "/v1/accounts/acme/licenses/WRONG-KEY-1", RAW_URI=sent)

            assert response.json()["data"]["id"] == str(two[0].pk)


def test_a_slash_in_an_id_is_part_of_it(acme):
    client = Client(headers={"Authorization": f"Bearer {acme.admin_token}"})
    base = "/v1/accounts/acme"

    for path, noun, shown in [
        ("products/a%2Fb", "product", "a/b"),
        ("products/%2F", "product", "/"),
        ("policies/a%2Fb", "policy", "a/b"),
        ("keys/x%2F", "key", "x/"),
        ("users/a%2Fb", "user", "a/b"),
        ("policies/a%2Fb/pool", "policy", "a/b"),
        ("products/a%2Fb/tokens", "product", "a/b"),
    ]:
        response = client.get(f"{base}/{path}", RAW_URI=f"{base}/{path}")
        assert_refused(response, NOT_FOUND, not_found(noun, shown))
    response = client.get(f"{base}/products%2Fx", RAW_URI=f"{base}/products%2Fx")
    assert_refused(response, NOT_FOUND, ENDPOINT_NOT_FOUND, early=True)


def test_a_suffix_is_part_of_a_code_or_an_email_but_not_of_an_id(acme):
    speaker = API(acme.admin_token)
    widget, suffixed = make_product(acme.account, code="app"), make_product(acme.account, code="app.json")

    assert speaker.get("products/app.json").json()["data"]["id"] == str(suffixed.pk)
    assert speaker.get("products/app").json()["data"]["id"] == str(widget.pk)
    assert speaker.get(f"products/{widget.pk}.json").json()["data"]["id"] == str(widget.pk)
    for name in ("admin@acme.test", str(acme.admin.pk)):
        assert_refused(speaker.get(f"users/{name}.json"), NOT_FOUND, not_found("user", f"{name}.json"))


def test_the_same_name_for_two_addresses_that_decode_alike_is_refused(acme):
    client = Client(headers={"Authorization": f"Bearer {acme.admin_token}", "Idempotency-Key": "once"})
    make_license(acme.unpooled, "KEY-1"), make_license(acme.unpooled, "KEY-1/")
    base = "/v1/accounts/acme/licenses"

    first, second = (
        client.generic("POST", f"{base}/{path}/actions/suspend", RAW_URI=f"{base}/{path}/actions/suspend")
        for path in ("KEY-1%2F", "KEY-1/")
    )

    assert first.json()["data"]["attributes"]["key"] == "KEY-1/"
    assert second.json()["errors"][0]["code"] == "IDEMPOTENCY_KEY_REUSED"
