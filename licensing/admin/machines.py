"""The machines on which licenses are activated."""

from collections.abc import Iterable, Sequence
from typing import Any

from django.contrib import admin, messages
from django.db.models import OuterRef
from django.http import HttpRequest, HttpResponse
from django.template.defaultfilters import filesizeformat
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html

from accounts.admin.actions import operator_of
from accounts.admin.base import ReadOnlyAdmin, format_time
from accounts.admin.customers import user_link
from accounts.admin.group_action import ChangeGroup, group_link
from accounts.admin.linked_filters import GroupFilter, LinkedRowFilter
from accounts.admin.searched_lists import SearchedListMixin
from accounts.search import MAX_FOUND_ROWS, SearchScope
from keygen_site.db.bounded_counts import BoundedCount
from keygen_site.db.uuids import parse_uuid
from licensing.admin.heartbeat_words import describe_heartbeat, heartbeat_badge, process_badge
from licensing.admin.machine_actions import Deactivate, ResetHeartbeat
from licensing.heartbeats import ALIVE, DEAD, NOT_STARTED
from licensing.models import Component, License, Machine, Process
from licensing.models.machine_queries import MachineQuerySet
from licensing.search import find_machines

MAX_COUNTED_PARTS = 100  # components, and processes, of each machine
MAX_SHOWN_PARTS = 100
MAX_SHOWN_FINGERPRINT = 20  # characters


def with_parts(machines: Any) -> Any:
    """Machines with the numbers of their components and processes, up to MAX_COUNTED_PARTS."""
    counts = {
        f"{name}_count": BoundedCount(rows.filter(machine=OuterRef("pk")).order_by().values("pk")[:MAX_COUNTED_PARTS])
        for name, rows in (("component", Component.objects.all()), ("process", Process.objects.all()))
    }
    return machines.annotate(**counts)


def describe_parts(machine: Any) -> str:
    """The numbers of components and processes of a machine, if there are any."""
    counts = ((machine.component_count, "component", "s"), (machine.process_count, "process", "es"))
    return ", ".join(
        f"{number}{'+' if number >= MAX_COUNTED_PARTS else ''} {noun}{'' if number == 1 else ending}"
        for number, noun, ending in counts
        if number
    )


def name_machine(machine: Machine) -> str:
    """The name of a machine in HTML: the client's name for it, or the beginning of its fingerprint."""
    if name := machine.name or machine.hostname:
        return format_html("<bdi>{}</bdi>", name)
    text = machine.fingerprint
    return format_html("<code>{}</code>", text if len(text) <= MAX_SHOWN_FINGERPRINT else f"{text[:16]}…")


def describe_resources(machine: Machine) -> str:
    """The cores, the memory and the disk space of a machine, as far as they are known."""
    cores = machine.cores and f"{machine.cores:,} core{'' if machine.cores == 1 else 's'}"
    memory = machine.memory and f"{filesizeformat(machine.memory)} memory"
    disk = machine.disk and f"{filesizeformat(machine.disk)} disk"
    return ", ".join(filter(None, (cores, memory, disk)))


class LicenseFilter(LinkedRowFilter):
    title, parameter_name, path = "license", "license", "license"
    model = License


class HeartbeatFilter(admin.SimpleListFilter):
    """The status of the machines of a license. Among those of a whole account, no index finds the dead ones."""

    title, parameter_name = "heartbeat", "heartbeat"

    def lookups(self, request: HttpRequest, model_admin: admin.ModelAdmin) -> list[tuple[str, str]]:
        if not request.GET.get("license"):
            return []
        return [(ALIVE, "Alive"), (DEAD, "Dead"), (NOT_STARTED, "No heartbeat")]

    def queryset(self, request: HttpRequest, machines: Any) -> MachineQuerySet:
        now = timezone.now()
        match self.value():
            case "ALIVE":
                return machines.alive(now).filter(last_heartbeat__isnull=False)
            case "NOT_STARTED":
                return machines.alive(now).filter(last_heartbeat=None)
            case "DEAD":
                return machines.dead(now)
        return machines


@admin.register(Machine)
class MachineAdmin(SearchedListMixin, ReadOnlyAdmin):
    """The machines of an account. Programs activate them over the API; operators deactivate them."""

    menu_name = "Machines"
    hint = "No machines yet. A program activates its license on a machine over the API."
    confirmed_actions = [ResetHeartbeat(), Deactivate(), ChangeGroup()]
    list_display = ["label", "of_license", "platform_of", "owner_of", "heartbeat", "resources", "parts", "since"]
    list_select_related = ["license__policy", "license__owner", "owner"]
    list_filter = [LicenseFilter, GroupFilter, HeartbeatFilter]
    search_fields = ["name"]
    search_help_text = "Part of a name or fingerprint"
    sortable_by = ()
    change_form_template = "admin/licensing/machine/change_form.html"
    change_list_template = "admin/licensing/machine/change_list.html"

    def get_queryset(self, request: HttpRequest) -> Any:
        return super().get_queryset(request).select_related("license__policy", "license__owner", "owner", "group")

    def get_ordering(self, request: HttpRequest) -> list[Any] | tuple[Any, ...]:
        # No index orders the machines of all accounts by creation. Ids do, except those that clients chose.
        is_narrow = {"license", "group", "account__id__exact"} & set(request.GET)
        return ["-id"] if request.user.is_superuser and not is_narrow else super().get_ordering(request)

    def get_search_results(self, request: HttpRequest, machines: Any, text: str) -> tuple[MachineQuerySet, bool]:
        if not text.strip():
            return machines, False
        found = find_machines(SearchScope.of(operator_of(request)), text.strip()).ids
        if len(found) >= MAX_FOUND_ROWS and request.method == "GET":
            messages.info(request, f"Only the first {len(found)} results are shown. Type more to narrow them down.")
        return machines.filter(pk__in=found), False

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        changelist = super().get_changelist_instance(request)
        changelist.result_list = self.rows_for_csv(list(changelist.result_list))
        return changelist

    def rows_for_csv(self, rows: Sequence[Any]) -> Sequence[Any]:
        """Rows of the list or of its file, with the numbers of their parts."""
        counted = with_parts(Machine.objects.filter(pk__in=[row.pk for row in rows])).order_by()
        counts = {pk: numbers for pk, *numbers in counted.values_list("pk", "component_count", "process_count")}
        for row in rows:
            row.component_count, row.process_count = counts.get(row.pk, (0, 0))
        return rows

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        uuid = parse_uuid(object_id)
        machine = uuid and self.get_queryset(request).filter(pk=uuid).first()
        context = self._context_of(request, machine) if machine else {}
        return super().change_view(request, object_id, form_url, context | (extra_context or {}))

    def _context_of(self, request: HttpRequest, machine: Machine) -> dict[str, Any]:
        now = timezone.now()
        components = list(machine.components.all()[: MAX_SHOWN_PARTS + 1])
        processes: Iterable[Process] = list(machine.processes.all()[: MAX_SHOWN_PARTS + 1])
        group = next(each for each in self.confirmed_actions if isinstance(each, ChangeGroup))
        return {
            "machine": machine,
            "license_link": self.of_license(machine),
            "badge": heartbeat_badge(machine, now),
            "heartbeat": describe_heartbeat(machine, now),
            "owner": user_link(machine.owner) if machine.owner else "",
            "resources": describe_resources(machine),
            "group": group_link(request, machine.group),
            "group_url": self.action_url(group, machine) if group.is_allowed(request) else "",
            "components": components[:MAX_SHOWN_PARTS],
            "more_components": len(components) > MAX_SHOWN_PARTS,
            "processes": [(each, process_badge(each, now)) for each in processes][:MAX_SHOWN_PARTS],
            "more_processes": len(list(processes)) > MAX_SHOWN_PARTS,
            "max_shown": MAX_SHOWN_PARTS,
        }

    # Columns ---------------------------------------------------------------------------------------------------------

    @admin.display(description="machine")
    def label(self, machine: Machine) -> str:
        return name_machine(machine)

    @admin.display(description="license")
    def of_license(self, machine: Machine) -> str:
        url = reverse("admin:licensing_license_change", args=[machine.license_id])
        customer = machine.license.owner
        of_customer = format_html(' <bdi class="quiet">{}</bdi>', customer.email) if customer else ""
        return format_html('<span><a href="{}"><bdi>{}</bdi></a>{}</span>', url, machine.license, of_customer)

    @admin.display(description="platform")
    def platform_of(self, machine: Machine) -> str:
        return format_html("<bdi>{}</bdi>", machine.platform) if machine.platform else ""

    @admin.display(description="owner")
    def owner_of(self, machine: Machine) -> str:
        return user_link(machine.owner) if machine.owner else ""

    @admin.display(description="last heartbeat")
    def heartbeat(self, machine: Machine) -> str:
        badge = heartbeat_badge(machine, timezone.now())
        if machine.last_heartbeat is None:
            return badge
        return format_html("<span>{} {}</span>", badge, format_time(machine.last_heartbeat))

    @admin.display(description="cores, memory, disk")
    def resources(self, machine: Machine) -> str:
        return describe_resources(machine)

    @admin.display(description="parts")
    def parts(self, machine: Any) -> str:
        return describe_parts(machine)

    @admin.display(description="activated")
    def since(self, machine: Machine) -> str:
        return format_time(machine.created)
