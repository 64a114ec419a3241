"""The rules that refuse changes of licenses."""

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
