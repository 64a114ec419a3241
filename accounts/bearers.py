"""Bearers: the users, products and licenses that a credential can speak for."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, cast
from uuid import UUID

from django.db.models import Model, QuerySet

from accounts.roles import ROLE_PERMISSIONS, STAFF

if TYPE_CHECKING:
    from accounts.models import Account


@dataclass(frozen=True)
class Bearer:
    """An authenticated user, product or license: `request.user` of every API request.

    Attributes:
        account_id: the account that the credential belongs to.
        id, model: the row that the credential speaks for, and its model.
        role: one of `accounts.roles.ROLE_PERMISSIONS`.
        token_id: the token that was used, or None when a license key was.
        is_superuser: whether it is a superuser, who acts in the console only.
    """

    account_id: UUID
    id: UUID
    model: type[Model]
    role: str
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

    @property
    def permissions(self) -> frozenset[str]:
        """The permissions that the bearer's role holds, e.g. `key.read`."""
        return ROLE_PERMISSIONS[self.role]


# The registry --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class BearerType:
    """A model whose rows can be bearers.

    Attributes:
        model: the model; its rows have `account_id`, and its queryset `visible_to(bearer)`.
        by_key: authenticates a key of an account, where rows of the model have one.
        check: refuses the bearer of a valid token whose row does not permit it.
        of_product: the rows that belong to a product. A product sees their tokens.
    """

    model: type[Model]
    by_key: Callable[["Account", str], Bearer] | None = None
    check: Callable[[Bearer], None] | None = None
    of_product: Callable[[UUID], QuerySet[Any]] | None = None


_types: dict[str, BearerType] = {}


def register(
    model: type[Model],
    *,
    by_key: Callable[["Account", str], Bearer] | None = None,
    check: Callable[[Bearer], None] | None = None,
    of_product: Callable[[UUID], QuerySet[Any]] | None = None,
) -> None:
    """Let rows of a model be bearers. The app of the model calls this when it is ready. See `BearerType`."""
    _types[cast(str, model._meta.model_name)] = BearerType(model, by_key, check, of_product)


def types() -> Mapping[str, BearerType]:
    """The registered types by the name of their model, e.g. `product`: the role of all its rows, except for users."""
    return MappingProxyType(_types)


def type_of(model: type[Model]) -> BearerType:
    return _types[cast(str, model._meta.model_name)]


def models_by_type() -> dict[str, type[Model]]:
    """The registered models by their resource type, in the plural and the singular: a request may send either."""
    return {name: each.model for singular, each in _types.items() for name in (resource_type(each.model), singular)}


def resource_type(model: type[Model]) -> str:
    """The type of a model's resource objects, e.g. `products`."""
    return cast(Any, model).JSONAPIMeta.resource_name
