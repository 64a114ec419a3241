from contextlib import contextmanager
from datetime import timedelta
from tempfile import TemporaryFile

from django.db import models
from django.utils import timezone

from accounts.models import Account
from keygen_site.models import Resource
from licensing.models import Policy
from pools.models.key_imports import KeyImport

PART = 1 << 20  # bytes
SILENT = timedelta(seconds=30)  # whoever works on an upload says so each second
KEPT = timedelta(days=7)


class PendingImport(Resource):
    """A file of keys that an operator gave the console: looked at first, then imported when they say so.

    It is in the database, so that any process may go on with it, also after a crash.
    """

    class State(models.TextChoices):
        RECEIVED = "received"
        CHECKING = "checking"
        CHECKED = "checked"
        IMPORTING = "importing"
        DONE = "done"
        FAILED = "failed"

    WORKING = (State.CHECKING, State.IMPORTING)

    account = models.ForeignKey(Account, models.CASCADE, related_name="+")
    policy = models.ForeignKey(Policy, models.CASCADE, related_name="+")
    operator = models.CharField(max_length=255)
    name = models.CharField(max_length=255, blank=True)
    source = models.CharField(max_length=255, blank=True)
    format = models.CharField(max_length=8)
    column = models.CharField(max_length=255, blank=True)
    size = models.PositiveBigIntegerField(default=0)
    state = models.CharField(max_length=16, choices=State, default=State.RECEIVED)
    skip_invalid = models.BooleanField(default=False)
    lines = models.PositiveBigIntegerField(default=0)  # read so far
    alive = models.DateTimeField(default=timezone.now)
    report = models.JSONField(default=dict)
    problem = models.CharField(max_length=500, blank=True)
    key_import = models.ForeignKey(KeyImport, models.SET_NULL, null=True, related_name="+")

    class Meta:
        ordering = ["-id"]
        verbose_name = "upload"

    def __str__(self):
        return self.name or self.source or "pasted keys"

    @property
    def is_working(self):
        return self.state in self.WORKING and not self.is_interrupted

    @property
    def is_interrupted(self):
        """Whether the process that worked on it is gone. What it had not finished, it has not done."""
        return self.state in self.WORKING and self.alive < timezone.now() - SILENT

    def claim(self, state, *, skip_invalid=False):
        """Begin to work on it; False where somebody else has already."""
        before = {self.State.CHECKING: self.State.RECEIVED, self.State.IMPORTING: self.State.CHECKED}[state]
        now = timezone.now()
        ready = models.Q(state=before) | models.Q(state=state, alive__lt=now - SILENT)
        begun = PendingImport.objects.filter(ready, pk=self.pk).update(
            state=state, skip_invalid=skip_invalid, alive=now, lines=0
        )
        if begun:
            self.refresh_from_db()
        return bool(begun)

    def write(self, kind, blocks):
        """Keep the bytes of a file; returns how many there are."""
        size = 0
        for number, block in enumerate(blocks):
            PendingImportPart.objects.create(upload=self, kind=kind, number=number, data=block)
            size += len(block)
        return size

    def parts_of(self, kind):
        """The bytes of a file, a part at a time."""
        parts = self.parts.filter(kind=kind).order_by("number")
        for pk in list(parts.values_list("pk", flat=True)):
            yield bytes(PendingImportPart.objects.get(pk=pk).data)

    @contextmanager
    def opened(self):
        """A copy of the file that was given, opened for bytes."""
        with TemporaryFile() as file:
            for part in self.parts_of(PendingImportPart.Kind.GIVEN):
                file.write(part)
            file.seek(0)
            yield file


class PendingImportPart(models.Model):
    """Some bytes of the file that was given, or of the list of its rejected lines."""

    class Kind(models.TextChoices):
        GIVEN = "given"
        REJECTED = "rejected"

    upload = models.ForeignKey(PendingImport, models.CASCADE, related_name="parts", db_index=False)
    kind = models.CharField(max_length=8, choices=Kind)
    number = models.PositiveIntegerField()
    data = models.BinaryField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["upload", "kind", "number"], name="pools_uploadpart_unique"),
        ]

    def __str__(self):
        return f"{self.kind} {self.number}"
