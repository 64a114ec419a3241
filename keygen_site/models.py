"""What every stored resource shares."""

from django.db import models, transaction
from django.db.utils import IntegrityError
from django.utils import timezone
from uuid_utils.compat import uuid7

from keygen_site.db.fields import DigestField, UpdatedField


class Resource(models.Model):
    """A row that the API shows: an id whose order is the order of creation, and two moments."""

    # UUIDv7, strictly increasing within a process, so "newest first" is "by id, descending".
    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    created = models.DateTimeField(default=timezone.now, editable=False)
    updated = UpdatedField()

    class Meta:
        abstract = True

    def validate_and_save(self, **options):
        """Check the row's rules, then write it.

        A rule that only the database can keep, because another transaction was quicker, is answered
        like the check that should have caught it.

        Raises:
            ValidationError: what is wrong, by field.
        """
        try:
            with transaction.atomic():
                self.lock_for_rules()
                self.check_rules()
                self.save(**options)
        except IntegrityError:
            self.check_rules()
            raise

    def save_changes(self, *names):
        """Check the row's rules, then write the named fields, what is derived from them, and `updated`.

        Raises:
            ValidationError: what is wrong, by field.
        """
        derived = [f.name for f in self._meta.concrete_fields if isinstance(f, DigestField) and f.of in names]
        self.validate_and_save(update_fields=[*names, *derived, "updated"])

    def lock_for_rules(self):
        """Hold what another transaction could use to break a rule between its check and the write; for subclasses."""

    def check_rules(self):
        """Ask whether the row's own values are right; raises `ValidationError`, by field."""
        # Rows that this one points to were looked up by the caller, and `clean()` asks whether a value is
        # taken, in words of its own: asking the database for either once more would say nothing new.
        foreign = {field.name for field in self._meta.concrete_fields if field.is_relation}
        self.full_clean(exclude={"id", *foreign}, validate_constraints=False)


class IdempotentResponse(models.Model):
    """The answer to a request that its client gave a name: see `keygen_site.jsonapi.idempotency`.

    Attributes:
        account_id, bearer_id: whose name it is; others may use the same one for something else.
        fingerprint: the SHA-256 of what was asked for.
        status, headers, body: the answer; 0 while the request runs, which no other transaction ever sees.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    account_id = models.UUIDField()
    bearer_id = models.UUIDField()
    name = models.CharField(max_length=255)
    fingerprint = models.BinaryField(max_length=32)
    status = models.PositiveSmallIntegerField(default=0)
    headers = models.JSONField(default=dict)
    body = models.BinaryField(default=bytes)
    created = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["account_id", "bearer_id", "name"], name="keygen_site_answer_unique"),
        ]
        indexes = [models.Index(fields=["created"], name="keygen_site_answer_created")]

    def __str__(self):
        return self.name
