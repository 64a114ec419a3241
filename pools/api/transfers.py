"""Import and export of files of keys. Their bodies are not JSON:API documents."""

import hashlib
from datetime import datetime
from tempfile import TemporaryFile
from typing import IO, Any

from django.conf import settings
from django.http import StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.utils import timezone
from rest_framework.decorators import action
from rest_framework.response import Response

from accounts.api.base import APIViewSet
from keygen_site.db.session_limits import is_timeout
from keygen_site.db.uuids import parse_uuid
from keygen_site.jsonapi import idempotency
from keygen_site.jsonapi.errors import BadRequest, NotFound
from keygen_site.jsonapi.negotiation import Document
from keygen_site.jsonapi.operations import BOOLEAN, File, Gives, Parameter, choice, operation
from keygen_site.jsonapi.request_documents import Schema
from keygen_site.jsonapi.requests import APIRequest
from keygen_site.jsonapi.text import is_one_line
from keygen_site.jsonapi.types import ARRAY, INTEGER, STRING, UUID, parse_time
from keygen_site.jsonapi.types import BOOLEAN as BOOLEAN_TYPE
from licensing.models import Policy
from pools.key_files import WRITTEN_FORMATS, FileTooLarge, ReadOptions, open_key_file, serialize_keys
from pools.models import KeyImport
from pools.services.exports import EXPORT_STATES, export_keys
from pools.services.imports import stage_import

FORMATS_BY_MEDIA_TYPE = {"text/plain": "text", "text/csv": "csv", "application/x-ndjson": "ndjson"}
BLOCK_BYTES = 1 << 20

_NUMBER = Schema(INTEGER, required=True)
_TEXT = Schema(STRING, required=True)
_REJECTION = Schema(
    required=True, members={"line": Schema(INTEGER, required=True, nullable=True), "code": _TEXT, "detail": _TEXT}
)
_REPORT = {
    "dry_run": Schema(BOOLEAN_TYPE, required=True),
    "import": Schema(UUID, required=True, nullable=True),
    "lines": _NUMBER,
    "blank": _NUMBER,
    "added": _NUMBER,
    "rejected": _NUMBER,
    "reasons": Schema(required=True, blank=True),
    "rejections": Schema(ARRAY, required=True, blank=True, items=_REJECTION),
}


class TransferMixin(APIViewSet):
    """The actions `import` and `export` of a pool."""

    policy: Policy

    @action(detail=False, methods=["post"], url_path="actions/import")
    @operation(
        "Add a file of keys to the pool",
        permission="policy.pool.import",
        takes=File(tuple(FORMATS_BY_MEDIA_TYPE)),
        gives=Gives(meta=_REPORT),
        locks=False,
        parameters={
            "name": Parameter("The name of the import, at most 255 characters."),
            "column": Parameter("The keys' column: for CSV its name or number, for NDJSON the member's name."),
            "skip-invalid": Parameter("Add the good lines, and leave out the others.", BOOLEAN),
            "dry-run": Parameter("Add nothing, and report what would be added.", BOOLEAN),
            "used": Parameter(
                "The keys were used in another system: `true`, or the time. They are added as popped, at the time in "
                "the column or member `popped` of the file if it has one, so that no pool hands them out again."
            ),
        },
    )
    def import_keys(self, request: APIRequest) -> Response:
        """Text with a key per line, CSV or NDJSON, each also gzipped. All of them or none, unless `skip-invalid`."""
        format, column = format_of(request), request.query_params.get("column")
        options = ReadOptions(format=None if format == "text" else format, column=column)
        query = request.query_params
        skip_invalid, dry_run = boolean_of(query, "skip-invalid"), boolean_of(query, "dry-run")
        used = used_time_of(query)
        name, key = query.get("name", ""), idempotency.key_of(request)
        if len(name) > 255 or not is_one_line(name):
            raise BadRequest("must have 255 characters at most, without control characters", parameter="name")
        with TemporaryFile() as file:
            # No database connection waits for a slow client, and a repeated request can be compared with the first.
            fingerprint = idempotency.fingerprint_of(request, spool(request, file))
            if key and (response := idempotency.stored_response(key, request, fingerprint)):
                return response
            staged_import = stage_import(
                policy=self.policy,
                files=[open_key_file(file, options, max_bytes=settings.MAX_IMPORT_BYTES)],
                audit=self.audit,
                name=name,
                skip_invalid=skip_invalid,
                dry_run=dry_run,
                used=used,
            )
            with staged_import as staged:

                def publish() -> Response:
                    staged.publish()
                    return Response(Document(meta=staged.report.as_dict()))

                if key:
                    return idempotency.run_once(key, request, publish, is_timeout, fingerprint)
                return publish()

    @action(detail=False, url_path="actions/export")
    @operation(
        "Get the keys of the pool as a file",
        permission="policy.pool.export",
        gives=File(tuple(FORMATS_BY_MEDIA_TYPE)),
        parameters={
            "format": Parameter("The format of the file.", choice(*WRITTEN_FORMATS)),
            "state": Parameter("Only keys in this state.", choice(*EXPORT_STATES)),
            "import": Parameter("Only keys of this import.", {"type": "string", "format": "uuid"}),
            "since": Parameter("Only keys of this time or later.", {"type": "string", "format": "date-time"}),
            "until": Parameter("Only keys before this time.", {"type": "string", "format": "date-time"}),
            "for-spreadsheet": Parameter("Write CSV that a spreadsheet opens without changing a key.", BOOLEAN),
        },
    )
    def export_keys(self, request: APIRequest) -> HttpResponseBase:
        """The export is recorded in the ledger. The keys count as shown: they cannot be put back into the pool, and
        their texts stay blocked when they are deleted."""
        query = request.query_params
        format = one_of(query, "format", WRITTEN_FORMATS)
        for_spreadsheet = boolean_of(query, "for-spreadsheet")
        if for_spreadsheet and format != "csv":
            raise BadRequest("must be with format=csv", parameter="for-spreadsheet")
        key_import = None
        if "import" in query:
            uuid = parse_uuid(query["import"])
            key_import = KeyImport.objects.filter(policy=self.policy, pk=uuid).first() if uuid else None
            if key_import is None:
                raise NotFound.of("import", query["import"])
        keys = export_keys(
            policy=self.policy,
            state=one_of(query, "state", EXPORT_STATES),
            key_import=key_import,
            audit=self.audit,
            since=time_of(query, "since"),
            until=time_of(query, "until"),
        )
        media_type = next(known for known, name in FORMATS_BY_MEDIA_TYPE.items() if name == format)
        return StreamingHttpResponse(
            serialize_keys(keys, format, for_spreadsheet=for_spreadsheet),
            content_type=f"{media_type}; charset=utf-8",
        )


def format_of(request: APIRequest) -> str:
    """The format of the file in a request's body.

    Raises:
        BadRequest: the Content-Type is none of FORMATS_BY_MEDIA_TYPE.
    """
    media_type = (request.content_type or "text/plain").partition(";")[0].strip().lower()
    if media_type not in FORMATS_BY_MEDIA_TYPE:
        raise BadRequest(f"must be {', '.join(FORMATS_BY_MEDIA_TYPE)}", header="Content-Type")
    return FORMATS_BY_MEDIA_TYPE[media_type]


def spool(request: APIRequest, file: IO[bytes]) -> bytes:
    """Write the body of a request into a file, rewind the file, and return the body's SHA-256 in hexadecimal.

    Raises:
        FileTooLarge: it has more bytes than the setting MAX_IMPORT_BYTES.
    """
    size, sha256 = 0, hashlib.sha256()
    while block := request._request.read(BLOCK_BYTES):
        size += len(block)
        if size > settings.MAX_IMPORT_BYTES:
            raise FileTooLarge
        sha256.update(block)
        file.write(block)
    file.seek(0)
    return sha256.hexdigest().encode()


def boolean_of(query: Any, name: str) -> bool:
    """A boolean parameter of the query; false when it is absent.

    Raises:
        BadRequest: it is neither true nor false.
    """
    value = query.get(name, "false").lower()
    if value not in ("true", "false", "1", "0", ""):
        raise BadRequest("must be true or false", parameter=name)
    return value not in ("false", "0")


def used_time_of(query: Any) -> datetime | None:
    """When the keys of an import were used in another system; None if they were not.

    Raises:
        BadRequest: the parameter is neither a boolean nor a time in the past.
    """
    now = timezone.now()
    try:
        return now if boolean_of(query, "used") else None
    except BadRequest:
        pass
    try:
        time = parse_time(query["used"])
    except BadRequest:
        time = None
    if time is None or time > now:
        raise BadRequest("must be true, false or a time in the past", parameter="used")
    return time


def one_of(query: Any, name: str, choices: tuple[str, ...]) -> str:
    """A parameter of the query with some permitted values; the first when it is absent.

    Raises:
        BadRequest: it has another value.
    """
    value = query.get(name, choices[0])
    if value not in choices:
        raise BadRequest(f"must be one of: {', '.join(choices)}", parameter=name)
    return value


def time_of(query: Any, name: str) -> datetime | None:
    """A timestamp parameter of the query; None when it is absent.

    Raises:
        BadRequest: it is not a timestamp.
    """
    try:
        return parse_time(query[name], "") if name in query else None
    except BadRequest as error:
        raise BadRequest(error.detail, parameter=name) from None
