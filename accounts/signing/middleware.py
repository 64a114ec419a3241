"""The signature of every answer that is about an account (contract: platform 3.4)."""

from django.utils.encoding import escape_uri_path
from django.utils.http import http_date

from accounts.signing import algorithms
from accounts.signing.key_cache import cached_private_key


class SignatureMiddleware:
    """Signs the answer, errors too, with a key of the account that the address named. An export is no answer to
    verify: it is sent while it is read.

    It stands outside of whatever could change the body. An answer that cannot be signed is not sent: what fails here
    is an error 500.
    """

    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request):
        response = self.get_response(request)
        account = getattr(request, "account", None)
        if account is not None and not response.streaming:
            sign(request, response, str(account.pk))
        return response


def sign(request, response, account_id):
    """Put date, digest and signature into the headers of a response, for a client who verifies them."""
    date, digest = http_date(), algorithms.digest_header(response.content)
    response["Date"] = response["Keygen-Date"] = date
    response["Digest"] = response["Keygen-Digest"] = digest
    try:
        algorithm = algorithms.wanted_algorithm(request.META.get("HTTP_KEYGEN_ACCEPT_SIGNATURE"), account_id)
    except algorithms.SignatureNotAccepted:
        return  # the answer says so
    text = algorithms.signed_text(
        method=request.method,
        target=target_of(request),
        host=request.get_host(),  # as it was sent, with a port that is not the usual one: so clients verify it
        date=date,
        digest=digest,
    )
    signature = algorithms.sign(algorithm, cached_private_key(account_id, algorithms.ALGORITHMS[algorithm]), text)
    response["Keygen-Signature"] = algorithms.signature_header(account_id, algorithm, signature)


def target_of(request):
    """Path and query as they were received, if the server says so; else as a client normally spells them."""
    received = request.META.get("RAW_URI") or request.META.get("REQUEST_URI")
    if received:
        return received
    query = request.META.get("QUERY_STRING", "")
    return escape_uri_path(request.path) + (f"?{query}" if query else "")
