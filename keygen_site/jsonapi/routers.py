"""Routes of viewsets."""

from collections.abc import Mapping
from typing import ClassVar

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
