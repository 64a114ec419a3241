from keygen_site.jsonapi.routers import Router
from pools.api.key_imports import KeyImportViewSet
from pools.api.viewsets import KeyEventViewSet, KeyViewSet, PoolViewSet


class PoolRouter(Router):
    """The pool as a whole is listed by GET; DELETE takes one key out of it (contract: keys 1.2)."""

    collection = {"get": "list", "delete": "pop"}


router = Router()
router.register("keys", KeyViewSet)
router.register("key-events", KeyEventViewSet, basename="key-event")
router.register("key-imports", KeyImportViewSet, basename="key-import")
pool_router = PoolRouter()
pool_router.register(r"policies/(?P<policy>[^/]+)/pool", PoolViewSet, basename="pool")

urlpatterns = router.urls + pool_router.urls
