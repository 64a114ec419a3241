"""Forms of the console that run once, however often they are sent, and pages that show a secret result for a while.

An open form has an id, a UUIDv7. Its action stores, in the same transaction, an `IdempotentResponse` of the operator
under this id. If the form is sent again, or opened again by the browser's *Back*, the response comes from there. If it
is sent again with other values, such as another customer, it is refused: its first result is for the first values.

A secret, such as the text of a token, is shown on a page of its own to the operator who sent the form, for
SECRET_LIFETIME. It is stored encrypted. The encryption key is derived from SECRET_KEY and the id of the form, of which
the database has only the digest: a copy of the database does not reveal the secret, not even together with SECRET_KEY.
"""

import os
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from django.contrib import admin, messages
from django.db import IntegrityError, OperationalError, transaction
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.crypto import constant_time_compare, salted_hmac
from uuid_utils.compat import uuid7

from keygen_site.db.fields import digest
from keygen_site.db.session_limits import is_timeout
from keygen_site.db.uuids import parse_uuid
from keygen_site.models import IdempotentResponse

SECRET_LIFETIME = timedelta(minutes=15)
# The time within which a form can be sent. Longer than a session, and shorter than its response is stored.
FORM_LIFETIME = timedelta(hours=12)
RESPONSE_LIFETIME = timedelta(hours=24)
_SALT = "accounts.admin.form_once"
_NONCE_BYTES = 12
_INTERNAL_FIELDS = ("csrfmiddlewaretoken", "once")


class SecretResponse(HttpResponse):
    """A result with a secret. `run_form_once()` replaces it by a redirect to the page that shows the secret.

    Attributes:
        text: the secret.
        page: the rest of that page.
    """

    def __init__(
        self,
        *,
        title: str,
        text: str,
        section: str,
        back: str = "",
        again: bool = False,
        filename: str = "",
        template: str = "admin/token.html",
        details: Mapping[str, str] | None = None,
        note: str = "",
        example: str = "",
    ) -> None:
        """
        Args:
            section: the name of the list that the page belongs to.
            back: the URL of the next page; the home page if empty.
            again: whether the secret can still be seen elsewhere afterwards.
            filename: the name of the file that the page offers as a download; none if empty.
            note: instructions for the secret.
            example: a command that uses the secret, with `{secret}` in its place.
            template: of the page.
            details: further values for the template. They are stored unencrypted, so they must not be secret.
        """
        super().__init__()
        self.text = text
        self.page: dict[str, Any] = {
            "title": title,
            "section": section,
            "back": back,
            "again": again,
            "filename": filename,
            "note": note,
            "example": example,
            "template": template,
            "details": dict(details or {}),
        }


def form_id(request: HttpRequest) -> UUID:
    """The id of the form on a page: as it was sent, or from the URL, or a new one."""
    id = _sent_id(request)
    return id if id and not _is_old(id) else uuid7()


def replay_if_sent(request: HttpRequest) -> HttpResponse | None:
    """The response for a form that was sent before, or None.

    A form that is sent again gets the first response. One that is opened again, or sent again with other values, gets
    a page that says that it was sent.
    """
    id = _sent_id(request)
    stored = id and _responses_of(request).filter(name=_name(id)).first()
    if not id or not stored:
        return None
    if request.method == "POST":
        return _replay(request, id, stored)
    context = {
        **admin.site.each_context(request),
        "title": "This form was sent",
        "sent": stored.created,
        "result": _result_url(id, stored),
        "again": _form_url(request),
    }
    return TemplateResponse(request, "admin/sent.html", context)


def run_form_once(request: HttpRequest, act: Callable[[], HttpResponse]) -> HttpResponse:
    """Run the action of a form in one transaction, unless the form was sent before.

    A form without an id counts as new. A response that is no redirect is a form with errors: its transaction is rolled
    back, and the form can be sent again.

    Args:
        act: runs the action.
    """
    id = parse_uuid(request.POST.get("once", "")) or uuid7()
    if _is_old(id):
        messages.error(request, "This page was open for too long, so nothing was done. Fill it in again.")
        return HttpResponseRedirect(_form_url(request))
    stored = IdempotentResponse(name=_name(id), fingerprint=_fingerprint(request, id), **_owner(request))
    is_first = False
    try:
        with transaction.atomic():
            # A second request with the same form waits here until the first one ends.
            stored.save(force_insert=True)
            is_first = True
            response = act()
            if isinstance(response, SecretResponse):
                stored.headers, stored.body = response.page, _encrypt(id, response.text)
                response = HttpResponseRedirect(_result_url(id, stored))
            elif isinstance(response, HttpResponseRedirect):
                stored.headers = {"Location": response.url}
            else:
                transaction.set_rollback(True)
                return response
            stored.status = response.status_code
            stored.save(update_fields=["status", "headers", "body"])
            _prune(request)
    except IntegrityError:
        if is_first:
            raise
        return _replay(request, id, _responses_of(request).get(name=_name(id)))
    except OperationalError as error:
        if is_first or not is_timeout(error):
            raise
        messages.warning(request, "This form is still being worked on. Look again in a moment.")
        return HttpResponseRedirect(_form_url(request, once=str(id)))
    return response


def find_secret(request: HttpRequest, id: UUID) -> tuple[IdempotentResponse | None, str]:
    """The stored response of the operator's form with this id, or None, and its secret, empty after SECRET_LIFETIME."""
    stored = _responses_of(request).filter(name=_name(id)).first()
    if stored is None or "Location" in stored.headers:
        return None, ""
    if not stored.body or stored.created < timezone.now() - SECRET_LIFETIME:
        return stored, ""
    try:
        return stored, _decrypt(id, bytes(stored.body))
    except InvalidTag:  # SECRET_KEY has changed
        return stored, ""


def _sent_id(request: HttpRequest) -> UUID | None:
    return parse_uuid(request.POST.get("once") or request.GET.get("once", ""))


def _replay(request: HttpRequest, id: UUID, stored: IdempotentResponse) -> HttpResponseRedirect:
    if not constant_time_compare(bytes(stored.fingerprint), _fingerprint(request, id)):
        # In another tab, or after Back. The page of the first result has, for example, the key of another customer.
        messages.error(
            request, "This form was sent before with other values, so nothing was done this time. Open a new form."
        )
        return HttpResponseRedirect(_form_url(request, once=str(id)))
    messages.warning(request, "This form was sent before. This is the first result; nothing was done again.")
    return HttpResponseRedirect(_result_url(id, stored))


def _result_url(id: UUID, stored: IdempotentResponse) -> str:
    """The URL of the result. That of a secret contains the id of the form, and is therefore not stored."""
    return stored.headers.get("Location") or reverse("admin:shown", args=[id])


def _owner(request: HttpRequest) -> dict[str, UUID]:
    """The scope of the operator's responses. A superuser has no account, and no account of the API has a user's id."""
    assert request.user.pk
    return {"account_id": request.user.pk, "bearer_id": request.user.pk}


def _responses_of(request: HttpRequest) -> QuerySet[IdempotentResponse]:
    return IdempotentResponse.objects.filter(**_owner(request))


def _name(id: UUID) -> str:
    return digest(str(id)).hex()


def _fingerprint(request: HttpRequest, id: UUID) -> bytes:
    """A keyed digest of the values of a form. It does not reveal them: some are passwords."""
    values = sorted((name, request.POST.getlist(name)) for name in request.POST if name not in _INTERNAL_FIELDS)
    return salted_hmac(_SALT, f"{id} {request.path} {values}", algorithm="sha256").digest()


def _is_old(id: UUID) -> bool:
    """Whether a form was opened so long ago that its response may have been deleted."""
    milliseconds = (uuid7().int >> 80) - (id.int >> 80)
    return timedelta(milliseconds=milliseconds) > FORM_LIFETIME


def _form_url(request: HttpRequest, **more: str) -> str:
    """The URL of a form, without its id."""
    query = request.GET.copy()
    query.pop("once", None)
    query.update(more)
    return f"{request.path}?{query.urlencode()}" if query else request.path


def _prune(request: HttpRequest) -> None:
    """Delete the operator's responses that no form can request any more, and the secrets that are no longer shown."""
    now = timezone.now()
    _responses_of(request).filter(created__lt=now - RESPONSE_LIFETIME).delete()
    _responses_of(request).filter(created__lt=now - SECRET_LIFETIME).exclude(body=b"").update(body=b"")


def _cipher(id: UUID) -> AESGCM:
    return AESGCM(salted_hmac(_SALT, id.bytes, algorithm="sha256").digest())


def _encrypt(id: UUID, text: str) -> bytes:
    nonce = os.urandom(_NONCE_BYTES)
    return nonce + _cipher(id).encrypt(nonce, text.encode(), None)


def _decrypt(id: UUID, encrypted: bytes) -> str:
    return _cipher(id).decrypt(encrypted[:_NONCE_BYTES], encrypted[_NONCE_BYTES:], None).decode()
