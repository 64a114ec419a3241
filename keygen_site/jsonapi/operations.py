"""Everything about an action, declared on the action.

    @action(detail=True, methods=["post"], url_path="actions/suspend")
    @operation("Suspend a license", permission="license.suspend", locks=True, gives=LicenseSerializer)
    def suspend(self, request: Request, license: License) -> License:
        license.suspend()
        return license

DRF's `@action` has the route, `@operation` the rest. The viewset (`BaseViewSet.perform`), the OpenAPI description and
the tests read the same object.
"""

import inspect
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from enum import Flag, auto
from functools import wraps
from typing import TYPE_CHECKING, Any, cast

from keygen_site.jsonapi.errors import DomainError
from keygen_site.jsonapi.request_documents import Members

if TYPE_CHECKING:
    from keygen_site.jsonapi.serializers import ResourceSerializer

TEXT: Mapping[str, Any] = {"type": "string"}
BOOLEAN: Mapping[str, Any] = {"type": "boolean"}


def choice(*values: str) -> Mapping[str, Any]:
    """The JSON Schema of a parameter with a few permitted values."""
    return {"type": "string", "enum": list(values)}


@dataclass(frozen=True)
class Parameter:
    """A query parameter.

    Attributes:
        description: its effect, for the OpenAPI description.
        schema: its JSON Schema.
        style: `deepObject` for `name[member]=value` with any members.
    """

    description: str
    schema: Mapping[str, Any] = field(default_factory=lambda: TEXT)
    style: str = ""


@dataclass(frozen=True)
class File:
    """A body that is not a document, in one of some media types."""

    media_types: tuple[str, ...]


@dataclass(frozen=True)
class Gives:
    """The successful response of an action.

    Attributes:
        serializer: of the resources in `data`; several if their types differ; None if `data` is no stored resource.
        many, paged: whether `data` is a list, and a list in pages.
        nullable: whether `data` may be null; `optional`: whether it may be absent.
        data: the JSON Schema of `data` if it is no stored resource.
        meta: the members of `meta`; those that are `required` are always present.
        included: the serializer of the resources that may be in `included`.
        status: of the response.
        later: the serializer of the resource that a response with the status 202 has instead: the work is done later.
    """

    serializer: "type[ResourceSerializer] | type[OWN] | tuple[type[ResourceSerializer], ...] | None" = None
    many: bool = False
    paged: bool = False
    nullable: bool = False
    optional: bool = False
    data: Mapping[str, Any] | None = None
    meta: Members = field(default_factory=dict)
    included: "type[ResourceSerializer] | None" = None
    status: int = 200
    later: "type[ResourceSerializer] | None" = None

    @property
    def serializers(self) -> "tuple[type[ResourceSerializer], ...]":
        if self.serializer is None or self.serializer is OWN:
            return ()
        return (
            self.serializer
            if isinstance(self.serializer, tuple)
            else (cast("type[ResourceSerializer]", self.serializer),)
        )


class Access(Flag):
    """Additional callers of an action, besides a bearer of an active account."""

    DEFAULT = 0
    ANONYMOUS = auto()  # without a credential; an invalid one is still refused
    INACTIVE_ACCOUNT = auto()  # while the account is paused or canceled
    PASSWORD = auto()  # with an e-mail and a password as the credential


class OWN:
    """Placeholder for the viewset's own serializer in `Gives`."""


class _Resource(dict[str, Any]):
    """Placeholder for the document that the viewset's own serializer reads."""


RESOURCE: Members = _Resource()
REFUSES = Gives(status=0)  # the action only ever refuses


@dataclass(frozen=True)
class Operation:
    """The declaration of an action: the arguments of `operation`."""

    summary: str
    description: str = ""
    permission: str | None = None
    takes: Members | File | None = None
    gives: Gives | File | None = None
    locks: bool | None = None
    idempotent: bool | None = None
    document_first: bool = False
    access: Access = Access.DEFAULT
    parameters: Mapping[str, Parameter] = field(default_factory=dict)
    deprecated: bool = False
    records: str | None = None
    counts_attempts: bool = False
    errors: tuple[type[DomainError], ...] = ()


def operation(
    summary: str,
    *,
    permission: str | None = None,
    takes: Members | File | None = None,
    gives: "Gives | File | type[ResourceSerializer] | type[OWN] | None" = None,
    locks: bool | None = None,
    idempotent: bool | None = None,
    document_first: bool = False,
    access: Access = Access.DEFAULT,
    parameters: Mapping[str, Parameter] | None = None,
    deprecated: bool = False,
    records: str | None = None,
    counts_attempts: bool = False,
    errors: tuple[type[DomainError], ...] = (),
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Declare an action of a viewset.

    The decorated method gets `(self, request)`, then the row for a detail action, then `document` when the action
    takes one. It returns a row, a list of rows, None, a `Document`, or a response.

    Args:
        summary: the action in a few words; the method's docstring is the rest of the description.
        permission: the permission needed. None only for list, retrieve, create, partial_update and destroy, which need
            `<noun>.read`, `.create`, `.update` and `.delete`.
        takes: the members of the request document, or a `File`, which the method reads itself.
        gives: the response: a serializer or `Gives`; None for 204.
        locks: whether the row is locked for the transaction in which the method runs. Must be stated for a write.
        idempotent: whether an `Idempotency-Key` runs the action once and replays the response. True where a second run
            would change or take something once more; False for a response with a secret, and where a repeated request
            does no harm. Must be stated for a POST, and for any other write that gives a response.
        document_first: whether a malformed document is refused before permissions are checked.
        access: additional callers.
        parameters: query parameters by name.
        deprecated: whether it exists for earlier API versions only.
        records: the event that a success is recorded as in the activity of the account, e.g. `suspended`; empty if it
            is not recorded. Must be stated for a write, except for create, partial_update and destroy, and for the
            resources whose changes are in the ledger of keys.
        counts_attempts: whether the action counts attempts, which the end of a transaction must not undo. It is then
            recorded after it has succeeded, instead of in one transaction with its effect.
        errors: the rules that may refuse this action, for the OpenAPI description. Those of all requests, and those of
            documents that create or change a row, are known already.
    """
    if inspect.isclass(gives):
        gives = Gives(gives)

    def decorate(method: Callable[..., Any]) -> Callable[..., Any]:
        declared = Operation(
            summary,
            "\n\n".join(" ".join(text.split()) for text in (inspect.getdoc(method) or "").split("\n\n")),
            permission,
            takes,
            gives,
            locks,
            idempotent,
            document_first,
            access,
            parameters or {},
            deprecated,
            records,
            counts_attempts,
            errors,
        )

        @wraps(method)
        def handler(view: Any, request: Any, *args: Any, **kwargs: Any) -> Any:
            return view.perform(method)

        handler.operation = declared  # type: ignore[attr-defined]
        return handler

    return decorate


_VERBS = {
    "list": "read",
    "retrieve": "read",
    "create": "create",
    "partial_update": "update",
    "destroy": "delete",
}
_READS = frozenset({"list", "retrieve"})
_EVENTS = {"create": "created", "partial_update": "changed", "destroy": "deleted"}
# Repeated, they change nothing more.
_REPEATABLE = frozenset({"partial_update", "destroy"})
_REPEATABLE_METHODS = frozenset({"get", "put", "patch"})


def operations_of(viewset: type) -> dict[str, Operation]:
    """The operations of a viewset by the names of their actions, with the usual permissions filled in.

    Raises:
        TypeError: an action has no permission, a write does not state its lock, its idempotency or its record in
            the activity, or an `@action` has no `@operation`.
    """
    found, methods = {}, _methods_by_action(viewset)
    model = viewset.serializer_class.Meta.model  # type: ignore[attr-defined]
    for name in dir(viewset):
        handler = inspect.getattr_static(viewset, name)
        mapping = getattr(handler, "mapping", None)
        declared = getattr(handler, "operation", None)
        if declared is None:
            if mapping is not None:
                raise TypeError(f"{viewset.__name__}.{name} has no @operation")
            continue
        if declared.permission is None and name in _READS:
            declared = replace(declared, permission=viewset.read_permission)  # type: ignore[attr-defined]
        if declared.permission is None and name in _VERBS:
            noun = model._meta.verbose_name.replace(" ", "-")
            declared = replace(declared, permission=f"{noun}.{_VERBS[name]}")
        if declared.permission is None:
            raise TypeError(f"{viewset.__name__}.{name} has no permission")
        is_read = name in _READS or (mapping is not None and dict(mapping).get("get") == name)
        if declared.locks is None and not is_read:
            raise TypeError(f"{viewset.__name__}.{name} does not state whether it locks its row")
        gives_away = "post" in methods[name] or declared.gives is not None
        repeatable = name in _REPEATABLE or (methods[name] and methods[name] <= _REPEATABLE_METHODS)
        if declared.idempotent is None and not is_read and gives_away and not repeatable:
            raise TypeError(f"{viewset.__name__}.{name} does not state whether it is idempotent")
        if declared.records is None and not is_read:
            recorded = _EVENTS.get(name) if model.in_activity and not model.in_ledger else ""
            if recorded is None:
                raise TypeError(f"{viewset.__name__}.{name} does not state what is recorded")
            declared = replace(declared, records=recorded)
        if isinstance(declared.gives, Gives) and declared.gives.serializer is OWN:
            declared = replace(declared, gives=replace(declared.gives, serializer=viewset.serializer_class))  # type: ignore[attr-defined]
        found[name] = declared
    return found


def _methods_by_action(viewset: type) -> dict[str, set[str]]:
    """The lower-case HTTP methods of each action, as far as declarations say. Routes map the others."""
    methods: dict[str, set[str]] = defaultdict(set, create={"post"})
    for name in dir(viewset):
        mapping = getattr(inspect.getattr_static(viewset, name), "mapping", None)
        for method, action in dict(mapping or {}).items():
            methods[action].add(method)
    return methods
