"""A valid request for every route, about existing rows."""

import json
import re
from functools import cache

from django.utils import timezone

from accounts.audit import AuditContext
from accounts.models import Group, SecondFactor, Setting, Token, User
from keygen_site.jsonapi.openapi.examples import ID as EXAMPLE_ID
from keygen_site.jsonapi.openapi.generator import build
from licensing.models import Entitlement, Machine
from pools.models import KeyEvent, PendingImport
from tests.cast import add_keys, make_license, make_policy

_LINKAGE = re.compile(rf'"type": "(\w+)", "id": "{EXAMPLE_ID}"')


class Belongings:
    """A row of each kind that belongs to one product and one user of an account."""

    def __init__(self, account, product, name):
        policy = make_policy(product, f"Policy of {name}", use_pool=True)
        popped, key = add_keys(policy, f"KEY-1-OF-{name}", f"KEY-2-OF-{name}")
        policy.pool.pop(AuditContext(reference=f"reference of {name}"))
        user = User.objects.create_user(account=account, email=f"person@{name}.test", role="user")
        license = make_license(make_policy(product, f"Unpooled of {name}"), key=f"LICENSE-OF-{name}", owner=user)
        key_import = PendingImport.objects.create(
            account=account,
            policy=policy,
            bearer_type="users",
            bearer_id=user.pk,
            request={"dry_run": False},
            state="done",
        )
        attached = User.objects.create_user(account=account, email=f"attached@{name}.test", role="user")
        license.license_users.create(account=account, user=attached)
        machine = Machine.objects.create(
            account=account,
            license=license,
            owner=attached,
            fingerprint=f"machine of {name}",
            last_heartbeat=timezone.now(),
        )
        group = Group.objects.create(account=account, name=f"Group of {name}")
        for member in (user, attached, license):
            member.change_group(group)
        entitlement = Entitlement.objects.create(account=account, name=f"Feature of {name}", code=f"CODE-OF-{name}")
        policy.policy_entitlements.create(account=account, entitlement=entitlement)
        license.license_entitlements.create(account=account, entitlement=entitlement)
        self.rows = {
            "product": product,
            "policy": policy,
            "key": key,
            "event": KeyEvent.objects.get(key=popped),
            "key-import": key_import,
            "license": license,
            "machine": machine,
            "component": machine.components.create(account=account, fingerprint=f"component of {name}", name="Disk"),
            "process": machine.processes.create(account=account, pid=f"1 of {name}", last_heartbeat=timezone.now()),
            "user": user,
            "attached": attached,
            "group": group,
            "group-owner": group.owners.create(account=account, user=user),
            "entitlement": entitlement,
            "token of product": Token.generate(product)[0],
            "token of license": Token.generate(license)[0],
            "token of user": Token.generate(user)[0],
            "second-factor": SecondFactor.objects.create(user=user),
            "setting": self._setting_of(account),
        }
        # Other identifiers that URLs accept.
        self.names = {
            "license": [license.key],
            "machine": [machine.fingerprint],
            "user": [user.email],
            "product": [product.code],
            "entitlement": [entitlement.code],
        }
        self.secrets = [key.key, popped.key, f"reference of {name}"]

    def _setting_of(self, account):
        """Return a setting of the account; the first two of an account have the two keys."""
        key = Setting.Key.values[Setting.objects.filter(account=account).count()]
        return Setting.objects.create(account=account, key=key, value=["*"])

    def id_of(self, kind):
        return str(self.rows[kind].pk)

    def all_of(self, kind):
        """Return the id of a row, and the other identifiers that URLs accept."""
        return [self.id_of(kind), *self.names.get(kind, [])]

    def texts(self, visible):
        """Return all texts that would reveal the rows, except those of visible kinds."""
        return {text for kind in self.rows.keys() - visible for text in self.all_of(kind)}.union(self.secrets)


@cache
def examples():
    """Return the example document of each operation from the OpenAPI description, by path and method."""
    return {
        (path, method.upper()): next(iter(operation["requestBody"]["content"].values()))["example"]
        for path, methods in build()["paths"].items()
        for method, operation in methods.items()
        if isinstance(operation, dict) and "requestBody" in operation
    }


def kind_of(endpoint, parameter):
    """Return the kind of row that a path parameter names."""
    if parameter != "id":
        return parameter
    before, collection = re.search(r"(?:{(\w+)}/)?([\w-]+)/{id}", endpoint.path).groups()
    if collection == "tokens":
        return f"token of {before if before in ('product', 'license') else 'user'}"
    if collection == "users" and before == "license":
        return "attached"
    known = {
        "pool": "key",
        "key-events": "event",
        "policies": "policy",
        "processes": "process",
        "owners": "group-owner",
    }
    return known.get(collection) or collection.removesuffix("s")


def linked(endpoint):
    """Return the kinds of rows that the document of an operation links to."""
    return [_one_of(types) for types in _LINKAGE.findall(json.dumps(examples().get((endpoint.path, endpoint.method))))]


def request_of(endpoint, account, own, place="", named=""):
    """Return the path, document and media type of a request about own rows.

    Args:
        place: where the request names another row instead: a path parameter, `document`, or `?` and the name of a
            filter.
        named: the identifier of that row.
    """
    parts = {name: _uuid_of(own, endpoint, name) for name in endpoint.parameters if name != "account"}
    query = f"{place}={named}" if place.startswith("?") else ""
    path = endpoint.path.format(account=account, **(parts | ({place: named} if place in parts else {})))
    document = examples().get((endpoint.path, endpoint.method))
    if isinstance(document, str):
        return path, document.encode(), "text/plain"

    def link(found):
        pk = named if place == "document" else own.id_of(_one_of(found[1]))
        return f'"type": "{found[1]}", "id": "{pk}"'

    return path + query, document and json.loads(_LINKAGE.sub(link, json.dumps(document))), "application/vnd.api+json"


def _uuid_of(own, endpoint, parameter):
    return own.id_of(kind_of(endpoint, parameter))


def _one_of(types):
    return {"policies": "policy"}.get(types, types.removesuffix("s"))
