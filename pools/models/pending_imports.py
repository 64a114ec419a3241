from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from tempfile import TemporaryFile
from typing import Any, BinaryIO

from django.db import models
from django.utils import timezone

from accounts.models import Account
from keygen_site.encryption import EncryptedBinaryField, EncryptedJSONField, EncryptedTextField
from keygen_site.models import Resource
from licensing.models import Policy
from pools.models.key_imports import KeyImport

PART_BYTES = 1 << 20
INTERRUPTED_AFTER = timedelta(seconds=30)  # without a heartbeat, which comes each second
PENDING_IMPORT_LIFETIME = timedelta(days=7)


class PendingImport(Resource):
    """A file of keys uploaded in the console: checked first, and imported when the operator confirms it.

    Stored in the database, so that any process can resume it, also after a crash. The file is kept until it has been
    imported, so that it can be checked again with other options.

    Attributes:
        format, column, options: how the file is read: `ReadOptions` without the members that are found out. An old
            release writes only the first two.
        accept_warnings: whether the operator has confirmed the serious warnings.
        report: the result of the last check or import. If a column has to be chosen, its member `question` has the
            candidates.
        problem: why the check or the import failed.
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
    name = models.CharField(max_length=255, blank=True)
    source = models.CharField(max_length=255, blank=True)
    format = models.CharField(max_length=8, blank=True)
    # Encrypted: the first row of a file may be a key instead of a header.
    column = EncryptedTextField(purpose="column of a pending import", blank=True)
    options = EncryptedJSONField(purpose="options of a pending import", default=dict, db_default={})
    size = models.PositiveBigIntegerField(default=0)
    state = models.CharField(max_length=16, choices=State, default=State.RECEIVED)
    skip_invalid = models.BooleanField(default=False)
    accept_warnings = models.BooleanField(default=False, db_default=False)
    lines = models.PositiveBigIntegerField(default=0)  # read so far
    alive = models.DateTimeField(default=timezone.now)
    report = EncryptedJSONField(purpose="report of a pending import", default=dict)
    problem = EncryptedTextField(purpose="problem of a pending import", blank=True)
    key_import = models.ForeignKey(KeyImport, models.SET_NULL, null=True, related_name="+")

    class Meta:
        ordering = ["-id"]
        verbose_name = "upload"

    def __str__(self) -> str:
        return self.name or self.source or "pasted keys"

    @property
    def is_working(self) -> bool:
        return self.state in self.WORKING and not self.is_interrupted

    @property
    def is_interrupted(self) -> bool:
        """Whether the process that worked on it has ended. An unfinished import has added nothing."""
        return self.state in self.WORKING and self.alive < timezone.now() - INTERRUPTED_AFTER

    @property
    def has_file(self) -> bool:
        """Whether the given file is still stored."""
        return self.parts.filter(kind=PendingImportPart.Kind.GIVEN).exists()

    def start(self, state: str, *, seen: datetime | None = None, **values: Any) -> bool:
        """Enter a state of WORKING. Returns whether this call did: another process may have been first.

        Args:
            seen: the time of the last change that the operator has seen; None for any.
            values: fields to change with the state.
        """
        before = [self.State.CHECKED] if state == self.State.IMPORTING else self.CHECKABLE
        now = timezone.now()
        ready = models.Q(state__in=before) | models.Q(state=state, alive__lt=now - INTERRUPTED_AFTER)
        if seen is not None:
            ready &= models.Q(updated=seen)
        started = PendingImport.objects.filter(ready, pk=self.pk).update(
            state=state, alive=now, lines=0, problem="", **values
        )
        if started:
            self.refresh_from_db()
        return bool(started)

    def write_file(self, kind: str, blocks: Iterable[bytes]) -> int:
        """Store a file and return its size in bytes."""
        size = 0
        for number, block in enumerate(blocks):
            PendingImportPart.objects.create(upload=self, kind=kind, number=number, data=block)
            size += len(block)
        return size

    def read_file(self, kind: str) -> Iterator[bytes]:
        """The bytes of a stored file, one part after the other."""
        parts = self.parts.filter(kind=kind).order_by("number")
        for pk in list(parts.values_list("pk", flat=True)):
            yield bytes(PendingImportPart.objects.get(pk=pk).data)

    @contextmanager
    def open_file(self) -> Iterator[BinaryIO]:
        """A temporary copy of the given file, opened for reading."""
        with TemporaryFile() as file:
            for part in self.read_file(PendingImportPart.Kind.GIVEN):
                file.write(part)
            file.seek(0)
            yield file


class PendingImportPart(models.Model):
    """A part of the given file, or of the list of its rejected lines."""

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
