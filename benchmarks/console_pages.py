"""The pages of the console that `benchmarks.scale` measures, and the rows that they show besides keys."""

from types import SimpleNamespace
from typing import Any
from urllib.parse import urlencode

from django.contrib.auth.models import Group
from django.db import transaction
from django.test import Client
from django.urls import reverse

from accounts.admin.sealed_text import seal_text
from accounts.models import Account, User
from licensing.models import License, Policy
from pools.models import Key, KeyImport

BATCH_SIZE = 1_000
TABS = ("change", "imports", "activity", "usage", "terms")


def add_customers(policy: Policy, count: int) -> None:
    """Add customers to the account of a policy without a pool, each with a license."""
    for start in range(0, count, BATCH_SIZE):
        numbers = range(start, min(start + BATCH_SIZE, count))
        with transaction.atomic():
            about: dict[str, Any] = {"account": policy.account}
            users = [User(email=f"customer{n}@bench.test", first_name=f"First{n}", **about) for n in numbers]
            User.objects.bulk_create(users)
            about |= {"policy": policy, "product": policy.product}
            License.objects.bulk_create(License(owner=user, key=f"LICENSE-{user.pk}", **about) for user in users)


def sign_in(account: Account) -> tuple[User, str]:
    """An operator of the account, and the operator's session cookie in the console."""
    user, is_new = User.objects.get_or_create(account=account, email="operator@bench.test", defaults={"role": "admin"})
    if is_new:
        user.is_staff = True
        user.save()
        user.groups.set(Group.objects.filter(name="Operator"))
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
    license = License.objects.filter(account=account).latest("id")

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
        "customers": at("accounts_customer_changelist"),
        "customers, a search": found("accounts_customer_changelist", "customer12"),
        "customer": at("accounts_customer_change", customer.pk),
        "team": at("accounts_user_changelist"),
        "API tokens": at("accounts_token_changelist"),
        "settings": at("settings"),
    }
    return {f"console: {name}": (path, headers) for name, path in pages.items()}
