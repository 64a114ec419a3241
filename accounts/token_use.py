"""When a token was last used. Recorded in the background, so that no request waits for it or fails by it."""

from threading import Lock
from uuid import UUID

from cachetools import TTLCache
from django.db import connection

from accounts import background
from accounts.models import Token

MAX_RECENT_TOKENS = 10_000
# How long a use is not written again. It may be lost if the write failed, or if an import replaced the row.
WRITING_SECONDS = 10
# The tokens whose use this process is recording. Other processes may record them too, but only one of them writes.
_recent: TTLCache[UUID, bool] = TTLCache(MAX_RECENT_TOKENS, WRITING_SECONDS)
_lock = Lock()


def note_use(token: Token) -> None:
    """Record that a token was used, at most once in USE_RECORDED_EVERY."""
    if token.is_use_recorded:
        return
    with _lock:
        if token.pk in _recent:
            return
        _recent[token.pk] = True
    background.run_in_background(_record_use, token.pk)


def _record_use(token_id: UUID) -> None:
    try:
        Token.objects.filter(pk=token_id).record_use()
    finally:
        connection.close()  # of the background thread, which needs one rarely
