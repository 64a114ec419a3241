from threading import Thread

import pytest
from django.db import connection

from accounts.models import Token, find_token
from accounts.models.tokens import digest
from keygen_site.prepared import Prepared
from tests.cast import token_of


def test_finds_what_the_queryset_finds(acme, django_assert_num_queries):
    text = token_of(acme.user("developer", banned=acme.account.created))

    with django_assert_num_queries(1):
        found = find_token(text)
        assert found.account == acme.account

    asked = Token.objects.authenticating(digest(text)).get()
    assert found == asked
    assert vars(found).keys() == vars(asked).keys()
    for name in ("bearer_role", "bearer_banned", "created", "bearer_id", "expiry"):
        assert getattr(found, name) == getattr(asked, name)


def test_finds_nothing(acme):
    assert find_token("nonsense") is None


@pytest.mark.django_db(transaction=True)
def test_finds_in_every_thread(acme):
    text, found = token_of(acme.admin), []

    def find():
        found.append(find_token(text))
        connection.close()

    threads = [Thread(target=find) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert {token.bearer_id for token in found} == {acme.admin.pk}
    assert len(found) == 4


def test_has_one_parameter(db):
    field = Token._meta.get_field("name")

    with pytest.raises(ValueError, match="one parameter, not 2"):
        Prepared(lambda name: Token.objects.filter(name=name, expiry=None, bearer_id="0" * 32), field, "x").first("x")
