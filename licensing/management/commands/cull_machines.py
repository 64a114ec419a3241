from typing import Any

from django.utils import timezone

from accounts.audit import AuditContext
from keygen_site.management.project_command import ProjectCommand
from keygen_site.wording import count_of
from licensing.culling import cull_machines, cull_processes


class Command(ProjectCommand):
    """Deletes dead machines and processes whose policy gives up their seats.

    Their seats are free even before that. Run it every minute, so that lists do not show them.
    """

    examples = ("",)
    machines = processes = 0

    def handle(self, **options: Any) -> None:
        audit = AuditContext.of_command(self)
        while machines := cull_machines(timezone.now(), audit):
            self.machines += machines
        while processes := cull_processes(timezone.now()):
            self.processes += processes
        self.report(self.describe_culled(), {"machines": self.machines, "processes": self.processes})

    def describe_culled(self) -> str:
        return f"Deleted {count_of(self.machines, 'machine')} and {count_of(self.processes, 'process')}."

    def describe_interruption(self) -> str:
        return self.describe_culled()
