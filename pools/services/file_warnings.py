"""Warnings about files of keys that need the database: the keys of the pool, and keys that look alike."""

from collections.abc import Sequence

from licensing.models import Policy
from pools.key_files.warnings import FileProfile, FileWarning
from pools.models import Key

POOL_SAMPLE_SIZE = 100


def sample_pool(policy: Policy) -> list[str]:
    """Some keys that a pool holds: the oldest and the newest available ones, or else popped ones."""
    half = POOL_SAMPLE_SIZE // 2
    keys = Key.objects.for_policy(policy.pk).available()
    texts = [*keys.values_list("key", flat=True)[:half], *keys.reverse().values_list("key", flat=True)[:half]]
    if not texts:
        popped = Key.objects.filter(policy=policy, popped__isnull=False).order_by("-popped")
        texts = [*popped.values_list("key", flat=True)[:POOL_SAMPLE_SIZE]]
    return list(dict.fromkeys(texts))


def find_warnings(policy: Policy, profiles: Sequence[FileProfile], pool_sample: Sequence[str]) -> list[FileWarning]:
    """The warnings about all files, serious ones first."""
    warnings = [warning for profile in profiles for warning in profile.warnings(pool_sample)]
    return sorted(warnings, key=lambda warning: not warning.is_serious)
