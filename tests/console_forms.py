"""Every form of the console that does something to rows, for the tests of forms."""

from dataclasses import dataclass, field

from django.contrib.auth.models import Group
from django.utils import timezone

from accounts.models import Invitation, Token
from accounts.second_factors import enable_second_factor, start_second_factor
from pools.models import Key, KeyImport
from tests.accounts.groups import make_group
from tests.cast import add_keys, make_license, make_policy, numbered
from tests.console import page, superuser
from tests.licensing.entitlements import make_entitlement
from tests.licensing.machines import make_machine

JOIN_LINK = r"http://testserver/admin/join/\?token=[\w:-]+"
RESET_LINK = r"http://testserver/admin/reset-password/\?token=[\w:-]+"
# They have no id: a repetition changes the rest of the keys.
BATCH_ACTIONS = ("pools.keyimport withdraw", "pools.keyimport undo", "pools.keyimport move")


@dataclass
class Form:
    """A form on a page of the console.

    Attributes:
        secret: a pattern of the secret that its result shows in clear.
        repeatable: whether a second form may do the same again.
    """

    address: str
    values: dict = field(default_factory=dict)
    secret: str = ""
    repeatable: bool = True


def form(address, row, secret="", /, *, repeatable=True, **values):
    return Form(page(address, id=row.pk), values, secret, repeatable)


def with_second_factor(company):
    user = company.user("user", email="lost@acme.test")
    enable_second_factor(start_second_factor(user))
    return user


def invited(company, name):
    group = Group.objects.get(name="Support")
    return Invitation.objects.create(
        account=company.account,
        email=f"{name}@acme.test",
        role="support-agent",
        group=group,
        inviter=superuser(),
    )


def make_forms(acme, audit):
    """Make rows, and return every form of the console that does something to them, by its name."""
    keys = add_keys(acme.policy, *numbered(20))
    popped = [acme.policy.pool.pop(audit) for _ in range(2)]
    encrypted = make_policy(acme.product, "Encrypted", encrypted=True)
    yearly = make_policy(acme.product, "Yearly", duration=31_556_952)
    plain, suspended = make_license(acme.unpooled), make_license(acme.unpooled, suspended=True)
    owned = make_license(acme.unpooled, owner=acme.user("user", email="buyer@acme.test"))
    renewable = make_license(yearly, expiry=timezone.now())
    banned = acme.user("user", email="banned@acme.test")
    banned.ban()
    batches = [KeyImport.objects.create(account=acme.account, policy=acme.policy) for _ in BATCH_ACTIONS]
    for key, batch in zip(add_keys(acme.policy, "BATCH-01", "BATCH-02", "BATCH-03"), batches, strict=True):
        Key.objects.filter(pk=key.pk).update(key_import=batch)
    other = make_policy(acme.product, "Other", use_pool=True)
    also_banned = acme.user("user", email="also@acme.test")
    also_banned.ban()
    group = make_group(acme.account)
    chosen = {"repeatable": False, "entitlements": [make_entitlement(acme.account).pk]}
    machines = [make_machine(plain, str(number), ago=1) for number in range(3)]
    issue = page("licensing_license_add")
    generated = "(?:[0-9A-F]{6}-){5}V3"
    return {
        "licensing.license issue": Form(issue, {"policy": acme.policy.pk, "reference": "Order 1"}, r"KEY-\d{4}"),
        "licensing.license issue unpooled": Form(issue, {"policy": acme.unpooled.pk}, generated),
        "licensing.license issue encrypted": Form(issue, {"policy": encrypted.pk}, "[0-9a-f-]{100,}v1"),
        "licensing.license suspend": form("licensing_license_suspend", plain, repeatable=False),
        "licensing.license reinstate": form("licensing_license_reinstate", suspended, repeatable=False),
        "licensing.license renew": form("licensing_license_renew", renewable),
        "licensing.license email": form("licensing_license_email", owned, to=owned.owner.email),
        "licensing.license revoke": form("licensing_license_revoke", make_license(acme.unpooled), repeatable=False),
        "licensing.license group": form("licensing_license_group", plain, repeatable=False, group=group.pk),
        "licensing.license entitlements": form("licensing_license_entitlements", plain, **chosen),
        "licensing.policy entitlements": form("licensing_policy_entitlements", yearly, **chosen),
        "pools.pool entitlements": form("pools_pool_entitlements", acme.policy, **chosen),
        "licensing.entitlement remove": form(
            "licensing_entitlement_remove", make_entitlement(acme.account, "OLD"), repeatable=False
        ),
        "licensing.machine group": form("licensing_machine_group", machines[0], repeatable=False, group=group.pk),
        "licensing.machine reset-heartbeat": form("licensing_machine_reset-heartbeat", machines[1], repeatable=False),
        "licensing.machine deactivate": form("licensing_machine_deactivate", machines[2], repeatable=False),
        "accounts.group remove": form("accounts_group_remove", make_group(acme.account, "Old"), repeatable=False),
        "accounts.customer group": form("accounts_customer_group", owned.owner, repeatable=False, group=group.pk),
        "pools.pool pop": Form(page("pools_pool_pop", acme.policy.pk), {"count": 2}, r"KEY-\d{4}\nKEY-\d{4}"),
        "licensing.product token": form("licensing_product_token", acme.product, "prod-[0-9a-f]+v3", name="Shop"),
        "accounts.user token": form("accounts_user_token", acme.user(), "user-[0-9a-f]+v3"),
        "accounts.user access": form(
            "accounts_user_access",
            acme.user("developer", email="dev@acme.test"),
            RESET_LINK,
            repeatable=False,
            access="Support",
        ),
        "accounts.token add": Form(
            page("accounts_token_add"), {"bearer": f"product {acme.product.pk}"}, "prod-[0-9a-f]+v3"
        ),
        "accounts.invitation add": Form(
            page("accounts_invitation_add"),
            {"account": acme.account.pk, "email": "new-colleague@acme.test", "role": "support"},
            JOIN_LINK,
            repeatable=False,
        ),
        "accounts.invitation resend": form("accounts_invitation_resend", invited(acme, "bob"), JOIN_LINK),
        "accounts.invitation revoke": form("accounts_invitation_revoke", invited(acme, "eve"), repeatable=False),
        "accounts.user ban": form("accounts_user_ban", acme.user("user", email="new@acme.test"), repeatable=False),
        "accounts.user unban": form("accounts_user_unban", banned, repeatable=False),
        "accounts.customer token": form(
            "accounts_customer_token", acme.user("user", email="buyer@acme.test"), "user-[0-9a-f]+v3"
        ),
        "accounts.customer ban": form(
            "accounts_customer_ban", acme.user("user", email="bad@acme.test"), repeatable=False
        ),
        "accounts.customer unban": form("accounts_customer_unban", also_banned, repeatable=False),
        "accounts.user reset-second-factor": form(
            "accounts_user_reset-second-factor", with_second_factor(acme), repeatable=False
        ),
        "accounts.account rotate-signing-keys": form(
            "accounts_account_rotate-signing-keys", acme.account, keys=["ed25519", "ecdsa"]
        ),
        "accounts.token revoke": form("accounts_token_revoke", Token.generate(acme.product)[0], repeatable=False),
        "accounts.account add": Form(
            page("accounts_account_add"),
            {"name": "New", "slug": "new", "status": "SUBSCRIBED", "admin_email": "ann@new.test"},
            RESET_LINK,
            repeatable=False,
        ),
        "pools.key reveal": form("pools_key_reveal", keys[5], "KEY-0006", reference="Ticket 1"),
        "pools.key replace": form("pools_key_replace", popped[1], r"KEY-\d{4}", repeatable=False, reason="refunded"),
        "pools.key return": form("pools_key_return", popped[0], repeatable=False, undelivered="on"),
        "pools.key withdraw": form("pools_key_withdraw", keys[7], repeatable=False),
        "pools.keyimport withdraw": form("pools_keyimport_withdraw", batches[0]),
        "pools.keyimport undo": form("pools_keyimport_undo", batches[1]),
        "pools.keyimport move": form("pools_keyimport_move", batches[2], destination=other.pk),
    }
