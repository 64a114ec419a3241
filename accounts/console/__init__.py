"""The operators' console: the Django admin, in which everybody sees their own account only."""

from accounts.console.acts import Act, ReferenceForm
from accounts.console.origins import actor_of, origin_of
from accounts.console.rows import ConsoleAdmin, ConsoleForm, OfAccount, OfferedOnly, ReadOnlyAdmin, moment
from accounts.console.site import Console

__all__ = [
    "Act",
    "Console",
    "ConsoleAdmin",
    "ConsoleForm",
    "OfAccount",
    "OfferedOnly",
    "ReadOnlyAdmin",
    "ReferenceForm",
    "actor_of",
    "moment",
    "origin_of",
]
