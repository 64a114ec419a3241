"""The rules that refuse changes of licenses."""

from django.core.exceptions import ValidationError

from keygen_site.jsonapi.errors import BadRequest, DomainError


class AlreadySuspended(DomainError):
    detail = "is already suspended"
    source = {"pointer": "/data/attributes/suspended"}


class NotSuspended(DomainError):
    detail = "is not suspended"
    source = {"pointer": "/data/attributes/suspended"}


class NoDuration(DomainError):
    detail = "cannot be renewed because the policy does not have a duration"


class NoExpiry(DomainError):
    detail = "cannot be renewed because it does not have an expiry"
    source = {"pointer": "/data/attributes/expiry"}


class UsesOutOfRange(BadRequest):
    """The uses would exceed the number that the column can hold. Only a license without a limit comes so far."""

    detail = "integer is too large"


class CheckInNotRequired(DomainError):
    detail = "cannot be checked in because the policy does not require it"


def uses_error(number: int, limit: int | None) -> ValidationError | UsesOutOfRange:
    """Why so many uses could not be added; `limit` is None if there is none."""
    if number < 0:
        return ValidationError({"uses": ValidationError("must be greater than or equal to 0", code="invalid")})
    if limit is None:
        return UsesOutOfRange()
    detail = f"usage exceeds maximum allowed for license ({limit})"
    return ValidationError({"uses": ValidationError(detail, code="limit_exceeded")})
