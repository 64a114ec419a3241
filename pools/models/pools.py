"""Pools: the policies that have one, for the pages of the console."""

from typing import ClassVar

from django.db import models

from licensing.models import Policy
from licensing.models.policies import PolicyQuerySet


class PoolManager(models.Manager.from_queryset(PolicyQuerySet)):  # type: ignore[misc]
    def get_queryset(self) -> PolicyQuerySet:
        return super().get_queryset().filter(use_pool=True)


class Pool(Policy):
    """A policy whose licenses get their keys from a pool. Its own terms are those of the policy."""

    objects: ClassVar = PoolManager()

    class Meta:
        proxy = True
        ordering = ["-id"]
        default_permissions = ()  # those of the policy

    class JSONAPIMeta:
        resource_name = "policies"
