from dataclasses import dataclass
from typing import Any
from uuid import UUID


@dataclass(frozen=True)
class AuditContext:
    """Who caused a change, through which interface, and the caller's reference. Stored with every ledger entry.

    Attributes:
        bearer_type, bearer_id: the bearer of a request of the API, e.g. `products`.
        operator: the email of the operator in the console, or the name of a command.
        request_id: the id of the request, as in the header `X-Request-Id`.
        reference: the caller's reference, e.g. an order number.
    """

    bearer_type: str = ""
    bearer_id: UUID | None = None
    operator: str = ""
    request_id: str = ""
    reference: str = ""

    def as_dict(self) -> dict[str, Any]:
        """The attributes by name; the ledger has columns of these names."""
        return dict(vars(self))
