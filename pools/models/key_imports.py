from django.db import models

from accounts.models import Account
from keygen_site.models import Resource
from licensing.models import Policy


class KeyImport(Resource):
    """An import of keys into a pool: its name, its source, its author, and the numbers of keys."""

    account = models.ForeignKey(Account, models.CASCADE, related_name="key_imports")
    policy = models.ForeignKey(Policy, models.CASCADE, related_name="key_imports")
    name = models.CharField(max_length=255, blank=True)
    source = models.CharField("file", max_length=255, blank=True)
    operator = models.CharField("added by", max_length=255, blank=True)
    operator_id = models.UUIDField(null=True, blank=True)
    bearer_type = models.CharField(max_length=16, blank=True)
    bearer_id = models.UUIDField(null=True, blank=True)
    # The import in another pool whose keys were moved here.
    moved_from = models.ForeignKey("self", models.SET_NULL, null=True, blank=True, related_name="+")
    added = models.PositiveBigIntegerField(default=0)
    rejected = models.PositiveBigIntegerField(default=0)
    # The start of an import that takes several transactions (SQLite). Its keys are invisible until this is null.
    loading = models.DateTimeField(null=True, editable=False)

    in_ledger = True

    class Meta:
        ordering = ["-id"]
        verbose_name = "import"
        constraints = [
            models.UniqueConstraint(fields=["policy", "moved_from"], name="pools_keyimport_moved_once"),
        ]
        indexes = [
            models.Index(fields=["loading"], name="pools_keyimport_loading", condition=models.Q(loading__isnull=False)),
        ]

    class JSONAPIMeta:
        resource_name = "key-imports"

    def __str__(self) -> str:
        return self.name or self.source or f"Import of {self.created:%-d %b %Y, %H:%M} UTC"
