"""Errors of moving an account in. Each detail is one sentence, and has no secret and no key."""

from keygen_site.jsonapi.errors import DomainError


class MoveRefused(DomainError):
    """The account cannot move in. Nothing has changed."""


class RowInvalid(MoveRefused):
    """A row of the export, or of the table of tokens, has a value that it must not have."""


class ExportIncomplete(MoveRefused):
    """The end of the export is missing, or the file is another one than that of the digest."""


class RowsContradict(MoveRefused):
    """Rows of the export contradict each other or rows of the database."""


class UsedKeysUncertain(MoveRefused):
    """It is not certain which keys are used, so one of them might be handed out again."""


class TokensMissing(MoveRefused):
    """The account would lose tokens that work now, or the table has none of it."""


class AccountExists(MoveRefused):
    """Another account has the id or the slug, or the account has changed since it moved in."""


class AlreadyMoved(MoveRefused):
    """The same export has been imported before."""

    status = 409
    title = "Conflict"
    detail = "Nothing was changed: the same export has been imported before"
