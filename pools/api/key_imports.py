"""Imports of the API that are done in the background, as resources: their state, their reports, and their errors."""

from itertools import chain
from typing import Any

from django.http import StreamingHttpResponse
from django.http.response import HttpResponseBase
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.response import Response

from accounts.api.base import APIViewSet
from keygen_site.jsonapi.errors import NotFound
from keygen_site.jsonapi.openapi.schemas import members_schema, object_schema, or_null
from keygen_site.jsonapi.operations import OWN, File, operation
from keygen_site.jsonapi.request_documents import Schema
from keygen_site.jsonapi.requests import APIRequest
from keygen_site.jsonapi.serializers import ACCOUNT, Getter, NullableTextField, ResourceSerializer, to_one
from keygen_site.jsonapi.types import ARRAY, BOOLEAN, INTEGER, OBJECT, STRING, UUID, ValueType
from pools.models import PendingImport, PendingImportPart
from pools.services.import_workers import start_worker

_NUMBER = Schema(INTEGER, required=True)
_TEXT = Schema(STRING, required=True)
_REJECTION = Schema(
    required=True, members={"line": Schema(INTEGER, required=True, nullable=True), "code": _TEXT, "detail": _TEXT}
)
_TEXTS = Schema(ARRAY, required=True, blank=True, items=Schema(STRING))
_FOUND = Schema(STRING, required=True, nullable=True)  # null where the format has no such thing
_UNDERSTOOD = Schema(
    required=True,
    members={
        "kind": _TEXT,
        "compression": _FOUND,
        "encoding": _FOUND,
        "line_ends": _FOUND,
        "delimiter": _FOUND,
        "header": Schema(BOOLEAN, required=True),
        "column": _FOUND,
        "ignored_columns": _TEXTS,
        "state_columns": _TEXTS,
        "sheet": _FOUND,
        "title_lines": _NUMBER,
    },
)
_WARNING = Schema(
    required=True,
    members={
        "code": _TEXT,
        "message": _TEXT,
        "serious": Schema(BOOLEAN, required=True),
        "count": _NUMBER,
        "lines": Schema(ARRAY, required=True, blank=True, items=Schema(INTEGER)),
        "samples": _TEXTS,
    },
)
# The members of `ImportReport.as_dict`.
REPORT = {
    "dry_run": Schema(BOOLEAN, required=True),
    "import": Schema(UUID, required=True, nullable=True),
    "understood": Schema(ARRAY, required=True, items=_UNDERSTOOD),
    "lines": _NUMBER,
    "blank": _NUMBER,
    "trimmed": _NUMBER,
    "added": _NUMBER,
    "would_add": Schema(INTEGER, required=True, nullable=True),  # null unless dry_run
    "used": _NUMBER,
    "already_imported": Schema(BOOLEAN, required=True),
    "first_keys": _TEXTS,
    "last_keys": _TEXTS,
    "warnings": Schema(ARRAY, required=True, blank=True, items=_WARNING),
    "rejected": _NUMBER,
    "reasons": Schema(required=True, blank=True),
    "rejections": Schema(ARRAY, required=True, blank=True, items=_REJECTION),
}
# The final states in the API by those of the model. Others are `running` if a process works on them, else `waiting`.
STATES = {
    PendingImport.State.CHECKED: "done",
    PendingImport.State.DONE: "done",
    PendingImport.State.FAILED: "failed",
}


def state_of(pending: PendingImport) -> str:
    """The state in the API: `waiting`, `running`, `done` or `failed`."""
    if pending.state in STATES:
        return STATES[PendingImport.State(pending.state)]
    return "waiting" if pending.needs_worker else "running"


class StoredObjectField(serializers.JSONField):
    """An object that is shown as it is stored."""

    value_type = ValueType("object", OBJECT.read, lambda value: value, OBJECT.schema)


class KeyImportSerializer(ResourceSerializer):
    """An import in the background."""

    name = NullableTextField(allow_null=True)
    dry_run = serializers.BooleanField()
    report = StoredObjectField(allow_null=True)
    error = StoredObjectField(allow_null=True)

    relationships = {
        "account": ACCOUNT,
        "product": to_one("products", "policy.product_id", direct=True),
        "policy": to_one("policies", "policy_id", direct=True),
    }

    class Meta:
        model = PendingImport
        fields = ["name", "state", "dry_run", "lines", "report", "error", "created", "updated"]
        on_create: list[str] = []
        on_update: list[str] = []
        required: list[str] = []
        examples = {"state": "running", "lines": 420_000}

    @classmethod
    def getter(cls, name: str, source: str) -> Getter:
        own: dict[str, Getter] = {
            "state": state_of,
            "dry_run": lambda pending: pending.request["dry_run"],
            "report": lambda pending: pending.report or None,
        }
        return own.get(name) or super().getter(name, source)

    @classmethod
    def extend_schema(cls, members: dict[str, Any]) -> None:
        texts = dict.fromkeys(("status", "title", "detail"), {"type": "string"})
        of_attributes = members["attributes"]["properties"]
        of_attributes["state"] = {"type": "string", "enum": ["waiting", "running", "done", "failed"]}
        of_attributes["lines"] |= {"description": "The number of lines read so far."}
        # A file that is refused as a whole has no report, but perhaps the columns to choose from.
        of_attributes["report"] = or_null(members_schema(REPORT) | {"required": [], "additionalProperties": True})
        of_attributes["error"] = or_null(object_schema(texts | {"code": or_null({"type": "string"})}))


class KeyImportViewSet(APIViewSet):
    """Imports of the API that are done in the background."""

    queryset = PendingImport.objects.select_related("policy")
    serializer_class = KeyImportSerializer

    @operation("Show an import in the background", permission="policy.pool.import", gives=OWN)
    def retrieve(self, request: APIRequest, row: PendingImport) -> PendingImport:
        """`report` has the members that an import within its request returns as `meta`, and `error` has its error. Both
        are null while the import waits or runs. An import that was interrupted starts over by itself, and adds each key
        once. It is deleted after seven days, or when the account has 100 newer ones. A product sees its own imports."""
        if row.needs_worker:
            start_worker()
        return row

    @action(detail=True)
    @operation(
        "Get the rejected lines of an import in the background",
        permission="policy.pool.import",
        gives=File(("text/csv",)),
    )
    def rejections(self, request: APIRequest, row: PendingImport) -> HttpResponseBase:
        """Only for the bearer that sent the file, because the lines may have keys. For others, and if no line was
        rejected, the response is `404`."""
        parts = row.read_file(PendingImportPart.Kind.REJECTED)
        first = next(parts, None)
        if first is None or row.bearer_id != self.actor.id:
            raise NotFound("The import has no rejected lines, or another bearer sent its file")
        return StreamingHttpResponse(chain([first], parts), content_type="text/csv; charset=utf-8")

    def find_row(self, *, locked: bool) -> PendingImport:
        try:
            found: PendingImport = super().find_row(locked=locked)
        except NotFound:
            raise NotFound.of("import", self.kwargs["pk"]) from None
        return found


def accepted(request: APIRequest, pending: PendingImport) -> Response:
    """The response to an import that is done in the background."""
    location = request.build_absolute_uri(KeyImportSerializer.path_of(pending))
    return Response(KeyImportSerializer.resource_object(pending), status=202, headers={"Location": location})
