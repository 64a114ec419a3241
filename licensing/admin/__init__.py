"""The console of products, policies and licenses. Importing the modules registers them."""

from licensing.admin import licenses, policies, products  # noqa: F401
