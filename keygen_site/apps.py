from django.apps import AppConfig


class KeygenSiteConfig(AppConfig):
    """What all resources share."""

    name = "keygen_site"
    verbose_name = "Server"
