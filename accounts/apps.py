from django.apps import AppConfig
from django.contrib.admin import apps as admin


class AccountsConfig(AppConfig):
    """Who is asking, and what they may do."""

    name = "accounts"
    verbose_name = "Access"
    default = True


class ConsoleConfig(admin.AdminConfig):
    """The Django admin, as the operators' console."""

    default_site = "accounts.admin.site.Console"
    default = False  # of this module

    def ready(self) -> None:
        super().ready()
        # Autodiscovery imports `accounts.admin`, but that package contains the site: what registers with the site can
        # only be imported after it was created.
        from accounts.admin import accounts, tokens, users  # noqa: F401
