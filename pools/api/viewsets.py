from rest_framework.decorators import action
from rest_framework.response import Response

from accounts.api.base import APIViewSet
from keygen_site.db.compiled_queries import CompiledQuery
from keygen_site.db.uuids import parse_uuid
from keygen_site.jsonapi.errors import BadRequest, NotFound
from keygen_site.jsonapi.negotiation import Document
from keygen_site.jsonapi.pagination import limit_of
from keygen_site.jsonapi.viewsets import CreateMixin, DestroyMixin, ListMixin, RetrieveMixin, UpdateMixin
from licensing.api.serializers.policies import PolicySerializer
from licensing.api.serializers.products import ProductSerializer
from licensing.models import Policy
from pools.api import operations
from pools.api.filters import KeyEventFilterSet, KeyFilterSet
from pools.api.pagination import KeyPagination
from pools.api.serializers import KeyEventSerializer, KeySerializer
from pools.api.transfers import TransferMixin
from pools.models import Key, KeyEvent, KeyImport
from pools.services.keys import delete_key, pop_keys, return_key, withdraw_import, withdraw_key
from pools.services.low_stock import reset_low_alert

MOST_AT_ONCE = 100

ID = Key._meta.pk
WAITING_KEY = CompiledQuery(
    lambda bearer, uuid: Key.objects.for_listing().visible_to(bearer).available().filter(pk=uuid), ID
)
NEWEST_KEYS = CompiledQuery(lambda bearer: Key.objects.for_listing().visible_to(bearer).available().order_by("-id"))
POOLS_POLICY = CompiledQuery(
    lambda bearer, uuid: (
        Policy.objects.visible_to(bearer)
        .only("account", "product", "use_pool", "low_stock_threshold", "low_stock_alerted")
        .filter(pk=uuid)
    ),
    ID,
)


def found(prepared, noun, identifier, bearer):
    """The row that an address names among those that a bearer may see, by a query that is compiled already."""
    uuid = parse_uuid(identifier)
    row = uuid and prepared.first(uuid, bearer=bearer)
    if row is None:
        raise NotFound.of(noun, identifier)
    return row


class KeyViewSet(CreateMixin, RetrieveMixin, UpdateMixin, DestroyMixin, ListMixin, APIViewSet):
    """Keys that wait in the pools of an account (contract: keys 1.1, 2)."""

    queryset = Key.objects.with_api_fields()
    serializer_class = KeySerializer
    filterset_class = KeyFilterSet
    pagination_class = KeyPagination
    operations = operations.KEYS
    permissions = {
        "list": "key.read",
        "retrieve": "key.read",
        "create": "key.create",
        "partial_update": "key.update",
        "destroy": "key.delete",
        "product": "product.read",
        "policy": "policy.read",
    }

    def get_queryset(self):
        return super().get_queryset().available()

    def list(self, request, *args, **kwargs):
        if request.query_params.keys() <= {"limit"} and request.user.is_staff:
            page = NEWEST_KEYS.rows(limit_of(request.query_params), bearer=request.user)
            return Response([KeySerializer.resource_object(key) for key in page])
        return super().list(request, *args, **kwargs)

    def get_object(self):
        if self.action != "retrieve":
            return super().get_object()
        key = found(WAITING_KEY, "key", self.kwargs["pk"], self.request.user)
        self.authorize()
        return key

    def perform_create(self, serializer):
        super().perform_create(serializer)
        if serializer.instance.policy.low_stock_alerted is not None:
            reset_low_alert(serializer.instance.policy)

    def perform_destroy(self, key):
        delete_key(key, self.audit)

    @action(detail=True)
    def product(self, request, *args, **kwargs):
        return Response(ProductSerializer.resource_object(self.get_object().policy.product))

    @action(detail=True)
    def policy(self, request, *args, **kwargs):
        return Response(PolicySerializer.resource_object(self.get_object().policy))


class PoolViewSet(TransferMixin, RetrieveMixin, ListMixin, APIViewSet):
    """The pool of a policy (contract: keys 1.2, 6)."""

    once_by_name = frozenset({"pop"})
    reading_actions = frozenset({"import_keys"})
    operations = operations.POOL

    queryset = Key.objects.with_api_fields()
    serializer_class = KeySerializer
    permissions = {
        "list": "key.read",
        "retrieve": "key.read",
        "pop": "policy.pool.pop",
        "pop_many": "policy.pool.pop",
        "return_key": "policy.pool.return",
        "withdraw": "policy.pool.withdraw",
        "import_keys": "policy.pool.import",
        "export_keys": "policy.pool.export",
    }

    def find_parent(self):
        self.policy = found(POOLS_POLICY, "policy", self.kwargs["policy"], self.request.user)

    def get_queryset(self):
        pool = super().get_queryset().for_policy(self.policy.pk).available()
        return pool if self.policy.use_pool else pool.none()

    def pop(self, request, *args, **kwargs):
        """Take the next key out of the pool. It is the answer, and nobody gets it again."""
        key = self.policy.pool.pop(self.audit)
        return Response(KeySerializer.resource_object(key))

    @action(detail=False, methods=["post"], url_path="actions/pop")
    def pop_many(self, request, *args, **kwargs):
        """Take the next n keys, all of them or none."""
        count = self.document()["meta"]["count"]
        if not 1 <= count <= MOST_AT_ONCE:
            raise BadRequest(f"must be a number between 1 and {MOST_AT_ONCE} (got {count})", pointer="/meta/count")
        keys = pop_keys(policy=self.policy, count=count, audit=self.audit)
        return Response([KeySerializer.resource_object(key) for key in keys])

    @action(detail=False, methods=["post"], url_path="actions/return")
    def return_key(self, request, *args, **kwargs):
        """Put back a key that was popped by mistake."""
        meta = self.document()["meta"]
        undelivered = meta.get("undelivered", False)
        key = return_key(policy=self.policy, text=meta["key"], undelivered=undelivered, audit=self.audit)
        return Response(KeySerializer.resource_object(key))

    @action(detail=False, methods=["post"], url_path="actions/withdraw")
    def withdraw(self, request, *args, **kwargs):
        """Take one key, or all that is left of an import, out of circulation."""
        meta = self.document()["meta"]
        if len(meta) != 1:
            raise BadRequest("must have a key or an import", pointer="/meta")
        if "key" in meta:
            key = withdraw_key(policy=self.policy, text=meta["key"], audit=self.audit)
            return Response(KeySerializer.resource_object(key))
        key_import = KeyImport.objects.filter(policy=self.policy, pk=meta["import"]).first()
        if key_import is None:
            raise NotFound.of("import", meta["import"])
        return Response(Document(meta={"withdrawn": withdraw_import(key_import=key_import, audit=self.audit)}))


class KeyEventViewSet(RetrieveMixin, ListMixin, APIViewSet):
    """The ledger: what happened to keys, the latest first."""

    queryset = KeyEvent.objects.all()
    serializer_class = KeyEventSerializer
    filterset_class = KeyEventFilterSet
    operations = operations.KEY_EVENTS
    permissions = {
        "list": "key-event.read",
        "retrieve": "key-event.read",
        "search": "key-event.read",
    }

    @action(detail=False, methods=["post"], url_path="actions/search")
    def search(self, request, *args, **kwargs):
        """What happened to the key of this text; in the body, so that keys stay out of addresses and logs."""
        text = self.document()["meta"]["key"]
        page = self.paginate_queryset(self.get_queryset().with_key(text))
        return self.get_paginated_response([KeyEventSerializer.resource_object(event) for event in page])
