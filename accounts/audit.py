from dataclasses import dataclass
from typing import Any
from uuid import UUID


@dataclass(frozen=True)
class AuditContext:
    """Who caused a change, through which interface, and the caller's reference. Stored with every ledger entry.

    Attributes:
        bearer_type, bearer_id: the bearer of a request of the API, e.g. `products`.
        token_id, token_name: the token of the request, with its name at that time.
        operator: the email of the operator in the console at that time, or the name of a command.
        operator_id: the user id of the operator in the console; an email can pass to another user.
        request_id: the id of the request, as in the header `X-Request-Id`.
        reference: the caller's reference, e.g. an order number.
    """

    bearer_type: str = ""
    bearer_id: UUID | None = None
    token_id: UUID | None = None
    token_name: str = ""
    operator: str = ""
    operator_id: UUID | None = None
    request_id: str = ""
    reference: str = ""

    @property
    def actor(self) -> str:
        return describe_actor(self.operator, self.bearer_type, self.bearer_id)

    def as_dict(self) -> dict[str, Any]:
        """The attributes by name; the ledger has columns of these names."""
        return dict(vars(self))


def describe_actor(operator: str, bearer_type: str, bearer_id: UUID | None) -> str:
    """The operator or the bearer, in words that last: `ann@acme.test`, `manage.py pop_key`, `products <id>`."""
    return operator or f"{bearer_type} {bearer_id or ''}".strip()
