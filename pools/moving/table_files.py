"""The files that accompany an export: the table of tokens, and the used keys."""

import csv
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TextIO

from accounts.models import Account, Token
from pools.key_files import ExportedKey
from pools.moving.exporting import batches
from pools.moving.unexported import exported_tokens, used_keys

# The columns of keygen-api's table of tokens, in the order of `COPY tokens TO … CSV HEADER`.
TOKEN_COLUMNS = (
    "id",
    "account_id",
    "activations",
    "bearer_id",
    "bearer_type",
    "created_at",
    "deactivations",
    "digest",
    "environment_id",
    "expiry",
    "max_activations",
    "max_deactivations",
    "name",
    "updated_at",
)


def write_tokens(account: Account, out: TextIO) -> int:
    """Write the tokens that keygen-api can check as it writes its own table. Returns their number."""
    lines = csv.writer(out, lineterminator="\n")
    lines.writerow(TOKEN_COLUMNS)
    count = 0
    for tokens in batches(exported_tokens(account)):
        lines.writerows(_cells(token) for token in tokens)
        count += len(tokens)
    return count


def _cells(token: Token) -> list[str]:
    values = {
        "id": token.pk,
        "account_id": token.account_id,
        "activations": token.activations,
        "bearer_id": token.bearer_id,
        "bearer_type": token.bearer_model.__name__,
        "created_at": _time(token.created),
        "deactivations": token.deactivations,
        "digest": bytes(token.keygen_digest or b"").hex(),
        "expiry": _time(token.expiry),
        "max_activations": token.max_activations,
        "max_deactivations": token.max_deactivations,
        "name": token.name,
        "updated_at": _time(token.updated),
    }
    return ["" if (value := values.get(name)) is None else str(value) for name in TOKEN_COLUMNS]


def _time(timestamp: datetime | None) -> str | None:
    """A timestamp as PostgreSQL writes one without a time zone: UTC, and no trailing zeros."""
    if timestamp is None:
        return None
    text = timestamp.astimezone(UTC).replace(tzinfo=None).isoformat(" ", timespec="microseconds")
    return text.rstrip("0").removesuffix(".")


def used_keys_for_file(account: Account) -> Iterator[ExportedKey]:
    """The used keys without a license, as files of keys have them: `import_keys` and `import_account` read those."""
    for keys in batches(used_keys(account).select_related("policy")):
        for key in keys:
            yield ExportedKey(
                key=key.key,
                created=key.created,
                popped=key.popped,
                withdrawn=key.withdrawn,
                key_import=key.key_import_id,
                pool=key.policy.name,
            )
