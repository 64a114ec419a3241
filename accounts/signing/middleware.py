"""Signatures of the responses that are about an account (contract: platform 3.4)."""

from collections.abc import Callable
from typing import cast

from django.http import HttpRequest
from django.http.response import HttpResponse, HttpResponseBase
from django.utils.encoding import escape_uri_path
from django.utils.http import http_date

from accounts.models import Account
from accounts.signing import algorithms
from accounts.signing.key_cache import cached_private_key
from accounts.signing.purposes import RESPONSE, sign


class SignatureMiddleware:
    """Signs responses, errors included, with a key of the account that the URL names; not streamed ones, the exports.

    It comes before all middleware that could change the body. A response that cannot be signed is not sent: a failure
    here is an error 500.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        response = self.get_response(request)
        account = getattr(request, "account", None)
        if account is not None and not response.streaming:
            sign_response(request, cast(HttpResponse, response), account)
        return response


def sign_response(request: HttpRequest, response: HttpResponse, account: Account) -> None:
    """Set the headers of a response by which a client verifies it: date, digest and signature."""
    account_id = str(account.pk)
    date, digest = http_date(), algorithms.format_digest(response.content)
    response["Date"] = response["Keygen-Date"] = date
    response["Digest"] = response["Keygen-Digest"] = digest
    try:
        algorithm = algorithms.parse_accept_signature(request.META.get("HTTP_KEYGEN_ACCEPT_SIGNATURE"), account_id)
    except algorithms.SignatureNotAccepted:
        return  # the response is that error
    data = algorithms.build_signing_data(
        method=request.method or "",
        target=request_target(request),
        host=request.get_host(),  # as it was sent, with an unusual port: clients verify it so
        date=date,
        digest=digest,
    )
    key = cached_private_key(account, algorithms.KEY_KIND_BY_ALGORITHM[algorithm])
    signature = sign(RESPONSE, algorithm, key, data)
    response["Keygen-Signature"] = algorithms.format_signature(account_id, algorithm, signature)


def request_target(request: HttpRequest) -> str:
    """Path and query as they were received, if the server tells; else in their normal spelling."""
    received = request.META.get("RAW_URI") or request.META.get("REQUEST_URI")
    if received:
        return received
    query = request.META.get("QUERY_STRING", "")
    return escape_uri_path(request.path) + (f"?{query}" if query else "")
