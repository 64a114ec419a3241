"""Does anything grow with the table of keys?

    python -m benchmarks.scale [--keys 10000000] [--small 100000] [--json FILE]

One account on PostgreSQL: a product with 1,000 keys, older than all others, a product with a large pool, and one that
takes a tenth as many before the large pool, and as many again after it, all by the importer. Asked of the real server,
in turn, are lists by cursor from the first page to the last, filtered and numbered, one key, pops, and the console's
pages; before the large imports, with `--small` keys, and after them. Printed are the medians, and what grew how much.
Ends with 1 if something grew that must not.
"""

import argparse
import json
import sys
import tempfile
import time
from http.client import HTTPConnection
from pathlib import Path
from statistics import median
from types import SimpleNamespace

from benchmarks.imports import command, row, write_keys
from benchmarks.servers import database, server

ROUNDS, POPS = 30, 10_000
OLD = 1_000
# To what the first page takes; of the console, in milliseconds.
BOUNDS = {
    "cursor at 10 %": 1.2,
    "cursor at 50 %": 1.2,
    "cursor at 99 %": 1.2,
    "of the large product": 1.5,
    "of the oldest product": 1.5,
    "under the large policy": 1.5,
    "under the oldest policy": 1.5,
}
CONSOLE_MOST, MEMORY_MOST, MEMORY_PEAK, GROWTH_MOST = 300, 1.05, 120, 1.5


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--keys", type=int, default=10_000_000)
    parser.add_argument("--small", type=int, default=100_000)
    parser.add_argument("--json", type=argparse.FileType("w"))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="scale-") as folder, database("postgresql"):
        figures = measure(options, Path(folder))
    if options.json:
        json.dump(figures, options.json, indent=2)
    sys.exit(0 if all(figure["ok"] for figure in figures) else 1)


def measure(options, folder):
    """Fill, measure, fill, measure; rows of `what`, `value` and whether that is as good as it should be."""
    from benchmarks.pools import DemoPool

    first = DemoPool(OLD)
    large, other = (another(first, name) for name in ("Large", "Other"))
    pools = SimpleNamespace(old=first, large=large, other=other)
    file = folder / "keys.txt"
    million = options.keys // 10

    def load(pool, count):
        write_keys(file, count)
        report = command(pool, file)
        rate = count / report["seconds"]
        print(f"imported {count:,} keys, {rate:,.0f} a second, {report['memory']:.1f} MiB", flush=True)
        return report | {"rate": rate}

    with server() as running:
        load(large, options.small)
        small = look(running, pools)
        before = load(other, million)
        most = load(large, options.keys)
        after = load(other, million)
        grown = look(running, pools)
    rows = []
    print(f"\n{'median, ms':<34}{options.small:>12,}{options.keys + 2 * million:>14,} keys")
    for what, taken in grown.items():
        print(f"{what:<34}{small[what]:>12.2f}{taken:>14.2f}", flush=True)
    page = grown["first page"]
    rows += [row(f"{what}: to the first page", grown[what] / page, most=bound) for what, bound in BOUNDS.items()]
    rows += [
        row(f"{what}, ms", taken, most=CONSOLE_MOST) for what, taken in grown.items() if what.startswith("console")
    ]
    for what in ("first page", "one key", "pop"):
        rows.append(row(f"{what}: to that of the small table", grown[what] / small[what], most=GROWTH_MOST))
    rows.append(row("import beside them: time to that before", before["rate"] / after["rate"], most=GROWTH_MOST))
    rows.append(
        row("memory of the large import to that of a tenth", most["memory"] / before["memory"], most=MEMORY_MOST)
    )
    rows.append(row("peak memory, MiB", most["memory"], most=MEMORY_PEAK))
    print()
    for entry in rows:
        print(f"{entry['what']:<48}{entry['value']:>8.2f}   <= {entry['most']}{'' if entry['ok'] else '   MISSED'}")
    return rows


def another(pool, name):
    """A pool of another product of the same account, empty."""
    from licensing.models import Policy, Product

    product = Product(account=pool.account, name=name)
    product.validate_and_save()
    policy = Policy(account=pool.account, product=product, name=name, use_pool=True)
    policy.validate_and_save()
    return SimpleNamespace(policy=policy)


def look(running, pools):
    """The median time of each request, in milliseconds, all asked in turn; and of pops one after the other."""
    requests = addresses(pools)
    connection = HTTPConnection("127.0.0.1", running.port, timeout=60)
    taken = {what: [] for what in requests}
    for number in range(ROUNDS + 3):
        for what, (path, headers) in requests.items():
            began = time.monotonic()
            connection.request("GET", path, headers=headers)
            response = connection.getresponse()
            content = response.read()
            if response.status != 200:
                raise RuntimeError(f"{path}: {response.status} {content[:500]}")
            if number >= 3:  # the first ones of each worker load and prepare
                taken[what].append((time.monotonic() - began) * 1000)
    return {what: median(times) for what, times in taken.items()} | {"pop": pop(pools.large.policy)}


def addresses(pools):
    """What to ask for: `(path, headers)` by name."""
    from pools.models import Key

    api = f"/v1/accounts/{pools.old.account.slug}"
    bearer = {"Authorization": f"Bearer {pools.old.token}"}
    cookie = {"Cookie": f"sessionid={session(pools.old.account)}"}
    waiting = Key.objects.filter(account=pools.old.account).available().order_by("id")
    some = key_at(waiting, 0.5)

    def keys(query):
        return f"{api}/keys?page[size]=10{query}", bearer

    found = {"first page": keys("")}
    for share in (0.1, 0.5, 0.99):
        found[f"cursor at {share * 100:.0f} %"] = keys(f"&page[cursor]={key_at(waiting, 1 - share).pk}")
    for name, pool in (("large", pools.large), ("oldest", pools.old)):
        found[f"of the {name} product"] = keys(f"&product={pool.policy.product_id}")
        found[f"under the {name} policy"] = keys(f"&policy={pool.policy.pk}")
    large = pools.large.policy
    return found | {
        "pool of the large policy": (f"{api}/policies/{large.pk}/pool?limit=10", bearer),
        "page 2, numbered (counts)": (f"{api}/keys?page[number]=2&page[size]=10", bearer),
        "one key": (f"{api}/keys/{some.pk}", bearer),
        "console: home": ("/admin/", cookie),
        "console: policy": (f"/admin/licensing/policy/{large.pk}/change/", cookie),
        "console: keys": ("/admin/pools/key/", cookie),
        "console: popped keys": ("/admin/pools/key/?state=popped", cookie),
        "console: a key by its text": (f"/admin/pools/key/?q={some.key}", cookie),
        "console: a key by its ending": (f"/admin/pools/key/?q={some.key[-4:]}", cookie),
        "console: a key's life": (f"/admin/pools/key/{some.pk}/change/", cookie),
    }


def key_at(keys, share):
    """The key that about this share of them comes before: ids go by time, so the time says where."""
    oldest, newest = keys.first(), keys.last()
    lowest, highest = oldest.pk.int, newest.pk.int
    from uuid import UUID

    return keys.filter(pk__gte=UUID(int=lowest + int((highest - lowest) * share))).first()


def session(account):
    """The cookie of somebody who operates this account in the console."""
    from django.contrib.auth.models import Group
    from django.test import Client

    from accounts.models import User

    person, made = User.objects.get_or_create(account=account, email="operator@bench.test", defaults={"role": "admin"})
    if made:
        person.is_staff = True
        person.save()
        person.groups.set(Group.objects.filter(name="Operator"))
    client = Client()
    client.force_login(person)
    return client.cookies["sessionid"].value


def pop(policy):
    """The median time of a pop without HTTP, in milliseconds."""
    from accounts.audit import AuditContext

    audit, taken = AuditContext(operator="benchmark"), []
    for _ in range(POPS):
        began = time.monotonic()
        policy.pool.pop(audit)
        taken.append((time.monotonic() - began) * 1000)
    return median(taken)


if __name__ == "__main__":
    main()
