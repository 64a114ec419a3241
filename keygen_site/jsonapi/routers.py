"""Routes of viewsets."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, cast

from django.core.exceptions import ImproperlyConfigured
from django.urls import ResolverMatch, URLPattern, URLResolver
from django.urls.exceptions import Resolver404
from django.urls.resolvers import RoutePattern
from rest_framework.routers import DynamicRoute, Route, SimpleRouter

# The media type of the response, e.g. `.json`. An unknown one is refused.
SUFFIX = r"(?:\.(?P<format>[^/.]+))?"


class Router(SimpleRouter):
    """Routes of a viewset: PUT equals PATCH; a trailing slash and a suffix with the media type are ignored.

    `collection` and `member` map methods to actions; a resource with other actions than the usual overrides them.
    """

    include_format_suffixes = False
    ids_have_suffixes: ClassVar[bool] = True  # whether a suffix may follow an id
    collection: ClassVar[Mapping[str, str]] = {"get": "list", "post": "create"}
    member: ClassVar[Mapping[str, str]] = {
        "get": "retrieve",
        "put": "partial_update",
        "patch": "partial_update",
        "delete": "destroy",
    }

    def __init__(self) -> None:
        super().__init__()
        end = SUFFIX + "/?$"
        name, nested = "{basename}-", "{basename}-{url_name}"
        collection, member = r"^{prefix}", r"^{prefix}/{lookup}"
        self.routes = [
            Route(collection + end, dict(self.collection), f"{name}list", detail=False, initkwargs={}),
            DynamicRoute(collection + "/{url_path}" + end, nested, detail=False, initkwargs={}),
            Route(
                member + (end if self.ids_have_suffixes else r"/?$"),
                dict(self.member),
                f"{name}detail",
                detail=True,
                initkwargs={"ends_with_identifier": True},
            ),
            DynamicRoute(member + "/{url_path}" + end, nested, detail=True, initkwargs={}),
        ]


class NamedRouter(Router):
    """Routes of resources that have other identifiers besides their ids: a key or an e-mail may end in `.json`."""

    ids_have_suffixes = False


class AttachmentRouter(NamedRouter):
    """Routes of resources that are attached to the one above them, and detached, several per request."""

    collection = {"get": "list", "post": "attach", "delete": "detach"}
    member = {"get": "retrieve"}


_SEGMENT = re.compile(r"[a-z-]*")
# The literal first segment of a route. The lookahead makes sure that the segment ends there.
_LITERAL = re.compile(r"\^([a-z-]+)(?=/|\(\?:\\\.)")


class SegmentResolver(URLResolver):
    """URL resolver that tries only the patterns with the same first segment as the path.

    Django's resolver tries all patterns in turn, which takes as long as a query. Patterns with the same first segment
    are still tried in their order.
    """

    def __init__(self, patterns: Sequence[URLPattern | URLResolver]) -> None:
        """
        Args:
            patterns: regular expressions that begin with a literal of a-z and "-", followed by `/` or `SUFFIX`.
        """
        super().__init__(RoutePattern(""), list(patterns))
        by_segment: dict[str, list[URLPattern | URLResolver]] = {}
        for pattern in patterns:
            literal = _LITERAL.match(str(pattern.pattern))
            if literal is None:
                raise ImproperlyConfigured(f"The route {pattern.pattern} does not begin with a literal segment.")
            by_segment.setdefault(literal[1], []).append(pattern)
        self._resolvers = {segment: URLResolver(RoutePattern(""), of) for segment, of in by_segment.items()}

    def resolve(self, path: Any) -> ResolverMatch:
        segment = cast(re.Match[str], _SEGMENT.match(str(path)))[0]
        if segment not in self._resolvers:
            raise Resolver404({"path": path})
        return self._resolvers[segment].resolve(path)
