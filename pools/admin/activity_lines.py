"""The entries of the activity in words, with a link for each noun."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, cast
from uuid import UUID

from django.http import HttpRequest
from django.urls import NoReverseMatch, reverse

from accounts.admin.actions import operator_of
from accounts.admin.sealed_text import seal_text
from accounts.models import Account, Activity, Group, Token, User
from keygen_site.db.uuids import parse_uuid
from licensing.models import Entitlement, License, Machine, Policy, Product
from pools.admin.key_story import STATE_WORDS
from pools.models import Key, KeyEvent, KeyImport
from pools.services.activity import Entry, Filters, fold, read_page

RECENT_ENTRIES, RECENT_LINES = 60, 10  # read for the overview, and shown: entries of one request are one line

_Event = KeyEvent.Event
KEY_VERBS = {
    _Event.ADDED: "added",
    _Event.CHANGED: "changed the text of",
    _Event.REMOVED: "removed",
    _Event.POPPED: "handed out",
    _Event.ISSUED: "issued",
    _Event.RETURNED: "put back",
    _Event.WITHDRAWN: "retired",
    _Event.REPLACED: "replaced",
    _Event.MOVED: "moved",
    _Event.REVEALED: "was shown",
    _Event.EXPORTED: "exported",
}
IMPORT_VERBS = {_Event.ADDED: "imported", _Event.REMOVED: "undid the import of"}
# Of people about themselves.
OWN_VERBS = {
    Activity.Event.SIGNED_IN: "signed in",
    Activity.Event.PASSWORD_CHANGED: "changed their password",
    Activity.Event.PASSWORD_RESET: "reset their password",
    Activity.Event.SECOND_FACTOR_ON: "turned on their second factor",
    Activity.Event.SECOND_FACTOR_OFF: "turned off their second factor",
    Activity.Event.RECOVERY_CODES: "made new recovery codes",
}
# The pages of rows by their model, the best first: the console may not have all of them.
PAGES = {
    Account: ["accounts_account_change"],
    Key: ["pools_key_change"],
    KeyImport: ["pools_keyimport_change"],
    Entitlement: ["licensing_entitlement_change"],
    Group: ["accounts_group_change"],
    License: ["licensing_license_change"],
    Machine: ["licensing_machine_change"],
    Product: ["licensing_product_change"],
    Token: ["accounts_token_change"],
}


@dataclass(frozen=True)
class Part:
    """A part of a line: a text, perhaps with a link.

    Attributes:
        is_name: whether people have chosen the text, so that it may be in any script.
    """

    text: str
    url: str = ""
    is_code: bool = False
    is_name: bool = False


@dataclass
class Line:
    """A line of the page: one entry, or several of one request.

    Attributes:
        who: the operator, or the bearer and its token.
        what: the verb and its objects.
        reference: the caller's reference, linked to all entries that have it.
        folded: the other entries of the line, each as a line.
    """

    time: datetime
    who: list[Part]
    what: list[Part]
    pool: Part | None = None
    reference: Part | None = None
    customer: Part | None = None
    account: Part | None = None
    request_id: str = ""
    id: UUID | None = None
    folded: list["Line"] = field(default_factory=list)


def recent_lines(request: HttpRequest) -> list["Line"]:
    """The last lines of the activity that the operator may see, newest first."""
    operator = operator_of(request)
    account = None if operator.is_superuser else operator.account_id
    groups = fold(read_page(Filters(account=account), RECENT_ENTRIES).entries)[:RECENT_LINES]
    maker = LineMaker(request, [entry for group in groups for entry in group])
    return [maker.line(group) for group in groups]


def text_of(parts: Iterable[Part | None]) -> str:
    return " ".join(part.text for part in parts if part)


class LineMaker:
    """Makes lines of entries. The rows that they name are loaded together: a fixed number of statements."""

    def __init__(self, request: HttpRequest, entries: Sequence[Entry]) -> None:
        self.request, self.operator = request, operator_of(request)
        keyed = [entry for entry in entries if isinstance(entry, KeyEvent)]
        others = [entry for entry in entries if isinstance(entry, Activity)]
        by_noun: dict[str, set[UUID | None]] = {}
        for other in others:
            by_noun.setdefault(other.noun, set()).add(other.object_id)
        bearers: dict[str, set[UUID | None]] = {}
        for entry in entries:
            bearers.setdefault(entry.bearer_type, set()).add(entry.bearer_id)
        keys = {event.key_id for event in keyed} | {_detail_id(event, "replacement") for event in keyed}
        policies = {entry.policy_id for entry in entries} | {_detail_id(event, "destination") for event in keyed}
        licenses = (
            {event.license_id for event in keyed} | by_noun.get("license", set()) | bearers.get("licenses", set())
        )
        users = {entry.operator_id for entry in entries} | by_noun.get("user", set()) | bearers.get("users", set())
        products = by_noun.get("product", set()) | bearers.get("products", set())
        tokens = {entry.token_id for entry in entries} | by_noun.get("token", set())
        self.keys = _load(Key.objects.all(), keys)
        self.imports = _load(KeyImport.objects.all(), {event.key_import_id for event in keyed})
        self.policies = _load(Policy.objects.select_related("product"), policies)
        self.licenses = _load(License.objects.select_related("owner", "policy"), licenses)
        self.users = _load(User.objects.all(), users)
        self.products = _load(Product.objects.all(), products)
        self.tokens = _load(Token.objects.all(), tokens)
        self.machines = _load(Machine.objects.all(), by_noun.get("machine", set()))
        self.entitlements = _load(Entitlement.objects.all(), by_noun.get("entitlement", set()))
        self.groups = _load(Group.objects.all(), by_noun.get("group", set()))
        shown = {entry.account_id for entry in entries} if self.operator.is_superuser else set()
        self.accounts = _load(Account.objects.all(), shown)
        self._permissions: dict[str, bool] = {}

    def line(self, entries: Sequence[Entry]) -> Line:
        """The line of one entry, or of several of one request."""
        first, *others = [self._line_of(entry) for entry in entries]
        if others:
            first.folded = [Line(**{**vars(first), "folded": []}), *others]
            first.what = self._summary(entries, first)
        return first

    def _summary(self, entries: Sequence[Entry], first: Line) -> list[Part]:
        entry = entries[0]
        verb = first.what[0]
        if isinstance(entry, KeyEvent):
            return [verb, Part(f"{len(entries):,} keys")]
        plural = "policies" if entry.noun == "policy" else f"{entry.noun}s"
        return [verb, Part(f"{len(entries):,} {plural}")]

    def _line_of(self, entry: Entry) -> Line:
        line = Line(entry.created, self._who(entry), [], id=entry.pk, request_id=entry.request_id)
        if isinstance(entry, KeyEvent):
            self._describe_key_event(entry, line)
        else:
            self._describe_activity(entry, line)
        if entry.policy_id and getattr(entry, "noun", "") != "policy":
            line.pool = self.policy(entry.policy_id)
        if entry.reference:
            sealed = seal_text(self.request, entry.reference)
            line.reference = Part(entry.reference, f"{reverse('admin:activity')}?reference={sealed}", is_name=True)
        if entry.account_id in self.accounts:
            line.account = self._row(self.accounts[entry.account_id], is_name=True)
        return line

    # Who -------------------------------------------------------------------------------------------------------------

    def _who(self, entry: Entry) -> list[Part]:
        if entry.operator_id:
            return self._operator(entry.operator, self.users.get(entry.operator_id))
        if entry.operator:
            command = entry.operator.removeprefix("manage.py ")
            is_command = command != entry.operator
            return [Part("Command line"), Part(f"({command})")] if is_command else [Part(entry.operator, is_name=True)]
        if entry.bearer_id is None:
            return [Part("a visitor")]
        then = getattr(entry, "bearer_name", "")  # the ledger knows only the id
        rows = {"users": self.users, "products": self.products, "licenses": self.licenses}.get(entry.bearer_type, {})
        row = rows.get(entry.bearer_id)
        noun = entry.bearer_type.rstrip("s")
        if row is None:
            parts = [Part(then, is_name=True), Part(f"(deleted {noun})")] if then else [Part(f"a deleted {noun}")]
        else:
            parts = [self.license(row) if isinstance(row, License) else self._row(row, is_name=True)]
        return [*parts, *self._token(entry)]

    def _operator(self, email: str, user: User | None) -> list[Part]:
        """The email of that time, with notes: it may have passed to another person since."""
        notes = [] if user else ["deleted user"]
        if user and user.email != email:
            notes.append(f"now {user.email}")
        if user and user.is_superuser:
            notes.append("superuser")
        url = self.url_of(user) if user else ""
        return [Part(email, url, is_name=True), *([Part(f"({', '.join(notes)})")] if notes else [])]

    def _token(self, entry: Entry) -> list[Part]:
        if not entry.token_name:
            return []
        token = self.tokens.get(entry.token_id)
        return [Part("·"), Part(entry.token_name, self.url_of(token) if token else "", is_name=True)]

    # Verbs and objects ------------------------------------------------------------------------------------------------

    def _describe_key_event(self, event: KeyEvent, line: Line) -> None:
        details: dict[str, Any] = cast("dict[str, Any]", event.details or {})
        verb = KEY_VERBS.get(_Event(event.event), event.event)
        license = self.licenses.get(event.license_id)
        if event.key_id is None:
            count = details.get("count", 0)
            verb = IMPORT_VERBS.get(_Event(event.event), verb) if event.key_import_id else verb
            line.what = [Part(verb), Part(f"{count:,} {'key' if count == 1 else 'keys'}")]
            if event.event == _Event.EXPORTED:
                line.what.append(Part(f"({STATE_WORDS.get(details.get('filter', {}).get('state', ''), 'all states')})"))
            if destination := _detail_id(event, "destination"):
                line.what += [Part("to"), self.policy(destination)]
            if event.key_import_id:
                line.what += [Part("·"), self._import(event.key_import_id)]
        else:
            line.what = [Part(verb), self.key(event.key_id)]
            if email := details.get("emailed_to"):
                line.what = [Part("emailed"), self.key(event.key_id), Part("to"), Part(email, is_name=True)]
            if replacement := _detail_id(event, "replacement"):
                line.what += [Part("by"), self.key(replacement)]
            if event.event == _Event.ISSUED:
                line.what += [Part("as"), self._issued(license) if license else Part("a license, since revoked")]
        if reason := details.get("reason"):
            line.what.append(Part(f"“{reason}”", is_name=True))
        if license and license.owner:
            line.customer = self._row(license.owner, is_name=True)

    def _describe_activity(self, entry: Activity, line: Line) -> None:
        details: dict[str, Any] = cast("dict[str, Any]", entry.details or {})
        is_own = entry.noun == "user" and entry.object_id in (entry.operator_id, entry.bearer_id)
        if is_own and entry.event in OWN_VERBS:
            line.what = [Part(OWN_VERBS[Activity.Event(entry.event)])]
            return
        if entry.noun == "list":
            count = details.get("count")
            line.what = [Part("exported"), Part(entry.name)]
            if count is not None:
                line.what.append(Part(f"({count:,} {'row' if count == 1 else 'rows'})"))
            return
        line.what = [Part(_verb_of(entry)), *self._object(entry)]
        if entry.noun == "license" and (license := self.licenses.get(entry.object_id)) and license.owner:
            line.customer = self._row(license.owner, is_name=True)
        if bearer := details.get("bearer"):
            line.what += [Part("for"), Part(bearer, is_name=True)]
        if "to" in details:
            line.what += [Part("to"), Part(details["to"] or "no one", is_name=True)]
        if count := details.get("count"):
            line.what.append(Part(f"({count:,})"))
        if said := details.get("what") or ", ".join(_words(details.get("fields", []))):
            line.what.append(Part(f"({said})"))

    def _object(self, entry: Activity) -> list[Part]:
        """The noun, and the object by its present name, or by that of the time of the entry if it is gone."""
        found: Any = {
            "license": self.licenses,
            "user": self.users,
            "product": self.products,
            "token": self.tokens,
            "policy": self.policies,
            "account": self.accounts,
            "machine": self.machines,
            "entitlement": self.entitlements,
            "group": self.groups,
        }.get(entry.noun, {})
        row = found.get(entry.object_id)
        noun = entry.noun
        if isinstance(row, Policy):
            return [Part("pool" if row.use_pool else "policy"), self.policy(row.pk)]
        if isinstance(row, User):
            noun = "customer" if row.role == User.Role.USER else "team member"
        if isinstance(row, License):
            return [Part(noun), self.license(row)]
        if row is not None and not isinstance(row, Account):
            return [Part(noun), Part(entry.name or "(no name)", self.url_of(row), is_name=True)]
        return [Part(noun), Part(entry.name or "(no name)", is_name=True)]

    # Nouns -----------------------------------------------------------------------------------------------------------

    def key(self, pk: UUID) -> Part:
        key = self.keys.get(pk)
        return self._row(key, key.masked, is_code=True) if key else Part("a deleted key")

    def policy(self, pk: UUID) -> Part:
        policy = self.policies.get(pk)
        return self._row(policy, is_name=True) if policy else Part("a deleted pool")

    def license(self, license: License) -> Part:
        if license.name:
            return self._row(license, license.name, is_name=True)
        if license.owner:
            return self._row(license, license.owner.email, is_name=True)
        # Of a key that is stored as a hash there is nothing to show.
        return self._row(license, "(no name)" if license.policy.encrypted else license.masked, is_code=True)

    def _issued(self, license: License) -> Part:
        """The license of an issued key, which the line names already, as it does the customer."""
        return self.license(license) if license.name else self._row(license, "a license")

    def _import(self, pk: UUID) -> Part:
        key_import = self.imports.get(pk)
        return self._row(key_import, is_name=True) if key_import else Part("a deleted import")

    def _row(self, row: Any, text: str = "", *, is_code: bool = False, is_name: bool = False) -> Part:
        return Part(text or str(row), self.url_of(row), is_code, is_name)

    def url_of(self, row: Any) -> str:
        """The URL of a row's page; empty if there is none, or if the operator may not open it."""
        model = type(row)
        if model is User:
            if row.is_superuser and not self.operator.is_superuser:
                return ""
            names = ["accounts_user_change"]
            if row.role == User.Role.USER and not row.is_staff:
                names.insert(0, "accounts_customer_change")
        elif model is Policy:
            names = ["licensing_policy_change"]
            if row.use_pool:
                names.insert(0, "pools_pool_change")
        else:
            names = PAGES[model]
        permission = f"{model._meta.app_label}.view_{model._meta.model_name}"
        if permission not in self._permissions:
            self._permissions[permission] = self.operator.has_perm(permission)
        return _page(names, row.pk) if self._permissions[permission] else ""


def _verb_of(entry: Activity) -> str:
    if entry.event in Activity.Event.values:
        return str(Activity.Event(entry.event).label)
    return entry.event.replace("-", " ")


def _words(fields: Iterable[str]) -> list[str]:
    """The names of fields as words, e.g. `low stock threshold`."""
    return [name.replace("_", " ").lower() for name in fields]


def _page(names: Sequence[str], pk: UUID) -> str:
    for name in names:
        try:
            return reverse(f"admin:{name}", args=[pk])
        except NoReverseMatch:
            continue
    return ""


def _load(rows: Any, ids: Iterable[UUID | None]) -> dict[UUID | None, Any]:
    wanted = [pk for pk in ids if pk]
    return rows.in_bulk(wanted) if wanted else {}


def _detail_id(event: KeyEvent, name: str) -> UUID | None:
    return parse_uuid((event.details or {}).get(name))
