from typing import Self
from uuid import UUID

from django.db import models
from django.utils import timezone

from keygen_site.db.key_digests import key_digest


class UsedTextQuerySet(models.QuerySet["UsedText"]):
    def with_text(self, account_id: UUID, text: str) -> Self:
        """The row of a text of an account: at most one."""
        return self.filter(account_id=account_id, digest=key_digest(text))


class UsedText(models.Model):
    """A text that may have reached a person, of a key or license whose row has been deleted.

    It never enters a pool of its account again. Database triggers write these rows (`pools.triggers`), so that every
    way of deleting a key or a license is covered. Nothing deletes them.
    """

    class Kind(models.TextChoices):
        """The kind of row that had the text. It changes only from LICENSE to KEY, which blocks more."""

        KEY = "key"  # blocks pools and licenses
        # Blocks pools only: clients delete a license and create it again with the same explicit key.
        LICENSE = "license"

    # Not a foreign key: when an account is deleted, the triggers write these rows after the cascade has looked for
    # them, and a constraint would then refuse the deletion.
    account_id = models.UUIDField()
    digest = models.BinaryField(max_length=32)
    kind = models.CharField(max_length=8, choices=Kind)
    created = models.DateTimeField(default=timezone.now)

    objects = UsedTextQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["account_id", "digest"], name="pools_usedtext_unique"),
        ]
        indexes = [
            # Finds the licenses that were deleted during an import. Deleted keys are not in it, so they cost nothing.
            models.Index(
                fields=["account_id", "created"], name="pools_usedtext_licenses", condition=models.Q(kind="license")
            ),
        ]

    def __str__(self) -> str:
        return f"text of a {self.kind}"
