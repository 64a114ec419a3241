"""The header `Idempotency-Key`: a repeated request gets the stored response, and has no second effect.

The response is stored in the transaction of the effect: either both exist or neither, and a process that dies leaves no
request "running". A repeated request waits while the first one runs. Only successful responses are stored: a failed
request had no effect, and can be repeated under the same key.

Two kinds of responses are not stored as they are. Of a response with more than MAX_BODY_BYTES the ids of its rows are
stored, and a replay shows these rows. A response with a secret that is shown once is not stored. If a response cannot
be replayed, the repeated request is refused, and has no second effect.
"""

import random
import re
from collections.abc import Callable, Iterable
from datetime import timedelta
from itertools import count
from typing import Any

from django.conf import settings
from django.db import IntegrityError, OperationalError, transaction
from django.utils import timezone
from django.utils.crypto import constant_time_compare, salted_hmac
from rest_framework.response import Response

from keygen_site.db.fields import digest
from keygen_site.db.postgresql.base import send_with_commit
from keygen_site.jsonapi import codec, idempotency_limits
from keygen_site.jsonapi.errors import REFERENCE, BadRequest, DomainError
from keygen_site.jsonapi.negotiation import Document
from keygen_site.jsonapi.requests import APIRequest
from keygen_site.models import IdempotentResponse
from keygen_site.paths import normalize_url

HEADER = "Idempotency-Key"
# The headers of a response that are stored with it. All others belong to a single request.
STORED_HEADERS = ("Location",)
MAX_BODY_BYTES = 64 * 1024
RESPONSE_LIFETIME = timedelta(hours=24)
# Each PRUNE_INTERVAL-th new response deletes up to PRUNE_BATCH_SIZE old ones: more than were added in the meantime.
PRUNE_INTERVAL, PRUNE_BATCH_SIZE = 20, 100
_KEY = re.compile(r"[\x21-\x7e]{1,255}")
_SALT = "keygen_site.jsonapi.idempotency"
_new_responses = count(random.randrange(PRUNE_INTERVAL))


class IdempotencyKeyInvalid(BadRequest):
    """The `Idempotency-Key` is empty, too long, or contains a blank or a character outside of ASCII."""

    detail = "must be between 1 and 255 visible ASCII characters"
    code = "IDEMPOTENCY_KEY_INVALID"
    about = REFERENCE
    source = {"header": HEADER}


class IdempotencyKeyReused(DomainError):
    """The `Idempotency-Key` was used for another request: another method, URL, body or reference."""

    detail = "was already used for another request"
    code = "IDEMPOTENCY_KEY_REUSED"
    about = REFERENCE
    source = {"header": HEADER}


class IdempotencyKeyInUse(DomainError):
    """The first request with the `Idempotency-Key` is still running: try again."""

    status = 409
    title = "Conflict"
    detail = "A request with the same Idempotency-Key is still running. Please try again."
    code = "IDEMPOTENCY_KEY_IN_USE"
    about = REFERENCE
    source = {"header": HEADER}
    headers = {"Retry-After": "1"}


class IdempotentResponseVoid(DomainError):
    """The key that the first request popped was returned to its pool. Use another `Idempotency-Key`."""

    status = 409
    title = "Conflict"
    detail = "The effect of the request with this Idempotency-Key was undone. Please send a new request."
    code = "IDEMPOTENT_RESPONSE_VOID"
    about = REFERENCE
    source = {"header": HEADER}


class IdempotentResponseUnavailable(DomainError):
    """The request had its effect, but its response cannot be replayed."""

    status = 409
    title = "Conflict"
    source = {"header": HEADER}

    def __init__(self, stored: IdempotentResponse) -> None:
        super().__init__()
        self.headers = {"Idempotency-Replayed": "true", **stored.headers}


class IdempotentResponseSecret(IdempotentResponseUnavailable):
    """The first request took effect, but its response had a secret that is shown only once.

    The client has to delete the new resource, such as a license whose key is stored as a hash only.
    """

    detail = (
        "The request with this Idempotency-Key had its effect, and its response had a secret that is shown only once. "
        "If you did not receive it, delete the new resource, and send a new request."
    )
    code = "IDEMPOTENT_RESPONSE_SECRET"
    about = REFERENCE


class IdempotentResponseNotStored(IdempotentResponseUnavailable):
    """The first request took effect, but its response was too large to store, or its resources are gone."""

    detail = (
        "The request with this Idempotency-Key had its effect, but its response was too large to be stored. "
        "Look up the result; do not send the request under a new key."
    )
    code = "IDEMPOTENT_RESPONSE_NOT_STORED"
    about = REFERENCE


IDEMPOTENCY_ERRORS: tuple[type[DomainError], ...] = (
    IdempotencyKeyInvalid,
    IdempotencyKeyReused,
    IdempotencyKeyInUse,
    IdempotentResponseVoid,
    IdempotentResponseSecret,
    IdempotentResponseNotStored,
    idempotency_limits.IdempotencyKeysSpent,
)


class RowResponse(Response):
    """A response that shows rows.

    Attributes:
        row_ids: the ids of the rows, in their order.
        is_list: whether `data` is a list.
        shows_secret: whether the response has a secret that is not shown again.
    """

    def __init__(
        self, data: Any, *, row_ids: list[str], is_list: bool = False, shows_secret: bool = False, **options: Any
    ) -> None:
        super().__init__(data, **options)
        self.row_ids, self.is_list, self.shows_secret = row_ids, is_list, shows_secret


# Makes a response again from the ids of its rows and `is_list`; returns None if a row is gone or invisible.
Rebuild = Callable[[list[str], bool], Response | None]


def key_of(request: APIRequest) -> str | None:
    """The idempotency key of a request, or None.

    Raises:
        IdempotencyKeyInvalid: the header is not a key.
    """
    key = request.META.get("HTTP_IDEMPOTENCY_KEY")
    if key is not None and not _KEY.fullmatch(key):
        raise IdempotencyKeyInvalid
    return key


def run_once(
    key: str,
    request: APIRequest,
    act: Callable[[], Response],
    is_busy: Callable[[OperationalError], bool],
    fingerprint: bytes | None = None,
    rebuild: Rebuild | None = None,
) -> Response:
    """Run an action, unless a request with the same key and bearer has succeeded before.

    Args:
        key: the idempotency key.
        request: its account and bearer are the scope of the key.
        act: has the effect and returns the response.
        is_busy: whether an error is the timeout of the wait for the first request.
        fingerprint: of a request whose body is not a document.
        rebuild: makes a large response again.

    Returns:
        The response, or the stored one with the header `Idempotency-Replayed`.

    Raises:
        IdempotencyKeyReused: the first request was a different one.
        IdempotencyKeyInUse: the first request runs for longer than the setting LOCK_TIMEOUT.
        IdempotencyKeysSpent: the key is new, and the bearer has used too many.
        IdempotentResponseVoid, IdempotentResponseUnavailable: the response cannot be replayed.
    """
    scope = _scope(key, request)
    fingerprint = fingerprint or fingerprint_of(request)
    try:
        idempotency_limits.spend(request.user)
    except idempotency_limits.IdempotencyKeysSpent:
        if response := stored_response(key, request, fingerprint, rebuild):
            return response
        raise
    stored = IdempotentResponse(**scope, fingerprint=_keyed(fingerprint), request_id=request.id)
    is_first = False
    try:
        with transaction.atomic():
            # Waits while a first request runs, which locks the row of this key until its transaction ends.
            stored.save(force_insert=True)
            is_first = True
            response = act()
            _store(stored, response)
            if next(_new_responses) % PRUNE_INTERVAL == 0:
                IdempotentResponse.objects.prune(timezone.now() - RESPONSE_LIFETIME, PRUNE_BATCH_SIZE)
    except IntegrityError:
        if is_first:
            raise
        if replayed := stored_response(key, request, fingerprint, rebuild):
            return replayed
        # The stored response was old, and has just been deleted.
        return run_once(key, request, act, is_busy, fingerprint, rebuild)
    except OperationalError as error:
        if not is_first and is_busy(error):
            raise IdempotencyKeyInUse from error
        raise
    return response


def stored_response(
    key: str, request: APIRequest, fingerprint: bytes, rebuild: Rebuild | None = None
) -> Response | None:
    """The stored response, or None. Called before `run_once()` if the request takes much work.

    Raises:
        IdempotencyKeyReused: it belongs to another request.
        IdempotentResponseVoid, IdempotentResponseUnavailable: see `run_once`.
    """
    stored = IdempotentResponse.objects.filter(**_scope(key, request)).first()
    return replay(stored, fingerprint, rebuild) if stored else None


def _store(stored: IdempotentResponse, response: Response) -> None:
    with send_with_commit():
        stored.update_columns(
            status=response.status_code,
            headers={header: response[header] for header in STORED_HEADERS if header in response},
            body=_stored_body(response),
        )


def _stored_body(response: Response) -> bytes:
    """The document of a response, or an object with `instead` in place of it."""
    if response.data is None:
        return b""
    rows = response if isinstance(response, RowResponse) else None
    if rows and rows.shows_secret:
        return codec.dumps({"instead": "secret"})
    body = codec.dumps(response.data if isinstance(response.data, Document) else {"data": response.data})
    if len(body) > MAX_BODY_BYTES:
        body = codec.dumps({"instead": "rows", "ids": rows.row_ids, "is_list": rows.is_list}) if rows else b""
    return body if 0 < len(body) <= MAX_BODY_BYTES else codec.dumps({"instead": "nothing"})


def _scope(key: str, request: APIRequest) -> dict[str, Any]:
    return {**idempotency_limits.scope_of(request.user), "name": key}


def fingerprint_of(request: APIRequest, document: bytes | None = None) -> bytes:
    """The SHA-256 of a request: its method, URL, reference and document. It is never stored as it is.

    Args:
        document: replaces the document of a request whose body is not one.
    """
    if document is None:
        document = codec.dumps(request.data, sort_keys=True) if request.method != "DELETE" else b""
    reference = request.META.get("HTTP_KEYGEN_REFERENCE", "")
    return digest("\n".join([request.method or "", normalize_url(request), reference, document.decode()]))


def _keyed(fingerprint: bytes, secret: str | None = None) -> bytes:
    """The stored form of a fingerprint: a request, and a password in it, cannot be guessed without SECRET_KEY."""
    return salted_hmac(_SALT, fingerprint, secret=secret, algorithm="sha256").digest()


def _is_same_request(stored: IdempotentResponse, fingerprint: bytes) -> bool:
    secrets: Iterable[str] = (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS)
    return any(constant_time_compare(bytes(stored.fingerprint), _keyed(fingerprint, secret)) for secret in secrets)


def replay(stored: IdempotentResponse, fingerprint: bytes, rebuild: Rebuild | None = None) -> Response:
    """The response to a repeated request.

    Raises:
        IdempotencyKeyReused: the stored response belongs to another request, or SECRET_KEY has changed.
        IdempotentResponseVoid: the effect of the request was undone.
        IdempotentResponseSecret, IdempotentResponseNotStored: the response cannot be replayed.
    """
    if not _is_same_request(stored, fingerprint):
        raise IdempotencyKeyReused
    if stored.voided:
        raise IdempotentResponseVoid
    body = bytes(stored.body)
    content: dict[str, Any] = codec.loads(body) if body else {}
    response: Response | None = Response(Document(content) if body else None, status=stored.status)
    match content.get("instead"):
        case "secret":
            raise IdempotentResponseSecret(stored)
        case "nothing":
            raise IdempotentResponseNotStored(stored)
        case "rows":
            response = rebuild(content["ids"], content["is_list"]) if rebuild else None
    if response is None:
        raise IdempotentResponseNotStored(stored)
    for name, value in {**stored.headers, "Idempotency-Replayed": "true"}.items():
        response[name] = value
    return response
