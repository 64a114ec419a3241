"""The console (Django admin) of accounts, users and tokens. Importing the modules registers them."""

from accounts.admin import accounts, tokens, users  # noqa: F401
