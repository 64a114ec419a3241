"""Warnings about files of keys that need the database: the keys of the pool, and keys that look alike."""

from collections.abc import Sequence

from keygen_site.db.key_digests import key_digest
from licensing.models import Policy
from pools.key_files.look_alikes import NumberedText
from pools.key_files.warnings import MAX_EXAMPLES, FileProfile, FileWarning
from pools.models import Key, KeyImport
from pools.services.rejections import SeenLines

POOL_SAMPLE_SIZE = 100
_DIGESTS_PER_QUERY = 1_000


def sample_pool(policy: Policy) -> list[str]:
    """Some keys that a pool holds: the oldest and the newest available ones, or else popped ones."""
    half = POOL_SAMPLE_SIZE // 2
    keys = Key.objects.for_policy(policy.pk).available()
    texts = [*keys.values_list("key", flat=True)[:half], *keys.reverse().values_list("key", flat=True)[:half]]
    if not texts:
        popped = Key.objects.filter(policy=policy, popped__isnull=False).order_by("-popped")
        texts = [*popped.values_list("key", flat=True)[:POOL_SAMPLE_SIZE]]
    return list(dict.fromkeys(texts))


def find_warnings(
    key_import: KeyImport, profiles: Sequence[FileProfile], seen: SeenLines, pool_sample: Sequence[str]
) -> list[FileWarning]:
    """The warnings about all files, serious ones first.

    Args:
        key_import: the import; keys that look like its own are looked for in the files, others in the account.
        seen: the lines of the files.
        pool_sample: see `sample_pool`.
    """
    warnings = []
    for profile in profiles:
        warnings += profile.warnings(pool_sample)
        if look_alikes := _find_look_alikes(key_import, profile, seen):
            warnings.append(look_alikes)
    return sorted(warnings, key=lambda warning: not warning.is_serious)


def _find_look_alikes(key_import: KeyImport, profile: FileProfile, seen: SeenLines) -> FileWarning | None:
    """A warning about keys of a file that look like others of the files or of the account."""
    # Of each pair, the later line and the other one.
    found = {number: (each, f"line {first.number:,}") for number, (each, first) in profile.look_alikes.pairs.items()}
    variants = {key_digest(text): (text, each) for text, each in profile.look_alikes.variants().items()}
    digests = list(variants)
    for key, (file, line) in seen.find(digests).items():
        text, each = variants[key]
        if file == profile.file and line > each.number:
            found.setdefault(line, (NumberedText(line, text), f"line {each.number:,}"))
        else:
            other = f"line {line:,}" if file == profile.file else "a line of another file"
            found.setdefault(each.number, (each, other))
    for start in range(0, len(digests), _DIGESTS_PER_QUERY):
        keys = Key.objects.filter(
            account=key_import.account_id, digest__in=digests[start : start + _DIGESTS_PER_QUERY]
        ).exclude(key_import=key_import.pk)
        if key_import.bearer_type == "products":
            keys = keys.filter(policy__product=key_import.bearer_id)  # others do not exist for a product
        for key in keys.values_list("digest", flat=True):
            _, each = variants[bytes(key)]
            found.setdefault(each.number, (each, "a key of this account"))
    if not found:
        return None
    number = min(found)
    _, other = found[number]
    if len(found) == 1:
        message = f"Line {number:,} looks like another key, {other}"
    else:
        message = f"{len(found):,} lines look like other keys (the first is line {number:,}, like {other})"
    shown = [found[each][0] for each in sorted(found)[:MAX_EXAMPLES]]
    return FileWarning(
        "look_alike",
        f"{message}: only the form of a dash or a letter differs, or a character that cannot be seen.",
        count=len(found),
        lines=tuple(each.number for each in shown),
        samples=tuple(each.text for each in shown),
        file=profile.file,
    )
