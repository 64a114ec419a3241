"""The base of all resources, and the stored responses of idempotency keys."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, ClassVar
from uuid import UUID

from django.core.exceptions import ValidationError
from django.db import models, transaction
from django.db.utils import IntegrityError
from django.utils import timezone
from uuid_utils.compat import uuid7

from keygen_site.db.direct_models import DirectModel
from keygen_site.db.fields import UpdatedField
from keygen_site.encryption import EncryptedBinaryField


def must_exist() -> ValidationError:
    """The error of a relationship to a row that does not exist or that the bearer may not see."""
    return ValidationError("must exist", code="not_found")


class Resource(DirectModel):
    """Base of the models that the API shows: an id whose order is the order of creation, and two timestamps."""

    # UUIDv7, strictly increasing within a process, so "newest first" is "by id, descending".
    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    created = models.DateTimeField(default=timezone.now, editable=False)
    updated = UpdatedField()

    # The order of a response's errors by field name; other fields come last, in the order of their checks.
    error_order: ClassVar[Sequence[str]] = ()
    # Whether the ledger of keys records all changes of the rows, so that the activity does not.
    in_ledger: ClassVar[bool] = False
    # Whether the activity records changes of the rows: those that people make.
    in_activity: ClassVar[bool] = True
    # Whether the service that creates the rows records this, so that the API and the console do not.
    service_records_creation: ClassVar[bool] = False

    class Meta:
        abstract = True

    def validate_and_save(self, **options: Any) -> None:
        """Check the row's rules, then write it.

        If a concurrent transaction made the row violate a constraint, the error is that of the check which could not
        see the violation yet.

        Raises:
            ValidationError: by field.
        """
        try:
            with transaction.atomic():
                self.lock_for_rules()
                self.check_rules()
                self.save(**options)
        except IntegrityError:
            self.check_rules()
            raise

    def save_changes(self, *names: str) -> None:
        """Check the row's rules, then write the named fields, the fields computed from these, and `updated`.

        Raises:
            ValidationError: by field.
        """
        derived = [field.name for field in self._meta.concrete_fields if getattr(field, "of", None) in names]
        self.validate_and_save(update_fields=[*names, *derived, "updated"])

    def lock_first(self) -> None:
        """Hook: lock the rows that all transactions lock before this one, so that no two wait for each other.

        It is called before this row is locked, where a change of the row needs them too.
        """

    def lock_for_rules(self) -> None:
        """Hook: lock the rows that could make a rule fail between its check and the write."""

    def check_rules(self) -> None:
        """Check the row's own values.

        Raises:
            ValidationError: by field.
        """
        # The caller has looked up the related rows, and `clean()` checks uniqueness with errors in the contract's
        # words, so the queries of Django's own checks would be redundant.
        foreign = {field.name for field in self._meta.concrete_fields if field.is_relation}
        try:
            self.full_clean(exclude={"id", *foreign}, validate_constraints=False)
        except ValidationError as error:
            raise ValidationError(self._in_order(error.error_dict)) from None

    def _in_order(self, errors: dict[str, list[ValidationError]]) -> dict[str, list[ValidationError]]:
        order = {name: index for index, name in enumerate(self.error_order)}
        return {name: errors[name] for name in sorted(errors, key=lambda name: order.get(name, len(order)))}


class IdempotentResponseQuerySet(models.QuerySet["IdempotentResponse"]):
    def void(self, account_id: UUID, request_id: str) -> None:
        """Never replay the response of a request whose effect is undone, with the caller's transaction.

        The row stays, so that a repeated request has no effect either.
        """
        if request_id:
            self.filter(account_id=account_id, request_id=request_id).update(voided=timezone.now(), body=b"")

    def prune(self, before: datetime, at_most: int) -> int:
        """Delete the oldest responses from before a time, in the caller's transaction, and return their number.

        Rows that another transaction has locked stay, so that this waits for none.
        """
        old = self.filter(created__lt=before).order_by("created").select_for_update(skip_locked=True)
        ids = list(old.values_list("pk", flat=True)[:at_most])
        return self.filter(pk__in=ids).delete()[0] if ids else 0


class IdempotentResponse(DirectModel):
    """A response stored under an `Idempotency-Key`, for replay: see `keygen_site.jsonapi.idempotency`.

    Attributes:
        account_id, bearer_id: the scope of the key, by `scope_of(bearer)`, or of an operator's form of the console.
        name: the key.
        fingerprint: a keyed hash of the request.
        status, headers, body: of the response. The status is 0 while the request runs, which no other transaction sees.
        request_id: the id of the request, as in the ledger.
        voided: when the effect of the request was undone, so that the response must not be replayed.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    account_id = models.UUIDField()
    bearer_id = models.UUIDField()
    name = models.CharField(max_length=255)
    fingerprint = models.BinaryField(max_length=32)
    status = models.PositiveSmallIntegerField(default=0)
    headers = models.JSONField(default=dict)
    body = EncryptedBinaryField(purpose="stored response", default=bytes)
    request_id = models.CharField(max_length=36, blank=True, default="", db_default="")
    voided = models.DateTimeField(null=True)
    created = models.DateTimeField(default=timezone.now)

    objects = IdempotentResponseQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["account_id", "bearer_id", "name"], name="keygen_site_answer_unique"),
        ]
        indexes = [
            models.Index(fields=["created"], name="keygen_site_answer_created"),
            models.Index(fields=["account_id", "bearer_id", "created"], name="keygen_site_answer_recent"),
            models.Index(fields=["request_id"], name="keygen_site_answer_request"),
        ]

    def __str__(self) -> str:
        return self.name


class DigestKey(models.Model):
    """The digest key of the installation, under one of the encryption keys: see `keygen_site.db.key_digests`.

    Attributes:
        key_id: the id of the encryption key; empty if the value is in clear.
        value: the base64 of the digest key, encrypted.
    """

    key_id = models.CharField(max_length=32, primary_key=True)
    value = models.TextField()

    def __str__(self) -> str:
        return self.key_id or "in clear"
