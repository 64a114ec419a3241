from threading import Thread

import pytest
from django.db import connection

from accounts.bearers import Bearer
from accounts.models import Token, find_token
from accounts.models.tokens import digest
from keygen_site.db.compiled_queries import CompiledQuery, sample_uuid
from pools.models import Key
from tests.cast import add_keys, token_of


def test_compiled_query_finds_what_the_queryset_finds(acme, django_assert_num_queries):
    text = token_of(acme.user("developer", banned=acme.account.created))

    with django_assert_num_queries(1):
        found = find_token(text)
        assert found.account == acme.account

    asked = Token.objects.for_authentication(digest=digest(text)).get()
    assert found == asked
    assert vars(found).keys() == vars(asked).keys()
    for name in ("bearer_role", "bearer_banned", "bearer_permissions", "created", "bearer_id", "expiry"):
        assert getattr(found, name) == getattr(asked, name)


def test_compiled_query_finds_nothing(acme):
    assert find_token("nonsense") is None


@pytest.mark.django_db(transaction=True)
def test_compiled_query_finds_in_every_thread(acme):
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


def bearer_of(row):
    return Bearer(account_id=row.account_id, id=row.pk, model=type(row), role=getattr(row, "role", "product"))


def test_compiled_query_asks_as_the_role_of_a_bearer_may(acme, api):
    (key,) = add_keys(acme.policy, "KEY-0001")
    mine = CompiledQuery(lambda bearer, uuid: Key.objects.visible_to(bearer).filter(pk=uuid), sample_uuid())
    asked = []

    for bearer in (acme.admin, acme.product, acme.another_product(), acme.user("user"), acme.user("developer")):
        speaker = bearer_of(bearer)
        asked.append((mine.first(key.pk, bearer=speaker), Key.objects.visible_to(speaker).filter(pk=key.pk).first()))

    assert asked == [(key, key), (key, key), (None, None), (None, None), (key, key)]
