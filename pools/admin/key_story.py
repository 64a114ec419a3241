"""The story of a key for its page: who got it, who has seen it, and its history."""

import re
from collections.abc import Callable, Iterable
from types import SimpleNamespace
from typing import Any
from uuid import UUID

from django.db.models import Model
from django.utils.functional import cached_property
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from accounts.admin.base import format_time
from accounts.admin.operators import operator_name, with_operators
from accounts.models import Token, User
from licensing.models import License, Product
from pools.admin.links import Links
from pools.models import Key, KeyEvent, KeyImport
from pools.services.keys import licenses_with

STATE_WORDS = {"available": "available", "popped": "handed out", "withdrawn": "retired"}
EVENT_WORDS = {
    **{event: event for event in KeyEvent.Event.values},
    "changed": "text changed",
    "popped": "handed out",
    "returned": "put back",
    "withdrawn": "retired",
    "revealed": "shown",
}
MAX_EVENTS = 200
MAX_OTHER_KEYS = 10
_POPS = (KeyEvent.Event.POPPED, KeyEvent.Event.ISSUED)
_ENDS = (KeyEvent.Event.WITHDRAWN, KeyEvent.Event.REPLACED)
# The rows of replacements that are searched for the one of a pop: it is the first, unless others were made meanwhile.
_MAX_REPLACEMENTS = 20
_ACTOR = re.compile(r"(.*?) \(?([0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12})\)?")


class Actors:
    """The names of the bearers and operators of events or imports, in a fixed number of queries."""

    MODELS: dict[str, type[Model]] = {"products": Product, "users": User, "licenses": License}

    def __init__(self, events: Iterable[Any], links: Links) -> None:
        self._links = links
        events = list(events)
        self._rows: dict[tuple[str, UUID], Any] = {}
        for type, model in self.MODELS.items():
            ids = {event.bearer_id for event in events if event.bearer_type == type and event.bearer_id}
            self._find(type, model, ids)
        self._find("tokens", Token, {event.token_id for event in events if getattr(event, "token_id", None)})

    def _find(self, type: str, model: Any, ids: set[UUID]) -> None:
        if ids:
            rows = model._default_manager.in_bulk(ids)
            self._rows |= {(type, pk): row for pk, row in rows.items()}

    def name(self, event: Any) -> SafeString | str:
        """The operator, the command or the bearer with its token. Empty if unknown."""
        if event.operator:
            return format_html("<bdi>{}</bdi>", operator_name(event))
        if not event.bearer_id:
            return ""
        bearer = self._rows.get((event.bearer_type, event.bearer_id))
        singular = event.bearer_type.rstrip("s")
        name = self._links.to(bearer) if bearer else f"a deleted {singular} (…{str(event.bearer_id)[-12:]})"
        return format_html("{}{}", name, self._token(event))

    def _token(self, event: Any) -> SafeString | str:
        if not getattr(event, "token_id", None):  # imports have none
            return ""
        token = self._rows.get(("tokens", event.token_id))
        text = f"“{event.token_name}”" if event.token_name else "without a name"
        name = self._links.to(token, text) if token else format_html("<bdi>{}</bdi>", text)
        return format_html(" (token {})", name)


class KeyStory:
    """The story of a key as HTML.

    Args:
        may: whether the operator has a permission; see `Links`.
    """

    def __init__(self, key: Key, may: Callable[[str], bool] = lambda permission: False) -> None:
        self.key, self.links = key, Links(may)

    # Rows --------------------------------------------------------------------------------------------------------

    @cached_property
    def _all_events(self) -> list[Any]:
        events = KeyEvent.objects.filter(account=self.key.account_id, key_digest=self.key.digest).newest_first()
        return list(with_operators(events.select_related("license__owner"))[:MAX_EVENTS])

    @cached_property
    def events(self) -> list[Any]:
        """The events of the key, newest first, without its arrival."""
        return [event for event in self._all_events if event.event != KeyEvent.Event.ADDED]

    @cached_property
    def _actors(self) -> Actors:
        return Actors(self._all_events, self.links)

    @cached_property
    def pop(self) -> Any:
        """The event that handed the key out, or None."""
        return next((event for event in self.events if event.event in _POPS), None) if self.key.popped else None

    @cached_property
    def license(self) -> License | None:
        """The license that has the key."""
        return licenses_with(self.key).select_related("owner").first()

    @cached_property
    def reference(self) -> str:
        return self.pop.reference if self.pop else ""

    @cached_property
    def _replaced(self) -> Key | None:
        """The key in whose place this one was handed out."""
        if self.pop is None:
            return None
        events = KeyEvent.objects.filter(account=self.key.account_id, event=KeyEvent.Event.REPLACED, pk__gt=self.pop.pk)
        for event in events.rare().order_by("id").select_related("key")[:_MAX_REPLACEMENTS]:
            if event.details and event.details.get("replacement") == str(self.key.pk):
                return event.key
        return None

    # The sentence ------------------------------------------------------------------------------------------------

    @cached_property
    def sentence(self) -> SafeString:
        """The story of the key: the recipient, the time, the purpose, and its end."""
        parts = [self._describe_pop()] if self.key.popped else []
        if self.key.withdrawn:
            parts.append(self._describe_end("" if parts else "Retired"))
        if not parts:
            parts.append(self._describe_waiting())
        return format_html("{}.", format_html_join(", then ", "{}", ((part,) for part in parts)))

    def _describe_pop(self) -> SafeString:
        pop = self.pop
        if pop is None:
            if self.key.disclosure == Key.Disclosure.USED:
                return format_html(
                    "Used in another system, before it was imported on {}", format_time(self.key.created)
                )
            return format_html("Handed out on {}", format_time(self.key.popped))
        text = self._describe_issue(pop) if pop.event == KeyEvent.Event.ISSUED else self._describe_hand_out(pop)
        if pop.reference:
            text = format_html("{} for <strong><bdi>{}</bdi></strong>", text, pop.reference)
        if self._replaced:
            text = format_html("{}, in place of {}", text, self.links.to(self._replaced))
        return text

    def _describe_hand_out(self, pop: Any) -> SafeString:
        when, who = format_time(pop.created), self._actors.name(pop)
        if pop.operator_id:
            return format_html("Handed out on {} by {} in the console", when, who)
        if pop.operator:
            return format_html("Handed out on {} by the command {}", when, who)
        return format_html("Handed out on {} to {}", when, who) if who else format_html("Handed out on {}", when)

    def _describe_issue(self, pop: Any) -> SafeString:
        when, by = format_time(pop.created), self._by(pop)
        if pop.license is None:
            return format_html("Issued on {}{} with a license that is revoked by now", when, by)
        to = format_html(" to {}", self.links.to(pop.license.owner)) if pop.license.owner else ""
        return format_html("Issued on {}{}{} with the license {}", when, to, by, self.links.to(pop.license))

    def _describe_end(self, verb: str) -> SafeString:
        end = next((event for event in self.events if event.event in _ENDS), None)
        if end is None:  # retired with the rest of its import
            return format_html("{} on {}", verb or "retired", format_time(self.key.withdrawn))
        details = end.details or {}
        if end.event == KeyEvent.Event.REPLACED:
            other = Key.objects.filter(pk=details.get("replacement"), account=self.key.account_id).first()
            verb = format_html("replaced with {}", self.links.to(other)) if other else "replaced"
        reason = format_html(" (<bdi>{}</bdi>)", details["reason"]) if details.get("reason") else ""
        return format_html("{} on {}{}{}", verb or "retired", format_time(end.created), self._by(end), reason)

    def _describe_waiting(self) -> SafeString:
        last = self.events[0] if self.events else None
        if last and last.event == KeyEvent.Event.RETURNED:
            return format_html("Available: put back on {}{}", format_time(last.created), self._by(last))
        return format_html("Available since {}", format_time(self.key.created))

    def _by(self, event: Any) -> SafeString | str:
        who = self._actors.name(event)
        return format_html(" by {}", who) if who else ""

    # The rest of the page ----------------------------------------------------------------------------------------

    @cached_property
    def seen_by(self) -> list[SafeString]:
        """Who has seen the text of the key, and when, oldest first."""
        seen: dict[str, SafeString] = {}
        for event in reversed(self.events):
            who, when = self._actors.name(event), format_time(event.created)
            if event.event == KeyEvent.Event.RETURNED:
                seen = {}  # it was not delivered, and no person had seen it
            elif event.event == KeyEvent.Event.ISSUED and event.license and event.license.owner:
                seen.setdefault("customer", format_html("{} ({})", self.links.to(event.license.owner), when))
            elif event.event == KeyEvent.Event.ISSUED:
                seen.setdefault("customer", format_html("the holder of its license ({})", when))
            elif event.event == KeyEvent.Event.POPPED and not event.operator:
                seen.setdefault(who or "API", format_html("{} by the API ({})", who or "a caller", when))
            if email := (event.details or {}).get("emailed_to"):  # the operator has not seen it
                seen.setdefault(f"email {email}", format_html("<bdi>{}</bdi> by email ({})", email, when))
            elif who and event.operator and event.event in (*_POPS, KeyEvent.Event.REVEALED):
                seen.setdefault(who, format_html("{} ({})", who, when))
        if self.key.disclosure == Key.Disclosure.EXPORTED:
            seen["export"] = format_html(
                "{} in an export ({})", disclosed_to(self.key), format_time(self.key.disclosed)
            )
        if self.key.disclosure == Key.Disclosure.USED:
            seen["used"] = format_html("another system, before the import ({})", format_time(self.key.created))
        return list(seen.values())

    @cached_property
    def history(self) -> list[dict[str, Any]]:
        """The events, newest first, and at the end the arrival of the key."""
        rows = [
            {
                "when": format_time(event.created),
                "event": event.event,
                "words": "emailed" if "emailed_to" in (event.details or {}) else EVENT_WORDS[event.event],
                "by": self._actors.name(event),
                "license": self._license_of(event),
                "reference": event.reference,
                "reason": (event.details or {}).get("reason", ""),
                "request_id": event.request_id,
            }
            for event in self.events
        ]
        arrival = {"when": format_time(self.key.created), "event": "added", "words": "imported", "by": self._added_by}
        if not self.key.key_import_id:
            arrival["words"] = "added"
        return [*rows, arrival | {"batch": self.batch}]

    def _license_of(self, event: Any) -> SafeString | str:
        if event.license_id is None:
            return ""
        return self.links.to(event.license) if event.license else "revoked"

    @cached_property
    def batch(self) -> SafeString | str:
        """The import that the key came with."""
        return self.links.to(self.key.key_import) if self.key.key_import else ""

    @cached_property
    def _added_by(self) -> SafeString | str:
        if self.key.key_import_id:
            came_with: Any = with_operators(KeyImport.objects.filter(pk=self.key.key_import_id)).get()
            return Actors([came_with], self.links).name(came_with)
        arrivals = (event for event in self._all_events if event.event == KeyEvent.Event.ADDED)
        added = next((event for event in arrivals if event.key_id == self.key.pk), None)
        return self._actors.name(added) if added else ""

    @cached_property
    def license_name(self) -> SafeString:
        """The license that has the key, with its customer."""
        assert self.license
        owner, name = self.license.owner, self.links.to(self.license)
        return format_html("{} of {}", name, self.links.to(owner)) if owner else name

    @cached_property
    def other_keys(self) -> list[SafeString]:
        """Some other keys that were handed out for the same reference."""
        if not self.reference:
            return []
        # Without an order: the index of references has the first ones at hand, however many there are.
        events = KeyEvent.objects.filter(account=self.key.account_id, reference=self.reference, event__in=_POPS)
        found = events.exclude(reference="").order_by().values_list("key", flat=True)
        ids = set(found[: 5 * MAX_OTHER_KEYS]) - {self.key.pk, None}
        keys = Key.objects.published().filter(pk__in=ids).order_by("pk")
        return [self.links.to(key) for key in keys[:MAX_OTHER_KEYS]]


def sentence_about(key: Key) -> SafeString:
    """The story of a key in one sentence, without links."""
    return KeyStory(key).sentence


def customer_of(license: License) -> SafeString:
    """The name of the customer of a license, or of the license if it has no owner."""
    return Links().to(license.owner or license)


def disclosed_to(key: Key) -> SafeString | str:
    """The person or bearer to whom a key was disclosed first."""
    match = _ACTOR.fullmatch(key.disclosed_to or "")
    if match is None:
        return format_html("<bdi>{}</bdi>", key.disclosed_to or "an unknown person")
    name, id = match.groups()
    if model := Actors.MODELS.get(name):
        bearer = model._default_manager.filter(pk=id).first()
        return Links().to(bearer) if bearer else f"a deleted {name.rstrip('s')} (…{id[-12:]})"
    # By the id, as in `operators`: the email may belong to someone else by now.
    user = User.objects.filter(pk=id).first()
    operator = SimpleNamespace(
        operator=name,
        operator_id=id,
        operator_email=user and user.email,
        operator_is_superuser=user and user.is_superuser,
    )
    return format_html("<bdi>{}</bdi>", operator_name(operator))
