from collections.abc import Callable

from django.db import transaction
from rest_framework import status
from rest_framework.decorators import action
from rest_framework.response import Response

from accounts.api import operations
from accounts.api.base import APIViewSet
from accounts.api.filters import UserFilterSet
from accounts.api.serializers.users import UserSerializer
from accounts.api.viewsets.tokens import BearerTokenViewSet
from accounts.authentication import client_address
from accounts.models import User
from accounts.password_reset import is_valid_reset_token, may_reset, request_password_reset
from accounts.permissions import NO_CREDENTIAL, Change, Forbidden, require_change
from accounts.rate_limits import CHANGED_PASSWORD
from accounts.roles import ADMINISTRATORS
from accounts.services import change_user, changes_of, update_password
from keygen_site.jsonapi.errors import NotFound
from keygen_site.jsonapi.viewsets import CreateMixin, DestroyMixin, ListMixin, RetrieveMixin

MAY_SET_PASSWORD = ADMINISTRATORS | {"product"}
MAY_SET_METADATA = MAY_SET_PASSWORD | {"sales-agent"}


class UserViewSet(CreateMixin, RetrieveMixin, DestroyMixin, ListMixin, APIViewSet):
    """The people of an account (contract: platform 8)."""

    queryset = User.objects.with_activity()
    serializer_class = UserSerializer
    filterset_class = UserFilterSet
    operations = operations.USERS
    permissions = {
        "list": "user.read",
        "retrieve": "user.read",
        "create": "user.create",
        "partial_update": "user.update",
        "destroy": "user.delete",
        "ban": "user.ban",
        "unban": "user.unban",
        "update_password": "user.password.update",
        "reset_password": "user.password.reset",
    }
    anonymous = frozenset({"create", "reset_password"})
    open_when_inactive = frozenset({"retrieve", "partial_update", "ban", "unban", "update_password", "reset_password"})

    def get_queryset(self):
        if self.action == "reset_password":  # the token in the mail decides, not who sends it
            return self.queryset.filter(account=self.request.account)
        return super().get_queryset()

    def find(self, queryset, identifier):
        return find_user(queryset, identifier)

    def get_serializer_context(self):
        return super().get_serializer_context() | {"withheld": self._withheld()}

    def _withheld(self):
        """Attributes that only some may send (contract: platform 8.3)."""
        role = self.request.user and self.request.user.role
        changing = self.action == "partial_update"
        withheld = {
            "role": role != "admin",
            "password": changing and role not in MAY_SET_PASSWORD,
            "metadata": changing and role not in MAY_SET_METADATA,
        }
        return [f"/data/attributes/{name}" for name, refused in withheld.items() if refused]

    def authorize(self):
        if self.action == "reset_password":
            self.request.authorized = True
            return
        super().authorize()
        if self.action == "create" and self.request.user is None and self.request.account.protected:
            raise Forbidden(NO_CREDENTIAL)

    @transaction.atomic
    def partial_update(self, request, *args, **kwargs):
        """Like any update, except that the shape of the document is looked at before permissions."""
        user = self.find(self.get_queryset().select_for_update(of=("self",)), self.kwargs["pk"])
        serializer = self.get_serializer(user, data=request.data)
        serializer.is_valid(raise_exception=True)
        self.authorize()
        require_change(self.actor, user)
        if request.user.role not in ADMINISTRATORS and user.role != User.Role.USER:
            raise Forbidden  # a sales agent does not even change itself (contract: platform 8.4)
        if request.user.role == "user" and request.user.id != user.pk:
            raise Forbidden
        changed = changes_of(user, serializer.validated_data)
        for change in (Change.EMAIL, Change.PASSWORD):
            if change in changed:
                require_change(self.actor, user, change)
        change_user(user, serializer.validated_data, keep_token=request.user.token_id)
        return Response(UserSerializer.resource_object(user))

    def perform_destroy(self, user):
        require_change(self.actor, user, Change.DELETE)
        user.remove()

    @action(detail=True, methods=["post"], url_path="actions/ban")
    def ban(self, request, *args, **kwargs):
        return self._changed(User.ban, Change.BAN)

    @action(detail=True, methods=["post"], url_path="actions/unban")
    def unban(self, request, *args, **kwargs):
        return self._changed(User.unban, Change.UNBAN)

    def _changed(self, verb: Callable[[User], None], change: Change) -> Response:
        user = self.get_object()
        if user.role != User.Role.USER:
            raise Forbidden("must have a user role")
        require_change(self.actor, user, change)
        verb(user)
        return Response(UserSerializer.resource_object(user))

    @action(detail=True, methods=["post"], url_path="actions/update-password")
    def update_password(self, request, *args, **kwargs):
        user = self.get_object()
        if user.pk != request.user.id:
            raise Forbidden
        passwords = self.document()["meta"]
        update_password(
            user,
            old=passwords["old_password"],
            new=passwords["new_password"],
            address=client_address(request),
            keep_token=request.user.token_id,
        )
        return Response(UserSerializer.resource_object(user))

    @action(detail=True, methods=["post"], url_path="actions/reset-password")
    def reset_password(self, request, *args, **kwargs):
        # By what the address says, so that a user who is there is refused no sooner than one who is not.
        CHANGED_PASSWORD.hit(request.account.pk, client_address(request), self.kwargs["pk"].lower())
        user = self.get_object()
        meta = self.document()["meta"]
        if not is_valid_reset_token(meta["password_reset_token"], user):
            raise NotFound.of("user", self.kwargs["pk"])  # who has none learns nothing of the user
        if not may_reset(user):
            raise Forbidden(NO_CREDENTIAL)
        change_user(user, {"password": meta["new_password"]})
        return Response(UserSerializer.resource_object(user))


class PasswordViewSet(APIViewSet):
    """Passwords that were forgotten (contract: platform 8.6)."""

    queryset = User.objects.all()
    serializer_class = UserSerializer
    operations = operations.PASSWORDS
    permissions = {"create": "user.password.reset"}
    anonymous = open_when_inactive = frozenset({"create"})

    def authorize(self):
        self.request.authorized = True  # whoever asks learns nothing

    def create(self, request, *args, **kwargs):
        """204 whether or not there is such a user: it is not for everybody to know."""
        meta = self.document()["meta"]
        self.authorize()
        request_password_reset(
            account=request.account,
            email=meta["email"],
            address=client_address(request),
            site=request.build_absolute_uri("/").rstrip("/"),
            deliver=meta.get("deliver", True),
        )
        return Response(status=status.HTTP_204_NO_CONTENT)


class UserTokenViewSet(BearerTokenViewSet):
    """The tokens of a user."""

    permissions = BearerTokenViewSet.permissions | {"create": "user.tokens.generate"}

    def find_parent(self):
        self.bearer = find_user(User.objects.visible_to(self.request.user), self.kwargs["user"])


def find_user(users, identifier):
    """The user that an address names, by id or e-mail.

    Raises:
        NotFound: there is none among these.
    """
    user = users.by_identifier(identifier).first()
    if user is None:
        raise NotFound.of("user", identifier)
    return user
