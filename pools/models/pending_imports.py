from collections.abc import Collection, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime, timedelta
from tempfile import TemporaryFile
from typing import Any, BinaryIO, NotRequired, Self, TypedDict
from uuid import UUID

from django.db import models, transaction
from django.utils import timezone

from accounts.bearers import Bearer
from accounts.models import Account
from keygen_site.encryption import EncryptedBinaryField, EncryptedJSONField, EncryptedTextField
from keygen_site.models import Resource
from licensing.models import Policy
from pools.models.key_imports import KeyImport

PART_BYTES = 1 << 20
INTERRUPTED_AFTER = timedelta(seconds=30)  # without a heartbeat, which comes each second
PENDING_IMPORT_LIFETIME = timedelta(days=7)


class ClaimLost(Exception):
    """Another worker has taken over a pending import, because this one seemed to have ended."""


class GivenFile(TypedDict):
    """One of the files of a pending import.

    Members:
        name: empty for pasted text.
        size: in bytes.
        parts: the number of its parts, which follow those of the file before it.
    """

    name: str
    size: int
    parts: NotRequired[int]


class PendingImportQuerySet(models.QuerySet["PendingImport"]):
    def visible_to(self, bearer: Bearer) -> Self:
        """The imports of the API that a bearer may see: staff those of the account, a product those that it sent.

        The report of an import by staff tells where the account has the rejected keys, also in pools of other products.
        """
        imports = self.filter(account=bearer.account_id, bearer_id__isnull=False)
        if bearer.is_staff:
            return imports
        if bearer.role != "product":
            return imports.none()
        return imports.filter(policy__product=bearer.id, bearer_type="products", bearer_id=bearer.id)

    def of_console(self) -> Self:
        return self.filter(bearer_id=None)

    def unexpired(self) -> Self:
        return self.filter(created__gt=timezone.now() - PENDING_IMPORT_LIFETIME)

    def open(self) -> Self:
        """Those of the console that run, failed, or wait for their operator."""
        return self.of_console().unexpired().exclude(state=PendingImport.State.DONE)

    def unfinished(self) -> Self:
        """Those that wait for a worker, or that a process works on."""
        return self.filter(state__in=PendingImport.WORKING)

    def claimable(self) -> Self:
        """Those that wait for a worker, or whose process has ended."""
        interrupted = models.Q(alive__lt=timezone.now() - INTERRUPTED_AFTER)
        return self.unfinished().filter(models.Q(queued__isnull=False) | interrupted)

    def claim_next(self, busy: Collection[UUID] = ()) -> "PendingImport | None":
        """Claim the oldest one of an account for which no process works. None if there is none.

        Args:
            busy: accounts to pass over.
        """
        running = PendingImport.objects.unfinished().filter(
            account=models.OuterRef("account"), queued=None, alive__gte=timezone.now() - INTERRUPTED_AFTER
        )
        waiting = self.claimable().exclude(models.Exists(running)).exclude(account__in=busy).order_by("id")
        for pk in list(waiting.values_list("pk", flat=True)[:10]):
            claimed = self.claimable().filter(pk=pk)
            interruption = models.Case(models.When(queued=None, then=1), default=0)
            if claimed.update(
                queued=None,
                alive=timezone.now(),
                lines=0,
                claims=models.F("claims") + 1,
                interruptions=models.F("interruptions") + interruption,
            ):
                return self.select_related("account", "policy__account").get(pk=pk)
        return None


class PendingImport(Resource):
    """Files of keys that are imported outside of their request, or that the console shows before they are imported.

    The console checks its files first, and imports them when the operator confirms it. An import of the API has one
    file and its request (`request`), and is run once. Both are stored in the database, so that any process can do or
    resume them, also after a crash. The console's files are kept until they have been imported, so that they can be
    checked again with other options, but no longer than PENDING_IMPORT_LIFETIME.

    Attributes:
        bearer_type, bearer_id: of the request of the API; empty and None for an upload in the console.
        request: the rest of the request of the API, see `pools.services.pending_imports`.
        format, column, options: how the files are read: `ReadOptions` without the members that are found out. An old
            release writes only the first two. The member `files` of `options` has the options of single files, by their
            places: those replace the others.
        files: the files of the console, see `GivenFile`. Empty for one file that is called `source`.
        accept_warnings: whether the operator has confirmed the serious warnings.
        queued: since when it waits for a worker; None if a process works on it, or nothing is to be done.
        alive: the time of the last heartbeat of the process that works on it.
        claims: how often a process has begun with it. It only grows: by it a process notices that another one has taken
            over.
        interruptions: how often a process has ended during the present check or import.
        report: the result of the last check or import. If a column has to be chosen, its member `question` has the
            candidates. For the API: the `meta` of the response that a direct import has.
        problem: why the check or the import failed.
        error: for the API, the error of the response that a direct import has, with its status.
        key_import: the import, once it is done; it has the id of the pending import.
    """

    class State(models.TextChoices):
        RECEIVED = "received"
        CHECKING = "checking"
        CHECKED = "checked"
        IMPORTING = "importing"
        DONE = "done"
        FAILED = "failed"

    WORKING = (State.CHECKING, State.IMPORTING)
    CHECKABLE = (State.RECEIVED, State.CHECKED, State.FAILED)

    account = models.ForeignKey(Account, models.CASCADE, related_name="+")
    policy = models.ForeignKey(Policy, models.CASCADE, related_name="+")
    operator = models.CharField(max_length=255)
    operator_id = models.UUIDField(null=True)
    bearer_type = models.CharField(max_length=16, blank=True, default="", db_default="")
    bearer_id = models.UUIDField(null=True)
    request = models.JSONField(default=dict, db_default={})
    name = models.CharField(max_length=255, blank=True)
    source = models.CharField(max_length=255, blank=True)
    format = models.CharField(max_length=8, blank=True)
    # Encrypted: the first row of a file may be a key instead of a header.
    column = EncryptedTextField(purpose="column of a pending import", blank=True)
    options = EncryptedJSONField(purpose="options of a pending import", default=dict, db_default={})
    files = models.JSONField(default=list, db_default=[])
    size = models.PositiveBigIntegerField(default=0)
    state = models.CharField(max_length=16, choices=State, default=State.RECEIVED)
    skip_invalid = models.BooleanField(default=False)
    accept_warnings = models.BooleanField(default=False, db_default=False)
    lines = models.PositiveBigIntegerField(default=0)  # read so far
    queued = models.DateTimeField(null=True)
    alive = models.DateTimeField(default=timezone.now)
    claims = models.PositiveIntegerField(default=0, db_default=0)
    interruptions = models.PositiveIntegerField(default=0, db_default=0)
    report = EncryptedJSONField(purpose="report of a pending import", default=dict)
    problem = EncryptedTextField(purpose="problem of a pending import", blank=True)
    error = EncryptedJSONField(purpose="error of a pending import", null=True)
    key_import = models.ForeignKey(KeyImport, models.SET_NULL, null=True, related_name="+")

    in_ledger = True
    # The place of the file that the last check or import failed at, while this process works on it.
    failed_file: int | None = None

    objects = PendingImportQuerySet.as_manager()

    class Meta:
        ordering = ["-id"]
        verbose_name = "upload"

    class JSONAPIMeta:
        resource_name = "key-imports"

    def __str__(self) -> str:
        return self.name or self.source or "Pasted keys"

    @property
    def is_working(self) -> bool:
        return self.state in self.WORKING and not self.is_interrupted

    @property
    def is_interrupted(self) -> bool:
        """Whether the process that worked on it has ended. An unfinished import has added nothing."""
        ended = self.queued is None and self.alive < timezone.now() - INTERRUPTED_AFTER
        return self.state in self.WORKING and ended

    @property
    def needs_worker(self) -> bool:
        """Whether it waits for a worker, or its process has ended."""
        return self.state in self.WORKING and (self.queued is not None or self.is_interrupted)

    @property
    def has_file(self) -> bool:
        """Whether the given files are still stored."""
        return self.parts.filter(kind=PendingImportPart.Kind.GIVEN).exists()

    def start(self, state: str, *, seen: datetime | None = None, **values: Any) -> bool:
        """Enter a state of WORKING. Returns whether this call did: another process may have been first.

        Args:
            seen: the time of the last change that the operator has seen; None for any.
            values: fields to change with the state.
        """
        before = [self.State.CHECKED] if state == self.State.IMPORTING else self.CHECKABLE
        now = timezone.now()
        interrupted = models.Q(state=state, queued=None, alive__lt=now - INTERRUPTED_AFTER)
        ready = models.Q(state__in=before) | interrupted
        if seen is not None:
            ready &= models.Q(updated=seen)
        started = PendingImport.objects.filter(ready, pk=self.pk).update(
            state=state,
            queued=None,
            alive=now,
            lines=0,
            problem="",
            claims=models.F("claims") + 1,
            interruptions=0,
            **values,
        )
        if started:
            self.refresh_from_db()
        return bool(started)

    def enqueue(self) -> None:
        """Let it wait for a worker, which begins from the start. This process works on it no longer."""
        self.queued = timezone.now()
        self._claimed().update(queued=self.queued)

    @contextmanager
    def finishing(self) -> Iterator[None]:
        """A transaction in which this process, and no other one, finishes it.

        Raises:
            ClaimLost: another process has taken it over.
        """
        with transaction.atomic():
            if self._claimed().select_for_update().values_list("pk", flat=True).first() is None:
                raise ClaimLost
            yield

    def _claimed(self) -> models.QuerySet["PendingImport"]:
        return PendingImport.objects.unfinished().filter(pk=self.pk, claims=self.claims, queued=None)

    def write_file(self, kind: str, blocks: Iterable[bytes], first: int = 0) -> GivenFile:
        """Store a file, whose parts are numbered from `first`. Returns its size and the number of its parts."""
        size = parts = 0
        for block in blocks:
            PendingImportPart.objects.create(upload=self, kind=kind, number=first + parts, data=block)
            size += len(block)
            parts += 1
        return GivenFile(name="", size=size, parts=parts)

    def read_rejected(self) -> Iterator[bytes]:
        """The bytes of the list of rejected lines, one part after the other."""
        return self._read(self.parts.filter(kind=PendingImportPart.Kind.REJECTED))

    def _read(self, parts: "models.QuerySet[PendingImportPart]") -> Iterator[bytes]:
        for pk in list(parts.order_by("number").values_list("pk", flat=True)):
            yield bytes(PendingImportPart.objects.get(pk=pk).data)

    @property
    def given_files(self) -> list[GivenFile]:
        """The files, at least one."""
        return self.files or [GivenFile(name=self.source, size=self.size)]

    def read_given(self, place: int) -> Iterator[bytes]:
        """The bytes of a given file, one part after the other."""
        files = self.given_files
        parts = self.parts.filter(kind=PendingImportPart.Kind.GIVEN)
        if "parts" in files[place]:
            first = sum(file["parts"] for file in files[:place])
            parts = parts.filter(number__gte=first, number__lt=first + files[place]["parts"])
        return self._read(parts)

    @contextmanager
    def open_files(self) -> Iterator[list[BinaryIO]]:
        """Temporary copies of the given files, opened for reading."""
        with ExitStack() as stack:
            opened: list[BinaryIO] = []
            for place in range(len(self.given_files)):
                file = stack.enter_context(TemporaryFile())
                for part in self.read_given(place):
                    file.write(part)
                file.seek(0)
                opened.append(file)
            yield opened


class PendingImportPart(models.Model):
    """A part of a given file, or of the list of rejected lines."""

    class Kind(models.TextChoices):
        GIVEN = "given"
        REJECTED = "rejected"

    upload = models.ForeignKey(PendingImport, models.CASCADE, related_name="parts", db_index=False)
    kind = models.CharField(max_length=8, choices=Kind)
    number = models.PositiveIntegerField()
    data = EncryptedBinaryField(purpose="file of a pending import")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["upload", "kind", "number"], name="pools_uploadpart_unique"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.number}"
