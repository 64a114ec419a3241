"""Tokens that expire soon: afterwards, the requests of the programs that use them are refused."""

from datetime import timedelta
from typing import Any

from django.db.models import QuerySet
from django.utils import timezone

from accounts import bearers
from accounts.models import Token, User
from accounts.models.tokens import content_type_of
from accounts.permissions import revocable_team
from accounts.roles import RANKS

EXPIRES_SOON = timedelta(days=14)


def find_expiring_tokens(operator: User) -> list[QuerySet[Token]]:
    """The tokens of products, and of the team, that an operator may revoke and that expire within EXPIRES_SOON.

    Those of customers and of licenses are left out: their programs renew them. One queryset for each type of bearer,
    so that the database finds the tokens by their bearers, who are few.
    """
    if not operator.has_perm("accounts.view_token"):
        return []
    owners: list[QuerySet[Any]] = [revocable_team(operator)]
    if operator.is_superuser or RANKS[operator.role] >= RANKS["product"]:
        owners += [each.model._default_manager.all() for each in bearers.types().values() if each.has_only_tokens]
    if not operator.is_superuser:
        owners = [rows.filter(account=operator.account_id) for rows in owners]
    now = timezone.now()
    soon = Token.objects.filter(expiry__gt=now, expiry__lte=now + EXPIRES_SOON)
    return [soon.filter(bearer_type=content_type_of(rows.model), bearer_id__in=rows.values("pk")) for rows in owners]
