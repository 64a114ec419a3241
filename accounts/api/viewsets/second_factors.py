"""Second factors of users over HTTP."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from django.http.response import HttpResponseBase

from accounts.api.base import APIViewSet
from accounts.api.serializers.second_factors import CHANGED_FACTOR, NEW_FACTOR, PROOF, SecondFactorSerializer
from accounts.authentication import client_ip
from accounts.errors import CodeInvalid
from accounts.models import Activity, SecondFactor, User
from accounts.permissions import Forbidden
from accounts.rate_limits import SECOND_FACTOR_CHANGES
from accounts.second_factors import (
    PasswordNotProven,
    SecondFactorPresent,
    add_second_factor,
    confirm_code,
    disable_second_factor,
    enable_second_factor,
    is_second_factor_required,
    remove_second_factor,
)
from keygen_site.jsonapi.lookups import Parent, Rows
from keygen_site.jsonapi.negotiation import Document
from keygen_site.jsonapi.operations import OWN, Gives, operation
from keygen_site.jsonapi.request_documents import Schema
from keygen_site.jsonapi.requests import APIRequest
from keygen_site.jsonapi.types import ARRAY, STRING
from keygen_site.jsonapi.viewsets import DestroyMixin, ListMixin, RetrieveMixin

_RECOVERY_CODES = Schema(
    ARRAY,
    required=True,
    blank=True,
    items=Schema(STRING),
    description="Codes that replace one of the app, once each. Empty, except in the response that enables the factor.",
)


class SecondFactorViewSet(RetrieveMixin, DestroyMixin, ListMixin, APIViewSet):
    """The second factors of a user: at most one (contract: security 1).

    An admin may act on those of other users, but needs the user's password or code like the user.
    """

    queryset = SecondFactor.objects.all()
    serializer_class = SecondFactorSerializer
    parent = Parent("user", User.objects.all(), narrow=lambda factors, user_id: factors.filter(user=user_id))
    user: User

    @classmethod
    def rows(cls, action: str, now: datetime) -> Rows:
        return SecondFactor.objects.select_related("user")

    @property
    def is_own(self) -> bool:
        return self.parent_id == self.actor.id

    def authorize(self, row: SecondFactor | None = None) -> None:
        super().authorize(row)
        if self.is_own or self.actor.role == "admin":
            return
        # Of a user without a factor, the list is empty for everyone who sees the user.
        if self.action == "list" and not self.get_queryset().exists():
            return
        raise Forbidden

    def find_row(self, *, locked: bool) -> SecondFactor:
        if not self.actor.is_staff:
            self.authorize()  # 403, whether or not another user has a factor
        factor: SecondFactor = super().find_row(locked=locked)
        factor.reveals_secret = self.is_own
        return factor

    def read_document(self, row: Any) -> Any:
        if self.action == "destroy" and not row.enabled:
            return {}  # any body is ignored
        return super().read_document(row)

    def begin_record(self, event: str, row: Any, document: Any) -> Callable[[Any], None]:
        if self.action == "partial_update":
            is_on = document["data"]["attributes"]["enabled"]
            event = Activity.Event.SECOND_FACTOR_ON if is_on else Activity.Event.SECOND_FACTOR_OFF
        return super().begin_record(event, self.user, document)

    @operation("List {plural}", permission="user.second-factors.read", gives=Gives(OWN, paged=True))
    def list(self, request: APIRequest) -> HttpResponseBase:
        """At most one."""
        page = self.paginate_queryset(self.get_queryset()) or ()
        for factor in page:
            factor.reveals_secret = self.is_own
        return self.get_paginated_response([SecondFactorSerializer.resource_object(factor) for factor in page])

    @operation("Show {a}", permission="user.second-factors.read", gives=OWN)
    def retrieve(self, request: APIRequest, factor: SecondFactor) -> SecondFactor:
        return factor

    @operation(
        "Create {a}",
        permission="user.second-factors.create",
        takes=NEW_FACTOR,
        gives=Gives(OWN, status=201),
        locks=False,
        idempotent=False,
        records="",
        counts_attempts=True,
        errors=(PasswordNotProven, CodeInvalid, SecondFactorPresent),
    )
    def create(self, request: APIRequest, document: dict[str, Any]) -> SecondFactor:
        """It has no effect until it is enabled."""
        proof = document["meta"]
        factor = add_second_factor(
            self.user, password=proof.get("password"), code=proof.get("otp"), ip_address=client_ip(request)
        )
        factor.reveals_secret = True  # the request has proven to come from the user
        return factor

    @operation(
        "Enable or disable {a}",
        permission="user.second-factors.update",
        takes=CHANGED_FACTOR,
        gives=Gives(OWN, meta={"recovery_codes": _RECOVERY_CODES}),
        locks=False,
        counts_attempts=True,
        errors=(CodeInvalid,),
    )
    def partial_update(self, request: APIRequest, factor: SecondFactor, document: dict[str, Any]) -> Document:
        """Each change needs a code. Disabled, the factor gets a new secret."""
        self._confirm(factor, document["meta"]["otp"])
        enable = document["data"]["attributes"]["enabled"]
        codes: Any = []
        if enable and not factor.enabled:
            codes = enable_second_factor(factor)
        elif factor.enabled and not enable:
            self._require_optional()
            disable_second_factor(factor)
        shown = SecondFactorSerializer.resource_object(factor)
        return Document(data=shown, meta={"recoveryCodes": codes})

    @operation(
        "Delete {a}",
        permission="user.second-factors.delete",
        takes=PROOF,
        locks=False,
        records="second-factor-off",
        counts_attempts=True,
        errors=(CodeInvalid,),
    )
    def destroy(self, request: APIRequest, factor: SecondFactor, document: dict[str, Any]) -> None:
        """Needs a code if the factor is enabled."""
        if factor.enabled:
            self._confirm(factor, document.get("meta", {}).get("otp"))
            self._require_optional()
        else:
            SECOND_FACTOR_CHANGES.hit(self.user.account_id, client_ip(request), self.user.pk)
        remove_second_factor(self.user, is_proven=factor.enabled)

    def _confirm(self, factor: SecondFactor, code: str | None) -> None:
        SECOND_FACTOR_CHANGES.hit(self.user.account_id, client_ip(self.request), self.user.pk)
        confirm_code(factor, code)

    def _require_optional(self) -> None:
        """Refuse to turn off a factor that the server requires of the people who use the console."""
        if self.user.is_staff and is_second_factor_required(self.user):
            raise Forbidden("a second factor is required of people who use the console")
