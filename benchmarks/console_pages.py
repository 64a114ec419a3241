"""The pages of the console that `benchmarks.scale` measures. Import it after `django.setup()`."""

from types import SimpleNamespace
from typing import Any
from urllib.parse import urlencode

from django.contrib.auth import models as auth
from django.test import Client
from django.urls import reverse

from accounts.admin.sealed_text import seal_text
from accounts.models import Account, Group, User
from licensing.models import Entitlement, License, Policy
from pools.models import Key, KeyImport

TABS = ("change", "imports", "activity", "usage", "terms")


def sign_in(account: Account) -> tuple[User, str]:
    """An operator of the account, and the operator's session cookie in the console."""
    user, is_new = User.objects.get_or_create(account=account, email="operator@bench.test", defaults={"role": "admin"})
    if is_new:
        user.is_staff = True
        user.save()
        user.groups.set(auth.Group.objects.filter(name="Operator"))
    client = Client()
    client.force_login(user)
    return user, client.cookies["sessionid"].value


def console_pages(account: Account, policy: Policy, key: Key) -> dict[str, tuple[str, dict[str, str]]]:
    """The path and the headers of the pages by name.

    Args:
        policy: with the large pool.
        key: in the middle of the pool.
    """
    operator, session = sign_in(account)
    headers = {"Cookie": f"sessionid={session}"}
    batch = KeyImport.objects.filter(policy=policy).latest("id")
    customer = User.objects.filter(account=account, role="user").latest("id")
    license = License.objects.filter(account=account, machines__isnull=False).latest("id")
    machine = license.machines.latest("id")
    group, entitlement = (model.objects.get(account=account) for model in (Group, Entitlement))

    def at(name: str, *args: Any, **query: Any) -> str:
        return f"{reverse(f'admin:{name}', args=args)}?{urlencode(query)}"

    def found(name: str, text: str, **query: Any) -> str:
        request: Any = SimpleNamespace(user=operator)
        return at(name, q=seal_text(request, text), **query)

    keys = "pools_key_changelist"
    pages = {
        "overview": at("index"),
        "overview, a year": at("index", days=364),
        "inbox": at("inbox"),
        "pools": at("pools_pool_changelist"),
        **{f"pool, tab {tab}": at(f"pools_pool_{tab}", policy.pk) for tab in TABS},
        "keys": at(keys),
        **{f"{state} keys": at(keys, policy=policy.pk, state=state) for state in Key.State.values},
        **{f"{state} keys of 7 days": at(keys, policy=policy.pk, state=state, since=7) for state in Key.State.values},
        "keys of a batch": at(keys, policy=policy.pk, **{"import": batch.pk}),
        "keys, page 20": at(keys, policy=policy.pk, p=20),
        "keys, a key by its text": found(keys, key.key),
        "keys, a key by its ending": found(keys, key.key[-4:]),
        "key": at("pools_key_change", key.pk),
        "search, a key in lower case": found("find", key.key.lower()),
        "search, an ending": found("find", key.key[-4:]),
        "search, an order": found("find", "10780"),
        "search, part of an email": found("find", "customer12"),
        "activity": at("activity"),
        "activity of keys": at("activity", kind="keys"),
        "activity, exports": at("activity", kind="exports"),
        "activity of a pool": at("activity", policy=policy.pk),
        "activity of a reference": at("activity", reference="10780"),
        "imports": at("pools_keyimport_changelist"),
        "import": at("pools_keyimport_change", batch.pk),
        "licenses": at("licensing_license_changelist"),
        "licenses, a search": found("licensing_license_changelist", "customer12"),
        "license": at("licensing_license_change", license.pk),
        "licenses of a group": at("licensing_license_changelist", group=group.pk),
        "licenses with an entitlement": at("licensing_license_changelist", entitlement=entitlement.pk),
        "machines": at("licensing_machine_changelist"),
        "machines of a license": at("licensing_machine_changelist", license=license.pk),
        "machines of a license, dead": at("licensing_machine_changelist", license=license.pk, heartbeat="DEAD"),
        "machines of a group": at("licensing_machine_changelist", group=group.pk),
        "machines, a search": found("licensing_machine_changelist", "Computer 12"),
        "machine": at("licensing_machine_change", machine.pk),
        "search, a fingerprint": found("find", machine.fingerprint),
        "entitlements": at("licensing_entitlement_changelist"),
        "entitlement": at("licensing_entitlement_change", entitlement.pk),
        "groups": at("accounts_group_changelist"),
        "group": at("accounts_group_change", group.pk),
        "customers": at("accounts_customer_changelist"),
        "customers of a group": at("accounts_customer_changelist", group=group.pk),
        "customers, a search": found("accounts_customer_changelist", "customer12"),
        "customer": at("accounts_customer_change", customer.pk),
        "team": at("accounts_user_changelist"),
        "API tokens": at("accounts_token_changelist"),
        "settings": at("settings"),
    }
    return {f"console: {name}": (path, headers) for name, path in pages.items()}
