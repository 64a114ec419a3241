"""The requests of `benchmarks.scale`: lists and single objects of the API. Import it after `django.setup()`."""

from datetime import timedelta
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django.utils import timezone

from pools.models import Key, KeyEvent

SHARES = (0.1, 0.5, 0.99)  # of the rows before a page
STATUSES = ("active", "inactive", "expiring", "expired", "suspended", "banned")
Request = tuple[str, dict[str, str]]


def api_requests(pools: SimpleNamespace) -> dict[str, Request]:
    """The path and the headers of each request by name."""
    account, large = pools.old.account, pools.large.policy
    api, bearer = f"/v1/accounts/{account.slug}", {"Authorization": f"Bearer {pools.old.token}"}
    available = Key.objects.filter(account=account).available().order_by("id")

    def page(path: str, **query: Any) -> Request:
        return f"{api}/{path}?{urlencode({'page[size]': 10, **query})}", bearer

    requests = {"first page": page("keys")}
    for share in SHARES:
        requests[f"cursor at {share * 100:.0f} %"] = page("keys", **{"page[cursor]": row_at(available, 1 - share).pk})
    for name, pool in (("large", pools.large), ("oldest", pools.old)):
        requests[f"of the {name} product"] = page("keys", product=pool.policy.product_id)
        requests[f"under the {name} policy"] = page("keys", policy=pool.policy.pk)
        middle = row_at(available.filter(policy=pool.policy), 0.5).pk
        requests[f"under the {name} policy, middle"] = page("keys", policy=pool.policy.pk, **{"page[cursor]": middle})
    requests |= {
        "pool of the large policy": (f"{api}/policies/{large.pk}/pool?limit=10", bearer),
        "page 2, numbered (counts)": (f"{api}/keys?page[number]=2&page[size]=10", bearer),
        "one key": (f"{api}/keys/{row_at(available, 0.5).pk}", bearer),
    }
    lists = {"licenses": license_lists(pools), "users": user_lists(pools), "key-events": ledger(pools)}
    for name, queries in lists.items():
        requests |= {f"{name}: {what}": page(name, **query) for what, query in queries.items()}
    return requests


def row_at(rows: Any, share: float) -> Any:
    """The row with about this share of the rows before it, found by the timestamps in the ids."""
    lowest, highest = rows.first().pk.int, rows.last().pk.int
    return rows.filter(pk__gte=UUID(int=lowest + int((highest - lowest) * share))).first()


def cursors(rows: Any) -> dict[str, dict[str, Any]]:
    return {
        f"cursor at {share * 100:.0f} %": {"page[cursor]": row_at(rows.order_by("id"), 1 - share).pk}
        for share in SHARES
    }


def license_lists(pools: SimpleNamespace) -> dict[str, dict[str, Any]]:
    """The parameters of lists of licenses by name."""
    licenses = pools.old.account.licenses
    some = row_at(licenses.exclude(owner=None).order_by("id"), 0.5)
    soon, past = timezone.now() + timedelta(days=1), timezone.now() - timedelta(days=40)
    return {
        "first page": {},
        **cursors(licenses),
        "of a product": {"product": some.product_id},
        "of the large product": {"product": pools.large.policy.product_id},
        "under a policy": {"policy": some.policy_id},
        "of an owner": {"owner": some.owner_id},
        "of an owner by email": {"owner": some.owner.email},
        "of a user": {"user": some.owner_id},
        "of a group": {"group": some.group_id},
        "of a machine": {"machine": some.machines.values_list("pk", flat=True).first()},
        **{f"status {status}": {"status": status} for status in STATUSES},
        **{
            f"{name} {value}": {name: value}
            for name in ("suspended", "expired", "expiring", "assigned", "activated")
            for value in ("true", "false")
        },
        "expire within 30 days": {"expires[within]": "30d"},
        "expire before tomorrow": {"expires[before]": soon.isoformat()},
        "expired before a time": {"expired[before]": past.isoformat()},
        "active within 30 days": {"activity[inside]": "30d"},
        "inactive for 30 days": {"activity[outside]": "30d"},
        "with a machine or more": {"activations[gte]": 1},
        "with five machines or more": {"activations[gte]": 5},
        "with metadata": {"metadata[order]": "4711"},
    }


def user_lists(pools: SimpleNamespace) -> dict[str, dict[str, Any]]:
    """The parameters of lists of users by name."""
    users = pools.old.account.users
    some = row_at(users.exclude(group=None).order_by("id"), 0.5)
    return {
        "first page": {},
        **cursors(users),
        "of a product": {"product": some.owned_licenses.values_list("product", flat=True).first()},
        "of a group": {"group": some.group_id},
        "assigned": {"assigned": "true"},
        "not assigned": {"assigned": "false"},
        "status active": {"status": "active"},
        "status banned": {"status": "banned"},
        "of all roles": {"roles[]": "user"},
        "with metadata": {"metadata[order]": "4711"},
    }


def ledger(pools: SimpleNamespace) -> dict[str, dict[str, Any]]:
    """The parameters of lists of the ledger by name."""
    entries = KeyEvent.objects.filter(account=pools.old.account)
    some = row_at(entries.order_by("id"), 0.5)
    return {
        "first page": {},
        **cursors(entries),
        "of the large pool": {"policy": pools.large.policy.pk},
        "of the oldest pool": {"policy": pools.old.policy.pk},
        "of the oldest pool, middle": {"policy": pools.old.policy.pk, "page[cursor]": some.pk},
        "of a reference": {"reference": some.reference},
        "of a license": {"license": some.pk},
        "of a bearer": {"bearer": some.bearer_id},
        "of a token": {"token": some.token_id},
        "since a time": {"since": some.created.isoformat()},
        "until a time": {"until": some.created.isoformat()},
        "pops": {"event": KeyEvent.Event.POPPED},
        "imports": {"event": KeyEvent.Event.ADDED},
    }
