"""URLs of the console's pages about pools."""

from typing import Any

from django.urls import reverse


def pool_url(policy_id: Any) -> str:
    """The page of a pool."""
    return reverse("admin:pools_pool_change", args=[policy_id])
