from django.apps import AppConfig
from django.contrib.admin import apps as admin


class AccountsConfig(AppConfig):
    """Accounts, users and tokens, and their permissions."""

    name = "accounts"
    verbose_name = "Access"
    default = True

    def ready(self) -> None:
        from accounts import bearers, checks, searchable, user_search  # noqa: F401
        from accounts.models import Group, User

        bearers.register(User)
        # Admins may be among the users that are found.
        needed = ("user.read", "admin.read")
        searchable.register(User, user_search.MEMBERS, User.objects.with_activity, permissions=needed)
        searchable.register(
            Group, user_search.GROUP_MEMBERS, lambda now: Group.objects.all(), permissions=("group.read",)
        )


class ConsoleConfig(admin.AdminConfig):
    """The Django admin, as the operators' console."""

    default_site = "accounts.admin.site.Console"
    default = False  # of this module

    def ready(self) -> None:
        super().ready()
        # Autodiscovery imports `accounts.admin`, but that package contains the site: modules that register with the
        # site can only be imported after it was created.
        from accounts.admin import accounts, customers, invitations, settings_page, tokens, users  # noqa: F401
