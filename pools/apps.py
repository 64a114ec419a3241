from django.apps import AppConfig


class PoolsConfig(AppConfig):
    """Keys made beforehand, waiting in the pools of policies, each handed out at most once."""

    name = "pools"
    verbose_name = "Pools"

    def ready(self) -> None:
        from keygen_site.observability.metrics import register_collector
        from keygen_site.server_start import run_at_server_start
        from pools import checks  # noqa: F401 registers them
        from pools.metrics import PoolCollector
        from pools.popping import run_after_pop, run_when_empty
        from pools.services.import_workers import resume_imports
        from pools.services.low_stock import alert_if_low
        from pools.services.refusals import count_refusal

        register_collector(PoolCollector())
        run_after_pop(alert_if_low)
        run_when_empty(count_refusal)
        run_at_server_start(resume_imports)
