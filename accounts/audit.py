from dataclasses import dataclass
from typing import Any, Self
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

    @classmethod
    def of_command(cls, command: object) -> Self:
        """The audit context of a management command: the command is the operator."""
        return cls(operator=f"manage.py {type(command).__module__.rpartition('.')[2]}")

    @property
    def actor(self) -> str:
        return describe_actor(self.operator, self.operator_id, self.bearer_type, self.bearer_id)

    def as_dict(self) -> dict[str, Any]:
        """The attributes by name; the ledger has columns of these names."""
        return dict(vars(self))


def describe_actor(operator: str, operator_id: UUID | None, bearer_type: str, bearer_id: UUID | None) -> str:
    """The operator or the bearer, in at most 255 characters that last, with the id of the user, who can be renamed.

    For example `ann@acme.test (<id>)`, `manage.py pop_key`, `products <id>`.
    """
    if operator_id:
        identity = f" ({operator_id})"
        return operator[: 255 - len(identity)] + identity
    return operator or f"{bearer_type} {bearer_id or ''}".strip()
