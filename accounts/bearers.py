"""Bearers: the users, products and licenses that a credential can speak for."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, cast
from uuid import UUID

from django.db.models import Model, OuterRef, QuerySet, Subquery

from accounts.permission_names import ALL
from accounts.roles import ALL_PERMISSIONS, ROLE_PERMISSIONS, STAFF
from keygen_site.db.compiled_queries import CompiledQuery, sample_uuid

if TYPE_CHECKING:
    from accounts.models import Account


@dataclass(frozen=True)
class Bearer:
    """An authenticated user, product or license: `request.user` of every API request.

    Attributes:
        account_id: the account that the credential belongs to.
        id, model: the row that the credential speaks for, and its model.
        role: one of `accounts.roles.ROLE_PERMISSIONS`.
        own_permissions: the permissions of the row, where they are not the standard ones of the role; perhaps `*`.
        token_permissions: those to which the token is limited; None for no limit.
        token_id: the token that was used, or None when a license key was.
        is_superuser: whether it is a superuser, who acts in the console only.
    """

    account_id: UUID
    id: UUID
    model: type[Model]
    role: str
    own_permissions: frozenset[str] | None = None
    token_permissions: frozenset[str] | None = None
    token_id: UUID | None = None
    is_superuser: bool = False

    is_authenticated = True

    @property
    def type(self) -> str:
        """The bearer's resource type in the API, e.g. `products`."""
        return resource_type(self.model)

    @property
    def is_staff(self) -> bool:
        """Whether the bearer sees the whole account (contract: keys 5)."""
        return self.role in STAFF

    def find_row(self) -> Any:
        """The row that the credential speaks for, with its owner if it has one; None if it has been deleted."""
        return type_of(self.model).rows_by_id.first(self.id)

    @property
    def permissions(self) -> frozenset[str]:
        """The permissions of the bearer, without the limits of the token, e.g. `key.read`."""
        return effective_permissions(self.own_permissions, self.role)


def own_permissions(names: Collection[str] | None) -> frozenset[str] | None:
    """The stored permissions of a row as a bearer has them."""
    return None if names is None else frozenset(names)


def effective_permissions(own: Collection[str] | None, role: str) -> frozenset[str]:
    """The permissions that a user, product or license holds, given its stored ones (contract: security 5.4)."""
    if own is None:
        return ROLE_PERMISSIONS[role]
    return ALL_PERMISSIONS[role] if ALL in own else frozenset(own)


# The registry --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class BearerType:
    """A model whose rows can be bearers.

    Attributes:
        model: the model; its rows have `account_id`, and its queryset `visible_to(bearer)`.
        by_key: authenticates a key of an account, where rows of the model have one.
        check: returns the bearer of a valid token with its permissions, or refuses one whose row does not permit it.
        of_product: the rows that belong to a product. A product sees their tokens.
    """

    model: type[Model]
    by_key: Callable[["Account", str], Bearer] | None = None
    check: Callable[[Bearer], Bearer] | None = None
    of_product: Callable[[UUID], QuerySet[Any]] | None = None

    @cached_property
    def rows_by_id(self) -> CompiledQuery[Any]:
        """The query for a row by its id, with its owner if it has one."""
        rows: QuerySet[Any] = cast(Any, self.model).objects.all()
        if any(field.name == "owner" for field in self.model._meta.fields):
            rows = rows.select_related("owner")
        return CompiledQuery(lambda id: rows.filter(pk=id), sample_uuid())

    @property
    def has_only_tokens(self) -> bool:
        """Whether its rows have no other credential than tokens, as products."""
        return self.by_key is None and self.model._meta.model_name != "user"


_types: dict[str, BearerType] = {}


def register(
    model: type[Model],
    *,
    by_key: Callable[["Account", str], Bearer] | None = None,
    check: Callable[[Bearer], Bearer] | None = None,
    of_product: Callable[[UUID], QuerySet[Any]] | None = None,
) -> None:
    """Let rows of a model be bearers. The app of the model calls this when it is ready. See `BearerType`."""
    _types[cast(str, model._meta.model_name)] = BearerType(model, by_key, check, of_product)


def types() -> Mapping[str, BearerType]:
    """The registered types by the name of their model, e.g. `product`: the role of all its rows, except for users."""
    return MappingProxyType(_types)


def stored_permissions(bearer_id: OuterRef) -> list[Subquery]:
    """The stored permissions of a bearer, from each model whose rows have no `check`, which reads the row anyway."""
    models = [cast(Any, each.model) for each in _types.values() if each.check is None]
    return [Subquery(model.objects.filter(pk=bearer_id).values("permissions")) for model in models]


def type_of(model: type[Model]) -> BearerType:
    return _types[cast(str, model._meta.model_name)]


def models_by_type() -> dict[str, type[Model]]:
    """The registered models by their resource type, in the plural and the singular: a request may send either."""
    return {name: each.model for singular, each in _types.items() for name in (resource_type(each.model), singular)}


def resource_type(model: type[Model]) -> str:
    """The type of a model's resource objects, e.g. `products`."""
    return cast(Any, model).JSONAPIMeta.resource_name
