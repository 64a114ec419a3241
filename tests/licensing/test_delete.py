"""DELETE /policies/:id and /products/:id: dependent objects, deleted and kept (contract: keys 7.6, 8.3)."""

from concurrent.futures import ThreadPoolExecutor
from time import sleep

import pytest
from django.core.exceptions import ValidationError
from django.db import connection, transaction

from accounts.models import Token, User
from licensing.api.viewsets.policies import PolicyViewSet
from licensing.models import License, LicenseUser, Policy, Product
from pools.models import Key, KeyEvent, KeyImport
from tests.cast import add_key, add_keys, make_license, make_policy, make_product, numbered, token_of
from tests.errors import NOT_FOUND, UNAUTHORIZED, assert_refused, not_found, unauthorized

TOKEN_INVALID = unauthorized("TOKEN_INVALID", about="authentication/#token-authentication")


@pytest.fixture
def admin(acme, api):
    return api(acme.admin)


@pytest.fixture
def sold(acme, audit):
    """A license of Acme's pooled policy, on which hangs all that can: keys, popped ones too, an import, users."""
    add_keys(acme.policy, *numbered(3))
    KeyImport.objects.create(account=acme.account, policy=acme.policy, source="keys.txt")
    owner = acme.user(email="owner@acme.test")
    license = make_license(acme.policy, owner=owner)
    license.license_users.create(account=acme.account, user=acme.user(email="attached@acme.test"))
    acme.policy.pool.pop(audit)
    acme.policy.pool.pop(audit, license)
    return license


def left():
    """How many rows there are of each kind."""
    models = (Product, Policy, License, LicenseUser, Key, KeyImport)
    return {model.__name__: model.objects.count() for model in models}


class TestPolicy:
    def test_deleted_policy_is_gone(self, acme, admin):
        response = admin.delete(f"policies/{acme.policy.pk}")

        assert (response.status_code, response.content) == (204, b"")
        assert_refused(admin.get(f"policies/{acme.policy.pk}"), NOT_FOUND, not_found("policy", acme.policy.pk))

    def test_deleted_policy_cannot_be_deleted_twice(self, acme, admin):
        admin.delete(f"policies/{acme.policy.pk}")

        response = admin.delete(f"policies/{acme.policy.pk}")

        assert_refused(response, NOT_FOUND, not_found("policy", acme.policy.pk))

    def test_deleted_policy_takes_its_keys_and_licenses_along(self, acme, admin, sold):
        admin.delete(f"policies/{acme.policy.pk}")

        assert left() == {"Product": 1, "Policy": 1, "License": 0, "LicenseUser": 0, "Key": 0, "KeyImport": 0}
        assert User.objects.filter(account=acme.account).count() == 3

    def test_deleted_policy_leaves_other_policies_alone(self, acme, admin):
        other = make_policy(acme.product, use_pool=True)
        add_keys(acme.policy, "KEY-0001")
        add_keys(other, "KEY-0002")
        make_license(other)

        admin.delete(f"policies/{acme.policy.pk}")

        assert left() == {"Product": 1, "Policy": 2, "License": 1, "LicenseUser": 0, "Key": 1, "KeyImport": 0}

    def test_deleted_policy_leaves_the_ledger(self, acme, admin, sold):
        before = list(KeyEvent.objects.values())

        admin.delete(f"policies/{acme.policy.pk}")

        assert list(KeyEvent.objects.values()) == before
        assert [(row["event"], row["policy_id"]) for row in before] == [
            ("issued", acme.policy.pk),
            ("popped", acme.policy.pk),
        ]

    def test_deleted_policy_frees_the_texts_of_its_available_keys_only(self, acme, admin, sold):
        other = make_policy(acme.product, use_pool=True)
        first, second, available = numbered(3)
        admin.delete(f"policies/{acme.policy.pk}")

        assert add_key(other, available)
        for used in (first, second):
            with pytest.raises(ValidationError):
                add_key(other, used)

    def test_deleted_policy_ends_the_tokens_of_its_licenses(self, acme, api, admin, sold):
        token = token_of(sold)
        assert api(token).get("products").status_code == 403

        admin.delete(f"policies/{acme.policy.pk}")

        assert_refused(api(token).get("products"), UNAUTHORIZED, TOKEN_INVALID)
        assert not Token.objects.filter(bearer_id=sold.pk).exists()

    def test_deleted_policy_is_all_or_nothing(self, acme, admin, sold, monkeypatch):
        before = left()

        def delete_and_fail(viewset, policy):
            policy.delete()
            raise RuntimeError

        monkeypatch.setattr(PolicyViewSet, "delete_row", delete_and_fail)
        with pytest.raises(RuntimeError):
            admin.delete(f"policies/{acme.policy.pk}")

        assert left() == before

    def test_deleted_policy_costs_the_same_however_many_keys_wait(self, acme, admin, django_assert_max_num_queries):
        Key.objects.bulk_create(Key(account=acme.account, policy=acme.policy, key=text) for text in numbered(2000))

        with django_assert_max_num_queries(15):
            admin.delete(f"policies/{acme.policy.pk}")

        assert not Key.objects.exists()


class TestProduct:
    @pytest.mark.parametrize("named", ["id", "code"])
    def test_deleted_product_is_gone(self, acme, admin, named):
        product = make_product(acme.account, code="satellite")

        response = admin.delete(f"products/{product.pk if named == 'id' else 'satellite'}")

        assert (response.status_code, response.content) == (204, b"")
        assert_refused(admin.get("products/satellite"), NOT_FOUND, not_found("product", "satellite"))

    def test_deleted_product_takes_policies_keys_and_licenses_along(self, acme, admin, sold):
        other = make_policy(make_product(acme.account), use_pool=True)
        make_license(other)
        add_keys(other, "KEY-OTHER")

        admin.delete(f"products/{acme.product.pk}")

        assert left() == {"Product": 1, "Policy": 1, "License": 1, "LicenseUser": 0, "Key": 1, "KeyImport": 0}

    def test_deleted_product_leaves_the_ledger(self, acme, admin, sold):
        before = list(KeyEvent.objects.values())

        admin.delete(f"products/{acme.product.pk}")

        assert list(KeyEvent.objects.values()) == before != []

    def test_deleted_product_ends_its_tokens_and_those_of_its_licenses_at_once(self, acme, api, admin, sold):
        tokens = [token_of(acme.product), token_of(sold)]

        admin.delete(f"products/{acme.product.pk}")

        for token in tokens:
            assert_refused(api(token).get("policies"), UNAUTHORIZED, TOKEN_INVALID)
        assert not Token.objects.filter(bearer_id__in=[acme.product.pk, sold.pk]).exists()

    def test_deleted_product_leaves_other_accounts_alone(self, acme, rival, admin):
        add_keys(rival.policy, "KEY-0001")

        response = admin.delete(f"products/{rival.product.pk}")

        assert_refused(response, NOT_FOUND, not_found("product", rival.product.pk))
        assert left()["Key"] == 1


@pytest.mark.postgresql
@pytest.mark.django_db(transaction=True)
def test_deletion_waits_for_who_takes_a_key_just_now(acme, admin, audit):
    """The key then belongs to the caller who popped it, and the ledger records that."""
    add_keys(acme.policy, "KEY-0001")

    with ThreadPoolExecutor() as threads:
        with transaction.atomic():
            taken = acme.policy.pool.pop(audit)
            deleting = threads.submit(delete_elsewhere, admin, f"policies/{acme.policy.pk}")
            wait_until_a_session_waits()
        response = deleting.result()

    assert response.status_code == 204
    assert [event.key_id for event in KeyEvent.objects.filter(event="popped")] == [taken.pk]
    assert not Key.objects.exists()


def delete_elsewhere(api, path):
    try:
        return api.delete(path)
    finally:
        connection.close()


def wait_until_a_session_waits():
    with connection.cursor() as cursor:
        for _ in range(1000):
            cursor.execute("SELECT pg_stat_clear_snapshot()")  # otherwise a transaction keeps seeing its first snapshot
            cursor.execute(
                "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
            )
            if cursor.fetchone()[0]:
                return
            sleep(0.01)
    raise AssertionError("no session waits for the key")
