"""Keys, pools and the ledger over HTTP."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, cast

from django.http import StreamingHttpResponse
from django.http.response import HttpResponseBase
from rest_framework.decorators import action

from accounts.api.base import APIViewSet
from accounts.permissions import require
from keygen_site.jsonapi.errors import BadRequest, NotFound
from keygen_site.jsonapi.lookups import Parent, Rows
from keygen_site.jsonapi.negotiation import Document
from keygen_site.jsonapi.operations import File, Gives, Parameter, choice, operation
from keygen_site.jsonapi.request_documents import Schema, meta
from keygen_site.jsonapi.requests import APIRequest
from keygen_site.jsonapi.sections import Section
from keygen_site.jsonapi.text import is_one_line, timestamp
from keygen_site.jsonapi.types import BOOLEAN, INTEGER, STRING, TIME, UUID
from keygen_site.jsonapi.viewsets import CreateMixin, DestroyMixin, ListMixin, RetrieveMixin, UpdateMixin
from licensing.api.serializers.policies import PolicySerializer
from licensing.api.serializers.products import ProductSerializer
from licensing.models import Policy, PoolEmpty, PoolNotSupported, Product
from pools.api.filters import KeyEventFilterSet, KeyFilterSet
from pools.api.masks import MaskedKeysMixin
from pools.api.pagination import KeyPagination
from pools.api.serializers import KeyEventSerializer, KeySerializer
from pools.api.single_pops import SinglePopMixin
from pools.api.transfers import TransferMixin, format_of
from pools.models import Key, KeyEvent, KeyImport
from pools.models.key_events import KeyEventQuerySet
from pools.services.import_changes import DestinationIsSource, move_import, undo_import, withdraw_import
from pools.services.keys import (
    MAX_KEYS_PER_POP,
    MAX_REASON_CHARACTERS,
    KeyDisclosed,
    KeyIssued,
    KeyNotHeld,
    KeyNotPopped,
    KeyWithdrawn,
    LicenseGone,
    UndeliveredRequired,
    add_key,
    change_key,
    delete_key,
    pop_keys,
    replace_key,
    return_key,
    withdraw_key,
)
from pools.services.ledger import LEDGER_FORMATS, read_events, serialize_events

_CHANGE = {
    name: Schema(INTEGER, required=True, description=f"The number of keys that {text}.")
    for name, text in {
        "changed": "were deleted, moved or withdrawn",
        "popped": "were left because they were popped before",
        "withdrawn": "were left because they were withdrawn before",
        "disclosed": "were left because they are available, but were revealed or exported",
    }.items()
}
_KEY_STATE = Schema(
    required=True,
    nullable=True,
    description="The state of the key; null if the account has no such key.",
    members={
        "id": Schema(UUID, required=True, description="The id of the key."),
        "state": Schema(STRING, required=True, description="`available`, `popped` or `withdrawn`."),
        **{
            name: Schema(TIME, required=True, nullable=True, description=text)
            for name, text in {
                "popped": "When the key was popped, or null.",
                "withdrawn": "When the key was withdrawn, or null.",
                "disclosed": "When the text of the key was first disclosed, or null.",
            }.items()
        },
        "disclosure": Schema(
            STRING,
            required=True,
            nullable=True,
            description="How it was disclosed: `popped`, `issued`, `revealed`, `exported`, or `used` elsewhere.",
        ),
        "disclosed_to": Schema(STRING, required=True, nullable=True, description="To whom it was disclosed."),
    },
)
_KEY = Schema(STRING, required=True, description="The whole text of the key.")
_REASON = Schema(STRING, description=f"Why, in at most {MAX_REASON_CHARACTERS} characters. The ledger keeps it.")
_IMPORT = Schema(UUID, required=True, description="The id of the import.")
KEY_DOCUMENT = meta(key=_KEY)


class KeyViewSet(MaskedKeysMixin, CreateMixin, RetrieveMixin, UpdateMixin, DestroyMixin, ListMixin, APIViewSet):
    """The available keys of an account (contract: keys 1.1, 2)."""

    queryset = Key.objects.all()
    serializer_class = KeySerializer
    filterset_class = KeyFilterSet
    pagination_class = KeyPagination

    @classmethod
    def rows(cls, action: str, now: datetime) -> Rows:
        read_only = action in ("list", "retrieve")
        return (Key.objects.for_listing() if read_only else Key.objects.with_api_fields()).available()

    def is_plain_first_page(self, request: APIRequest) -> bool:
        return request.user.is_staff and super().is_plain_first_page(request)

    def create_row(self, values: dict[str, Any]) -> Key:
        return add_key(Key(**values, **self.defaults()), self.audit)

    def update_row(self, key: Key, values: dict[str, Any]) -> None:
        if "key" in values and values["key"] != key.key:
            change_key(key, values["key"], self.audit)

    def delete_row(self, key: Key) -> None:
        delete_key(key, self.audit)

    @action(detail=True)
    @operation("Show the product of a key", permission="product.read", gives=ProductSerializer)
    def product(self, request: APIRequest, key: Key) -> Product:
        return key.policy.product

    @action(detail=True)
    @operation("Show the policy of a key", permission="policy.read", gives=PolicySerializer)
    def policy(self, request: APIRequest, key: Key) -> Policy:
        return key.policy


class PoolViewSet(SinglePopMixin, MaskedKeysMixin, TransferMixin, RetrieveMixin, ListMixin, APIViewSet):
    """The pool of a policy (contract: keys 1.2, 6)."""

    section = Section(
        10,
        "Pools",
        "The keys of a policy that were made beforehand. Each is handed out at most once, the oldest first. Pop keys, "
        "put them back, withdraw or replace them, and import and export files of keys.",
    )
    queryset = Key.objects.with_api_fields()
    serializer_class = KeySerializer
    parent = Parent(
        "policy",
        Policy.objects.only(
            "account", "product", "use_pool", "low_stock_threshold", "low_stock_days", "low_stock_alerted"
        ),
        narrow=lambda keys, policy_id: keys.for_policy(policy_id).available(),
    )
    policy: Policy

    def get_queryset(self) -> Rows:
        return super().get_queryset() if self.policy.use_pool else Key.objects.none()

    def find_row(self, *, locked: bool) -> Key:
        if not self.policy.use_pool:
            raise NotFound.of("key", self.kwargs["pk"])
        return super().find_row(locked=locked)

    def is_plain_first_page(self, request: APIRequest) -> bool:
        return self.policy.use_pool and super().is_plain_first_page(request)

    @action(detail=False, methods=["post"], url_path="actions/pop")
    @operation(
        "Take the next keys out of the pool",
        permission="policy.pool.pop",
        takes=meta(count=Schema(INTEGER, required=True, description="The number of keys, 1 to 100.")),
        gives=Gives(KeySerializer, many=True),
        locks=False,
        idempotent=True,
        errors=(
            PoolEmpty,
            PoolNotSupported,
        ),
    )
    def pop_many(self, request: APIRequest, document: dict[str, Any]) -> list[Key]:
        """All of them or none: 1 to 100."""
        count = document["meta"]["count"]
        if not 1 <= count <= MAX_KEYS_PER_POP:
            detail = f"must be a number between 1 and {MAX_KEYS_PER_POP} (got {count})"
            raise BadRequest(detail, pointer="/meta/count")
        return pop_keys(policy=self.policy, count=count, audit=self.audit)

    @action(detail=False, methods=["post"], url_path="actions/return")
    @operation(
        "Put a popped key back into the pool",
        permission="policy.pool.return",
        takes=meta(key=_KEY, undelivered=Schema(BOOLEAN, description="Must be true: the key was not delivered.")),
        gives=KeySerializer,
        locks=False,
        idempotent=True,
        errors=(
            UndeliveredRequired,
            KeyNotPopped,
            KeyWithdrawn,
            KeyIssued,
            KeyDisclosed,
        ),
    )
    def return_key(self, request: APIRequest, document: dict[str, Any]) -> Key:
        """Only a key that the API or a command popped and that was not delivered.

        `undelivered` must be true to confirm this, else it is `422` with the code `UNDELIVERED_REQUIRED`. A key that
        was issued (`KEY_ISSUED`), or was popped or revealed in the console or exported (`KEY_DISCLOSED`), is never put
        back.
        """
        named = document["meta"]
        undelivered = named.get("undelivered", False)
        return return_key(policy=self.policy, text=named["key"], undelivered=undelivered, audit=self.audit)

    @action(detail=False, methods=["post"], url_path="actions/withdraw")
    @operation(
        "Withdraw a key permanently",
        permission="policy.pool.withdraw",
        takes=meta(
            key=_KEY,
            reason=_REASON,
            suspend_license=Schema(BOOLEAN, description="Whether to suspend the license that has the key."),
        ),
        gives=KeySerializer,
        locks=False,
        idempotent=True,
        errors=(
            KeyWithdrawn,
            KeyNotHeld,
        ),
    )
    def withdraw(self, request: APIRequest, document: dict[str, Any]) -> Key:
        """An available key, or a popped one that was refunded, is defective or leaked. With `suspendLicense`, the
        license that has the key is suspended too; this needs the permission `license.suspend`."""
        named = document["meta"]
        suspend_license = named.get("suspend_license", False)
        if suspend_license:
            require("license.suspend", self.actor)
        return withdraw_key(
            policy=self.policy,
            text=named["key"],
            audit=self.audit,
            reason=reason_of(named),
            suspend_license=suspend_license,
        )

    @action(detail=False, methods=["post"], url_path="actions/replace")
    @operation(
        "Replace a popped key by the next one",
        permission="policy.pool.replace",
        takes=meta(key=_KEY, reason=_REASON),
        gives=KeySerializer,
        locks=False,
        idempotent=True,
        errors=(
            KeyNotPopped,
            KeyWithdrawn,
            LicenseGone,
            PoolEmpty,
        ),
    )
    def replace(self, request: APIRequest, document: dict[str, Any]) -> Key:
        """Withdraws the key, and pops the next one of the pool for the same reference. A license that has the key gets
        the new one, so the permission `license.update` is needed too. Send an `Idempotency-Key`, so that the request
        can be repeated."""
        require("license.update", self.actor)
        named = document["meta"]
        return replace_key(policy=self.policy, text=named["key"], audit=self.audit, reason=reason_of(named))

    # The following are not idempotent by `Idempotency-Key`, which would make one long transaction of them. A repeated
    # request continues the work.

    @action(detail=False, methods=["post"], url_path="actions/undo-import")
    @operation(
        "Undo an import",
        permission="policy.pool.undo",
        takes=meta(**{"import": _IMPORT}),
        gives=Gives(meta=_CHANGE),
        locks=False,
        idempotent=False,
    )
    def undo_import(self, request: APIRequest, document: dict[str, Any]) -> Document:
        """Deletes the keys of the import that were not handed out, withdrawn, revealed or exported, and those that were
        imported as used; they can be added again. Lists of available keys do not count as disclosure.
        `changed` is their number; the other numbers are of the keys that were left. A repeated request does the
        rest."""
        key_import = self.find_import(document["meta"]["import"])
        return Document(meta=undo_import(key_import=key_import, audit=self.audit).as_dict())

    @action(detail=False, methods=["post"], url_path="actions/move-import")
    @operation(
        "Move an import to another pool",
        permission="policy.pool.move",
        takes=meta(
            policy=Schema(UUID, required=True, description="The id of the policy with the other pool."),
            **{"import": _IMPORT},
        ),
        gives=Gives(meta=_CHANGE),
        locks=False,
        idempotent=False,
        errors=(
            PoolNotSupported,
            DestinationIsSource,
        ),
    )
    def move_import(self, request: APIRequest, document: dict[str, Any]) -> Document:
        """Moves the available keys of the import to the pool of the other policy, where they are an import of their
        own and keep their age. A repeated request does the rest."""
        named = document["meta"]
        key_import = self.find_import(named["import"])
        destination = Policy.objects.visible_to(self.actor).filter(pk=named["policy"]).first()
        if destination is None:
            raise NotFound.of("policy", named["policy"])
        result = move_import(key_import=key_import, destination=destination, audit=self.audit)
        return Document(meta=result.as_dict())

    @action(detail=False, methods=["post"], url_path="actions/withdraw-import")
    @operation(
        "Withdraw the rest of an import permanently",
        permission="policy.pool.withdraw",
        takes=meta(reason=_REASON, **{"import": _IMPORT}),
        gives=Gives(meta=_CHANGE),
        locks=False,
        idempotent=False,
    )
    def withdraw_import(self, request: APIRequest, document: dict[str, Any]) -> Document:
        """Withdraws the available keys of the import. A repeated request does the rest."""
        named = document["meta"]
        key_import = self.find_import(named["import"])
        result = withdraw_import(key_import=key_import, audit=self.audit, reason=reason_of(named))
        return Document(meta=result.as_dict())

    def find_import(self, identifier: Any) -> KeyImport:
        """An import into this pool.

        Raises:
            NotFound: it does not exist, or is unfinished.
        """
        key_import = KeyImport.objects.filter(policy=self.policy, pk=identifier, loading=None).first()
        if key_import is None:
            raise NotFound.of("import", identifier)
        return key_import


def describe_key(key: Key) -> dict[str, str | None]:
    """The state of a key, and its disclosure."""
    return {
        "id": str(key.pk),
        "state": key.state,
        "popped": timestamp(key.popped),
        "withdrawn": timestamp(key.withdrawn),
        "disclosed": timestamp(key.disclosed),
        "disclosure": key.disclosure,
        "disclosedTo": key.disclosed_to,
    }


def reason_of(named: Mapping[str, Any]) -> str:
    """The reason in the `meta` of a document.

    Raises:
        BadRequest: it is too long, or not one line of text.
    """
    reason = str(named.get("reason", "")).strip()
    if len(reason) > MAX_REASON_CHARACTERS or not is_one_line(reason):
        detail = f"must have {MAX_REASON_CHARACTERS} characters at most, without control characters"
        raise BadRequest(detail, pointer="/meta/reason")
    return reason


class KeyEventViewSet(RetrieveMixin, ListMixin, APIViewSet):
    """The ledger: the events of keys, the latest first."""

    queryset = KeyEvent.objects.all()
    serializer_class = KeyEventSerializer
    filterset_class = KeyEventFilterSet

    @action(detail=False, url_path="actions/export")
    @operation(
        "Get the events as a file",
        permission="key-event.read",
        gives=File(tuple(LEDGER_FORMATS.values())),
        parameters={
            "format": Parameter("The format of the file.", choice(*LEDGER_FORMATS)),
            **KeyEventFilterSet.describe(),
        },
    )
    def export_events(self, request: APIRequest) -> HttpResponseBase:
        """With the filters of the list, newest first. The events do not contain keys."""
        format = format_of(self, LEDGER_FORMATS)
        events = read_events(cast(KeyEventQuerySet, self.filter_queryset(self.get_queryset())))
        return StreamingHttpResponse(
            serialize_events(events, format),
            content_type=f"{LEDGER_FORMATS[format]}; charset=utf-8",
            headers={"Content-Disposition": f'attachment; filename="key-events.{format}"'},
        )

    @action(detail=False, methods=["post"], url_path="actions/search")
    @operation(
        "List the events of a key",
        permission="key-event.read",
        takes=KEY_DOCUMENT,
        gives=Gives(KeyEventSerializer, paged=True, meta={"key": _KEY_STATE}),
        locks=False,
        idempotent=False,
    )
    def search(self, request: APIRequest, document: dict[str, Any]) -> HttpResponseBase:
        """By the whole text of the key, in the body, so that keys stay out of URLs and logs. The events of the imports
        that the key came with are among them. `meta` has the state of the key, and when, how and to whom it was
        disclosed; null if the account has no such key."""
        events = self.get_queryset().explaining(self.request.account, document["meta"]["key"])
        page = self.paginate_queryset(events)
        response = self.get_paginated_response([KeyEventSerializer.resource_object(event) for event in page or ()])
        key = Key.objects.visible_to(self.actor).published().with_key(document["meta"]["key"]).first()
        response.data["meta"] = {"key": key and describe_key(key)}
        return response
