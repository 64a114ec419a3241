"""What happens to every request before it is routed."""

from urllib.parse import unquote_to_bytes

from uuid_utils.compat import uuid7

from keygen_site.errors import BytesInvalid, NullByte
from keygen_site.renderers import error_response


class RequestIdMiddleware:
    """Gives every request an id of its own: header `X-Request-Id`, and `meta.id` of an error document."""

    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request):
        request.id = str(uuid7())
        response = self.get_response(request)
        response["X-Request-Id"] = request.id
        return response


class WellFormedRequestMiddleware:
    """Refuses addresses that are no text, so that nothing behind it has to expect them."""

    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request):
        # Django has percent-encoded the bytes of the path that do not decode once more, so they show here again.
        path, query = request.path_info, request.META.get("QUERY_STRING", "")
        try:
            text = (unquote_to_bytes(path) if "%" in path else path.encode()).decode() + unquote_to_bytes(
                query
            ).decode()
        except UnicodeDecodeError:
            return error_response(request, BytesInvalid())
        if "\0" in text:
            return error_response(request, NullByte())
        return self.get_response(request)
