"""The limit of new idempotency keys of a bearer in an hour.

The limit counts the stored responses, so all processes share it. Counting thousands of rows costs more than a request.
So a process that has counted them allows a share of the keys that are left before it counts again; near the limit it
counts for each request. Requests that run at the same time may exceed the limit a little.
"""

import math
from datetime import timedelta
from threading import Lock
from uuid import UUID, uuid5

from cachetools import TTLCache
from django.conf import settings
from django.utils import timezone

from keygen_site.db.compiled_queries import Bearer
from keygen_site.jsonapi.errors import REFERENCE, DomainError
from keygen_site.models import IdempotentResponse

WINDOW = timedelta(hours=1)
# Factor of the limit for staff and products. They pop keys for many customers, and must not fail in a sales spike.
FACTOR_OF_STAFF = 100
CUSTOMER_ROLES = frozenset({"user", "license"})
# A process allows one in SHARE of the keys that are left. So up to SHARE processes together do not exceed the limit.
SHARE = 8
MAX_BEARERS, ALLOWANCE_SECONDS = 10_000, 600
REFUSAL_SECONDS = 5  # after a refusal, further ones come without counting


class IdempotencyKeysSpent(DomainError):
    """The bearer has used too many new idempotency keys. The request had no effect."""

    status = 429
    title = "Too many requests"
    code = "IDEMPOTENCY_KEYS_SPENT"
    about = REFERENCE
    source = {"header": "Idempotency-Key"}

    def __init__(self, limit: int, *, seconds: int) -> None:
        super().__init__(f"Too many new keys in an hour (maximum is {limit}). Please try again later.")
        self.headers = {"Retry-After": str(seconds)}


Scope = tuple[UUID, UUID, int]  # account, bearer and limit
# The number of keys that this process allows before it counts again.
_allowances: TTLCache[Scope, int] = TTLCache(MAX_BEARERS, ALLOWANCE_SECONDS)
_refused: TTLCache[Scope, int] = TTLCache(MAX_BEARERS, REFUSAL_SECONDS)  # the seconds of Retry-After
_lock = Lock()


def scope_of(bearer: Bearer) -> dict[str, UUID]:
    """The scope of a bearer's keys, as columns of `IdempotentResponse`.

    The type is part of it: a client may choose the id of a license, also that of a user or product.
    """
    return {"account_id": bearer.account_id, "bearer_id": uuid5(bearer.id, bearer.type)}


def spend(bearer: Bearer) -> None:
    """Count a new idempotency key of a bearer.

    Raises:
        IdempotencyKeysSpent: there were too many in the last hour.
    """
    limit: int = settings.IDEMPOTENCY_KEYS_PER_HOUR
    if not limit:
        return
    if bearer.role not in CUSTOMER_ROLES:
        limit *= FACTOR_OF_STAFF
    scope = (bearer.account_id, scope_of(bearer)["bearer_id"], limit)
    with _lock:
        if scope in _refused:
            raise IdempotencyKeysSpent(limit, seconds=_refused[scope])
        if (allowed := _allowances.get(scope, 0)) > 0:
            _allowances[scope] = allowed - 1
            return
    left, seconds = _count(scope)
    with _lock:
        if left <= 0:
            _refused[scope] = seconds
            raise IdempotencyKeysSpent(limit, seconds=seconds)
        _allowances[scope] = left // SHARE


def _count(scope: Scope) -> tuple[int, int]:
    """How many new keys are left, and if none, the seconds until one is."""
    account_id, bearer_id, limit = scope
    now = timezone.now()
    recent = IdempotentResponse.objects.filter(account_id=account_id, bearer_id=bearer_id, created__gt=now - WINDOW)
    left = limit - recent[:limit].count()
    if left > 0:
        return left, 0
    newest = recent.order_by("-created").values_list("created", flat=True)[limit - 1 : limit]
    free = min(newest, default=now) + WINDOW
    return 0, max(1, math.ceil((free - now).total_seconds()))
