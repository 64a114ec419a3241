"""Whose tokens a bearer can make, regenerate and revoke: every bearer, every token of the account."""

import pytest

from accounts.models import Token, User
from keygen_site.db.fields import digest
from licensing.models import License
from tests.accounts.documents import token_document
from tests.accounts.tables import listed, offenders, undone
from tests.cast import make_license, token_of
from tests.conftest import API
from tests.errors import NOT_FOUND, assert_refused, not_found

# A bearer gets the text of its own tokens, and of those of lower bearers: never of other staff, nor of people who may
# use the console, nor, as a product, of a customer who holds a license of another product.
MAKES = """
admin:          admin           product other-product license other-license customer both stranger other-customer
admin2:         admin2          product other-product license other-license customer both stranger other-customer
console-admin:  console-admin   product other-product license other-license customer both stranger other-customer
developer:      developer       product other-product license other-license customer both stranger other-customer
developer2:     developer2      product other-product license other-license customer both stranger other-customer
sales-agent:    sales-agent                           license other-license
support-agent:  support-agent
read-only:      read-only
Operator:       Operator
Support:        Support
Auditor:        Auditor
product:                                              license               customer
other-product:                                                other-license                        other-customer
license:
other-license:
customer:                                                                   customer
both:                                                                                both
stranger:                                                                                 stranger
other-customer:                                                                                    other-customer
"""
REGENERATES = """
admin:          admin           product other-product license other-license customer both stranger other-customer
admin2:         admin2          product other-product license other-license customer both stranger other-customer
console-admin:  console-admin   product other-product license other-license customer both stranger other-customer
developer:      developer       product other-product license other-license customer both stranger other-customer
developer2:     developer2      product other-product license other-license customer both stranger other-customer
sales-agent:    sales-agent
support-agent:  support-agent
read-only:
Operator:       Operator
Support:        Support
Auditor:        Auditor
product:                        product               license               customer
other-product:                          other-product         other-license                        other-customer
license:                                              license
other-license:                                                other-license
customer:                                                                   customer
both:                                                                                both
stranger:                                                                                 stranger
other-customer:                                                                                    other-customer
"""
# Admins revoke every token of the account, as they may ban and delete its people; developers those of lower rank.
ALL_BUT_HIGHER = (
    "developer developer2 sales-agent support-agent read-only "
    "product other-product license other-license customer both stranger other-customer"
)
ALL = f"admin admin2 console-admin Operator Support Auditor {ALL_BUT_HIGHER}"
REVOKES = f"""
admin:          {ALL}
admin2:         {ALL}
console-admin:  {ALL}
developer:      {ALL_BUT_HIGHER}
developer2:     {ALL_BUT_HIGHER}
sales-agent:    sales-agent
support-agent:  support-agent
read-only:
Operator:       Operator
Support:        Support
Auditor:        Auditor
product:        product license customer
other-product:  other-product other-license other-customer
license:        license
other-license:  other-license
customer:       customer
both:           both
stranger:       stranger
other-customer: other-customer
"""


def made(api, bearer, itself):
    """Responses to requests for a token of a bearer, by each address that makes them."""
    kind = bearer.JSONAPIMeta.resource_name
    yield api.post("tokens", token_document((kind, bearer.pk)))
    yield api.post(f"{kind}/{bearer.pk}/tokens")
    if itself:
        yield api.post("tokens")


def regenerated(api, bearer, itself):
    """Responses to requests for a new text of a bearer's token."""
    token, _ = Token.generate(bearer)
    yield api.put(f"tokens/{token.pk}")
    if itself:
        yield api.put("tokens")  # the one in use


def shown(responses, bearer):
    """Whether any response shows the text of a token of a bearer."""
    texts = [each.json()["data"]["attributes"]["token"] for each in responses if each.status_code < 300]
    return Token.objects.filter(digest__in=map(digest, texts), bearer_id=bearer.pk).exists()


def is_revoked(api, bearer, itself=False):
    token, _ = Token.generate(bearer)
    api.delete(f"tokens/{token.pk}")
    return not Token.objects.filter(pk=token.pk).exists()


def reach(everyone, attempt):
    """The names of those with whom an attempt succeeds, for each bearer."""
    apis = {name: API(token_of(bearer)) for name, bearer in everyone.items()}
    return {
        name: {
            target
            for target, bearer in everyone.items()
            if undone(lambda: attempt(api, bearer, target == name))  # noqa: B023 it runs in this turn
        }
        for name, api in apis.items()
    }


class TestReach:
    def test_reach_of_those_who_make_tokens(self, everyone):
        found = reach(everyone, lambda api, bearer, itself: shown(made(api, bearer, itself), bearer))

        assert offenders(listed(MAKES), found) == []

    def test_reach_of_those_who_regenerate_tokens(self, everyone):
        found = reach(everyone, lambda api, bearer, itself: shown(regenerated(api, bearer, itself), bearer))

        assert offenders(listed(REGENERATES), found) == []

    def test_reach_of_those_who_revoke_tokens(self, everyone):
        assert offenders(listed(REVOKES), reach(everyone, is_revoked)) == []

    def test_reach_of_rank_is_asked_though_a_token_is_visible(self, everyone, monkeypatch):
        """A mistake of visibility alone gives no bearer the token of a higher one."""
        monkeypatch.setattr("accounts.models.tokens.TokenQuerySet.visible_to", lambda tokens, bearer: tokens.all())
        higher = ["admin", "admin2", "console-admin", "Operator", "developer", "both"]
        api = API(token_of(everyone["product"]))

        def taken(name):
            bearer = everyone[name]
            return shown(regenerated(api, bearer, itself=False), bearer) or is_revoked(api, bearer)

        assert [name for name in higher if undone(lambda: taken(name))] == []  # noqa: B023 it runs in this turn


class TestNamed:
    """Who is named as owner or user of a license comes into the reach of its product."""

    CUSTOMERS = {"customer", "both", "stranger", "other-customer"}

    def people(self, everyone):
        return {name: row for name, row in everyone.items() if isinstance(row, User)}

    def named(self, api, acme, user):
        """Whether any request makes the user the owner or a user of a license."""
        license = make_license(acme.unpooled, "another-license")
        link = {"type": "users", "id": str(user.pk)}
        policy = {"data": {"type": "policies", "id": str(acme.unpooled.pk)}}
        licenses = License.objects.filter(policy=acme.unpooled)
        before = (licenses.filter(owner=user).count(), user.licenses.count())
        for version, name in (("1.8", "owner"), ("1.5", "user")):
            document = {"data": {"type": "licenses", "relationships": {"policy": policy, name: {"data": link}}}}
            api.post("licenses", document, Keygen_Version=version)
            api.put(f"licenses/{license.pk}/{name}", {"data": link}, Keygen_Version=version)
        api.put(f"licenses/{license.pk}/owner", {"data": None})
        api.post(f"licenses/{license.pk}/users", {"data": [link]})
        return (licenses.filter(owner=user).count(), user.licenses.count()) != before

    def test_a_product_names_customers_only(self, acme, everyone, api):
        product = api(acme.product)
        people = self.people(everyone)

        named = {name for name, user in people.items() if undone(lambda: self.named(product, acme, user))}  # noqa: B023

        assert named == self.CUSTOMERS

    def test_named_staff_names_anyone(self, acme, everyone, api):
        sales = api(everyone["sales-agent"])
        people = self.people(everyone)

        named = {name for name, user in people.items() if undone(lambda: self.named(sales, acme, user))}  # noqa: B023

        assert named == people.keys()

    def test_a_user_names_only_themselves(self, acme, everyone, api):
        acme.unpooled.protected = False
        acme.unpooled.save()
        people = self.people(everyone)

        for asking in ("customer", "Operator"):
            bearer = api(everyone[asking])
            named = {name for name, user in people.items() if undone(lambda: self.named(bearer, acme, user))}  # noqa: B023

            assert named == {asking}

    def test_a_product_learns_nothing_of_staff_by_naming_them(self, acme, everyone, api):
        def answer(pk):
            license = make_license(acme.unpooled, "another-license")
            link = {"type": "users", "id": str(pk)}
            return [
                api(acme.product).put(f"licenses/{license.pk}/owner", {"data": link}).json()["errors"],
                api(acme.product).post(f"licenses/{license.pk}/users", {"data": [link]}).json()["errors"],
            ]

        unknown = undone(lambda: answer(acme.policy.pk))
        for name in ("admin", "Operator"):
            assert undone(lambda: answer(everyone[name].pk)) == unknown  # noqa: B023 it runs in this turn
            assert_refused(
                api(acme.product).get(f"users/{everyone[name].pk}"), NOT_FOUND, not_found("user", everyone[name].pk)
            )


def test_a_product_does_not_become_an_admin(acme, api):
    """The whole attack: name an admin as owner, find the admin's token in the list, regenerate it."""
    token = Token.objects.get(bearer_id=acme.admin.pk)
    product = api(acme.product)
    policy = {"data": {"type": "policies", "id": str(acme.unpooled.pk)}}
    owner = {"data": {"type": "users", "id": str(acme.admin.pk)}}
    document = {"data": {"type": "licenses", "relationships": {"policy": policy, "owner": owner}}}

    refused = product.post("licenses", document)
    make_license(acme.unpooled, owner=acme.admin)  # an earlier version allowed this

    assert refused.status_code == 422
    assert {each["relationships"]["bearer"]["data"]["id"] for each in product.get("tokens").json()["data"]} == {
        str(acme.product.pk)
    }
    assert [product.put(f"tokens/{token.pk}").status_code, product.delete(f"tokens/{token.pk}").status_code] == [
        404,
        404,
    ]
    assert API(acme.admin_token).get("me").status_code == 200


@pytest.mark.parametrize("role", ["developer", "sales-agent", "support-agent", "user"])
def test_lower_people_do_not_revoke_an_admins_token(acme, api, role):
    token = Token.objects.get(bearer_id=acme.admin.pk)

    assert api(acme.user(role)).delete(f"tokens/{token.pk}").status_code in (403, 404)
    assert Token.objects.filter(pk=token.pk).exists()
