"""The rule of new passwords: one for the API, the console and the commands.

The setting AUTH_PASSWORD_VALIDATORS lists these validators, so Django's own commands check the same rule. Their errors
are in the contract's words (platform 4.3).
"""

from typing import TYPE_CHECKING, Any

import bcrypt
from django.contrib.auth import password_validation
from django.contrib.auth.hashers import BCryptPasswordHasher
from django.core.exceptions import ValidationError

if TYPE_CHECKING:
    from accounts.models import User

MIN_PASSWORD_CHARACTERS = 8  # the contract's 6 are too few: the digest of such a password can be guessed
MAX_PASSWORD_CHARACTERS = 72
MAX_BCRYPT_BYTES = 72
PASSWORD_HELP = (
    f"{MIN_PASSWORD_CHARACTERS} to {MAX_PASSWORD_CHARACTERS} characters. "
    "Common passwords, and those like the email or the name, are refused."
)


class LengthValidator:
    """Refuses passwords that are too short or too long."""

    def validate(self, password: str, user: "User | None" = None) -> None:
        if len(password) < MIN_PASSWORD_CHARACTERS:
            detail = f"is too short (minimum is {MIN_PASSWORD_CHARACTERS} characters)"
            raise ValidationError(detail, code="too_short")
        if len(password) > MAX_PASSWORD_CHARACTERS:
            detail = f"is too long (maximum is {MAX_PASSWORD_CHARACTERS} characters)"
            raise ValidationError(detail, code="too_long")

    def get_help_text(self) -> str:
        return PASSWORD_HELP


class CommonPasswordValidator(password_validation.CommonPasswordValidator):
    """Refuses the 20,000 most common passwords."""

    def validate(self, password: str, user: "User | None" = None) -> None:
        try:
            super().validate(password, user)
        except ValidationError:
            raise ValidationError("is too common", code="too_common") from None


class SimilarityValidator(password_validation.UserAttributeSimilarityValidator):
    """Refuses passwords that are like the email or the name of the user."""

    def __init__(self) -> None:
        super().__init__(user_attributes=("email", "first_name", "last_name"))

    def validate(self, password: str, user: "User | None" = None) -> None:
        try:
            super().validate(password, user)
        except ValidationError as error:
            name = (error.params or {})["verbose_name"]
            raise ValidationError(f"is too similar to the {name}", code="too_similar") from None


class MovedPasswordHasher(BCryptPasswordHasher):
    """Checks passwords by the digests of keygen-api (contract: moving). At the next sign-in they get a digest of ours.

    keygen-api ignores the bytes of a password after the 72nd; the library `bcrypt` refuses them.
    """

    def encode(self, password: str, salt: Any) -> str:
        if "\0" in password:
            return ""  # equals no digest: bcrypt knows no such password
        hashed = bcrypt.hashpw(password.encode()[:MAX_BCRYPT_BYTES], salt)
        return f"{self.algorithm}${hashed.decode()}"


def password_error(password: str, user: "User") -> ValidationError | None:
    """The first reason why a user may not have a password, or None."""
    for validator in password_validation.get_default_password_validators():
        try:
            validator.validate(password, user)
        except ValidationError as error:
            return error
    return None
