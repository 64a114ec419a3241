from dataclasses import dataclass
from uuid import UUID


@dataclass(frozen=True)
class AuditContext:
    """Whence an act comes: who did it and what for. The ledger keeps it.

    Attributes:
        bearer_type, bearer_id: who asked through the API, e.g. `products`.
        operator: the e-mail of who acted in the console, or the name of a command.
        request_id: the id of the request, as in the header `X-Request-Id`.
        reference: what the caller says it is for, e.g. an order number.
    """

    bearer_type: str = ""
    bearer_id: UUID | None = None
    operator: str = ""
    request_id: str = ""
    reference: str = ""

    def as_dict(self):
        """The attributes by name, as the ledger's columns are called."""
        return dict(vars(self))
