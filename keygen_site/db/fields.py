import hashlib

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.utils import timezone


class ShortTextField(models.CharField):
    """A short text, refused in the contract's words (platform 4.3)."""

    default_error_messages = {
        "blank": "can't be blank",
        "max_length": "is too long (maximum is %(limit_value)d characters)",
        "unique": "has already been taken",
    }


class AtLeast(MinValueValidator):
    """A number not below a bound, refused in the contract's words."""

    message = "must be greater than or equal to %(limit_value)s"


class AtMost(MaxValueValidator):
    """A number not above a bound, refused in the contract's words."""

    message = "must be less than or equal to %(limit_value)s"


class UpdatedField(models.DateTimeField):
    """The moment of the last write; equal to `created` until there is a second one."""

    def __init__(self, **options):
        super().__init__(**{"editable": False, **options})

    def pre_save(self, instance, add):
        moment = instance.created if add else timezone.now()
        setattr(instance, self.attname, moment)
        return moment


class DigestField(models.BinaryField):
    """The SHA-256 (32 bytes) of another text field, computed whenever a row is written, by bulk writes too.

    Texts are compared through it because they may be longer than an index row can hold.
    """

    def __init__(self, *, of, **options):
        self.of = of
        super().__init__(**{"editable": False, "max_length": 32, **options})

    def deconstruct(self):
        name, path, args, options = super().deconstruct()
        return name, path, args, {**options, "of": self.of}

    def pre_save(self, instance, add):
        value = digest(getattr(instance, self.of))
        setattr(instance, self.attname, value)
        return value


def digest(text):
    """The SHA-256 of a text's UTF-8 bytes, 32 bytes."""
    return hashlib.sha256(text.encode()).digest()


def masked(text):
    """A key as it may be shown to anybody: its first and last four characters, fewer of a short one."""
    shown = min(4, len(text) // 4)
    return f"{text[:shown]}…{text[-shown:] if shown else ''}"
