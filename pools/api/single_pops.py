"""The pop of one key, which on PostgreSQL finds the policy and takes the key in one statement."""

from collections.abc import Callable
from typing import Any

from django.db import connection
from django.http.response import HttpResponseBase

from accounts.api.base import APIViewSet
from accounts.permissions import is_permitted
from keygen_site.db.uuids import parse_uuid
from keygen_site.jsonapi.operations import operation
from keygen_site.jsonapi.requests import APIRequest
from licensing.models import Policy, PoolEmpty, PoolNotSupported
from pools.api.serializers import KeySerializer
from pools.models import Key
from pools.popping import pop_of_found_policy


class SinglePopMixin(APIViewSet):
    """The operation `pop` of the viewset of pools."""

    policy: Policy | None = None

    def resolve_parent(self, request: APIRequest) -> None:
        # Otherwise the policy is found first, so that the errors have their order: 404, 403.
        is_one_statement = (
            self.action == "pop"
            and connection.vendor == "postgresql"
            and request.user is not None
            and is_permitted("policy.pool.pop", request.user)
        )
        if not is_one_statement:
            super().resolve_parent(request)

    def perform(self, method: Callable[..., Any]) -> HttpResponseBase:
        response = super().perform(method)
        if self.policy is None:  # a stored response: the bearer must see the policy nevertheless
            super().resolve_parent(self.request)
        return response

    @operation(
        "Take the next key out of the pool",
        permission="policy.pool.pop",
        gives=KeySerializer,
        locks=False,
        idempotent=True,
        errors=(PoolEmpty, PoolNotSupported),
    )
    def pop(self, request: APIRequest) -> Key:
        """First in, first out. The key is in no other response: send an `Idempotency-Key`, so that the request can be
        repeated. An empty pool is `422`."""
        policy_id = parse_uuid(self.kwargs["policy"])
        if self.policy is None and policy_id and self.parent:
            find_policy = self.parent.statement(policy_id, self.actor)
            key = find_policy and pop_of_found_policy(Key, policy_id, find_policy, self.audit)
            if key:
                self.policy = key.policy
                return key
        if self.policy is None:
            super().resolve_parent(request)
        assert self.policy
        return self.policy.pool.pop(self.audit)
