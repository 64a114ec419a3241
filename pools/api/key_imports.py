"""Imports of the API that are done in the background, as resources: their state, their reports, and their errors."""

from itertools import chain
from typing import Any

from django.http import StreamingHttpResponse
from django.http.response import HttpResponseBase
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.response import Response

from accounts.api.base import APIViewSet
from keygen_site.jsonapi.errors import REFERENCE, NotFound
from keygen_site.jsonapi.openapi.schemas import members_schema, object_schema, or_null
from keygen_site.jsonapi.operations import OWN, File, operation
from keygen_site.jsonapi.request_documents import Schema
from keygen_site.jsonapi.requests import APIRequest
from keygen_site.jsonapi.sections import Section
from keygen_site.jsonapi.serializers import ACCOUNT, Getter, NullableTextField, ResourceSerializer, to_one
from keygen_site.jsonapi.types import ARRAY, BOOLEAN, INTEGER, OBJECT, STRING, UUID, ValueType
from pools.models import PendingImport
from pools.services.import_workers import start_worker


def _number(description: str) -> Schema:
    return Schema(INTEGER, required=True, description=description)


def _text(description: str) -> Schema:
    return Schema(STRING, required=True, description=description)


def _flag(description: str) -> Schema:
    return Schema(BOOLEAN, required=True, description=description)


def _texts(description: str) -> Schema:
    return Schema(ARRAY, required=True, blank=True, items=Schema(STRING), description=description)


def _found(description: str) -> Schema:
    """A text, or null where the format has no such thing."""
    return Schema(STRING, required=True, nullable=True, description=description)


def _list(items: Schema, description: str) -> Schema:
    return Schema(ARRAY, required=True, blank=True, items=items, description=description)


_REJECTION = Schema(
    required=True,
    members={
        "line": Schema(
            INTEGER, required=True, nullable=True, description="The number of the line, from 1, if it has one."
        ),
        "code": _text("The reason as a code, as in `reasons`."),
        "detail": _text("The reason as a sentence."),
    },
)
_UNDERSTOOD = Schema(
    required=True,
    members={
        "kind": _text("The format: text, CSV, a workbook, NDJSON or JSON."),
        "compression": _found("gzip or zip, or null."),
        "encoding": _found("The encoding of the text, such as `utf-8`."),
        "line_ends": _found("What separates the lines."),
        "delimiter": _found("What separates the columns."),
        "header": _flag("Whether the first row has the names of the columns."),
        "column": _found("The column or member that has the keys."),
        "ignored_columns": _texts("The columns that were not used."),
        "state_columns": _texts("The columns that say whether a key was used."),
        "sheet": _found("The sheet of a workbook."),
        "title_lines": _number("The number of lines above the header that were left out."),
    },
)
_WARNING = Schema(
    required=True,
    members={
        "code": _text("The warning as a code."),
        "message": _text("The warning as a sentence."),
        "serious": _flag("Whether it stops the import unless `accept-warnings` is true."),
        "count": _number("The number of lines."),
        "lines": _list(Schema(INTEGER), "The numbers of the first of these lines."),
        "samples": _texts("The first of these lines."),
    },
)
# The members of `ImportReport.as_dict`.
REPORT = {
    "dry_run": _flag("Whether nothing was to be added."),
    "import": Schema(
        UUID, required=True, nullable=True, description="The id of the import; null if nothing was added."
    ),
    "understood": Schema(ARRAY, required=True, items=_UNDERSTOOD, description="How the file was understood."),
    "lines": _number("The number of lines."),
    "blank": _number("The number of blank lines."),
    "trimmed": _number("The number of lines from which blanks around the key were removed."),
    "added": _number("The number of keys that were added."),
    "would_add": Schema(
        INTEGER, required=True, nullable=True, description="The number of keys that can be added; null unless `dryRun`."
    ),
    "used": _number("The number of added keys that were used in another system."),
    "already_imported": _flag("Whether all keys of the file are in the pool by an earlier import."),
    "first_keys": _texts("The first keys, masked."),
    "last_keys": _texts("The last keys, masked."),
    "warnings": _list(_WARNING, "What a person should look at before the keys are added."),
    "rejected": _number("The number of lines that cannot be added."),
    "reasons": Schema(required=True, blank=True, description="The number of rejected lines by reason."),
    "rejections": _list(_REJECTION, "The first rejected lines."),
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


def error_of(pending: PendingImport) -> dict[str, Any] | None:
    """The error in the form of an error document, with its status; None if there is none."""
    error: dict[str, Any] | None = pending.error
    if error and error["code"]:
        return error | {"links": {"about": f"{REFERENCE}#{error['code']}"}}
    return error


class StoredObjectField(serializers.JSONField):
    """An object that is shown as it is stored."""

    value_type = ValueType("object", OBJECT.read, lambda value: value, OBJECT.schema)


class KeyImportSerializer(ResourceSerializer):
    """An import in the background."""

    section = Section(
        25, "Key imports", "Files that are imported in the background: their progress, their reports and their errors."
    )

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
        descriptions = {
            "name": "The name of the import, or null.",
            "state": "`waiting` or `running`, then `done` or `failed`.",
            "dry_run": "Whether nothing is to be added.",
            "lines": "The number of lines read so far.",
            "report": "The result, as an import within its request returns it as `meta`; null until the import ends.",
            "error": "Why the import failed, or null.",
        }
        examples = {"state": "running", "lines": 420_000}

    @classmethod
    def getter(cls, name: str, source: str) -> Getter:
        own: dict[str, Getter] = {
            "state": state_of,
            "dry_run": lambda pending: pending.request["dry_run"],
            "report": lambda pending: pending.report or None,
            "error": error_of,
        }
        return own.get(name) or super().getter(name, source)

    @classmethod
    def extend_schema(cls, members: dict[str, Any]) -> None:
        error = {
            "status": {"type": "string", "description": "The HTTP status that an import within its request has."},
            "title": {"type": "string", "description": "The kind of error."},
            "detail": {"type": "string", "description": "What is wrong."},
            "code": {"type": ["string", "null"], "description": "The code of the error, or null."},
        }
        about = {
            "type": "string",
            "format": "uri-reference",
            "description": "The URL of a page that explains the error.",
        }
        links = object_schema({"about": about}) | {"description": "Where to read more."}
        of_attributes = members["attributes"]["properties"]
        of_attributes["state"] |= {"enum": ["waiting", "running", "done", "failed"]}
        # A file that is refused as a whole has no report, but perhaps the columns to choose from.
        report = members_schema(REPORT) | {"required": [], "additionalProperties": True}
        for name, schema in {
            "report": report,
            "error": object_schema(error | {"links": links}, required=error),
        }.items():
            of_attributes[name] = or_null(schema) | {"description": cls.describe(name)}


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
        parts = row.read_rejected()
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
