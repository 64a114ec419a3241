"""Model fields of the texts of keys: the encrypted text, its keyed digest, and a number for its last characters.

key = KeyTextField(purpose="key of a pool")
digest = KeyDigestField(of="key")
"""

from collections.abc import Iterable
from typing import Any

from django.core.exceptions import FieldError
from django.db import models
from django.db.models.expressions import Col
from django.db.models.lookups import Exact, In

from keygen_site.db.fields import DigestField
from keygen_site.db.key_digests import key_digest, key_digester
from keygen_site.encryption import EncryptedTextField


class KeyDigestField(DigestField):
    """The keyed digest (32 bytes) of the text of a key, computed whenever a row is written, by bulk writes too.

    Texts are compared through it: they are encrypted, and may be longer than an index row can hold.
    """

    def compute(self, text: str) -> bytes:
        return key_digest(text)


class KeyEndingField(models.IntegerField):
    """A number that keys with the same last four characters share, computed whenever a row is written."""

    def __init__(self, *, of: str, **options: Any) -> None:
        self.of = of
        super().__init__(**{"editable": False, "null": True, **options})

    def deconstruct(self) -> Any:
        name, path, args, options = super().deconstruct()
        return name, path, args, {**options, "of": self.of}

    def pre_save(self, model_instance: Any, add: bool) -> int:
        value = key_digester().ending(getattr(model_instance, self.of))
        setattr(model_instance, self.attname, value)
        return value


class KeyTextField(EncryptedTextField):
    """The text of a key, encrypted. `filter(key=…)` and `filter(key__in=…)` compare digests; nothing else is possible.

    The model has a `KeyDigestField` of this field.
    """

    def get_lookup(self, lookup_name: str) -> Any:
        return {"exact": _SameKey, "in": _AnyKey}.get(lookup_name) or super().get_lookup(lookup_name)


class _SameKey(Exact):
    def __init__(self, lhs: Any, rhs: Any) -> None:
        if not isinstance(rhs, str):
            raise FieldError("The text of a key can only be compared with a text.")
        super().__init__(_digest_column(lhs), key_digest(rhs))


class _AnyKey(In):
    def __init__(self, lhs: Any, rhs: Iterable[str]) -> None:
        super().__init__(_digest_column(lhs), [key_digest(text) for text in rhs])


def _digest_column(column: Any) -> Col:
    """The column of the digest of a column with the text of a key."""
    fields = column.target.model._meta.concrete_fields
    digest = next(field for field in fields if isinstance(field, DigestField) and field.of == column.target.name)
    return Col(column.alias, digest)
