from django.apps import AppConfig


class LicensingConfig(AppConfig):
    """What is licensed, on what terms, to whom."""

    name = "licensing"
    verbose_name = "Licensing"
