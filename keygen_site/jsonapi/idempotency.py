"""The header `Idempotency-Key`: a repeated request gets the stored response, and has no second effect.

The response is stored in the transaction of the effect: either both exist or neither, and a process that dies leaves no
request "running". A repeated request waits while the first one runs. Only successful responses are stored: a failed
request had no effect, and can be repeated under the same key.
"""

import re
from collections.abc import Callable
from typing import Any

from django.db import IntegrityError, OperationalError, transaction
from rest_framework.response import Response

from keygen_site.db.fields import digest
from keygen_site.jsonapi import codec
from keygen_site.jsonapi.errors import BadRequest, DomainError
from keygen_site.jsonapi.negotiation import Document
from keygen_site.jsonapi.requests import APIRequest
from keygen_site.models import IdempotentResponse
from keygen_site.paths import normalize_url

HEADER = "Idempotency-Key"
# The headers of a response that are stored with it. All others belong to a single request.
STORED_HEADERS = ("Location",)
_KEY = re.compile(r"[\x21-\x7e]{1,255}")


class IdempotencyKeyInvalid(BadRequest):
    """The header is empty, too long, or contains a blank or a character outside of ASCII."""

    detail = "must be between 1 and 255 visible ASCII characters"
    code = "IDEMPOTENCY_KEY_INVALID"
    source = {"header": HEADER}


class IdempotencyKeyReused(DomainError):
    """The key was used for another request."""

    detail = "was already used for another request"
    code = "IDEMPOTENCY_KEY_REUSED"
    source = {"header": HEADER}


class IdempotencyKeyInUse(DomainError):
    """The first request with the key is still running."""

    status = 409
    title = "Conflict"
    detail = "A request with the same Idempotency-Key is still running. Please try again."
    code = "IDEMPOTENCY_KEY_IN_USE"
    source = {"header": HEADER}
    headers = {"Retry-After": "1"}


class IdempotentResponseVoid(DomainError):
    """The effect of the first request was undone: the key that it handed out was returned to its pool."""

    status = 409
    title = "Conflict"
    detail = "The effect of the request with this Idempotency-Key was undone. Please send a new request."
    code = "IDEMPOTENT_RESPONSE_VOID"
    source = {"header": HEADER}


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
) -> Response:
    """Run an action, unless a request with the same key and bearer has succeeded before.

    Args:
        key: the idempotency key.
        request: its account and bearer are the scope of the key.
        act: has the effect and returns the response.
        is_busy: whether an error is the timeout of the wait for the first request.
        fingerprint: of a request whose body is not a document.

    Returns:
        The response, or the stored one with the header `Idempotency-Replayed`.

    Raises:
        IdempotencyKeyReused: the first request was a different one.
        IdempotencyKeyInUse: the first request runs for longer than the setting LOCK_TIMEOUT.
    """
    scope = _scope(key, request)
    fingerprint = fingerprint or fingerprint_of(request)
    stored = IdempotentResponse(**scope, fingerprint=fingerprint, request_id=request.id)
    is_first = False
    try:
        with transaction.atomic():
            # Waits while a first request runs, which locks the row of this key until its transaction ends.
            stored.save(force_insert=True)
            is_first = True
            response = act()
            stored.status = response.status_code
            stored.headers = {header: response[header] for header in STORED_HEADERS if header in response}
            document = response.data if isinstance(response.data, Document) else {"data": response.data}
            stored.body = codec.dumps(document) if response.data is not None else b""
            stored.save(update_fields=["status", "headers", "body"])
    except IntegrityError:
        if is_first:
            raise
        return replay(IdempotentResponse.objects.get(**scope), fingerprint)
    except OperationalError as error:
        if not is_first and is_busy(error):
            raise IdempotencyKeyInUse from error
        raise
    return response


def stored_response(key: str, request: APIRequest, fingerprint: bytes) -> Response | None:
    """The stored response, or None. Called before `run_once()` if the request takes much work.

    Raises:
        IdempotencyKeyReused: it belongs to another request.
    """
    stored = IdempotentResponse.objects.filter(**_scope(key, request)).first()
    return replay(stored, fingerprint) if stored else None


def _scope(key: str, request: APIRequest) -> dict[str, Any]:
    return {"account_id": request.account.pk, "bearer_id": request.user.id, "name": key}


def fingerprint_of(request: APIRequest, document: bytes | None = None) -> bytes:
    """The SHA-256 of a request: its method, URL, reference and document.

    Args:
        document: replaces the document of a request whose body is not one.
    """
    if document is None:
        document = codec.dumps(request.data, sort_keys=True) if request.method != "DELETE" else b""
    reference = request.META.get("HTTP_KEYGEN_REFERENCE", "")
    return digest("\n".join([request.method or "", normalize_url(request), reference, document.decode()]))


def replay(stored: IdempotentResponse, fingerprint: bytes) -> Response:
    """The response to a repeated request.

    Raises:
        IdempotencyKeyReused: the stored response belongs to another request.
        IdempotentResponseVoid: the effect of the request was undone.
    """
    if bytes(stored.fingerprint) != fingerprint:
        raise IdempotencyKeyReused
    if stored.voided:
        raise IdempotentResponseVoid
    body = bytes(stored.body)
    data = Document(codec.loads(body)) if body else None
    return Response(data, status=stored.status, headers={**stored.headers, "Idempotency-Replayed": "true"})
