"""Heartbeats of machines and processes: when they are alive, and for how long a dead one can be revived.

The status is computed from timestamps, in Python for a row and in SQL for a set of rows, so that it needs no worker
(contract: machines 6).
"""

from datetime import datetime, timedelta
from typing import Any

from django.db.models import (
    Case,
    DateTimeField,
    DurationField,
    Expression,
    ExpressionWrapper,
    F,
    IntegerField,
    Q,
    Value,
    When,
)
from django.db.models.expressions import Combinable
from django.db.models.functions import Coalesce

from keygen_site.db.literals import Literal
from keygen_site.jsonapi.errors import DomainError
from licensing.models.policies import RESURRECTION_STRATEGIES, Policy

Moment = datetime | Combinable  # a time, or an expression of the database such as `Now()`
DEFAULT_DURATION = 600  # seconds, of a policy without a heartbeat duration
NOT_STARTED, ALIVE, DEAD, RESURRECTED = "NOT_STARTED", "ALIVE", "DEAD", "RESURRECTED"
# For how long after its death each strategy revives: those with a number of minutes.
REVIVAL_PERIODS = {
    strategy: timedelta(minutes=int(strategy.split("_")[0]))
    for strategy in RESURRECTION_STRATEGIES
    if strategy[0].isdigit()
}


class HeartbeatDead(DomainError):
    """The machine or process is dead, and its policy does not revive it, or no longer (contract: machines 6.3)."""

    detail = "is dead"


class MachineHeartbeatDead(HeartbeatDead):
    """The machine is dead, and its policy does not revive it, or no longer: activate it again."""

    code = "MACHINE_HEARTBEAT_DEAD"


class ProcessHeartbeatDead(HeartbeatDead):
    """The process is dead, and its policy does not revive it, or no longer: create it again."""

    code = "PROCESS_HEARTBEAT_DEAD"


def heartbeat_duration(policy: Policy) -> int:
    """The seconds after which a machine or process without a heartbeat is dead."""
    return policy.heartbeat_duration or DEFAULT_DURATION


def can_be_revived(policy: Policy, last_heartbeat: datetime | None, now: datetime) -> bool:
    """Whether a heartbeat revives a dead machine or process."""
    strategy = policy.heartbeat_resurrection_strategy
    if strategy == "ALWAYS_REVIVE":
        return True
    if strategy not in REVIVAL_PERIODS or last_heartbeat is None:
        return False
    return now <= last_heartbeat + timedelta(seconds=heartbeat_duration(policy)) + REVIVAL_PERIODS[strategy]


def heartbeat_end(start: Any, policy: str) -> Expression:
    """SQL: the time until which a heartbeat counts.

    Args:
        start: the time of the heartbeat, as an expression.
        policy: the path to the policy, such as `license__policy`.
    """
    return _later(start, _duration_of(policy))


def revival_end(start: Any, policy: str) -> Expression:
    """SQL: the time until which a heartbeat revives a machine or process, unless its policy always does.

    Args:
        start, policy: as of `heartbeat_end()`.
    """
    strategy = f"{policy}__heartbeat_resurrection_strategy"
    none = Literal(0)
    periods = [
        When(**{strategy: Literal(name)}, then=Literal(period.seconds)) for name, period in REVIVAL_PERIODS.items()
    ]
    period = Case(When(last_heartbeat=None, then=none), *periods, default=none, output_field=IntegerField())
    return _later(start, _duration_of(policy) + period)


def _duration_of(policy: str) -> Coalesce:
    """SQL: the seconds of `heartbeat_duration()`."""
    return Coalesce(F(f"{policy}__heartbeat_duration"), Literal(DEFAULT_DURATION))


def _later(start: Any, seconds: Any) -> Expression:
    """SQL: a number of seconds after a time."""
    duration = ExpressionWrapper(seconds * Value(timedelta(seconds=1)), output_field=DurationField())
    return ExpressionWrapper(start + duration, output_field=DateTimeField())


def revival_is_over(policy: str, now: Moment) -> Q:
    """SQL: whether no heartbeat can revive a machine or process that can die, whose `revival_end` is annotated."""
    always = Q(**{f"{policy}__heartbeat_resurrection_strategy": Literal("ALWAYS_REVIVE")})
    return ~always & Q(revival_end__lt=now)
