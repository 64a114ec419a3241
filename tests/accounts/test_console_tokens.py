"""New tokens from the list of tokens."""

import pytest

from accounts.models import Token, find_token
from keygen_site.models import IdempotentResponse
from tests.cast import make_product
from tests.console import page, shown, signed_in, staff, superuser
from tests.tables import each_row

NEW = "accounts_token_add"


@pytest.fixture
def operator(acme):
    return staff(acme)


def create(client, bearer, **values):
    return client.post(page(NEW), {"bearer": f"{bearer._meta.model_name} {bearer.pk}", **values})


def test_the_list_offers_a_new_token(acme, operator):
    Token.objects.all().delete()

    text = signed_in(operator).get(page("accounts_token_changelist")).content.decode()

    assert f'href="{page(NEW)}"' in text
    assert "No API tokens yet" in text


def test_a_token_of_a_product_is_shown_with_a_command(acme, operator):
    client = signed_in(operator)

    response = create(client, acme.product, name="Shop EU", expiry="2030-01-02T03:04")

    text = shown(client, response)
    token = find_token(text)
    assert (token.bearer, token.name, token.expiry.isoformat()) == (
        acme.product,
        "Shop EU",
        "2030-01-02T03:04:00+00:00",
    )
    example = client.get(response["Location"]).context["example"]
    assert example == f'curl -H "Authorization: Bearer {text}" http://testserver/v1/accounts/acme/me'


def test_the_command_is_not_stored(acme, operator):
    client = signed_in(operator)
    text = shown(client, create(client, acme.product))

    assert text not in str(list(IdempotentResponse.objects.values_list("headers", flat=True)))


def test_an_operator_makes_a_token_of_their_own(acme, operator):
    client = signed_in(operator)

    token = find_token(shown(client, create(client, operator)))

    assert token.bearer_id == operator.pk


def test_no_token_of_another_account_or_person_is_made(acme, rival, operator):
    before = Token.objects.count()
    client = signed_in(operator)
    text = client.get(page(NEW)).content.decode()
    for bearer in (rival.product, acme.admin, rival.admin, acme.policy):
        response = create(client, bearer)
        assert response.status_code == 200
        assert "Select a valid choice" in response.content.decode()
        assert str(bearer.pk) not in text

    assert Token.objects.count() == before


@each_row("role", ["sales-agent", "support-agent", "read-only", "user"])
def test_a_lower_rank_makes_no_token_of_a_product(acme, role):
    client = signed_in(staff(acme, email="op@acme.test", role=role))
    before = Token.objects.count()

    response = create(client, acme.product)

    assert response.status_code == 422
    assert "You may not create a token" in response.content.decode()
    assert Token.objects.count() == before


def test_a_superuser_sees_whose_product_it_is(acme, rival):
    make_product(rival.account, "Rocket")

    text = signed_in(superuser()).get(page(NEW)).content.decode()

    assert "Acme · Rocket" in text
    assert "Rival · Rocket" in text


def test_a_list_of_tokens_costs_the_same_for_many(acme, operator, django_assert_max_num_queries):
    for number in range(30):
        Token.generate(acme.product if number % 2 else acme.user("user"))
    client = signed_in(operator)
    client.get(page("accounts_token_changelist"))

    with django_assert_max_num_queries(12):
        client.get(page("accounts_token_changelist"))
