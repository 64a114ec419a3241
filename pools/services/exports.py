"""Exporting the keys of a pool."""

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import Q

from accounts.audit import AuditContext
from keygen_site.jsonapi.errors import REFERENCE, DomainError
from licensing.models import License, Policy, PoolNotSupported
from pools.key_files import ExportedKey
from pools.models import Key, KeyEvent, KeyImport
from pools.models.keys import KeyQuerySet

EXPORT_STATES = (*Key.State.values, "all")
PAGE_SIZE = 1_000  # keys: pops skip those that are being marked as disclosed


class StatesLost(DomainError):
    """A file of keys only would not tell used keys from available ones."""

    code = "EXPORT_STATES_LOST"
    about = REFERENCE
    detail = (
        "The format text has only the keys, so a file of all states would not tell the available keys from the used "
        "ones. Choose the format csv or ndjson, or a single state"
    )


def check_format(state: str, format: str) -> None:
    """Check that a file in a format can tell the states of its keys.

    Raises:
        StatesLost: it cannot.
    """
    if state == "all" and format == "text":
        raise StatesLost


def export_keys(
    *,
    policy: Policy,
    audit: AuditContext,
    state: str = "available",
    key_import: KeyImport | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
) -> Iterator[ExportedKey]:
    """Record an export in the ledger, and return the keys, in flat memory.

    Pops go on during the export: each key is as it was when its page was read. It is marked as disclosed, and that is
    committed, before it is yielded. Popped keys are in the order of their pops, others in that of the pool.

    Args:
        state: one of EXPORT_STATES.
        key_import: only keys of this import.
        since, until: only keys that were popped, withdrawn or, of the other states, added within these timestamps.

    Raises:
        PoolNotSupported: the policy has no pool.
    """
    if not policy.use_pool:
        raise PoolNotSupported
    timestamp = state if state in ("popped", "withdrawn") else "created"
    if state == "available":
        keys = policy.pool.available_in_order()
    else:
        keys = policy.pool.published().order_by("id")
        if state != "all":
            keys = keys.exclude(**{state: None})
        if state == "popped":
            keys = keys.filter(withdrawn=None)
    options = {"state": state}
    if key_import:
        keys = keys.filter(key_import=key_import)
        options["import"] = str(key_import.pk)
    if since:
        keys = keys.filter(**{f"{timestamp}__gte": since})
        options["since"] = since.isoformat()
    if until:
        keys = keys.filter(**{f"{timestamp}__lt": until})
        options["until"] = until.isoformat()
    # Saved before the first key is read. An export that breaks off keeps the number of keys that it had disclosed.
    event = KeyEvent.about_many(KeyEvent.Event.EXPORTED, policy, audit, details={"count": 0, "filter": options})
    event.save()
    pages = _read_pages(keys, event, audit, by_pop=state == "popped")
    return (key for page in pages for key in _describe(policy, page))


def export_pools(*, policies: Iterable[Policy], **options: Any) -> Iterator[ExportedKey]:
    """Export the keys of several pools, one after the other. Each export is recorded when its turn comes.

    Args:
        options: as for `export_keys`.
    """
    for policy in policies:
        yield from export_keys(policy=policy, **options)


def _read_pages(keys: KeyQuerySet, event: KeyEvent, audit: AuditContext, *, by_pop: bool) -> Iterator[list[Key]]:
    """All keys, in pages. Each begins where the last one ended: no cursor stays open, and none costs more than another.

    Args:
        by_pop: in the order of their pops, not of their ids.
    """
    if by_pop:
        keys = keys.order_by("popped", "id")
    page = list(keys[:PAGE_SIZE])
    while page:
        yield _disclose(keys, page, event, audit)
        last: Any = page[-1]
        after = Q(pk__gt=last.pk)
        if by_pop:
            # The first condition lets the index be used.
            after = Q(popped__gte=last.popped) & (after | Q(popped__gt=last.popped))
        page = list(keys.filter(after)[:PAGE_SIZE])


def _disclose(keys: KeyQuerySet, page: list[Key], event: KeyEvent, audit: AuditContext) -> list[Key]:
    """The keys of a page, all marked as disclosed, and counted in the event of the export.

    Those that were not marked before are locked and read again, because they may have been popped, changed or deleted
    meanwhile. The export waits for a locked key only while it locks no other, for a pop of several keys may wait for
    the export.
    """
    new = [key.pk for key in page if key.disclosure in (None, Key.Disclosure.POPPED)]
    marked = _mark(keys.filter(pk__in=new).select_for_update(of=("self",), skip_locked=True), audit) if new else {}
    for pk in new:
        if pk not in marked:
            marked |= _mark(keys.filter(pk=pk).select_for_update(of=("self",)), audit)
    disclosed = [marked.get(key.pk, key) for key in page if key.pk in marked or key.pk not in new]
    assert event.details is not None
    event.details["count"] += len(disclosed)
    event.save(update_fields=["details"])
    return disclosed


def _mark(keys: KeyQuerySet, audit: AuditContext) -> dict[UUID, Key]:
    """Mark keys as disclosed in a transaction of its own. Returns those that still exist, by id."""
    with transaction.atomic(durable=True):
        locked = {key.pk: key for key in keys}
        Key.objects.filter(pk__in=locked).disclose(Key.Disclosure.EXPORTED, audit)
    return locked


def _describe(policy: Policy, page: list[Key]) -> Iterator[ExportedKey]:
    """The keys of a page with the references and licenses of their pops, and the names of their imports."""
    popped = [key.digest for key in page if key.popped]
    pops: dict[bytes, KeyEvent] = {}
    if popped:
        events = KeyEvent.objects.filter(
            account=policy.account_id,
            key_digest__in=popped,
            event__in=(KeyEvent.Event.POPPED, KeyEvent.Event.ISSUED),
        )
        pops = {bytes(event.key_digest or b""): event for event in events.order_by("created", "id")}
    licenses = {event.license_id for event in pops.values() if event.license_id}
    owners = dict(License.objects.filter(pk__in=licenses).values_list("pk", "owner__email")) if licenses else {}
    imports = {key.key_import_id for key in page if key.key_import_id}
    batches = dict(KeyImport.objects.filter(pk__in=imports).values_list("pk", "name")) if imports else {}
    for key in page:
        pop = pops.get(bytes(key.digest)) if key.popped else None
        license = pop.license_id if pop else None
        yield ExportedKey(
            key=key.key,
            created=key.created,
            popped=key.popped,
            withdrawn=key.withdrawn,
            key_import=key.key_import_id,
            reference=pop.reference if pop else "",
            license=license,
            customer=owners.get(license) or "" if license else "",
            batch=batches.get(key.key_import_id, "") if key.key_import_id else "",
            pool=policy.name,
        )
