"""Moves: the accounts that came from keygen-api, and the reports of it."""

from typing import Any

from django.db import models

from accounts.models import Account
from keygen_site.models import Resource


class Move(Resource):
    """The import of an account from an export of keygen-api (contract: moving). `created` is its time.

    Attributes:
        source: the name of the file.
        sha256: of the file, in hex, as keygen-api's export task prints it.
        content_digest: of the export, the tokens and the used keys. Importing the same again changes nothing.
        summary: for each class of the export, in the order of the report: `{"class", "read", "kept", "leftOut"}`, the
            last one from reason to number.
        findings: the first rows that need a person's eye: `{"class", "id", "label", "problem", "kept"}`. The label of a
            key or license is its masked key. No secret is in them.
        findings_count: the number of all.
        state: the state of the account after the import, by which a later import notices that it was written to.
    """

    account = models.OneToOneField(Account, models.CASCADE, related_name="move", editable=False)
    source = models.CharField("file", max_length=255, blank=True, editable=False)
    operator = models.CharField("moved by", max_length=255, blank=True, editable=False)
    sha256 = models.CharField(max_length=64, editable=False)
    content_digest = models.BinaryField(max_length=32, editable=False)
    summary: Any = models.JSONField(default=list, editable=False)
    findings: Any = models.JSONField(default=list, editable=False)
    findings_count = models.PositiveBigIntegerField(default=0, editable=False)
    state: Any = models.JSONField(default=dict, editable=False)

    in_activity = False

    class Meta:
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"Move of {self.account} on {self.created:%-d %b %Y, %H:%M} UTC"
