from rest_framework.routers import DynamicRoute, Route, SimpleRouter


class Router(SimpleRouter):
    """Routes of a viewset: PUT is PATCH, a trailing slash is ignored, so is a suffix that names the media type.

    `collection` and `member` say which action answers which method, where a resource has others than usual.
    `ids_have_suffixes`: whether a suffix may follow an id.
    """

    include_format_suffixes = False
    ids_have_suffixes = True
    collection = {"get": "list", "post": "create"}
    member = {"get": "retrieve", "put": "partial_update", "patch": "partial_update", "delete": "destroy"}

    def __init__(self):
        super().__init__()
        end = r"(?:\.(?P<format>jsonapi|json))?/?$"
        name, nested = "{basename}-", "{basename}-{url_name}"
        collection, member = r"^{prefix}", r"^{prefix}/{lookup}"
        self.routes = [
            Route(collection + end, self.collection, f"{name}list", detail=False, initkwargs={}),
            DynamicRoute(collection + "/{url_path}" + end, nested, detail=False, initkwargs={}),
            Route(
                member + (end if self.ids_have_suffixes else r"/?$"),
                self.member,
                f"{name}detail",
                detail=True,
                initkwargs={"ends_with_identifier": True},
            ),
            DynamicRoute(member + "/{url_path}" + end, nested, detail=True, initkwargs={}),
        ]
