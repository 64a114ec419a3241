"""Members of an account see nothing of another one: not in lists, counts, searches, filters or by URL."""

import pytest
from django.contrib.auth.models import Group

from accounts.models import Invitation, Token, User
from licensing.services import issue_license
from pools.models import KeyEvent, KeyImport
from pools.services.pending_imports import check_pending_import, create_pending_import
from tests.accounts.groups import make_group
from tests.cast import add_keys
from tests.console import GROUPS, act, page, signed_in, staff, superuser
from tests.licensing.entitlements import make_entitlement
from tests.licensing.machines import make_machine
from tests.tables import each_row

LISTS = [
    "pools_key",
    "pools_keyimport",
    "licensing_license",
    "licensing_policy",
    "licensing_product",
    "pools_pool",
    "accounts_user",
    "accounts_customer",
    "accounts_token",
    "accounts_invitation",
    "accounts_group",
    "licensing_entitlement",
    "licensing_machine",
]


@pytest.fixture
def theirs(rival, audit):
    """A row of each kind of Rival's, by the name of its pages."""
    rival.product.name = "Rival's secret product"
    rival.product.save()
    rival.policy.name = "Rival's secret policy"
    rival.policy.save()
    rival.unpooled.name = "Rival's secret terms"
    rival.unpooled.save()
    key_import = KeyImport.objects.create(account=rival.account, policy=rival.policy, name="Rival's secret import")
    popped, waiting = add_keys(rival.policy, "RIVAL-SECRET-0001", "RIVAL-SECRET-0002")
    license = issue_license(policy=rival.policy, audit=audit, name="Rival's secret license")
    waiting.key_import = key_import
    waiting.save()
    event = KeyEvent.objects.get(key=popped)
    event.reference = "Rival's secret order"
    event.save()
    token, _ = Token.generate(rival.product, name="Rival's secret token")
    upload = create_pending_import(
        policy=rival.policy, operator=User(email="operator@acme.test"), blocks=[b"RIVAL-SECRET-0003\n"]
    )
    check_pending_import(upload)
    return {
        "pools_key": waiting,
        "pools_keyimport": key_import,
        "licensing_license": license,
        "licensing_policy": rival.unpooled,
        "pools_pool": rival.policy,
        "licensing_product": rival.product,
        "accounts_user": rival.user("user", email="secret@rival.test"),
        "accounts_customer": rival.user("user", email="secret@rival.test"),
        "accounts_token": token,
        "accounts_invitation": invited(rival, "secret-colleague@rival.test"),
        "pools_pendingimport": upload,
        "accounts_group": make_group(rival.account, "Rival's secret group"),
        "licensing_entitlement": make_entitlement(rival.account, "SECRET", "Rival's secret entitlement"),
        "licensing_machine": make_machine(license, "RIVAL-SECRET-MACHINE", name="Rival's secret machine"),
    }


def invited(company, email):
    group = Group.objects.get(name="Support")
    fields = {"email": email, "role": "support-agent", "group": group, "inviter": staff(company, email="op@rival.test")}
    return Invitation.objects.create(account=company.account, **fields)


@pytest.fixture
def operator(acme):
    add_keys(acme.policy, "ACME-0001")
    return signed_in(staff(acme))


def rows_of(response):
    return list(response.context["cl"].queryset)


@each_row("name", LISTS)
def test_console_isolation_lists_show_nothing_of_theirs(operator, rival, theirs, name):
    policy = rival.policy.pk
    for query in ({}, {"policy": policy}, {"policy__id__exact": policy}, {"import": theirs["pools_keyimport"].pk}):
        response = operator.get(page(f"{name}_changelist", **query), follow=True)

        text = response.content.decode().lower()
        assert response.status_code == 200
        assert "secret" not in text.replace(str(policy), "")
        assert "rival" not in text


@each_row("name", LISTS)
@each_row("text", ["RIVAL-SECRET-0002", "0002", "Rival's secret order", "secret", "secret@rival.test"])
def test_console_isolation_searches_find_nothing_of_theirs(operator, theirs, name, text):
    response = operator.get(page(f"{name}_changelist", q=text))

    assert rows_of(response) == []
    assert response.context["cl"].result_count == 0


@each_row("name", LISTS)
def test_ids_find_nothing_of_theirs(operator, theirs, name):
    for row in theirs.values():
        assert rows_of(operator.get(page(f"{name}_changelist", q=row.pk))) == []


@each_row("name", LISTS)
@each_row("kind", ["change", "history", "delete"])
def test_addresses_lead_nowhere(operator, theirs, name, kind):
    response = operator.get(page(f"{name}_{kind}", theirs[name].pk))

    assert response.status_code in (302, 403, 404)
    if response.status_code == 302:
        assert response["Location"] == "/admin/"


@each_row(
    "name",
    [
        "pools_key_reveal",
        "pools_key_replace",
        "pools_key_withdraw",
        "pools_key_return",
        "pools_keyimport_withdraw",
        "pools_keyimport_undo",
        "pools_keyimport_move",
        "licensing_license_suspend",
        "licensing_license_revoke",
        "licensing_product_token",
        "licensing_license_renew",
        "accounts_user_ban",
        "accounts_user_token",
        "accounts_customer_ban",
        "accounts_customer_token",
        "accounts_user_access",
        "accounts_token_revoke",
        "accounts_invitation_resend",
        "accounts_invitation_revoke",
        "accounts_group_remove",
        "accounts_customer_group",
        "licensing_license_group",
        "licensing_license_entitlements",
        "licensing_policy_entitlements",
        "licensing_entitlement_remove",
        "licensing_machine_deactivate",
        "licensing_machine_reset-heartbeat",
        "licensing_machine_group",
    ],
)
def test_console_isolation_acts_reach_nothing_of_theirs(operator, theirs, name):
    before = KeyEvent.objects.count()

    response = act(operator, name, theirs[name.rpartition("_")[0]])

    assert response.status_code == 404
    assert KeyEvent.objects.count() == before


POOL_PAGES = ["change", "imports", "activity", "usage", "terms", "alert", "test", "pop", "export"]


@pytest.mark.parametrize("name", [*(f"pools_pool_{name}" for name in POOL_PAGES), "pools_pendingimport_import"])
def test_pools_of_theirs_are_out_of_reach(operator, rival, theirs, name):
    available = rival.policy.pool.available().count()
    assert operator.get(page(name, rival.policy.pk)).status_code == 404
    assert operator.post(page(name, rival.policy.pk), {"count": "1", "state": "all"}).status_code in (302, 404)
    rival.policy.refresh_from_db()
    assert (rival.policy.low_stock_threshold, rival.policy.pool.available().count()) == (None, available)


@pytest.mark.parametrize("name", ["change", "progress", "rejected"])
def test_uploads_of_theirs_are_out_of_reach(operator, theirs, name):
    assert operator.get(page(f"pools_pendingimport_{name}", theirs["pools_pendingimport"].pk)).status_code == 404


@pytest.mark.parametrize(
    "address", ["licensing_license_add", "licensing_policy_add", "pools_pool_add", "pools_pool_export_all"]
)
def test_forms_offer_nothing_of_theirs(operator, theirs, address):
    assert "secret" not in operator.get(page(address)).content.decode()


def test_forms_take_nothing_of_theirs(operator, rival, theirs):
    issued = operator.post(page("licensing_license_add"), {"policy": rival.policy.pk})
    made = operator.post(page("licensing_policy_add"), {"name": "Mine", "product": rival.product.pk})
    pool = {"name": "Mine", "product": rival.product.pk, "duration_never": "on", "alert_unit": "keys"}
    pooled = operator.post(page("pools_pool_add"), pool)
    every = {"state": "all", "format": "csv", "product": rival.product.pk}
    exported = operator.post(page("pools_pool_export_all"), every)

    for response in (issued, made, pooled, exported):
        assert "Select a valid choice" in response.content.decode()


def test_autocompletes_nothing(operator, theirs):
    response = operator.get(
        page("autocomplete"),
        {"app_label": "licensing", "model_name": "policy", "field_name": "product", "term": "secret"},
    )

    assert response.json()["results"] == []


def test_the_home_shows_ones_own_pools(operator, acme, theirs):
    text = operator.get(page("index")).content.decode()

    assert "Pooled" in text
    assert "Rival" not in text


def test_a_superuser_sees_all(acme, theirs):
    client = signed_in(superuser())

    assert "Rival&#x27;s secret policy" in client.get(page("index")).content.decode()
    for name in LISTS:
        assert client.get(page(f"{name}_change", theirs[name].pk)).status_code == 200


# Permissions of each group -------------------------------------------------------------------------------------------

ALLOWED_ROLES = {
    "pools_key_reveal": ["Operator"],
    "pools_key_replace": ["Operator"],
    "pools_key_return": ["Operator"],
    "pools_key_withdraw": ["Operator"],
    "pools_keyimport_withdraw": ["Operator"],
    "pools_pool_pop": ["Operator"],
    "pools_pool_export": ["Operator"],
    "pools_pool_export_all": ["Operator"],
    "pools_pool_alert": ["Operator"],
    "pools_pool_add": ["Operator"],
    "pools_pool_changelist": GROUPS,
    "pools_pool_change": GROUPS,
    "pools_pool_imports": GROUPS,
    "pools_pool_activity": GROUPS,
    "pools_pool_usage": GROUPS,
    "pools_pool_terms": GROUPS,
    "pools_keyimport_undo": ["Operator"],
    "pools_keyimport_move": ["Operator"],
    "pools_pendingimport_import": ["Operator"],
    "licensing_license_add": ["Operator"],
    "licensing_policy_add": ["Operator"],
    "licensing_product_add": ["Operator"],
    "licensing_license_suspend": ["Operator", "Support"],
    "licensing_license_renew": ["Operator", "Support"],
    "licensing_license_revoke": ["Operator"],
    "licensing_license_group": ["Operator"],
    "licensing_license_entitlements": ["Operator"],
    "licensing_entitlement_add": ["Operator"],
    "licensing_entitlement_changelist": GROUPS,
    "licensing_machine_changelist": GROUPS,
    "accounts_group_add": ["Operator"],
    "accounts_group_changelist": GROUPS,
    "accounts_user_add": ["Operator"],
    "accounts_customer_add": ["Operator"],
    "accounts_customer_changelist": GROUPS,
    "accounts_token_changelist": ["Operator"],
    "accounts_token_add": ["Operator"],
    "accounts_invitation_add": ["Operator"],
    "accounts_invitation_changelist": ["Operator"],
    "pools_key_changelist": GROUPS,
    "activity": GROUPS,
    "pools_keyimport_changelist": GROUPS,
    "licensing_license_changelist": GROUPS,
    "licensing_policy_changelist": GROUPS,
}


@each_row("group", GROUPS)
@each_row("name", ALLOWED_ROLES)
def test_groups(acme, theirs, audit, group, name):
    (key,) = add_keys(acme.policy, "ACME-0001")
    license = issue_license(policy=acme.policy, audit=audit)
    rows = {
        "pools_key": key,
        "pools_keyimport": KeyImport.objects.create(account=acme.account, policy=acme.policy),
        "licensing_license": license,
    }
    client = signed_in(staff(acme, group))

    if name.endswith(("_add", "_changelist", "_all")) or name == "activity":
        response = client.get(page(name))
    elif name.startswith(("pools_pool_", "pools_pendingimport")):
        response = client.get(page(name, acme.policy.pk))
    else:
        response = client.get(page(name), {"id": rows[name.rpartition("_")[0]].pk})

    assert response.status_code == (200 if group in ALLOWED_ROLES[name] else 403)
