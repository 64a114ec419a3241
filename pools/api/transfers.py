"""Import and export of files of keys. Their bodies are not JSON:API documents."""

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from tempfile import TemporaryFile
from typing import IO, Any, BinaryIO, cast

from django.conf import settings
from django.http import QueryDict, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.utils import timezone
from django.utils.http import parse_header_parameters
from rest_framework.decorators import action
from rest_framework.response import Response

from accounts.api.base import APIViewSet
from keygen_site.db.session_limits import is_timeout
from keygen_site.db.uuids import parse_uuid
from keygen_site.jsonapi import idempotency
from keygen_site.jsonapi.errors import BadRequest, NotFound
from keygen_site.jsonapi.negotiation import Document
from keygen_site.jsonapi.operations import BOOLEAN, File, Gives, Parameter, choice, operation
from keygen_site.jsonapi.requests import APIRequest
from keygen_site.jsonapi.text import is_one_line
from keygen_site.jsonapi.types import parse_time
from licensing.models import Policy, PoolNotSupported
from pools.api.key_imports import REPORT, KeyImportSerializer, accepted
from pools.import_locks import ImportBusy, request_place
from pools.key_files import (
    FORMATS,
    WRITTEN_FORMATS,
    ColumnAmbiguous,
    FileTooLarge,
    FileUnreadable,
    NoKeys,
    ReadOptions,
    UsedRows,
    open_key_file,
    serialize_keys,
)
from pools.models import KeyImport
from pools.services.exports import EXPORT_STATES, StatesLost, check_format, export_keys
from pools.services.import_processing import MAX_DIRECT_LINES
from pools.services.imports import AlreadyImported, ImportRejected, WarningsNotAccepted, stage_import
from pools.services.pending_imports import TooManyImports, create_api_import, run_api_import

MEDIA_TYPES_BY_FORMAT = {"text": "text/plain", "csv": "text/csv", "ndjson": "application/x-ndjson"}  # of exports
# Of imports. They are hints: the content decides.
IMPORT_MEDIA_TYPES = (
    *MEDIA_TYPES_BY_FORMAT.values(),
    "application/json",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "application/gzip",
    "application/zip",
    "application/octet-stream",
    "application/x-www-form-urlencoded",  # curl sends it with --data-binary unless told otherwise
)
FILE_SUFFIXES = {"text": "txt"}  # where it is not the format
BLOCK_BYTES = 1 << 20


@dataclass(frozen=True)
class SentFile:
    """How the file of a request is to be imported: see `stage_import` and `open_key_file`."""

    name: str
    options: ReadOptions
    media_type: str
    charset: str
    used: datetime | None
    skip_invalid: bool
    dry_run: bool
    accept_warnings: bool


class TransferMixin(APIViewSet):
    """The actions `import` and `export` of a pool."""

    policy: Policy

    @action(detail=False, methods=["post"], url_path="actions/import")
    @operation(
        "Add a file of keys to the pool",
        permission="policy.pool.import",
        takes=File(IMPORT_MEDIA_TYPES),
        gives=Gives(meta=REPORT, later=KeyImportSerializer),
        errors=(
            FileUnreadable,
            NoKeys,
            ColumnAmbiguous,
            ImportRejected,
            WarningsNotAccepted,
            AlreadyImported,
            PoolNotSupported,
            FileTooLarge,
            ImportBusy,
            TooManyImports,
        ),
        locks=False,
        idempotent=True,
        parameters={
            "name": Parameter("The name of the import, at most 255 characters."),
            "format": Parameter(
                "The format of the file. By default it is found out from the content.", choice(*FORMATS)
            ),
            "encoding": Parameter(
                "The encoding of the text, e.g. `windows-1252`. By default UTF-8, UTF-16 and UTF-32 are found out."
            ),
            "delimiter": Parameter(
                "The character between the columns: `,`, `;`, `|`, a tab, or one of the words comma, semicolon, pipe "
                "and tab. By default it is found out."
            ),
            "header": Parameter(
                "Whether the first row has the names of the columns. By default this is found out.", BOOLEAN
            ),
            "no-header": Parameter("The same as `header=false`.", BOOLEAN),
            "column": Parameter("The column or member with the keys: its name, or its number from 1."),
            "trim": Parameter("Remove blanks around each key. The report counts the lines that were changed.", BOOLEAN),
            "used-rows": Parameter(
                "What becomes of rows whose column `status`, `used`, `popped` or the like says that the key was used: "
                "they are rejected (`reject`), added as popped (`used`), or added as available (`ignore`).",
                choice(*UsedRows),
            ),
            "accept-warnings": Parameter(
                "Add the keys even if some lines are almost certainly no keys. Look at the warnings first.", BOOLEAN
            ),
            "skip-invalid": Parameter("Add the good lines, and leave out the others.", BOOLEAN),
            "dry-run": Parameter("Add nothing, and report what would be added.", BOOLEAN),
            "background": Parameter(
                "Import the file in the background, whatever its size. The status is 202.", BOOLEAN
            ),
            "used": Parameter(
                "The keys were used in another system: `true`, or the time. They are added as popped, at the time in "
                "the column or member `popped` of the file if it has one, so that no pool hands them out again."
            ),
        },
    )
    def import_keys(self, request: APIRequest) -> Response:
        """Text with a key per line, CSV, an Excel workbook (.xlsx), NDJSON or a JSON list, each also as gzip or zip.
        The content decides which of them it is; the type that the client declares is a hint. A declared `charset` is
        used. All keys are added or none, unless `skip-invalid`. A file that cannot be understood with certainty is
        refused: `COLUMN_AMBIGUOUS` has the candidates in `meta`, `IMPORT_WARNINGS` and `IMPORT_REJECTED` the report.
        The status is 409 (`ALREADY_IMPORTED`) if all keys are in the pool by an earlier import.

        A large file is imported in the background: the status is 202, and `Location` is the URL of the import, whose
        `state` becomes `done` or `failed`. A small one is imported within the request. While another import of the
        account runs, or too many on the server, the status is 503 (`IMPORT_BUSY`) with `Retry-After`."""
        media_type, charset = declared_type_of(request)
        query = self.checked_query(request)
        options = read_options_of(query)
        skip_invalid, dry_run = boolean_of(query, "skip-invalid"), boolean_of(query, "dry-run")
        accept_warnings, used = boolean_of(query, "accept-warnings"), used_time_of(query)
        in_background = boolean_of(query, "background")
        if used:
            # If all keys are used, the rows that say so are no exceptions: they say when.
            options = replace(options, used_rows=UsedRows.USED)
        name, key = query.get("name", ""), idempotency.key_of(request)
        if len(name) > 255 or not is_one_line(name):
            raise BadRequest("must have 255 characters at most, without control characters", parameter="name")
        sent = SentFile(name, options, media_type, charset, used, skip_invalid, dry_run, accept_warnings)
        with TemporaryFile() as file:
            # No database connection waits for a slow client, and a repeated request can be compared with the first.
            fingerprint = idempotency.fingerprint_of(request, spool(request, file))
            if key and (response := idempotency.stored_response(key, request, fingerprint)):
                return response
            if not in_background and file.seek(0, os.SEEK_END) <= settings.MAX_DIRECT_IMPORT_BYTES:
                file.seek(0)
                try:
                    return self._import_now(request, file, sent, key, fingerprint)
                except FileTooLarge:  # for a request
                    if settings.MAX_IMPORT_BYTES <= settings.MAX_DIRECT_IMPORT_BYTES:
                        raise
            file.seek(0)
            return self._import_later(request, file, sent, key, fingerprint)

    def _import_now(
        self, request: APIRequest, file: IO[bytes], sent: SentFile, key: str | None, fingerprint: bytes
    ) -> Response:
        """Import a small file within the request.

        Raises:
            FileTooLarge: the file is not small.
            ImportBusy: another import runs.
        """
        max_bytes = min(settings.MAX_IMPORT_BYTES, settings.MAX_DIRECT_IMPORT_BYTES)
        opened = open_key_file(
            cast(BinaryIO, file),
            sent.options,
            media_type=sent.media_type,
            charset=sent.charset,
            max_bytes=max_bytes,
        )
        staged_import = stage_import(
            policy=self.policy,
            files=[opened],
            audit=self.audit,
            name=sent.name,
            skip_invalid=sent.skip_invalid,
            dry_run=sent.dry_run,
            used=sent.used,
            accept_warnings=sent.accept_warnings,
            wait=False,
            has_timeouts=True,
            max_lines=MAX_DIRECT_LINES,
        )
        with request_place(), staged_import as staged:

            def publish() -> Response:
                staged.publish()
                return Response(Document(meta=staged.report.as_dict()))

            if key:
                return idempotency.run_once(key, request, publish, is_timeout, fingerprint)
            return publish()

    def _import_later(
        self, request: APIRequest, file: IO[bytes], sent: SentFile, key: str | None, fingerprint: bytes
    ) -> Response:
        """Store a file, and let a worker import it."""
        pending = create_api_import(
            policy=self.policy,
            audit=self.audit,
            blocks=iter(lambda: file.read(BLOCK_BYTES), b""),
            **vars(sent),
        )
        is_run = False

        def run() -> Response:
            nonlocal is_run
            run_api_import(pending)
            is_run = True
            return accepted(request, pending)

        try:
            return idempotency.run_once(key, request, run, is_timeout, fingerprint) if key else run()
        finally:
            if not is_run:  # another request with the same key was first
                pending.delete()

    @action(detail=False, url_path="actions/export")
    @operation(
        "Get the keys of the pool as a file",
        permission="policy.pool.export",
        gives=File(tuple(MEDIA_TYPES_BY_FORMAT.values())),
        errors=(StatesLost, PoolNotSupported),
        parameters={
            "format": Parameter("The format of the file. Text cannot have all states.", choice(*WRITTEN_FORMATS)),
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
        query = self.checked_query(request)
        format = format_of(self, MEDIA_TYPES_BY_FORMAT)
        for_spreadsheet = boolean_of(query, "for-spreadsheet")
        if for_spreadsheet and format != "csv":
            raise BadRequest("must be with format=csv", parameter="for-spreadsheet")
        state = one_of(query, "state", EXPORT_STATES)
        check_format(state, format)
        key_import = None
        if "import" in query:
            uuid = parse_uuid(query["import"])
            key_import = KeyImport.objects.filter(policy=self.policy, pk=uuid).first() if uuid else None
            if key_import is None:
                raise NotFound.of("import", query["import"])
        keys = export_keys(
            policy=self.policy,
            state=state,
            key_import=key_import,
            audit=self.audit,
            since=time_of(query, "since"),
            until=time_of(query, "until"),
        )
        filename = f"keys-{self.policy.pk}.{FILE_SUFFIXES.get(format, format)}"
        return StreamingHttpResponse(
            serialize_keys(keys, format, for_spreadsheet=for_spreadsheet),
            content_type=f"{MEDIA_TYPES_BY_FORMAT[format]}; charset=utf-8",
            headers={"Content-Disposition": f'attachment; filename="{filename}"'},
        )

    def checked_query(self, request: APIRequest) -> QueryDict:
        """The query. A misspelled `dry-run` must not import, nor a misspelled `used` make used keys available.

        Raises:
            BadRequest: a parameter is unknown, or is there twice.
        """
        query: QueryDict = request.query_params
        known = self.operation.parameters.keys()
        for name, values in query.lists():
            if name not in known and name not in ("auth", "token"):  # credentials
                raise BadRequest(f"is unknown (the parameters are {', '.join(sorted(known))})", parameter=name)
            if len(values) > 1:
                raise BadRequest("is there twice", parameter=name)
        return query


def declared_type_of(request: APIRequest) -> tuple[str, str]:
    """The media type and the charset that a request declares for its body; each empty if it does not.

    Raises:
        BadRequest: the media type is none of IMPORT_MEDIA_TYPES.
    """
    media_type, parameters = parse_header_parameters(request.content_type or "")
    if media_type and media_type not in IMPORT_MEDIA_TYPES:
        raise BadRequest(f"must be {', '.join(IMPORT_MEDIA_TYPES)}", header="Content-Type")
    return media_type, parameters.get("charset", "")


def read_options_of(query: Any) -> ReadOptions:
    """How the file of an import is to be read, by the parameters of the query.

    Raises:
        BadRequest: a parameter has another value than those permitted.
    """
    header = boolean_of(query, "header") if "header" in query else None
    if "no-header" in query:
        without = boolean_of(query, "no-header")
        if header is without:
            raise BadRequest("must not contradict the parameter header", parameter="no-header")
        header = not without
    return ReadOptions(
        format=one_of(query, "format", FORMATS) if "format" in query else None,
        encoding=query.get("encoding"),
        delimiter=query.get("delimiter"),
        header=header,
        column=query.get("column"),
        trim=boolean_of(query, "trim"),
        used_rows=UsedRows(one_of(query, "used-rows", tuple(UsedRows))),
    )


def format_of(view: APIViewSet, media_types: Mapping[str, str]) -> str:
    """The format of an exported file: by the parameter `format`, else by the header Accept, else the first one.

    Args:
        media_types: by format.

    Raises:
        BadRequest: the parameter has another value.
    """
    query = view.request.query_params
    if "format" not in query and (wanted := view.accepted_file_type()):
        return next(format for format, media_type in media_types.items() if media_type == wanted)
    return one_of(query, "format", tuple(media_types))


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
