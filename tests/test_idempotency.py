"""Requests sent twice under one `Idempotency-Key`."""

from datetime import timedelta
from uuid import uuid4

import pytest
from django.core.management import call_command
from django.utils import timezone

from keygen_site.models import IdempotentResponse
from licensing.models import License
from pools.models import Key, KeyEvent
from tests.cast import add_keys, make_policy, numbered
from tests.errors import assert_refused, explained
from tests.licensing.test_issue_license import license_document
from tests.pools.documents import key_document

REUSED = explained(
    {
        "title": "Unprocessable entity",
        "detail": "was already used for another request",
        "code": "IDEMPOTENCY_KEY_REUSED",
        "source": {"header": "Idempotency-Key"},
    }
)
INVALID = explained(
    {
        "title": "Bad request",
        "detail": "must be between 1 and 255 visible ASCII characters",
        "code": "IDEMPOTENCY_KEY_INVALID",
        "source": {"header": "Idempotency-Key"},
    }
)


def pop(speaker, policy, name="first", **headers):
    return speaker.delete(f"policies/{policy.pk}/pool", Idempotency_Key=name, **headers)


class TestPop:
    def test_repeated_pop_is_repeated_with_the_same_answer(self, api, acme):
        add_keys(acme.policy, *numbered(2))
        admin = api(acme.admin)

        first, second = pop(admin, acme.policy), pop(admin, acme.policy)

        assert (first.status_code, first.content) == (second.status_code, second.content)
        assert ("Idempotency-Replayed" in first, second["Idempotency-Replayed"]) == (False, "true")
        assert acme.policy.pool.available().count() == 1
        assert KeyEvent.objects.count() == 1

    def test_under_another_name_takes_another_key(self, api, acme):
        add_keys(acme.policy, *numbered(2))
        admin = api(acme.admin)

        assert pop(admin, acme.policy).content != pop(admin, acme.policy, "second").content

    def test_repeated_pop_that_failed_may_be_tried_again(self, api, acme):
        admin = api(acme.admin)
        assert pop(admin, acme.policy).status_code == 422
        add_keys(acme.policy, "KEY-0001")

        response = pop(admin, acme.policy)

        assert (response.status_code, "Idempotency-Replayed" in response) == (200, False)

    def test_repeated_pop_of_another_pool_is_refused(self, api, acme):
        other = make_policy(acme.product, use_pool=True)
        add_keys(acme.policy, "KEY-0001")
        add_keys(other, "KEY-0002")
        admin = api(acme.admin)
        pop(admin, acme.policy)

        assert_refused(pop(admin, other), 422, REUSED)
        assert other.pool.available().exists()

    def test_repeated_pop_for_another_reference_is_refused(self, api, acme):
        add_keys(acme.policy, *numbered(2))
        admin = api(acme.admin)
        pop(admin, acme.policy, Keygen_Reference="Order 1")

        assert_refused(pop(admin, acme.policy, Keygen_Reference="Order 2"), 422, REUSED)

    def test_repeated_pop_of_another_bearer_is_another(self, api, acme):
        add_keys(acme.policy, *numbered(2))

        answers = {pop(api(bearer), acme.policy).content for bearer in (acme.admin, acme.product)}

        assert len(answers) == 2

    def test_repeated_pop_of_another_account_is_another(self, api, acme, rival):
        add_keys(acme.policy, "KEY-0001")
        add_keys(rival.policy, "KEY-0001")

        assert pop(api(acme.admin), acme.policy).status_code == 200
        assert pop(api(rival.admin, "rival"), rival.policy).status_code == 200

    def test_repeated_pop_with_another_token_of_the_bearer_is_the_same(self, api, acme):
        add_keys(acme.policy, *numbered(2))

        assert len({pop(api(acme.admin), acme.policy).content for _ in range(2)}) == 1

    def test_repeated_pop_is_repeated_in_the_media_type_that_is_asked_for(self, api, acme):
        add_keys(acme.policy, "KEY-0001")
        admin = api(acme.admin)
        pop(admin, acme.policy)

        assert pop(admin, acme.policy, Accept="application/json")["Content-Type"].startswith("application/json")

    def test_is_not_repeated_to_who_may_no_longer_pop(self, api, acme):
        add_keys(acme.policy, "KEY-0001")
        user = acme.user("developer")
        pop(api(user), acme.policy)
        user.role = "sales-agent"
        user.save_changes("role")

        assert pop(api(user), acme.policy).status_code == 403


class TestPost:
    def test_repeated_post_of_a_license_is_repeated(self, api, acme):
        add_keys(acme.policy, *numbered(2))
        admin = api(acme.admin)

        answers = [admin.post("licenses", license_document(acme.policy), Idempotency_Key="a") for _ in range(2)]

        assert answers[0].status_code == answers[1].status_code == 201
        assert answers[0].content == answers[1].content
        assert answers[0]["Location"] == answers[1]["Location"]
        assert (License.objects.count(), acme.policy.pool.available().count()) == (1, 1)

    def test_repeated_post_of_a_key_is_repeated(self, api, acme):
        admin = api(acme.admin)

        answers = [admin.post("keys", key_document(acme.policy), Idempotency_Key="a") for _ in range(2)]

        assert [answer.status_code for answer in answers] == [201, 201]
        assert Key.objects.count() == 1

    def test_repeated_post_of_another_document_is_refused(self, api, acme):
        admin = api(acme.admin)
        admin.post("keys", key_document(acme.policy, "KEY-0001"), Idempotency_Key="a")

        response = admin.post("keys", key_document(acme.policy, "KEY-0002"), Idempotency_Key="a")

        assert_refused(response, 422, REUSED)
        assert Key.objects.count() == 1

    def test_repeated_post_of_the_same_document_in_another_order_is_the_same(self, api, acme):
        admin, document = api(acme.admin), key_document(acme.policy)
        admin.post("keys", document, Idempotency_Key="a")

        turned = {"data": dict(reversed(document["data"].items()))}

        assert admin.post("keys", turned, Idempotency_Key="a").status_code == 201

    def test_to_another_address_is_refused(self, api, acme):
        admin, document = api(acme.admin), key_document(acme.policy)
        admin.post("keys", document, Idempotency_Key="a")

        assert_refused(admin.post("licenses", document, Idempotency_Key="a"), 422, REUSED)

    def test_repeated_post_that_failed_may_be_tried_again_with_another_document(self, api, acme):
        admin = api(acme.admin)
        assert admin.post("keys", key_document(acme.policy, "short"), Idempotency_Key="a").status_code == 422

        assert admin.post("keys", key_document(acme.policy), Idempotency_Key="a").status_code == 201

    def test_repeated_post_of_a_token_stores_no_token(self, api, acme):
        response = api(acme.admin).post("tokens", Idempotency_Key="a")

        assert response.status_code == 201
        assert not IdempotentResponse.objects.exists()


@pytest.mark.parametrize("name", ["x" * 255, "!", "~", "a=b;c"])
def test_idempotency_key_names_may_be(api, acme, name):
    add_keys(acme.policy, "KEY-0001")

    assert pop(api(acme.admin), acme.policy, name).status_code == 200


@pytest.mark.parametrize("name", ["", " ", "x" * 256, "a b", "ä", "a\tb"])
def test_idempotency_key_names_may_not_be(api, acme, name):
    add_keys(acme.policy, "KEY-0001")

    assert_refused(pop(api(acme.admin), acme.policy, name), 400, INVALID)
    assert acme.policy.pool.available().exists()


def test_other_requests_take_no_notice(api, acme):
    key = add_keys(acme.policy, "KEY-0001")[0]

    assert api(acme.admin).get(f"keys/{key.pk}", Idempotency_Key="a b").status_code == 200
    assert not IdempotentResponse.objects.exists()


def test_idempotency_key_answers_are_forgotten_after_a_day(db, capsys):
    for hours in (23, 25):
        IdempotentResponse.objects.create(
            account_id=uuid4(),
            bearer_id=uuid4(),
            name=str(hours),
            fingerprint=b"",
            created=timezone.now() - timedelta(hours=hours),
        )

    call_command("prune_idempotency_keys", hours=1)

    assert [answer.name for answer in IdempotentResponse.objects.all()] == ["23"]
    assert capsys.readouterr().out == "1 stored response was deleted.\n"
