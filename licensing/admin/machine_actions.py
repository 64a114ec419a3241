"""Actions of operators on machines."""

from collections.abc import Sequence
from typing import Any

from django.urls import reverse

from accounts.admin.actions import RowAction
from accounts.audit import AuditContext
from licensing.activation import deactivate_machine
from licensing.models import Machine


class Deactivate(RowAction):
    """Deletes machines, so that others may take their places."""

    name, label, past_tense, permission = "deactivate", "Deactivate", "Deactivated", "licensing.delete_machine"
    danger = True

    def title(self, rows: Sequence[Machine]) -> str:
        return f"Deactivate {rows[0]}?" if len(rows) == 1 else super().title(rows)

    def consequences(self, rows: Sequence[Machine]) -> list[str]:
        if len(rows) > 1:
            return [
                "The machines are deleted, with their components and processes. Other machines may take their places.",
                "A program that runs on one of them may activate the license again.",
            ]
        return [
            "The machine is deleted, with its components and processes. Another machine may take its place.",
            "A program that runs on it may activate the license again. To prevent that, suspend the license.",
        ]

    def apply(self, machine: Machine, audit: AuditContext, values: dict[str, Any]) -> None:
        deactivate_machine(machine)

    def next_page(self, admin: Any, rows: Sequence[Machine]) -> str:
        if len(rows) == 1:
            return reverse("admin:licensing_license_change", args=[rows[0].license_id])
        return admin.changelist_url()


class ResetHeartbeat(RowAction):
    """Forgets the heartbeats of machines, so that a dead one is not deleted and may start again."""

    name, label, past_tense = "reset-heartbeat", "Reset heartbeat", "Reset the heartbeats"
    permission = "licensing.change_machine"

    def applies_to(self, machine: Machine) -> bool:
        return machine.require_heartbeat

    def title(self, rows: Sequence[Machine]) -> str:
        if len(rows) == 1:
            return f"Reset the heartbeat of {rows[0]}?"
        return f"Reset the heartbeats of {len(rows):,} machines?"

    def consequences(self, rows: Sequence[Machine]) -> list[str]:
        if len(rows) > 1:
            return ["Their heartbeats start again, as after an activation. Machines that are dead are not any more."]
        if rows[0].policy.require_heartbeat:
            return ["The machine is not dead any more, and has the whole time again for its next heartbeat."]
        return ["The machine is not dead any more. It needs no heartbeats until it sends one."]

    def apply(self, machine: Machine, audit: AuditContext, values: dict[str, Any]) -> None:
        machine.reset_heartbeat()

    def result(self, changed: int, opts: Any) -> str:
        return f"Heartbeats of {changed:,} machine{'' if changed == 1 else 's'} reset"

    def result_of_one(self, row: Machine) -> str:
        return f"Heartbeat of {row} reset"
