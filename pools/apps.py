from django.apps import AppConfig


class PoolsConfig(AppConfig):
    """The keys waiting under each policy, handed out once each."""

    name = "pools"
    verbose_name = "Pools"

    def ready(self):
        from keygen_site.observability.metrics import register_collector
        from pools import checks  # noqa: F401 registers them
        from pools.metrics import PoolCollector

        register_collector(PoolCollector())
