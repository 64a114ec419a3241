"""Model fields and validators, digests, and masked keys."""

import hashlib
from operator import attrgetter
from typing import Any

from django.core.validators import BaseValidator, MaxValueValidator, MinValueValidator
from django.db import models
from django.utils import timezone

# PostgreSQL's indexes have room for 2,704 bytes in a row, with the account.
MAX_INDEXED_BYTES = 2_600


class MaxBytes(BaseValidator):
    """Refuses texts that do not fit into an index, in lower case or as they are, e.g. 700 emojis."""

    code = "max_bytes"
    message = "is too long (maximum is %(limit_value)d bytes)"

    def compare(self, a: int, b: int) -> bool:
        return a > b

    def clean(self, x: str) -> int:
        return max(len(text.encode(errors="replace")) for text in (x, x.lower()))


class ShortTextField(models.CharField):
    """A short text, with errors in the contract's words (platform 4.3)."""

    default_error_messages = {
        "blank": "can't be blank",
        "max_length": "is too long (maximum is %(limit_value)d characters)",
        "unique": "has already been taken",
    }

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        if self.max_length is not None and self.max_length > MAX_INDEXED_BYTES // 4:  # of UTF-8
            self.validators.append(MaxBytes(MAX_INDEXED_BYTES))


class AtLeast(MinValueValidator):
    """Refuses numbers below a bound, in the contract's words."""

    message = "must be greater than or equal to %(limit_value)s"


class AtMost(MaxValueValidator):
    """Refuses numbers above a bound, in the contract's words."""

    message = "must be less than or equal to %(limit_value)s"


class UpdatedField(models.DateTimeField):
    """The timestamp of the last write; equal to `created` until the row is changed."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"editable": False, **options})

    def pre_save(self, model_instance: Any, add: bool) -> Any:
        timestamp = model_instance.created if add else timezone.now()
        setattr(model_instance, self.attname, timestamp)
        return timestamp


class CopiedForeignKey(models.ForeignKey):  # type: ignore[type-arg]
    """The foreign key of a row that this one belongs to, copied when it is created, by bulk writes too.

    So indexes can begin with it. Code that changes the original changes the copies too.
    """

    def __init__(self, *args: Any, of: str, **options: Any) -> None:
        """
        Args:
            of: the path to the original, such as `license.product_id`.
        """
        self.of = of
        super().__init__(*args, **{"editable": False, "blank": True, **options})

    def deconstruct(self) -> Any:
        name, path, args, options = super().deconstruct()
        return name, path, args, {**options, "of": self.of}

    def pre_save(self, model_instance: Any, add: bool) -> Any:
        if add:
            setattr(model_instance, self.attname, attrgetter(self.of)(model_instance))
        return getattr(model_instance, self.attname)


class DigestField(models.BinaryField):
    """The SHA-256 (32 bytes) of another text field, computed whenever a row is written, by bulk writes too.

    For texts that are no secrets, such as fingerprints: they are compared through it, as they may be longer than an
    index row can hold. Texts of keys have a `KeyDigestField`.
    """

    def __init__(self, *, of: str, **options: Any) -> None:
        self.of = of
        super().__init__(**{"editable": False, "max_length": 32, **options})

    def deconstruct(self) -> Any:
        name, path, args, options = super().deconstruct()
        return name, path, args, {**options, "of": self.of}

    def pre_save(self, model_instance: Any, add: bool) -> bytes:
        value = self.compute(getattr(model_instance, self.of))
        setattr(model_instance, self.attname, value)
        return value

    def compute(self, text: str) -> bytes:
        """The digest of a text."""
        return digest(text)


def digest(text: str) -> bytes:
    """The SHA-256 of a text's UTF-8 bytes, 32 bytes."""
    return hashlib.sha256(text.encode()).digest()


def mask_key(text: str) -> str:
    """A key with only its first and last four characters shown, fewer of a short key."""
    shown = min(4, len(text) // 4)
    return f"{text[:shown]}…{text[-shown:] if shown else ''}"
