from django.apps import AppConfig


class KeygenSiteConfig(AppConfig):
    """What all resources share."""

    name = "keygen_site"
    verbose_name = "Server"

    def ready(self):
        from keygen_site import checks  # noqa: F401 registers them
