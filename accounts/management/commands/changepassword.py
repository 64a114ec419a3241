"""Django's name for `set_password`."""

from accounts.management.commands.set_password import Command

__all__ = ["Command"]
