"""Whole files of keys over HTTP, into a pool and out of it. Their bodies are no documents."""

import hashlib
from tempfile import TemporaryFile

from django.conf import settings
from django.http import StreamingHttpResponse
from rest_framework.decorators import action
from rest_framework.response import Response

from keygen_site.db.session_limits import is_timeout
from keygen_site.db.uuids import parse_uuid
from keygen_site.jsonapi import idempotency
from keygen_site.jsonapi.errors import BadRequest, NotFound
from keygen_site.jsonapi.negotiation import Document
from keygen_site.jsonapi.request_documents import parse_time
from pools.key_files import FORMATS, FileTooLarge, read_keys, serialize_keys
from pools.models import KeyImport
from pools.services.exports import STATES, export_keys
from pools.services.imports import stage_import

# How a file is said to be: the format that it is read as, and the media type that it is sent as.
MEDIA_TYPES = {"text/plain": "text", "text/csv": "csv", "application/x-ndjson": "ndjson"}
BLOCK = 1 << 20  # bytes
MOMENTS = ("since", "until")


class TransferMixin:
    """The actions `import` and `export` of a pool."""

    @action(detail=False, methods=["post"], url_path="actions/import")
    def import_keys(self, request, *args, **kwargs):
        """Add a file of keys: all of them or, unless the query says `skip-invalid`, none."""
        format = format_of(request)
        query = request.query_params
        skip_invalid, dry_run = flag_of(query, "skip-invalid"), flag_of(query, "dry-run")
        name, once = query.get("name", ""), idempotency.name_of(request)
        if len(name) > 255 or not name.isprintable():
            raise BadRequest("must have 255 characters at most, without control characters", parameter="name")
        with TemporaryFile() as file:
            # Nothing in the database waits for a slow client, and what is sent can be compared with what was.
            fingerprint = idempotency.fingerprint_of(request, spool(request, file).hexdigest().encode())
            if once and (answer := idempotency.answered(once, request, fingerprint)):
                return answer
            lines = read_keys(file, format, query.get("column"), settings.MAX_IMPORT_BYTES)
            keys = stage_import(
                policy=self.policy,
                files=[lines],
                audit=self.audit,
                name=name,
                skip_invalid=skip_invalid,
                dry_run=dry_run,
            )
            with keys as unpublished:

                def publish():
                    unpublished.publish()
                    return Response(Document(meta=unpublished.report.as_dict()))

                if once:
                    return idempotency.once(once, request, publish, is_timeout, fingerprint)
                return publish()

    @action(detail=False, url_path="actions/export")
    def export_keys(self, request, *args, **kwargs):
        """The keys of the pool as a file, sent while it is read."""
        query = request.query_params
        format = one_of(query, "format", FORMATS)
        key_import = None
        if "import" in query:
            uuid = parse_uuid(query["import"])
            key_import = uuid and KeyImport.objects.filter(policy=self.policy, pk=uuid).first()
            if key_import is None:
                raise NotFound.of("import", query["import"])
        keys = export_keys(
            policy=self.policy,
            state=one_of(query, "state", STATES),
            key_import=key_import,
            audit=self.audit,
            **{name: moment_of(query, name) for name in MOMENTS},
        )
        media_type = next(known for known, name in MEDIA_TYPES.items() if name == format)
        return StreamingHttpResponse(
            serialize_keys(keys, format, formula_safe=flag_of(query, "formula-safe")),
            content_type=f"{media_type}; charset=utf-8",
        )


def format_of(request):
    """The format of the file in a request's body.

    Raises:
        BadRequest: its Content-Type is none of MEDIA_TYPES.
    """
    media_type = (request.content_type or "text/plain").partition(";")[0].strip().lower()
    if media_type not in MEDIA_TYPES:
        raise BadRequest(f"must be {', '.join(MEDIA_TYPES)}", header="Content-Type")
    return MEDIA_TYPES[media_type]


def spool(request, file):
    """Write the body of a request into a file, and go back to its beginning; the SHA-256 of it.

    Raises:
        FileTooLarge: it has more bytes than the setting MAX_IMPORT_BYTES.
    """
    size, sha256 = 0, hashlib.sha256()
    while block := request._request.read(BLOCK):
        size += len(block)
        if size > settings.MAX_IMPORT_BYTES:
            raise FileTooLarge
        sha256.update(block)
        file.write(block)
    file.seek(0)
    return sha256


def flag_of(query, name):
    """Whether a parameter of the query is there and true."""
    value = query.get(name, "false").lower()
    if value not in ("true", "false", "1", "0", ""):
        raise BadRequest("must be true or false", parameter=name)
    return value not in ("false", "0")


def one_of(query, name, choices):
    """A parameter of the query; the first choice where it is not there."""
    value = query.get(name, choices[0])
    if value not in choices:
        raise BadRequest(f"must be one of: {', '.join(choices)}", parameter=name)
    return value


def moment_of(query, name):
    """A parameter of the query that is a time, or None."""
    try:
        return parse_time(query[name], "") if name in query else None
    except BadRequest as error:
        raise BadRequest(error.detail, parameter=name) from None
