"""Requests that may be sent twice and have their effect once: the header `Idempotency-Key`.

The answer is stored in the transaction of the effect, so either both are there or neither is, and nothing stays
"running" when a process dies. A twin of a request that is still running waits for its transaction to end. Only
answers of success are stored: what failed had no effect, and may be tried again under the same name.
"""

import re

import orjson
from django.db import IntegrityError, OperationalError, transaction
from rest_framework.response import Response

from keygen_site.db.fields import digest
from keygen_site.jsonapi.errors import BadRequest, DomainError
from keygen_site.jsonapi.negotiation import Document
from keygen_site.models import IdempotentResponse
from keygen_site.paths import address_of

HEADER = "Idempotency-Key"
# What a client may need of an answer besides its body. The rest is about the request that it answers.
STORED_HEADERS = ("Location",)
_NAME = re.compile(r"[\x21-\x7e]{1,255}")


class IdempotencyKeyInvalid(BadRequest):
    detail = "must be between 1 and 255 visible ASCII characters"
    code = "IDEMPOTENCY_KEY_INVALID"
    source = {"header": HEADER}


class IdempotencyKeyReused(DomainError):
    """Another request had this name before; answering with its answer, or having an effect, would both be wrong."""

    detail = "was already used for another request"
    code = "IDEMPOTENCY_KEY_REUSED"
    source = {"header": HEADER}


class IdempotencyKeyInUse(DomainError):
    status = 409
    title = "Conflict"
    detail = "A request with the same Idempotency-Key is still running. Please try again."
    code = "IDEMPOTENCY_KEY_IN_USE"
    source = {"header": HEADER}
    headers = {"Retry-After": "1"}


def name_of(request):
    """The name that a request was given, or None.

    Raises:
        IdempotencyKeyInvalid: it is empty, too long, or has blanks or other characters in it.
    """
    name = request.META.get("HTTP_IDEMPOTENCY_KEY")
    if name is not None and not _NAME.fullmatch(name):
        raise IdempotencyKeyInvalid
    return name


def once(name, request, act, is_busy, fingerprint=None):
    """Do what a request asks for, unless a request of the same bearer and name has been answered already.

    Args:
        name: what the client calls the request.
        request: it belongs to the account and the bearer that it carries.
        act: has the effect, and returns the response.
        is_busy: whether an `OperationalError` says that a twin was waited for in vain.
        fingerprint: what the request says, where its body is no document.

    Returns:
        The response, or the stored one, marked by the header `Idempotency-Replayed`.

    Raises:
        IdempotencyKeyReused: the other request said something else.
        IdempotencyKeyInUse: the twin takes longer than the setting LOCK_TIMEOUT.
    """
    scope = _scope(name, request)
    fingerprint = fingerprint or fingerprint_of(request)
    stored, is_first = IdempotentResponse(**scope, fingerprint=fingerprint), False
    try:
        with transaction.atomic():
            # A twin holds its row until it ends: then this one is either the first, or not.
            stored.save(force_insert=True)
            is_first = True
            response = act()
            stored.status = response.status_code
            stored.headers = {header: response[header] for header in STORED_HEADERS if header in response}
            document = response.data if isinstance(response.data, Document) else {"data": response.data}
            stored.body = orjson.dumps(document) if response.data is not None else b""
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


def answered(name, request, fingerprint):
    """The stored answer, or None; to be asked before work that `once()` would find to be in vain.

    Raises:
        IdempotencyKeyReused: it is to another request.
    """
    stored = IdempotentResponse.objects.filter(**_scope(name, request)).first()
    return stored and replay(stored, fingerprint)


def _scope(name, request):
    return {"account_id": request.account.pk, "bearer_id": request.user.id, "name": name}


def fingerprint_of(request, document=None):
    """What a request says, in 32 bytes: method, address, document (or the bytes given for it), and what it is for."""
    if document is None:
        document = orjson.dumps(request.data, option=orjson.OPT_SORT_KEYS) if request.method != "DELETE" else b""
    reference = request.META.get("HTTP_KEYGEN_REFERENCE", "")
    return digest("\n".join([request.method, address_of(request), reference, document.decode()]))


def replay(stored, fingerprint):
    """The answer once more.

    Raises:
        IdempotencyKeyReused: it was for another request.
    """
    if bytes(stored.fingerprint) != fingerprint:
        raise IdempotencyKeyReused
    body = bytes(stored.body)
    data = Document(orjson.loads(body)) if body else None
    return Response(data, status=stored.status, headers={**stored.headers, "Idempotency-Replayed": "true"})
