"""Users, their passwords and their tokens over HTTP."""

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any
from uuid import UUID

from django.utils import timezone
from rest_framework.decorators import action

from accounts.api.base import APIViewSet, OwnOnly
from accounts.api.filters import UserFilterSet
from accounts.api.serializers.groups import GROUP, GroupSerializer
from accounts.api.serializers.tokens import BEARER_TOKEN, TokenSerializer
from accounts.api.serializers.users import UserSerializer
from accounts.api.viewsets.groups import read_group
from accounts.api.viewsets.tokens import BearerTokenViewSet
from accounts.authentication import client_ip
from accounts.bearers import Bearer
from accounts.credentials import Credential
from accounts.known_addresses import remember_address
from accounts.models import Group, User
from accounts.models.activity import name_of
from accounts.models.tokens import TooManyTokens, content_type_of
from accounts.password_reset import is_valid_reset_token, may_reset, request_password_reset
from accounts.permissions import NO_CREDENTIAL, Change, Forbidden, holds_all, require_change, require_held
from accounts.rate_limits import NEW_USERS, PASSWORD_CHANGES, PASSWORD_CHANGES_BY_IP
from accounts.roles import ADMINISTRATORS
from accounts.services import change_user, changed_fields, update_password
from keygen_site.db.compiled_queries import CompiledQuery, sample_time, sample_uuid
from keygen_site.db.uuids import parse_uuid
from keygen_site.jsonapi.lookups import Parent, Rows, not_found
from keygen_site.jsonapi.operations import OWN, RESOURCE, Access, Gives, operation
from keygen_site.jsonapi.request_documents import Schema, meta
from keygen_site.jsonapi.requests import APIRequest
from keygen_site.jsonapi.serializers import Values
from keygen_site.jsonapi.types import BOOLEAN, STRING
from keygen_site.jsonapi.viewsets import CreateMixin, DestroyMixin, ListMixin, RetrieveMixin

MAY_SET_PASSWORD = ADMINISTRATORS | {"product"}
MAY_SET_METADATA = MAY_SET_PASSWORD | {"sales-agent"}
# An admin is read, changed and deleted with another permission too (contract: security 5.4).
_VERBS = {"retrieve": "read", "partial_update": "update", "destroy": "delete"}
MAY_SET_GROUP = MAY_SET_METADATA | {"support-agent"}
_NEW_PASSWORD = Schema(STRING, required=True, description="The new password, 8 to 72 characters.")
_VISIBLE: CompiledQuery[User] = CompiledQuery(
    lambda bearer, uuid, now: User.objects.with_activity(now).visible_to(bearer).filter(pk=uuid),
    sample_uuid(),
    sample_time(),
)


def find_user(user_id: UUID | None, bearer: Bearer) -> User | None:
    """The user whom a response shows, or None also if the bearer may not see them: an owner may be a colleague."""
    return _VISIBLE.first(user_id, timezone.now(), bearer=bearer) if user_id else None


class UserViewSet(CreateMixin, RetrieveMixin, DestroyMixin, ListMixin, APIViewSet):
    """The users of an account (contract: platform 8)."""

    queryset = User.objects.all()
    serializer_class = UserSerializer
    filterset_class = UserFilterSet

    @classmethod
    def rows(cls, action: str, now: datetime) -> Rows:
        return User.objects.with_activity(now)

    def find_credential(self, request: APIRequest) -> Credential | None:
        # The token in the mail authorizes the request; any other credential is ignored.
        return None if self.action == "reset_password" else super().find_credential(request)

    def find_row(self, *, locked: bool) -> User:
        if self.action != "reset_password":
            return super().find_row(locked=locked)
        # The document and the limits come first, so that they do not reveal whether the user exists.
        self.read_document(None)
        identifier, caller = self.kwargs["pk"], (self.request.account.pk, client_ip(self.request))
        PASSWORD_CHANGES_BY_IP.hit(*caller)
        PASSWORD_CHANGES.hit(*caller, parse_uuid(identifier) or identifier.strip().lower())
        user = self.queryset.filter(account=self.request.account).by_identifier(identifier).first()
        if user is None:
            raise not_found(User, identifier)
        return user

    def withheld(self) -> Iterable[str]:
        """Attributes that only some roles may send (contract: platform 8.3)."""
        role = self.request.user and self.request.user.role
        changing = self.action == "partial_update"
        withheld = {
            "role": role != "admin",
            "password": changing and role not in MAY_SET_PASSWORD,
            "metadata": changing and role not in MAY_SET_METADATA,
        }
        pointers = [f"/data/attributes/{name}" for name, refused in withheld.items() if refused]
        return pointers if role in MAY_SET_GROUP else [*pointers, "/data/relationships/group"]

    def authorize(self, row: User | None = None) -> None:
        if self.action == "reset_password":
            self.request.authorized = True
            return
        super().authorize(row)
        verb = _VERBS.get(self.action)
        if verb and row is not None and row.role == User.Role.ADMIN:
            require_held(f"admin.{verb}", self.actor)
        if self.action == "update_password" and row is not None and row.pk != self.request.user.id:
            raise Forbidden
        if self.action == "create" and self.request.user is None and self.request.account.protected:
            raise Forbidden(NO_CREDENTIAL)
        if self.action == "group" and self.actor.role in ("license", "user") and row and row.pk != self.actor.id:
            raise Forbidden  # they see the user because of a license

    def check_relationships(self, document: Values) -> None:
        # Products see all groups, so for them too an unknown one is a group that does not exist.
        super(APIViewSet, self).check_relationships(document)

    @operation(
        "Create a user",
        takes=RESOURCE,
        gives=Gives(OWN, status=201),
        locks=False,
        idempotent=True,
        document_first=True,
        access=Access.ANONYMOUS,
        counts_attempts=True,
    )
    def create(self, request: APIRequest, document: Values) -> User:
        if request.user is None:
            NEW_USERS.hit(request.account.pk, client_ip(request))  # each writes a row and hashes a password
        elif document.values.get("role") == User.Role.ADMIN:
            require_held("admin.create", self.actor)
        self.check_relationships(document)
        return self.create_row(document.values)

    def paginate_queryset(self, queryset: Rows) -> Any:
        page = super().paginate_queryset(queryset)
        if any(user.role == User.Role.ADMIN for user in page or ()):
            require_held("admin.read", self.actor)
        return page

    @operation(
        "Show a user",
        gives=OWN,
        access=Access.INACTIVE_ACCOUNT,
    )
    def retrieve(self, request: APIRequest, user: User) -> User:
        return user

    @operation(
        "Change a user",
        takes=RESOURCE,
        gives=OWN,
        locks=True,
        document_first=True,
        access=Access.INACTIVE_ACCOUNT,
    )
    def partial_update(self, request: APIRequest, user: User, document: Values) -> User:
        """Attributes that the document omits keep their values."""
        require_change(self.actor, user)
        if request.user.role not in ADMINISTRATORS and user.role != User.Role.USER:
            raise Forbidden  # a sales agent does not even change itself (contract: platform 8.4)
        if request.user.role == "user" and request.user.id != user.pk:
            raise Forbidden
        changed = changed_fields(user, document.values)
        for change in (Change.EMAIL, Change.PASSWORD):
            if change in changed:
                require_change(self.actor, user, change)
        change_user(
            user,
            document.values,
            keep_token=request.user.token_id,
            may_widen="role" not in document.values or holds_all(document.values["role"], request.user),
        )
        return user

    def delete_row(self, user: User) -> None:
        require_change(self.actor, user, Change.DELETE)
        user.remove()

    @action(detail=True)
    @operation("Show the group of a user", permission="group.read", gives=Gives(GroupSerializer, nullable=True))
    def group(self, request: APIRequest, user: User) -> Group | None:
        return user.group

    @group.mapping.put
    @group.mapping.patch
    @operation(
        "Move a user to a group, or out of its group",
        permission="user.group.update",
        takes=GROUP,
        gives=OWN,
        locks=True,
        records="group-changed",
    )
    def change_group(self, request: APIRequest, user: User, document: dict[str, Any]) -> User:
        group = read_group(document, self.actor)
        user.change_group(group)
        self.activity_details = {"to": name_of(group)}
        return user

    @action(detail=True, methods=["post"], url_path="actions/ban")
    @operation(
        "Ban a user",
        permission="user.ban",
        gives=OWN,
        locks=False,
        idempotent=False,
        records="banned",
        access=Access.INACTIVE_ACCOUNT,
    )
    def ban(self, request: APIRequest, user: User) -> User:
        return self._changed(user, User.ban, Change.BAN)

    @action(detail=True, methods=["post"], url_path="actions/unban")
    @operation(
        "Lift the ban of a user",
        permission="user.unban",
        gives=OWN,
        locks=False,
        idempotent=False,
        records="unbanned",
        access=Access.INACTIVE_ACCOUNT,
    )
    def unban(self, request: APIRequest, user: User) -> User:
        return self._changed(user, User.unban, Change.UNBAN)

    def _changed(self, user: User, verb: Callable[[User], None], change: Change) -> User:
        if user.role != User.Role.USER:
            raise Forbidden("must have a user role")
        require_change(self.actor, user, change)
        verb(user)
        return user

    @action(detail=True, methods=["post"], url_path="actions/update-password")
    @operation(
        "Change one's own password",
        permission="user.password.update",
        takes=meta(
            old_password=Schema(STRING, required=True, description="The present password."),
            new_password=_NEW_PASSWORD,
        ),
        gives=OWN,
        locks=False,
        idempotent=False,
        records="password-changed",
        counts_attempts=True,
        access=Access.INACTIVE_ACCOUNT,
    )
    def update_password(self, request: APIRequest, user: User, document: dict[str, Any]) -> User:
        """All tokens of the user are revoked but the one in use."""
        passwords = document["meta"]
        update_password(
            user,
            old=passwords["old_password"],
            new=passwords["new_password"],
            ip_address=client_ip(request),
            keep_token=request.user.token_id,
        )
        return user

    @action(detail=True, methods=["post"], url_path="actions/reset-password")
    @operation(
        "Set a forgotten password",
        permission="user.password.reset",
        takes=meta(
            password_reset_token=Schema(STRING, required=True, description="The token in the mail."),
            new_password=_NEW_PASSWORD,
        ),
        gives=OWN,
        locks=False,
        idempotent=False,
        records="password-reset",
        counts_attempts=True,
        access=Access.ANONYMOUS | Access.INACTIVE_ACCOUNT,
    )
    def reset_password(self, request: APIRequest, user: User, document: dict[str, Any]) -> User:
        """By the token in the mail. Afterwards the user may sign in from this IP address, although others guess."""
        passwords = document["meta"]
        if not is_valid_reset_token(passwords["password_reset_token"], user):
            raise not_found(User, self.kwargs["pk"])  # does not reveal whether the user exists
        if not may_reset(user):
            raise Forbidden(NO_CREDENTIAL)
        change_user(user, {"password": passwords["new_password"]})
        remember_address(user, client_ip(request))
        return user


class PasswordViewSet(APIViewSet):
    """Forgotten passwords (contract: platform 8.6)."""

    queryset = User.objects.all()
    serializer_class = UserSerializer

    def find_credential(self, request: APIRequest) -> None:
        """None: a client whose token has expired sends it along."""

    def authorize(self, row: Any = None) -> None:
        self.request.authorized = True  # for everyone: the response reveals nothing

    @operation(
        "Mail a password reset token",
        permission="user.password.reset",
        takes=meta(
            email=Schema(STRING, required=True, description="The email of the user."),
            deliver=Schema(BOOLEAN, description="Whether to send the mail; true by default."),
        ),
        locks=False,
        idempotent=False,
        records="",
        document_first=True,
        access=Access.ANONYMOUS | Access.INACTIVE_ACCOUNT,
    )
    def create(self, request: APIRequest, document: dict[str, Any]) -> None:
        """The response does not reveal whether there is a user with this email."""
        request_password_reset(
            account=request.account,
            email=document["meta"]["email"],
            ip_address=client_ip(request),
            deliver=document["meta"].get("deliver", True),
        )


class UserTokenViewSet(OwnOnly, BearerTokenViewSet):
    """The tokens of a user."""

    parent = Parent(
        "user",
        User.objects.all(),
        narrow=lambda tokens, user_id: tokens.filter(bearer_type=content_type_of(User), bearer_id=user_id),
    )
    user: User

    @operation(
        "Create a token for a user",
        permission="user.tokens.generate",
        takes=BEARER_TOKEN,
        gives=TokenSerializer,
        locks=False,
        idempotent=False,
        document_first=True,
        errors=(TooManyTokens,),
    )
    def create(self, request: APIRequest, document: dict[str, Any]) -> dict[str, Any]:
        """The token's text is in this response only."""
        return self.create_token(self.user, document)
