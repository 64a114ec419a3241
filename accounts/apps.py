from django.apps import AppConfig
from django.contrib.admin import apps as admin


class AccountsConfig(AppConfig):
    """Accounts, users and tokens, and their permissions."""

    name = "accounts"
    verbose_name = "Access"
    default = True

    def ready(self) -> None:
        from accounts import bearers, checks  # noqa: F401
        from accounts.models import User

        bearers.register(User)


class ConsoleConfig(admin.AdminConfig):
    """The Django admin, as the operators' console."""

    default_site = "accounts.admin.site.Console"
    default = False  # of this module

    def ready(self) -> None:
        super().ready()
        # Autodiscovery imports `accounts.admin`, but that package contains the site: what registers with the site can
        # only be imported after it was created. The menu has the order of the registrations.
        from accounts.admin import users, tokens, accounts  # noqa: F401, I001
