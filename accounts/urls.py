from accounts.viewsets import TokenViewSet
from keygen_site.api import Router


class TokenRouter(Router):
    """A token is never changed: PUT makes a new text for it, or, of all tokens, for the one in use."""

    routes = [
        Router.routes[0]._replace(mapping={"get": "list", "post": "create", "put": "regenerate_current"}),
        Router.routes[1],
        Router.routes[2]._replace(mapping={"get": "retrieve", "put": "regenerate", "delete": "destroy"}),
        Router.routes[3],
    ]


router = TokenRouter()
router.register("tokens", TokenViewSet)

urlpatterns = router.urls
