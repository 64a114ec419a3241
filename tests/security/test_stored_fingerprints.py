"""The stored fingerprint of a request tells nothing about it, and a changed secret does not run a request twice."""

from django.conf import settings as django_settings

from keygen_site.db.fields import digest
from keygen_site.jsonapi import idempotency
from keygen_site.models import IdempotentResponse
from pools.models import Key
from tests.accounts.documents import user_document
from tests.cast import add_keys, numbered
from tests.pools.documents import key_document


def pop(caller, policy, name="order-1", **headers):
    return caller.delete(f"policies/{policy.pk}/pool", Idempotency_Key=name, **headers)


def test_a_password_cannot_be_guessed_from_a_stored_fingerprint(acme, api, monkeypatch):
    plain = []
    original = idempotency.fingerprint_of
    monkeypatch.setattr(idempotency, "fingerprint_of", lambda *a: plain.append(original(*a)) or plain[-1])
    document = user_document(email="new@acme.test", password="correct horse")
    assert api(acme.admin).post("users", document, Idempotency_Key="a").status_code == 201

    stored = bytes(IdempotentResponse.objects.get().fingerprint)

    assert plain
    assert stored not in plain
    assert stored not in [digest(each.hex()) for each in plain]


def test_a_repeated_request_after_a_change_of_the_secret_runs_once(acme, api, settings):
    add_keys(acme.policy, *numbered(3))
    first = pop(api(acme.admin), acme.policy)
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "a new secret", [django_settings.SECRET_KEY]

    second = pop(api(acme.admin), acme.policy)

    assert second.content == first.content
    assert second["Idempotency-Replayed"] == "true"
    assert acme.policy.pool.available().count() == 2


def test_without_the_former_secret_it_is_refused_and_has_no_effect(acme, api, settings):
    add_keys(acme.policy, *numbered(3))
    pop(api(acme.admin), acme.policy)
    settings.SECRET_KEY = "a new secret"

    response = pop(api(acme.admin), acme.policy)

    assert (response.status_code, response.json()["errors"][0]["code"]) == (422, "IDEMPOTENCY_KEY_REUSED")
    assert acme.policy.pool.available().count() == 2


def test_another_request_under_a_former_secret_is_refused(acme, api, settings):
    admin = api(acme.admin)
    admin.post("keys", key_document(acme.policy, "KEY-0001"), Idempotency_Key="a")
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "a new secret", [django_settings.SECRET_KEY]

    response = admin.post("keys", key_document(acme.policy, "KEY-0002"), Idempotency_Key="a")

    assert response.json()["errors"][0]["code"] == "IDEMPOTENCY_KEY_REUSED"
    assert Key.objects.count() == 1
