"""What every JSON:API resource does the same way: the base viewset, its mixins, its routes and its errors."""

from django.db import transaction
from rest_framework import status
from rest_framework.response import Response
from rest_framework.viewsets import GenericViewSet

from keygen_site.db.session_limits import is_timeout
from keygen_site.db.uuids import parse_uuid
from keygen_site.jsonapi import idempotency, request_documents
from keygen_site.jsonapi.errors import EndpointNotFound, NotFound
from keygen_site.jsonapi.negotiation import open_chunked
from keygen_site.jsonapi.operations import Operation
from keygen_site.jsonapi.routers import Router
from keygen_site.paths import identifiers_of

WRITES = {"POST", "PUT", "PATCH", "DELETE"}


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
        return request_documents.read(self.request.data, self.operations[self.action].takes)

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
        if hasattr(queryset, "by_identifier"):
            row = queryset.by_identifier(identifier).first()
        else:
            uuid = parse_uuid(identifier)
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


class NamedRouter(Router):
    """Routes of resources that have names besides their ids: a key or an e-mail may end in `.json`."""

    ids_have_suffixes = False
