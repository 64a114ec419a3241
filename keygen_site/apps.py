from django.apps import AppConfig


class KeygenSiteConfig(AppConfig):
    """Settings, URLs, and the code that all resources share."""

    name = "keygen_site"
    verbose_name = "Server"

    def ready(self) -> None:
        from keygen_site import checks, security_checks  # noqa: F401 registers them
