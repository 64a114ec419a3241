"""The pipeline of a request, and the mixins of the usual actions."""

from collections.abc import Callable, Iterable
from contextlib import nullcontext
from datetime import datetime
from typing import Any, ClassVar, cast
from uuid import UUID

from django.db import models, transaction
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils import timezone
from rest_framework.response import Response
from rest_framework.viewsets import GenericViewSet

from keygen_site.db.compiled_queries import Bearer, CompiledQuery, sample_time, sample_uuid
from keygen_site.db.session_limits import is_timeout
from keygen_site.jsonapi import idempotency
from keygen_site.jsonapi.errors import EndpointNotFound, NullByte
from keygen_site.jsonapi.idempotency import RowResponse
from keygen_site.jsonapi.lookups import Lookup, Parent, Rows, not_found
from keygen_site.jsonapi.negotiation import (
    JSON_API,
    Document,
    JSONAPIRenderer,
    named_media_type,
    open_chunked,
    select_parser,
)
from keygen_site.jsonapi.operations import OWN, RESOURCE, File, Gives, Operation, operation, operations_of
from keygen_site.jsonapi.pagination import PAGE_PARAMETERS, limit_of, newest_first, refuse_mixed
from keygen_site.jsonapi.request_documents import validate
from keygen_site.jsonapi.requests import APIRequest
from keygen_site.jsonapi.sections import Section
from keygen_site.jsonapi.serializers import ResourceSerializer, Values
from keygen_site.paths import decode_identifiers

WRITES = {"POST", "PUT", "PATCH", "DELETE"}


class BaseViewSet(GenericViewSet[Any]):
    """Base of all viewsets. Compose it with the mixins below, so that no route exists by accident.

    `accounts.api.base.APIViewSet` adds the account, authentication and permissions.

    A subclass states `queryset`, `serializer_class`, and `parent` if its URL is nested below another resource;
    `section` if the description shows its operations in another one than the serializer's; and `read_permission` if
    `list` and `retrieve` need another permission than the resource's own URLs.
    """

    request: APIRequest
    serializer_class: type[ResourceSerializer]
    parent: ClassVar[Parent | None] = None
    section: ClassVar[Section | None] = None
    read_permission: ClassVar[str | None] = None
    operations: ClassVar[dict[str, Operation]] = {}
    lookup_value_regex = "[^/]+?"
    ends_with_identifier = False  # whether the URL ends with the identifier of the resource; set by the route
    names_have_suffixes = False  # whether a suffix after a name, such as a code, names the media type, as after an id

    _lookups: ClassVar[dict[tuple[str, bool], Lookup]]
    _first_page: ClassVar[CompiledQuery[Any]]

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if getattr(cls, "serializer_class", None) is not None:
            cls.operations = operations_of(cls)
            cls._lookups = {}
            optional = (1,) if cls.parent else (0, 1)
            cls._first_page = CompiledQuery(
                lambda bearer, parent_id, now: newest_first(cls.visible("list", bearer, parent_id, now)),
                sample_uuid(),
                sample_time(),
                unused=optional,
            )

    # The pipeline ----------------------------------------------------------------------------------------------------

    def initial(self, request: Any, *args: Any, **kwargs: Any) -> None:
        """The order of checks (contract: keys 0.2). The action follows: 404, 403, 400 for its row and its document."""
        self.check_route()  # 404
        self.negotiate(request)  # 400 MIME_TYPE_INVALID
        self.read_body(request)  # 400 JSON_INVALID, 413
        self.check_query(request)  # 400 PARAMETERS_INVALID
        self.resolve_account(request)  # 404, 429
        self.resolve_version(request)  # 400
        self.check_headers(request)  # 400
        self.check_account(request)  # 403
        self.perform_authentication(request)  # 401
        self.check_identifiers()  # 400
        self.resolve_parent(request)  # 404
        if not self.detail and not self.operation.document_first:
            self.authorize()  # 403

    @property
    def operation(self) -> Operation:
        return self.operations[self.action]

    def check_route(self) -> None:
        if self.action not in self.operations:
            raise EndpointNotFound
        has_names = hasattr(self.serializer_class.Meta.model.JSONAPIMeta, "identifiers")
        at_end = self.ends_with_identifier and has_names and not self.names_have_suffixes
        self.kwargs = decode_identifiers(self.request, self.kwargs, at_end=at_end)

    def negotiate(self, request: APIRequest) -> None:
        self.format_kwarg = self.kwargs.get(self.settings.FORMAT_SUFFIX_KWARG)
        request.accepted_renderer, request.accepted_media_type = self.perform_content_negotiation(request)

    def perform_content_negotiation(self, request: Any, force: bool = False) -> Any:
        # DRF negotiates again for the response to a refusal that came before the negotiation.
        if not getattr(self, "format_kwarg", None) and self.accepted_file_type():
            return JSONAPIRenderer(), JSON_API  # of errors
        return super().perform_content_negotiation(request, force)

    def accepted_file_type(self) -> str | None:
        """The media type of the file that the action gives, if the header Accept names it."""
        declared = self.operations.get(self.action)
        if declared is None or not isinstance(declared.gives, File):
            return None
        return named_media_type(self.request.META.get("HTTP_ACCEPT", ""), declared.gives.media_types)

    def read_body(self, request: APIRequest) -> None:
        if request.method in WRITES and not isinstance(self.operation.takes, File):
            select_parser(request.content_type, self.get_parsers())  # DRF does not, if there is no body
            request.data  # noqa: B018 parses the body

    def resolve_account(self, request: APIRequest) -> None:
        """Find the account that the URL names, and the credential."""

    def resolve_version(self, request: APIRequest) -> None:
        """Find the API version of the response."""

    def check_headers(self, request: APIRequest) -> None:
        """Refuse unsupported headers."""

    def check_query(self, request: APIRequest) -> None:
        """Refuse a query whose parameters contradict each other."""
        query = request.META.get("QUERY_STRING", "")
        if "[" in query or "%5" in query:
            filters = getattr(self, "filterset_class", None)
            own = [*(filters.base_filters if filters else ()), *self.operation.parameters]
            refuse_mixed(query, {*PAGE_PARAMETERS, *(name.partition("[")[0] for name in own)})

    def check_identifiers(self) -> None:
        """Refuse NULs in the URL, which no identifier has."""
        if any(isinstance(value, str) and "\0" in value for value in self.kwargs.values()):
            raise NullByte

    def check_account(self, request: APIRequest) -> None:
        """Refuse requests of an inactive account."""

    def resolve_parent(self, request: APIRequest) -> None:
        """Look up the parent of a nested URL."""
        if self.parent:
            setattr(self, self.parent.name, self.parent.find(self.kwargs[self.parent.name], request.user))

    def authorize(self, row: Any = None) -> None:
        """Refuse a bearer who lacks the permission (contract: keys 0.4), or may not use it on this row."""
        self.request.authorized = True

    # The action ------------------------------------------------------------------------------------------------------

    def perform(self, method: Callable[..., Any]) -> HttpResponseBase:
        """Run an action as its operation declares. A request with a used Idempotency-Key gets the stored response."""
        request, declared = self.request, self.operation
        if declared.idempotent and not isinstance(declared.takes, File) and request.user:
            key = idempotency.key_of(request)
            if key is not None:
                response = idempotency.run_once(
                    key, request, lambda: self._run(method, declared), is_timeout, rebuild=self._rebuild
                )
                if "Idempotency-Replayed" in response:
                    self.authorize()
                return response
        return self._run(method, declared)

    def _run(self, method: Callable[..., Any], declared: Operation) -> Any:
        event = self.event_to_record()
        in_transaction = declared.locks or (event and not declared.counts_attempts)
        with transaction.atomic() if in_transaction else nullcontext():
            arguments, row = [self.request], None
            if self.detail:
                row = self.find_row(locked=bool(declared.locks))
                arguments.append(row)
            document = self.read_document(row) if declared.document_first else None
            if self.detail or declared.document_first:
                self.authorize(row)
            if not declared.document_first:
                document = self.read_document(row)
            named = {} if document is None else {"document": document}
            record = self.begin_record(event, row, document) if event else None
            result = method(self, *arguments, **named)
            if record:
                record(result)
            return self._response(result)

    def event_to_record(self) -> str:
        """The event that a success is recorded as, or an empty text. Override it where this depends on the request."""
        model = self.serializer_class.Meta.model
        if model.in_ledger or (self.action == "create" and model.service_records_creation):
            return ""
        return self.operation.records or ""

    def begin_record(self, event: str, row: Any, document: Any) -> Callable[[Any], None]:
        """Called before the action runs. The function that records its success, given its result. Override it."""
        return lambda result: None

    def read_document(self, row: Any) -> Any:
        """The validated document of the request, or None if the action takes none.

        Raises:
            BadRequest: the first violation of its schema.
        """
        takes = self.operation.takes
        if takes is None or isinstance(takes, File):
            return None
        if takes is not RESOURCE:
            return validate(self.document, takes)
        return self.serializer_class.read(
            self.document,
            creating=self.action == "create",
            bearer=self.request.user,
            version=self.request.version,
            withheld=self.withheld(),
        )

    @property
    def document(self) -> dict[str, Any]:
        """The parsed body."""
        return cast("dict[str, Any]", self.request.data)

    def withheld(self) -> Iterable[str]:
        """Pointers of members that this bearer may not send. Override it."""
        return ()

    def _response(self, result: Any) -> HttpResponseBase:
        if isinstance(result, HttpResponseBase):
            return result
        gives = self.operation.gives
        if gives is None:
            return Response(status=204)
        assert isinstance(gives, Gives)
        if isinstance(result, Document):
            return Response(result, status=gives.status)
        serializer = gives.serializers[0] if gives.serializers else self.serializer_class
        if isinstance(result, list):
            shown = [serializer.resource_object(row) for row in result]
            return RowResponse(shown, row_ids=[str(row.pk) for row in result], is_list=True, status=gives.status)
        headers = {}
        if gives.status == 201:
            headers["Location"] = self.request.build_absolute_uri(serializer.path_of(result))
        if not isinstance(result, models.Model):
            return Response(result, status=gives.status, headers=headers)
        return RowResponse(
            serializer.resource_object(result),
            row_ids=[str(result.pk)],
            shows_secret=serializer.shows_secret(result),
            status=gives.status,
            headers=headers,
        )

    def _rebuild(self, ids: list[str], is_list: bool) -> Response | None:
        """The response that shows these rows as they are now, or None if one is gone or invisible to the bearer."""
        found = {str(row.pk): row for row in self.rows_to_show_again(ids)}
        if not found.keys() >= set(ids):
            return None
        rows = [found[id] for id in ids]
        return cast(Response, self._response(rows if is_list else rows[0]))

    def rows_to_show_again(self, ids: list[str]) -> Rows:
        """Rows that an action has shown to the bearer. Override it if they are not those of the viewset."""
        return self.rows(self.action, timezone.now()).visible_to(self.request.user).filter(pk__in=ids)

    # Rows ------------------------------------------------------------------------------------------------------------

    @classmethod
    def rows(cls, action: str, now: datetime) -> Rows:
        """All rows, with the annotations that an action needs. Override it if they depend on the action or the time."""
        return cls.queryset.all()  # type: ignore[union-attr]

    @classmethod
    def visible(cls, action: str, bearer: Bearer, parent_id: UUID | None, now: datetime) -> Rows:
        """The rows that a bearer may see at this URL."""
        rows = cls.rows(action, now).visible_to(bearer)
        return cls.parent.narrow(rows, parent_id) if cls.parent else rows  # type: ignore[arg-type]

    @property
    def parent_id(self) -> UUID | None:
        return getattr(self, self.parent.name).pk if self.parent else None

    def get_queryset(self) -> Rows:
        return self.visible(self.action, self.request.user, self.parent_id, timezone.now())

    def find_row(self, *, locked: bool) -> Any:
        """The row that the URL names, locked until the transaction ends if the operation locks.

        Raises:
            NotFound: it does not exist, or the bearer may not see it.
        """
        row = self.lookup(locked).find(self.kwargs["pk"], self.request.user, self.parent_id, timezone.now())
        if row is None:
            raise not_found(self.serializer_class.Meta.model, self.kwargs["pk"])
        return row

    def lookup(self, locked: bool) -> Lookup:
        cls, action = type(self), self.action
        if (action, locked) not in cls._lookups:
            optional = (1,) if cls.parent else (0, 1)
            cls._lookups[action, locked] = Lookup(
                lambda bearer, parent_id, now: cls.visible(action, bearer, parent_id, now),
                sample_uuid(),
                sample_time(),
                unused=optional,
                locked=locked,
            )
        return cls._lookups[action, locked]

    @classmethod
    def describe_permission(cls, permission: str) -> str:
        """The text on a permission in the OpenAPI description. Override it."""
        return f"Permission `{permission}`."

    def defaults(self) -> dict[str, Any]:
        """The values of a new row that the server sets."""
        return {}

    def check_relationships(self, document: Values) -> None:
        """Refuse relationships to rows that do not exist or that the bearer may not see."""
        if document.missing:
            self.serializer_class.refuse_missing(document.missing, self.defaults() | document.values)

    # DRF's hooks -----------------------------------------------------------------------------------------------------

    def initialize_request(self, request: HttpRequest, *args: Any, **kwargs: Any) -> APIRequest:
        wrapper = cast(APIRequest, super().initialize_request(request, *args, **kwargs))
        open_chunked(request, wrapper)
        return wrapper

    def finalize_response(self, request: Any, response: Any, *args: Any, **kwargs: Any) -> Any:
        response = super().finalize_response(request, response, *args, **kwargs)
        if response.status_code < 400 and not getattr(request, "authorized", False):
            raise AssertionError(f"{type(self).__name__}.{self.action} did not check permissions")
        return response

    @property
    def default_response_headers(self) -> dict[str, str]:
        return {}


class ListMixin(BaseViewSet):
    """`GET` of a collection."""

    @operation("List {plural}", gives=Gives(OWN, paged=True))
    def list(self, request: APIRequest) -> HttpResponseBase:
        """The newest first."""
        if self.is_plain_first_page(request):
            limit = limit_of(request.query_params)
            rows = self._first_page.rows(limit, self.parent_id, timezone.now(), bearer=request.user)
            return self._response(rows)
        page = self.paginate_queryset(self.filter_queryset(self.get_queryset()))
        return self.get_paginated_response([self.serializer_class.resource_object(row) for row in page or ()])

    def is_plain_first_page(self, request: APIRequest) -> bool:
        """Whether the request is for the newest rows without filters, which a compiled query returns."""
        filters = getattr(self, "filterset_class", None)
        return request.query_params.keys() <= {"limit"} and not getattr(filters, "applies_by_default", False)


class RetrieveMixin(BaseViewSet):
    """`GET` of a member."""

    @operation("Show {a}", gives=OWN)
    def retrieve(self, request: APIRequest, row: Any) -> Any:
        return row


class CreateMixin(BaseViewSet):
    """`POST` to a collection."""

    @operation(
        "Create {a}",
        takes=RESOURCE,
        gives=Gives(OWN, status=201),
        locks=False,
        idempotent=True,
        document_first=True,
    )
    def create(self, request: APIRequest, document: Values) -> Any:
        self.check_relationships(document)
        return self.create_row(document.values)

    def create_row(self, values: dict[str, Any]) -> Any:
        return self.serializer_class.create_row(values | self.defaults())


class UpdateMixin(BaseViewSet):
    """`PATCH` and `PUT` of a member."""

    @operation("Change {a}", takes=RESOURCE, gives=OWN, locks=True)
    def partial_update(self, request: APIRequest, row: Any, document: Values) -> Any:
        """Attributes that the document omits keep their values."""
        self.update_row(row, document.values)
        return row

    def update_row(self, row: Any, values: dict[str, Any]) -> None:
        self.serializer_class.update_row(row, values)


class DestroyMixin(BaseViewSet):
    """`DELETE` of a member."""

    @operation("Delete {a}", locks=True)
    def destroy(self, request: APIRequest, row: Any) -> None:
        self.delete_row(row)

    def delete_row(self, row: Any) -> None:
        row.delete()
