"""Responses stored under an `Idempotency-Key`: only those that must be, bounded, pruned, and without secrets."""

from datetime import timedelta
from threading import Barrier

import pytest
from django.core.management import call_command
from django.utils import timezone
from rest_framework.decorators import action

from accounts.api.base import APIViewSet
from accounts.api.serializers.tokens import TokenSerializer
from keygen_site.jsonapi import idempotency, idempotency_limits
from keygen_site.jsonapi.openapi.routes import list_endpoints
from keygen_site.jsonapi.operations import operation
from keygen_site.models import IdempotentResponse
from licensing.models import License
from pools.api.serializers import KeySerializer
from pools.models import Key
from tests.cast import add_keys, make_license, make_policy, numbered
from tests.licensing.test_issue_license import license_document
from tests.races import Holder, race
from tests.tables import rolled_back
from tests.tenant_rows import Belongings, request_of

# A second request would take or change something once more.
ONCE = {
    *(("accounts", name, "create") for name in ("users", "groups", "settings")),
    ("accounts", "group-owners", "attach"),
    *(
        ("licensing", name, "create")
        for name in ("products", "policies", "licenses", "machines", "components", "processes", "entitlements")
    ),
    ("pools", "keys", "create"),
    *(
        ("licensing", "licenses", name)
        for name in ("renew", "suspend", "reinstate", "increment_usage", "decrement_usage", "reset_usage")
    ),
    *(("licensing", name, "attach") for name in ("license-users", "policy-entitlements", "license-entitlements")),
    *(("pools", "pool", name) for name in ("pop", "pop_many", "return_key", "withdraw", "replace", "import_keys")),
}

LONG_KEY = "\U0001d518" * 16_384  # the longest key, of characters with four bytes


def pop(caller, policy, name="order-1", **headers):
    return caller.delete(f"policies/{policy.pk}/pool", Idempotency_Key=name, **headers)


def stored_bytes():
    return sum(len(bytes(stored.body)) for stored in IdempotentResponse.objects.all())


class TestStoredRequests:
    def test_requests_that_take_or_give_nothing_are_not_stored(self, acme, api):
        """As the attack did: a license key stores a large response with each validation."""
        mixed = make_policy(acme.product, "Mixed", authentication_strategy="MIXED")
        license = make_license(mixed, "LICENSE-KEY-0001")
        caller = api()
        scope = {"fingerprints": ["f" * 1_000] * 1_000}

        for number in range(3):
            response = caller.post(
                f"licenses/{license.pk}/actions/validate",
                {"meta": {"scope": scope, "nonce": 7}},
                Authorization=f"License {license.key}",
                Idempotency_Key=f"g{number}",
            )
            assert response.status_code == 200

        assert not IdempotentResponse.objects.exists()
        assert len(response.content) < 10_000

    def test_every_operation_is_stored_only_if_it_says_so(self, acme, api):
        """Each write, sent with a key, leaves a stored response exactly where its operation is declared idempotent."""
        wrong = []
        for endpoint in list_endpoints():
            if not endpoint.action or endpoint.path == "/v1/accounts":
                continue
            with rolled_back():
                own = Belongings(acme.account, acme.product, "acme")
                path, document, media_type = request_of(endpoint, "acme", own)
                response = api(acme.admin).request(endpoint.method, path, document, media_type, Idempotency_Key="one")
                stored = IdempotentResponse.objects.exists()
            declared = bool(endpoint.operation.idempotent)
            if stored and not declared or declared and response.status_code < 300 and not stored:
                wrong.append((endpoint.method, path, response.status_code))

        assert wrong == []

    def test_the_idempotent_operations_are_those_that_change_something_once(self):
        found = {
            (endpoint.view.__module__.partition(".")[0], endpoint.name, endpoint.action)
            for endpoint in list_endpoints()
            if endpoint.action and endpoint.operation.idempotent
        }

        assert {(app, action) for app, _, action in found} == {(app, action) for app, _, action in ONCE}

    def test_no_operation_that_shows_the_text_of_a_token_is_idempotent(self):
        showing = [
            endpoint.operation.idempotent
            for endpoint in list_endpoints()
            if endpoint.action and endpoint.method != "GET" and endpoint.view.serializer_class is TokenSerializer
        ]

        assert len(showing) >= 7
        assert not any(showing)

    @pytest.mark.parametrize("method", ["post", "delete"])
    def test_a_write_that_gives_something_away_must_say_whether_it_is_idempotent(self, method):
        declared = operation("Act", permission="key.update", locks=True, gives=KeySerializer)(
            lambda self, request: None
        )
        handler = action(detail=True, methods=[method])(declared)

        with pytest.raises(TypeError, match="Sample.act does not state whether it is idempotent"):
            type("Sample", (APIViewSet,), {"serializer_class": KeySerializer, "queryset": Key.objects, "act": handler})


class TestRepeatedParts:
    def test_a_response_repeats_only_a_short_scope_of_its_request(self, acme, api):
        license = make_license(acme.unpooled)
        short, long = {"fingerprints": ["f"]}, {"fingerprints": ["f" * 5_000]}

        answers = [
            api(acme.admin).post("licenses/actions/validate-key", {"meta": {"key": license.key, "scope": scope}})
            for scope in (short, long)
        ]

        assert [answer.status_code for answer in answers] == [200, 200]
        assert answers[0].json()["meta"]["scope"] == short
        assert "scope" not in answers[1].json()["meta"]

    def test_a_nonce_is_short(self, acme, api):
        document = b'{"meta":{"key":"NO-SUCH-KEY","nonce":1%s}}'
        caller = api(acme.admin)

        answers = [caller.post("licenses/actions/validate-key", document % (b"0" * zeros)) for zeros in (300, 4_000)]

        assert answers[0].json()["meta"]["nonce"] == 10**300
        assert answers[1].status_code == 400


class TestSize:
    def test_a_large_response_is_stored_as_its_rows_and_replayed(self, acme, api):
        add_keys(acme.policy, *(f"{number:04}-{'x' * 1_000}" for number in range(101)))
        admin, pool = api(acme.admin), f"policies/{acme.policy.pk}/pool"
        send = lambda: admin.post(f"{pool}/actions/pop", {"meta": {"count": 100}}, Idempotency_Key="many")  # noqa: E731

        first, second = send(), send()

        assert len(first.content) > idempotency.MAX_BODY_BYTES
        assert stored_bytes() < 8_000
        assert (first.status_code, first.json()) == (second.status_code, second.json())
        assert second["Idempotency-Replayed"] == "true"
        assert acme.policy.pool.available().count() == 1

    def test_a_large_license_is_replayed_as_it_is_now(self, acme, api):
        document = license_document(acme.unpooled, {"key": LONG_KEY})
        send = lambda: api(acme.admin).post("licenses", document, Idempotency_Key="large")  # noqa: E731
        first = send()
        assert len(first.content) > idempotency.MAX_BODY_BYTES
        License.objects.get().suspend()

        second = send()

        assert (second.status_code, second["Location"]) == (201, first["Location"])
        assert second.json()["data"]["attributes"]["suspended"] is True
        assert License.objects.count() == 1

    def test_a_large_response_whose_rows_are_gone_is_refused_and_has_no_second_effect(self, acme, api):
        add_keys(acme.policy, *(f"{number:04}-{'x' * 1_000}" for number in range(101)))
        admin, pool = api(acme.admin), f"policies/{acme.policy.pk}/pool"
        send = lambda: admin.post(f"{pool}/actions/pop", {"meta": {"count": 100}}, Idempotency_Key="many")  # noqa: E731
        send()
        Key.objects.exclude(popped=None).first().delete()

        refused = send()

        assert (refused.status_code, refused.json()["errors"][0]["code"]) == (409, "IDEMPOTENT_RESPONSE_NOT_STORED")
        assert acme.policy.pool.available().count() == 1

    def test_a_replay_does_not_show_what_the_bearer_no_longer_sees(self, acme, api):
        user = acme.user(email="buyer@acme.test")
        open_policy = make_policy(acme.product, "Open", protected=False)
        document = license_document(open_policy, {"key": LONG_KEY}, owner=user)
        send = lambda: api(user).post("licenses", document, Idempotency_Key="large")  # noqa: E731
        assert send().status_code == 201
        License.objects.update(owner=acme.user(email="new@acme.test"))

        assert send().status_code == 409
        assert License.objects.count() == 1

    def test_attaching_many_users_is_replayed(self, acme, api):
        license = make_license(acme.unpooled)
        users = [acme.user(email=f"u{number}@acme.test") for number in range(100)]
        document = {"data": [{"type": "users", "id": str(user.pk)} for user in users]}
        send = lambda: api(acme.admin).post(f"licenses/{license.pk}/users", document, Idempotency_Key="a")  # noqa: E731

        first, second = send(), send()

        assert (first.status_code, second.status_code) == (200, 200), second.content
        assert first.json() == second.json()
        assert second["Idempotency-Replayed"] == "true"


class TestNumber:
    @pytest.fixture(autouse=True)
    def few(self, settings):
        settings.IDEMPOTENCY_KEYS_PER_HOUR = 3

    @pytest.mark.parametrize(("role", "limit"), [("license", 3), ("user", 3), ("product", 6), ("admin", 6)])
    def test_a_bearer_has_so_many_new_keys_in_an_hour(self, acme, api, monkeypatch, role, limit):
        monkeypatch.setattr(idempotency_limits, "FACTOR_OF_STAFF", 2)
        policy = make_policy(acme.product, "Open", authentication_strategy="MIXED", protected=False)
        license = make_license(policy, owner=acme.user())
        caller = api({"license": license, "user": acme.user()}.get(role) or acme.bearer(role))
        send = lambda name: caller.post(  # noqa: E731
            f"licenses/{license.pk}/actions/increment-usage", Idempotency_Key=str(name)
        )

        statuses = [send(number).status_code for number in range(limit + 2)]

        assert statuses == [200] * limit + [429] * 2
        license.refresh_from_db()
        assert license.uses == limit
        refused = send("another")
        assert refused.json()["errors"][0]["code"] == "IDEMPOTENCY_KEYS_SPENT"
        assert 3_500 < int(refused["Retry-After"]) <= 3_600
        # A key that was used still gets its response, and a request without a key is not limited.
        assert send(0)["Idempotency-Replayed"] == "true"
        assert caller.post(f"licenses/{license.pk}/actions/increment-usage").status_code == 200

    def test_the_limit_is_counted_per_bearer(self, acme, api):
        license = make_license(make_policy(acme.product, "Open", protected=False), owner=acme.user())
        address = f"licenses/{license.pk}/actions/increment-usage"
        statuses = [api(acme.user()).post(address, Idempotency_Key=str(number)).status_code for number in range(4)]
        assert statuses == [200, 200, 200, 429]

        assert api(acme.admin).post(address, Idempotency_Key="0").status_code == 200

    def test_the_limit_ends_after_an_hour(self, acme, api):
        license = make_license(make_policy(acme.product, "Open", protected=False), owner=acme.user())
        address = f"licenses/{license.pk}/actions/increment-usage"
        statuses = [api(acme.user()).post(address, Idempotency_Key=str(number)).status_code for number in range(4)]
        assert statuses == [200, 200, 200, 429]
        IdempotentResponse.objects.update(created=timezone.now() - timedelta(minutes=61))
        idempotency_limits._refused.clear()

        assert api(acme.user()).post(address, Idempotency_Key="new").status_code == 200

    def test_a_process_counts_again_before_it_allows_more_than_its_share(self, acme, settings):
        settings.IDEMPOTENCY_KEYS_PER_HOUR = 1_000
        bearer = acme.user().as_bearer()
        row = {**idempotency_limits.scope_of(bearer), "fingerprint": b""}
        idempotency_limits.spend(bearer)
        # Other processes use up the limit meanwhile.
        IdempotentResponse.objects.bulk_create([IdempotentResponse(name=str(number), **row) for number in range(1_000)])

        allowed = []
        with pytest.raises(idempotency_limits.IdempotencyKeysSpent):
            for number in range(1_000):
                idempotency_limits.spend(bearer)
                allowed.append(number)

        assert len(allowed) <= 1_000 // idempotency_limits.SHARE

    def test_zero_is_no_limit(self, acme, api, settings):
        settings.IDEMPOTENCY_KEYS_PER_HOUR = 0
        license = make_license(make_policy(acme.product, "Open", protected=False), owner=acme.user())
        address = f"licenses/{license.pk}/actions/increment-usage"

        assert {api(acme.user()).post(address, Idempotency_Key=str(n)).status_code for n in range(5)} == {200}


def old_responses(number, age=timedelta(hours=25)):
    return IdempotentResponse.objects.bulk_create(
        IdempotentResponse(
            account_id="01a20000-0000-7000-8000-000000000000",
            bearer_id="01a20000-0000-7000-8000-000000000000",
            name=f"{age} {index}",
            fingerprint=b"",
            created=timezone.now() - age,
        )
        for index in range(number)
    )


class TestScope:
    def test_a_license_with_the_id_of_another_bearer_has_keys_of_its_own(self, acme, api):
        """A client may choose the id of a license: with that of an admin it could answer the admin's requests."""
        policy = make_policy(acme.product, "Open", authentication_strategy="MIXED", protected=False)
        document = license_document(policy, {"key": "LICENSE-KEY-0001"}, id=str(acme.admin.pk))
        assert api(acme.product).post("licenses", document).status_code == 201
        license = License.objects.get(pk=acme.admin.pk)
        send = lambda caller: caller.post(  # noqa: E731
            f"licenses/{license.pk}/actions/increment-usage", Idempotency_Key="order-1"
        )

        responses = [send(api(bearer)) for bearer in (license, acme.admin, license, acme.admin)]

        assert ["Idempotency-Replayed" in response for response in responses] == [False, False, True, True]
        license.refresh_from_db()
        assert license.uses == 2


class TestPruning:
    def test_new_responses_delete_more_old_ones_than_they_add(self, acme, api):
        old_responses(250)
        fresh = old_responses(1, timedelta(hours=23))
        add_keys(acme.policy, *numbered(60))

        for number in range(3 * idempotency.PRUNE_INTERVAL):
            assert pop(api(acme.admin), acme.policy, f"order-{number}").status_code == 200

        left = IdempotentResponse.objects.exclude(account_id=acme.account.pk)
        assert [stored.pk for stored in left] == [fresh[0].pk]

    @pytest.mark.postgresql
    @pytest.mark.django_db(transaction=True)
    def test_pruning_waits_for_no_other_transaction(self, monkeypatch, api, acme):
        old = old_responses(3)
        add_keys(acme.policy, "KEY-0001")
        monkeypatch.setattr(idempotency, "PRUNE_INTERVAL", 1)
        locked = lambda: IdempotentResponse.objects.select_for_update().get(pk=old[0].pk)  # noqa: E731

        with Holder(locked):
            response = pop(api(acme.admin), acme.policy)

        assert response.status_code == 200
        assert list(IdempotentResponse.objects.filter(fingerprint=b"").values_list("pk", flat=True)) == [old[0].pk]

    @pytest.mark.django_db(transaction=True)
    def test_pruning_in_parallel_has_no_deadlock(self, monkeypatch, api, acme):
        old_responses(200)
        add_keys(acme.policy, *numbered(8))
        monkeypatch.setattr(idempotency, "PRUNE_INTERVAL", 1)
        caller, turn = api(acme.admin), Barrier(4)

        def work():
            number = turn.wait(timeout=30)
            return [pop(caller, acme.policy, f"{number}-{n}").status_code for n in range(2)]

        assert race(4, work) == [[200, 200]] * 4
        call_command("prune_idempotency_keys")
        assert IdempotentResponse.objects.count() == 8
