"""What every JSON:API resource does the same way: the base viewset, its mixins, its routes and its errors."""

import logging
import sys

from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.utils import Error, IntegrityError
from django.http import Http404, HttpResponse
from django.views import defaults
from rest_framework import exceptions, status
from rest_framework.response import Response
from rest_framework.routers import DynamicRoute, Route, SimpleRouter
from rest_framework.views import set_rollback
from rest_framework.viewsets import GenericViewSet

from keygen_site import documents, idempotency
from keygen_site.addresses import identifiers_of
from keygen_site.documents import camel
from keygen_site.errors import DOCUMENTATION, BadRequest, Conflict, DomainError, EndpointNotFound, NotFound
from keygen_site.ids import as_uuid
from keygen_site.operations import Operation
from keygen_site.parsers import open_chunked
from keygen_site.renderers import Document, error_object, error_response
from keygen_site.timeouts import is_timeout, is_unavailable

WRITES = {"POST", "PUT", "PATCH", "DELETE"}
logger = logging.getLogger(__name__)


class Busy(DomainError):
    """What is needed is held by another transaction for too long; nothing has happened, so try again."""

    status = 503
    title = "Service unavailable"
    detail = "The server is busy: what this request needs is held by another one. Please try again."
    code = "BUSY"
    headers = {"Retry-After": "1"}


class Unavailable(DomainError):
    """The database does not answer. Where it fell silent in the middle, nobody knows what has happened."""

    status = 503
    title = "Service unavailable"
    detail = (
        "The server cannot reach its database. Please try again: what may have had its effect already, under the same "
        "Idempotency-Key."
    )
    code = "UNAVAILABLE"
    headers = {"Retry-After": "2"}


class ResourceViewSet(GenericViewSet):
    """Base of all viewsets. Compose it with the mixins below, so that no route exists by accident.

    Order of checks (contract: keys 0.2): media types and JSON, then `begin()` (whose account, which
    version), who is asking, then for a member its visibility (404), then permission (403) and the shape
    of the document (400): for a create the shape comes first.
    """

    lookup_value_regex = "[^/]+?"
    # What the actions that are not usual take and give, for the description of the API.
    operations: dict[str, Operation] = {}
    # Actions that answer a malformed document before they ask for permission; they call `authorize()` themselves.
    shape_before_permission = frozenset({"create"})
    # Actions besides POST that may be sent twice under an Idempotency-Key and have their effect once.
    once_by_name: frozenset[str] = frozenset()
    # Actions whose answer holds a secret that is not to be stored; they take no notice of an Idempotency-Key.
    secret_answers: frozenset[str] = frozenset()
    # Actions whose body is no document; they read it themselves, and see to an Idempotency-Key.
    reading_actions: frozenset[str] = frozenset()
    # Whether the address ends with what names the resource; its route says so.
    ends_with_identifier = False

    def initialize_request(self, request, *args, **kwargs):
        chunked = open_chunked(request)
        wrapped = super().initialize_request(request, *args, **kwargs)
        if chunked:
            wrapped._stream = request  # without a length the framework would look no further
        return wrapped

    def initial(self, request, *args, **kwargs):
        if self.action not in self.action_map.values():
            raise EndpointNotFound
        self.kwargs = identifiers_of(request, self.kwargs, at_end=self.ends_with_identifier)
        self.format_kwarg = self.get_format_suffix(**self.kwargs)
        request.accepted_renderer, request.accepted_media_type = self.perform_content_negotiation(request)
        if request.method in WRITES and self.action not in self.reading_actions:
            # Reads the body, also where the action ignores it: malformed JSON is refused before anything happens.
            request.data  # noqa: B018
        self.begin(request)
        self.perform_authentication(request)
        self.find_parent()
        if not self.detail and self.action not in self.shape_before_permission:
            self.authorize()
        self.act_once()

    def act_once(self):
        """Have the handler of a request that its client gave a name run once, whatever it is."""
        request = self.request
        named = request.method == "POST" or self.action in self.once_by_name
        if not named or self.action in self.secret_answers | self.reading_actions or request.user is None:
            return
        name = idempotency.name_of(request)
        if name is None:
            return
        verb = request.method.lower()
        handler = getattr(self, verb)

        def once(request, *args, **kwargs):
            response = idempotency.once(name, request, lambda: handler(request, *args, **kwargs), is_timeout)
            if "Idempotency-Replayed" in response:
                self.authorize()
            return response

        # `dispatch()` looks its handler up after `initial()`, where this is called.
        setattr(self, verb, once)

    def begin(self, request):
        """What has to be known before who is asking; for subclasses."""

    def authorize(self):
        """Refuse whoever may not do this (contract: keys 0.4, 403)."""
        self.check_permissions(self.request)
        self.request.authorized = True

    def document(self):
        """What the document of the request says, which has the members that the viewset's `operations` name."""
        return documents.read(self.request.data, self.operations[self.action].takes)

    @classmethod
    def who_may(cls, action):
        """What the description of the API says of who may do this; for subclasses."""
        return ""

    def find_parent(self):
        """Look up what a nested address is below of, so that it is 404 before it is 403; for subclasses."""

    def find(self, queryset, identifier):
        """The row of a queryset that an address names: by its id, or by what the queryset's verb `named` reads.

        Raises:
            NotFound: there is none, in the words of the contract, with the id as it was sent.
        """
        if hasattr(queryset, "named"):
            row = queryset.named(identifier).first()
        else:
            uuid = as_uuid(identifier)
            row = uuid and queryset.filter(pk=uuid).first()
        if row is None:
            raise NotFound.of(queryset.model._meta.verbose_name, identifier)
        return row

    def get_object(self):
        queryset = self.get_queryset()
        if self.action in ("partial_update", "destroy"):
            # Somebody else may be taking or changing it: wait for them, and then look whether it is still there.
            queryset = queryset.select_for_update(of=("self",))
        row = self.find(queryset, self.kwargs["pk"])
        self.authorize()
        return row

    def check_relationships(self, serializer):
        """Refuse relationships to rows that are not there, or not for this bearer."""
        if serializer.missing:
            serializer.explain_missing(self.defaults() | serializer.validated_data)

    def defaults(self):
        """Values of a new row that are not the client's to say."""
        return {}

    def finalize_response(self, request, response, *args, **kwargs):
        response = super().finalize_response(request, response, *args, **kwargs)
        if response.status_code < 400 and not getattr(request, "authorized", False):
            raise AssertionError(f"{type(self).__name__}.{self.action} answered without asking for permission")
        return response

    @property
    def default_response_headers(self):
        return {}


class ListMixin:
    def list(self, request, *args, **kwargs):
        page = self.paginate_queryset(self.filter_queryset(self.get_queryset()))
        return self.get_paginated_response([self.serializer_class.resource_object(row) for row in page])


class RetrieveMixin:
    def retrieve(self, request, *args, **kwargs):
        return Response(self.serializer_class.resource_object(self.get_object()))


class CreateMixin:
    def create(self, request, *args, **kwargs):
        serializer = self.get_serializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        self.authorize()
        self.check_relationships(serializer)
        self.perform_create(serializer)
        return created(request, serializer)

    def perform_create(self, serializer):
        serializer.save(**self.defaults())


class UpdateMixin:
    @transaction.atomic
    def partial_update(self, request, *args, **kwargs):
        row = self.get_object()
        serializer = self.get_serializer(row, data=request.data)
        serializer.is_valid(raise_exception=True)
        self.perform_update(serializer)
        return Response(serializer.resource_object(serializer.instance))

    def perform_update(self, serializer):
        serializer.save()


class DestroyMixin:
    @transaction.atomic
    def destroy(self, request, *args, **kwargs):
        self.perform_destroy(self.get_object())
        return Response(status=status.HTTP_204_NO_CONTENT)

    def perform_destroy(self, row):
        row.delete()


def created(request, serializer):
    """201 with the new row and its absolute address."""
    location = request.build_absolute_uri(serializer.path_of(serializer.instance))
    resource_object = serializer.resource_object(serializer.instance)
    return Response(resource_object, status=status.HTTP_201_CREATED, headers={"Location": location})


class Router(SimpleRouter):
    """Routes of a viewset: PUT is PATCH, a trailing slash is ignored, so is a suffix that names the media type.

    `collection` and `member` say which action answers which method, where a resource has others than usual.
    `ids_have_suffixes`: whether a suffix may follow an id.
    """

    include_format_suffixes = False
    ids_have_suffixes = True
    collection = {"get": "list", "post": "create"}
    member = {"get": "retrieve", "put": "partial_update", "patch": "partial_update", "delete": "destroy"}

    def __init__(self):
        super().__init__()
        end = r"(?:\.(?P<format>jsonapi|json))?/?$"
        name, nested = "{basename}-", "{basename}-{url_name}"
        collection, member = r"^{prefix}", r"^{prefix}/{lookup}"
        self.routes = [
            Route(collection + end, self.collection, f"{name}list", detail=False, initkwargs={}),
            DynamicRoute(collection + "/{url_path}" + end, nested, detail=False, initkwargs={}),
            Route(
                member + (end if self.ids_have_suffixes else r"/?$"),
                self.member,
                f"{name}detail",
                detail=True,
                initkwargs={"ends_with_identifier": True},
            ),
            DynamicRoute(member + "/{url_path}" + end, nested, detail=True, initkwargs={}),
        ]


class NamedRouter(Router):
    """Routes of resources that have names besides their ids: a key or an e-mail may end in `.json`."""

    ids_have_suffixes = False


def exception_handler(exception, context):
    """The one place where an exception becomes an error document; what nobody expected stays a 500."""
    request, view = context["request"], context["view"]
    errors = _errors_of(exception, view)
    if errors is None:
        return None
    set_rollback()
    first = errors[0]
    document = Document(errors=[error_object(error) for error in errors])
    if not first.early:
        document["meta"] = {"id": request.id, **first.meta}
    return Response(document, status=first.status, headers=dict(first.headers))


def _errors_of(exception, view):
    match exception:
        case DomainError():
            return [exception]
        case ValidationError():
            return validation_errors(exception, view.serializer_class)
        case Http404() | exceptions.NotFound() | exceptions.MethodNotAllowed():
            return [EndpointNotFound()]
        case Error() if refusal := refusal_of(exception):
            return [refusal]
        case IntegrityError():
            # Each rule was checked, so a row that this one needs has gone meanwhile, or its id is another account's.
            logger.warning("conflict in request %s: %s", view.request.id, type(exception.__cause__).__name__)
            return [Conflict()]
    return None


def refusal_of(error):
    """What to answer to an error of the database that is nobody's mistake, or None."""
    if is_timeout(error):
        return Busy()
    return Unavailable() if is_unavailable(error) else None


def endpoint_not_found(request, exception=None):
    """Django's `handler404`: no route fits."""
    if "text/html" in request.headers.get("Accept", "") and not request.path.startswith("/v1/"):
        return defaults.page_not_found(request, exception)
    return error_response(request, EndpointNotFound())


def bad_request(request, exception):
    """Django's `handler400`: it will not go on with a request, e.g. of another host or of thousands of parameters."""
    if request.path.startswith("/v1/"):
        return error_response(request, BadRequest())
    return defaults.bad_request(request, exception)


class InternalError(DomainError):
    status = 500
    title = "Internal server error"
    detail = "Something went wrong on this server. Its operator finds what happened in its log, under the request's id."


def internal_error(request):
    """Django's `handler500`: what nobody expected, with its traceback in the log; or a database that does not answer.

    The API's own views never get here with the latter, but pages do, and what is around a view.
    """
    error = sys.exception()
    refusal = refusal_of(error) if isinstance(error, Error) else None
    if request.path.startswith("/v1/"):
        return error_response(request, refusal or InternalError())
    if refusal:
        return HttpResponse(refusal.detail, status=refusal.status, headers=refusal.headers, content_type="text/plain")
    return defaults.server_error(request)


class Unprocessable(DomainError):
    """One value that a model refuses (contract: platform 4.3)."""

    title = "Unprocessable resource"

    def __init__(self, detail, *, code, pointer, about):
        super().__init__(detail, pointer=pointer)
        self.code, self.about = code, about


def validation_errors(exception, serializer):
    """A model's `ValidationError` as the errors of a document, those of equal code and source only once."""
    topic = serializer.type_name()
    attributes = {name for name, _, _ in serializer.table()}
    errors = {}
    for name, problems in exception.error_dict.items():
        # A product has both: the attribute `platforms` and a link of that name.
        related = name in serializer.relationships or name in serializer.aliases
        kind = "relationships" if related and camel(name) not in attributes else "attrs"
        if name in ("__all__", "id"):
            pointer, anchor = "/data" if name == "__all__" else "/data/id", f"{topic}-object"
        else:
            folder = "relationships" if kind == "relationships" else "attributes"
            pointer, anchor = f"/data/{folder}/{camel(name)}", f"{topic}-object-{kind}-{camel(name)}"
        prefix = serializer.Meta.model._meta.model_name if name == "__all__" else name
        for problem in problems:
            code = f"{prefix}_{_KINDS.get(problem.code, problem.code)}".upper()
            message = str(problem.message)  # those of the framework are translated late
            detail = message % problem.params if problem.params else message
            about = f"{DOCUMENTATION}/{topic}/#{anchor}"
            errors.setdefault((code, pointer), Unprocessable(detail, code=code, pointer=pointer, about=about))
    return list(errors.values())


# Django's own codes in the contract's words.
_KINDS = {
    "unique": "taken",
    "blank": "missing",
    "null": "missing",
    "invalid_choice": "not_allowed",
    "max_length": "too_long",
    "min_value": "invalid",
    "max_value": "invalid",
}
