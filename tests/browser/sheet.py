"""The pictures of the console in docs/, with data as a shop has it: `make screenshots`.

Not collected with the tests. Writes docs/console-{overview,pool,import,key}-{light,dark}.png.
"""

import random
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
from django.conf import settings
from django.db import transaction
from django.utils import timezone

from accounts.audit import AuditContext
from accounts.models import Token
from accounts.services import create_account
from licensing.models import Policy
from licensing.services import issue_license
from pools.models import Key, KeyEvent, KeyImport
from pools.services.keys import reveal_key
from tests.cast import make_policy, make_product
from tests.console import group
from tests.console import page as address

DOCS = Path(settings.BASE_DIR) / "docs"
WIDTH, HEIGHT = 1200, 760
MAX_BYTES = 120_000
YEAR = 31_556_952  # seconds
# Product, pool, keys, handed out, low-stock threshold.
POOLS = [
    ("Sketchline", "First 1,000 users", 1_000, 872, 150),
    ("Sketchline", "Student giveaway", 60, 60, 20),
    ("Sketchline", "ACME (PO 4711)", 300, 118, 50),
    ("Aurora", "Home", 2_400, 610, 300),
    ("Aurora", "Retail", 4_000, 500, 1_000),
    ("Aurora", "One year", 400, 60, 40),
]
CUSTOMERS = [("Eva", "Novák"), ("Jan", "Smith"), ("Mia", "Ito"), ("Lu", "Chen")]
FILE = """id;license key;note
1001;AURH-7K2MD-9XWQ4-PL3TE-22VRC;batch 12
1002;AURH-XM4ZB-62GDU-KQ8YN-5WSJA;batch 12
1003;AURH-3RTHP-CE9VL-2MXKB-QD6WZ;batch 12
1004;AURH-N8GQC-WB5ZT-Y47RE-LKD2M;batch 12
1005;AURH-5VYUD-TK3MJ-8HNXW-C9GQE;batch 12
1006;AURH-3RTHP-CE9VL-2MXKB-QD6WZ;twice
1007;;batch 12
1008;AURH-QZ6LE-4PWRN-GT2BX-M7KVD;batch 12
"""


def random_key(chance, prefix):
    return "-".join([prefix, *("".join(chance.choices("ABCDEFGHJKLMNPQRSTUVWXYZ23456789", k=5)) for _ in range(4))])


def hand_out(chance, keys, token, until):
    """Let a shop have taken keys over five weeks, more of them towards the end."""
    times = sorted(until - timedelta(days=35 * chance.random() ** 1.15) for _ in keys)
    events = []
    for key, time in zip(keys, times, strict=True):
        key.popped = key.disclosed = time
        key.disclosure, key.disclosed_to = Key.Disclosure.POPPED, f"products {token.bearer_id}"
        event = KeyEvent(
            event="popped",
            key=key,
            key_digest=key.digest,
            policy=key.policy,
            account=key.account,
            product=token.bearer,
            bearer_type="products",
            bearer_id=token.bearer_id,
            token_id=token.pk,
            token_name=token.name,
            reference=f"Order {chance.randint(10_000, 99_999)}",
            created=time,
        )
        events.append(event)
    Key.objects.bulk_update(keys, ["popped", "disclosed", "disclosure", "disclosed_to"], batch_size=200)
    KeyEvent.objects.bulk_create(events, batch_size=200)


@pytest.fixture
def northwind():
    """A company with two products, six pools and some customers."""
    chance, now = random.Random(4), timezone.now()
    weeks_ago = now - timedelta(days=42)
    account, _, _ = create_account(slug="northwind", name="Northwind", email="admin@northwind.test")
    ann = account.users.create_user("ann@northwind.test", account=account, role="admin", is_staff=True)
    ann.groups.set([group("Operator")])
    products = {name: make_product(account, name) for name in ("Sketchline", "Aurora")}
    tokens = {name: Token.generate(product, name="Shop EU")[0] for name, product in products.items()}
    for product, name, count, gone, threshold in POOLS:
        policy = make_policy(
            products[product], name, use_pool=True, low_stock_threshold=threshold, duration=YEAR, created=weeks_ago
        )
        about = {"account": account, "policy": policy}
        by = {"operator": ann.email, "operator_id": ann.pk}
        batch = KeyImport(name=f"{name}, batch 1", source="keys.csv", added=count, created=weeks_ago, **about, **by)
        batch.save()
        prefix = f"{product[:3]}{name[0]}".upper()
        with transaction.atomic():
            texts = [random_key(chance, prefix) for _ in range(count)]
            keys = [Key(key_import=batch, key=text, created=weeks_ago, **about) for text in texts]
            Key.objects.bulk_create(keys)
            hand_out(chance, keys[:gone], tokens[product], now - timedelta(days=5 if gone == count else 0))
    for number, (first, last) in enumerate(CUSTOMERS):
        owner = account.users.create_user(
            f"{first.lower()}@example.com", account=account, first_name=first, last_name=last
        )
        audit = AuditContext(operator=ann.email, operator_id=ann.pk, reference=f"Order {20_771 + number}")
        issue_license(policy=Policy.objects.get(name="One year"), audit=audit, owner=owner)
    return SimpleNamespace(account=account, ann=ann, pool=Policy.objects.get)


@pytest.fixture
def picture(page, visit, northwind):
    """`picture(name)` writes the present page, light and dark."""
    visit.as_(northwind.ann)

    def write(name, height=HEIGHT):
        page.set_viewport_size({"width": WIDTH, "height": height})
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
            path = DOCS / f"console-{name}-{scheme}.png"
            page.screenshot(path=path)
            assert path.stat().st_size < MAX_BYTES, path

    return write


def test_pictures(page, visit, northwind, picture):
    visit(address("index"))
    picture("overview", 940)

    visit(address("pools_pool_change", northwind.pool(name="First 1,000 users").pk))
    picture("pool")

    key = Key.objects.filter(policy__name="First 1,000 users", popped__isnull=False).order_by("-popped")[3]
    reveal_key(key, AuditContext(operator=northwind.ann.email, operator_id=northwind.ann.pk, reference="Ticket 881"))
    visit(address("pools_key_change", key.pk))
    picture("key")

    visit(address("pools_pendingimport_import", northwind.pool(name="Home").pk))
    files = [{"name": "aurora-home.csv", "mimeType": "text/csv", "buffer": FILE.encode()}]
    page.locator("input[type=file]").set_input_files(files)
    page.get_by_role("button", name="Preview").click()
    page.get_by_role("button", name="Add 6 keys").wait_for()
    picture("import")
