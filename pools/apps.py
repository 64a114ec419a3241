from django.apps import AppConfig


class PoolsConfig(AppConfig):
    """The keys waiting under each policy, handed out once each."""

    name = "pools"
    verbose_name = "Pools"
