"""Forms of the console that act once, however often they are sent, and pages that show the result for a while.

An open form has an id, a UUIDv7. With the act, in its transaction, an `IdempotentResponse` of the operator is written
under this id: the same form sent again, or opened again by the browser's *Back*, is answered from there.

A secret, such as the text of a token, is shown by a page of its own to the operator who sent the form, for SHOWN_FOR.
It is stored encrypted. The encryption key is derived from SECRET_KEY and the id of the form; the database has only the
digest of that id, so a copy of the database does not show the secret, not even together with SECRET_KEY.
"""

import os
from collections.abc import Callable
from datetime import timedelta
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
from django.utils.crypto import salted_hmac
from uuid_utils.compat import uuid7

from keygen_site.db.fields import digest
from keygen_site.db.session_limits import is_timeout
from keygen_site.db.uuids import parse_uuid
from keygen_site.models import IdempotentResponse

SHOWN_FOR = timedelta(minutes=15)
# A form acts once for as long as this. Longer than a session, and less than the day for which answers are kept.
FORM_LASTS = timedelta(hours=12)
KEPT = timedelta(hours=24)
_SALT = "accounts.admin.form_once"
_NONCE = 12  # bytes


class Shown(HttpResponse):
    """The result of an act with a secret. `once()` answers with a redirect to the page that shows the secret.

    Attributes:
        text: the secret.
        page: the rest of that page.
    """

    def __init__(self, *, title: str, text: str, section: str, back: str = "", again: bool = False) -> None:
        """
        Args:
            section: the name of the list that the page belongs to.
            back: the address that the page leads on to; the home page if empty.
            again: whether the secret can be seen elsewhere later on.
        """
        super().__init__()
        self.text = text
        self.page = {"title": title, "section": section, "back": back, "again": again}


def form_id(request: HttpRequest) -> UUID:
    """The id of the form on a page: as it was sent, or as the address has it, or a new one."""
    named = parse_uuid(request.POST.get("once") or request.GET.get("once", ""))
    return named if named and not _is_old(named) else uuid7()


def sent_before(request: HttpRequest) -> HttpResponse | None:
    """The answer to a request about a form that was sent before, or None.

    To a form that is sent again, the answer of the first time; to a form that is opened again, a page that says so.
    """
    named = parse_uuid(request.POST.get("once") or request.GET.get("once", ""))
    stored = named and _of(request).filter(name=_name(named)).first()
    if not stored:
        return None
    if request.method == "POST":
        return _replayed(request, named, stored)
    context = {
        **admin.site.each_context(request),
        "title": "This form was sent",
        "sent": stored.created,
        "result": _result(named, stored),
        "again": _address(request),
    }
    return TemplateResponse(request, "admin/sent.html", context)


def once(request: HttpRequest, act: Callable[[], HttpResponse]) -> HttpResponse:
    """Do what a form asks for, in one transaction, unless the same form was sent before.

    A form without an id counts as a new one. An answer that is no redirect is that of a form with mistakes: whatever
    was written is undone, and the form can be sent again.
    """
    named = parse_uuid(request.POST.get("once", "")) or uuid7()
    if _is_old(named):
        messages.error(request, "This page was open for too long, so nothing was done. Fill it in again.")
        return HttpResponseRedirect(_address(request))
    stored = IdempotentResponse(name=_name(named), fingerprint=digest(request.path), **_owner(request))
    is_first = False
    try:
        with transaction.atomic():
            # A second request with the same form waits here for the first one to end.
            stored.save(force_insert=True)
            is_first = True
            answer = act()
            if isinstance(answer, Shown):
                stored.headers, stored.body = answer.page, _sealed(named, answer.text)
                answer = HttpResponseRedirect(_result(named, stored))
            elif isinstance(answer, HttpResponseRedirect):
                stored.headers = {"Location": answer.url}
            else:
                transaction.set_rollback(True)
                return answer
            stored.status = answer.status_code
            stored.save(update_fields=["status", "headers", "body"])
            _forget_old(request)
    except IntegrityError:
        if is_first:
            raise
        return _replayed(request, named, _of(request).get(name=_name(named)))
    except OperationalError as error:
        if is_first or not is_timeout(error):
            raise
        messages.warning(request, "This form is still being worked on. Look again in a moment.")
        return HttpResponseRedirect(_address(request, once=str(named)))
    return answer


def shown(request: HttpRequest, named: UUID) -> tuple[IdempotentResponse | None, str]:
    """What the operator's form of this id has brought, or None, and the secret; none when it is no longer shown."""
    stored = _of(request).filter(name=_name(named)).first()
    if stored is None or "Location" in stored.headers:
        return None, ""
    if not stored.body or stored.created < timezone.now() - SHOWN_FOR:
        return stored, ""
    try:
        return stored, _opened(named, bytes(stored.body))
    except InvalidTag:  # SECRET_KEY is another one now
        return stored, ""


def _replayed(request: HttpRequest, named: UUID, stored: IdempotentResponse) -> HttpResponseRedirect:
    messages.warning(request, "This form was sent before. This is the first result; nothing was done again.")
    return HttpResponseRedirect(_result(named, stored))


def _result(named: UUID, stored: IdempotentResponse) -> str:
    """The address of the result. That of a secret has the id of the form in it, and is therefore not stored."""
    return stored.headers.get("Location") or reverse("admin:shown", args=[named])


def _owner(request: HttpRequest) -> dict[str, UUID]:
    """Whose answers these are. A superuser has no account; and no answer of the API has a person for one."""
    assert request.user.pk
    return {"account_id": request.user.pk, "bearer_id": request.user.pk}


def _of(request: HttpRequest) -> QuerySet[IdempotentResponse]:
    return IdempotentResponse.objects.filter(**_owner(request))


def _name(named: UUID) -> str:
    return digest(str(named)).hex()


def _is_old(named: UUID) -> bool:
    """Whether a form was opened so long ago that its answer may have been forgotten."""
    milliseconds = (uuid7().int >> 80) - (named.int >> 80)
    return timedelta(milliseconds=milliseconds) > FORM_LASTS


def _address(request: HttpRequest, **more: str) -> str:
    """The address of a form, without the id that it had."""
    query = request.GET.copy()
    query.pop("once", None)
    query.update(more)
    return f"{request.path}?{query.urlencode()}" if query else request.path


def _forget_old(request: HttpRequest) -> None:
    """Delete the operator's answers that no form can ask for any more, and the secrets that are no longer shown."""
    now = timezone.now()
    _of(request).filter(created__lt=now - KEPT).delete()
    _of(request).filter(created__lt=now - SHOWN_FOR).exclude(body=b"").update(body=b"")


def _cipher(named: UUID) -> AESGCM:
    return AESGCM(salted_hmac(_SALT, named.bytes, algorithm="sha256").digest())


def _sealed(named: UUID, text: str) -> bytes:
    nonce = os.urandom(_NONCE)
    return nonce + _cipher(named).encrypt(nonce, text.encode(), None)


def _opened(named: UUID, sealed: bytes) -> str:
    return _cipher(named).decrypt(sealed[:_NONCE], sealed[_NONCE:], None).decode()
