"""The activity lists every API change that is not in the ledger of keys: actor, action and object."""

from datetime import timedelta
from io import StringIO

import pytest
from django.core.management import call_command
from django.test import Client
from django.utils import timezone

from accounts.models import Activity, Token, User
from accounts.password_reset import make_reset_token
from keygen_site.db.uuids import uuid7_floor
from keygen_site.jsonapi.openapi.routes import list_endpoints
from licensing.models import License
from licensing.services import issue_license
from pools.models import KeyEvent
from tests.accounts.documents import basic, user_document
from tests.cast import add_keys, make_license, make_policy, numbered
from tests.console import PASSWORD, page, staff
from tests.tables import rolled_back
from tests.tenant_rows import Belongings, request_of

WRITES = {"POST", "PUT", "PATCH", "DELETE"}
# Writes that are neither in the activity nor in the ledger, and why.
NOT_RECORDED = {
    ("MeViewSet", "me"): "reads only",
    ("MeViewSet", "profile"): "reads only",
    ("SearchViewSet", "search"): "reads only",
    ("SecondFactorViewSet", "create"): "has no effect until it is enabled",
    ("PasswordViewSet", "create"): "changes nothing, and must not reveal who exists",
    ("LicenseViewSet", "validate"): "a use of a license, up to thousands a second",
    ("LicenseViewSet", "validate_key"): "a use of a license",
    ("LicenseViewSet", "check_in"): "a use of a license",
    ("LicenseViewSet", "check_out"): "a use of a license",
    ("LicenseViewSet", "check_out_file"): "a use of a license",
    ("LicenseViewSet", "increment_usage"): "a use of a license",
    ("LicenseViewSet", "decrement_usage"): "a use of a license",
    ("MachineViewSet", "ping"): "a heartbeat",
    ("MachineViewSet", "ping_heartbeat"): "a heartbeat",
    ("MachineViewSet", "check_out"): "a use of a license",
    ("MachineViewSet", "generate_proof"): "a use of a license",
    ("ProcessViewSet", "create"): "a use of a license",
    ("ProcessViewSet", "partial_update"): "a use of a license",
    ("ProcessViewSet", "destroy"): "a use of a license",
    ("ProcessViewSet", "ping"): "a heartbeat",
}
# Their example documents change nothing, or take a key from a pool, which is in the ledger.
WITHOUT_ENTRY = {("OwnAccountViewSet", "partial_update"), ("LicenseViewSet", "create")}


def writes():
    found = [each for each in list_endpoints() if each.method in WRITES and each.action]
    return [each for each in found if not each.is_put_for_patch]


def name_of(endpoint):
    return endpoint.view.__name__, endpoint.action


def is_in_ledger(endpoint):
    return endpoint.view.serializer_class.Meta.model.in_ledger


@pytest.mark.without_database
def test_every_write_is_recorded_or_named_as_not_recorded():
    wrong = []
    for endpoint in writes():
        recorded = bool(endpoint.operation.records) or is_in_ledger(endpoint)
        if recorded == (name_of(endpoint) in NOT_RECORDED):
            wrong.append(name_of(endpoint))

    assert wrong == []


@pytest.mark.without_database
def test_events_have_a_wording():
    events = {endpoint.operation.records for endpoint in writes() if endpoint.operation.records}

    assert events <= set(Activity.Event.values)


def test_every_write_that_succeeds_leaves_one_entry(acme, api):
    """With the example documents of the description. Others are tested below."""
    own = Belongings(acme.account, acme.product, "acme")
    client, done, wrong = api(acme.admin), set(), []
    for endpoint in writes():
        path, document, media_type = request_of(endpoint, "acme", own)
        with rolled_back():
            before = Activity.objects.count()
            response = client.request(endpoint.method, path, document, media_type)
            added = Activity.objects.count() - before
        if response.status_code >= 400:
            continue
        done.add(name_of(endpoint))
        is_elsewhere = is_in_ledger(endpoint) or name_of(endpoint) in NOT_RECORDED.keys() | WITHOUT_ENTRY
        if added != (0 if is_elsewhere else 1):
            wrong.append((name_of(endpoint), added))

    assert wrong == []
    assert done >= {
        ("LicenseViewSet", "suspend"),
        ("LicenseViewSet", "partial_update"),
        ("LicenseViewSet", "revoke"),
        ("LicenseViewSet", "create"),
        ("PolicyViewSet", "create"),
        ("ProductViewSet", "destroy"),
        ("UserViewSet", "ban"),
        ("UserViewSet", "create"),
        ("TokenViewSet", "create"),
        ("TokenViewSet", "destroy"),
        ("ProductTokenViewSet", "create"),
        ("OwnAccountViewSet", "partial_update"),
        ("PoolViewSet", "pop"),
    }


def test_an_entry_says_who_did_what_to_which_object(acme, api):
    token, text = Token.generate(acme.product, name="Shop EU")
    license = make_license(acme.unpooled, owner=acme.user())

    api(text).post(f"licenses/{license.pk}/actions/suspend", keygen_reference="Ticket 7")

    entry = Activity.objects.get()
    assert (entry.event, entry.noun, entry.object_id, entry.name) == (
        "suspended",
        "license",
        license.pk,
        "user@acme.test",
    )
    assert (entry.account, entry.policy_id) == (acme.account, acme.unpooled.pk)
    assert (entry.bearer_type, entry.bearer_id, entry.bearer_name) == ("products", acme.product.pk, "Rocket")
    assert (entry.token_id, entry.token_name, entry.reference) == (token.pk, "Shop EU", "Ticket 7")
    assert entry.request_id


def test_names_stay_as_they_were(acme, api):
    api(acme.admin).delete(f"products/{acme.another_product('Sketchline').pk}")
    api(acme.admin).patch(f"policies/{acme.policy.pk}", document("policies", name="Renamed"))
    acme.policy.refresh_from_db()
    acme.policy.name = "Renamed again"
    acme.policy.save()

    changed, deleted = Activity.objects.all()
    assert (deleted.event, deleted.name) == ("deleted", "Sketchline")
    assert (changed.event, changed.name, changed.details) == ("changed", "Renamed", {"fields": ["name"]})
    assert changed.bearer_name == acme.admin.email


def document(type, **attributes):
    return {"data": {"type": type, "attributes": attributes}}


def test_the_settings_of_the_account_are_recorded(acme, api):
    api(acme.admin).patch("/v1/accounts/acme", document("accounts", name="Acme & Sons"))

    entry = Activity.objects.get()
    assert (entry.event, entry.noun, entry.name, entry.details) == (
        "changed",
        "account",
        "Acme & Sons",
        {"fields": ["name"]},
    )


def test_an_update_without_a_change_is_not_recorded(acme, api):
    response = api(acme.admin).patch(f"policies/{acme.policy.pk}", document("policies", name=acme.policy.name))

    assert response.status_code == 200
    assert not Activity.objects.exists()


def test_a_change_that_fails_is_not_recorded(acme, api):
    license = make_license(acme.unpooled, suspended=True)

    assert api(acme.admin).post(f"licenses/{license.pk}/actions/suspend").status_code == 422
    assert not Activity.objects.exists()


def test_the_entry_is_in_the_transaction_of_the_change(acme, api, monkeypatch):
    def refuse(*args, **options):
        raise OSError("no room")

    license = make_license(acme.unpooled)
    monkeypatch.setattr("accounts.models.activity.ActivityManager.record", refuse)
    for method, path, sent in (
        ("POST", f"licenses/{license.pk}/actions/suspend", None),
        ("DELETE", f"products/{acme.product.pk}", None),
        ("POST", "products", document("products", name="New")),
        ("POST", f"products/{acme.product.pk}/tokens", None),
    ):
        with pytest.raises(OSError, match="no room"):
            api(acme.admin).request(method, path, sent)

    license.refresh_from_db()
    assert not license.suspended
    assert acme.account.products.count() == 1
    assert not Token.objects.filter(bearer_id=acme.product.pk).exists()


def test_pops_issues_and_validations_leave_no_entry(acme, api, audit):
    add_keys(acme.policy, *numbered(4))
    client = api(acme.admin)
    client.delete(f"policies/{acme.policy.pk}/pool")
    linked = {"policy": {"data": {"type": "policies", "id": str(acme.policy.pk)}}}
    issued = client.post("licenses", {"data": {"type": "licenses", "relationships": linked}})
    license = License.objects.get()
    client.post(f"licenses/{license.pk}/actions/validate")
    client.get(f"licenses/{license.pk}/actions/validate")
    client.post("licenses/actions/validate-key", {"meta": {"key": license.key}})

    assert issued.status_code == 201
    assert not Activity.objects.exists()
    assert KeyEvent.objects.filter(event__in=["popped", "issued"]).count() == 2


def test_a_license_with_a_generated_key_is_recorded_by_the_service(acme, audit):
    license = issue_license(policy=acme.unpooled, audit=audit, owner=acme.user())

    entry = Activity.objects.get()
    assert (entry.event, entry.object_id, entry.operator) == ("issued", license.pk, "tests")


def test_no_text_of_a_key_password_or_token_is_recorded(acme, api):
    client = api(acme.admin)
    client.post("users", user_document(email="new@acme.test", password="open sesame"))
    user = User.objects.get(email="new@acme.test")
    client.patch(f"users/{user.pk}", document("users", password="another sesame", metadata={"pin": "4711-4711"}))
    text = client.post(f"users/{user.pk}/tokens").json()["data"]["attributes"]["token"]
    linked = {"policy": {"data": {"type": "policies", "id": str(acme.unpooled.pk)}}}
    client.post(
        "licenses", {"data": {"type": "licenses", "attributes": {"key": "SECRET-KEY-1"}, "relationships": linked}}
    )

    rows = str(list(Activity.objects.values_list()))
    assert Activity.objects.count() == 4
    assert not [secret for secret in ("sesame", "4711", text, "SECRET-KEY") if secret in rows]
    assert Activity.objects.filter(details={"fields": ["metadata", "password"]}).exists()


def test_customers_own_tokens_are_not_recorded(acme, api):
    user = acme.user(password="open sesame")

    assert api().post("tokens", authorization=basic(user.email, "open sesame")).status_code == 201
    assert api(user).post("tokens").status_code == 201
    assert not Activity.objects.exists()


def test_a_sign_in_of_staff_is_recorded_as_a_token(acme, api):
    acme.user("developer", email="dev@acme.test", password="open sesame")

    api().post("tokens", authorization=basic("dev@acme.test", "open sesame"))

    entry = Activity.objects.get()
    assert (entry.event, entry.noun, entry.bearer_name, entry.details) == (
        "created",
        "token",
        "dev@acme.test",
        {"bearer": "dev@acme.test"},
    )


def test_an_invalid_reference_does_not_matter_where_it_did_not_before(acme, api):
    license = make_license(acme.unpooled)

    response = api(acme.admin).post(f"licenses/{license.pk}/actions/suspend", keygen_reference="x" * 300)

    assert response.status_code == 200
    assert Activity.objects.get().reference == ""


def test_a_password_set_by_mail_is_recorded_as_by_its_user(acme, api, mailbox):
    user = acme.user("developer", password="open sesame")
    sent = {"meta": {"passwordResetToken": make_reset_token(user), "newPassword": "another sesame"}}

    assert api().post(f"users/{user.pk}/actions/reset-password", sent).status_code == 200

    entry = Activity.objects.get()
    assert (entry.event, entry.object_id, entry.bearer_id) == ("password-reset", user.pk, user.pk)


def test_a_new_owner_policy_and_users_are_recorded(acme, api):
    license = make_license(acme.unpooled)
    other = make_policy(acme.product, "Other")
    client = api(acme.admin)
    client.put(f"licenses/{license.pk}/policy", {"data": {"type": "policies", "id": str(other.pk)}})
    client.put(f"licenses/{license.pk}/owner", {"data": {"type": "users", "id": str(acme.user().pk)}})

    linked = {"data": [{"type": "users", "id": str(acme.user(email="two@acme.test").pk)}]}
    client.post(f"licenses/{license.pk}/users", linked)
    client.delete(f"licenses/{license.pk}/users", linked)

    detached, attached, owner, policy = Activity.objects.all()
    assert [(each.event, each.object_id, each.details) for each in (attached, detached)] == [
        ("users-attached", license.pk, {"count": 1}),
        ("users-detached", license.pk, {"count": 1}),
    ]
    assert (policy.event, policy.details) == ("policy-changed", {"to": "Other"})
    assert (owner.event, owner.details) == ("owner-changed", {"to": "user@acme.test"})


def test_old_entries_are_deleted(acme, api, settings, monkeypatch):
    settings.ACTIVITY_DAYS = 30
    monkeypatch.setattr("accounts.models.activity.PRUNE_INTERVAL", 1)
    for days in (31, 29):
        pk = uuid7_floor(timezone.now() - timedelta(days=days))
        Activity.objects.create(id=pk, account=acme.account, event="changed", noun="account", name=str(days))

    api(acme.admin).post("products", document("products", name="New"))

    assert list(Activity.objects.values_list("name", flat=True)) == ["New", "29"]

    settings.ACTIVITY_DAYS = 0
    Activity.objects.create(id=uuid7_floor(timezone.now() - timedelta(days=999)), event="changed", noun="account")
    api(acme.admin).post("products", document("products", name="Newer"))

    assert Activity.objects.count() == 4


@pytest.mark.django_db(transaction=True)
def test_old_entries_are_deleted_by_changes_without_a_transaction(acme, monkeypatch):
    """A sign-in has none; its entry once in a while deletes old ones."""
    monkeypatch.setattr("accounts.models.activity.PRUNE_INTERVAL", 1)
    monkeypatch.setattr("sys.stdin", StringIO("another-horse-2\n"))
    user = staff(acme, email="ann@acme.test", password=PASSWORD)
    old = uuid7_floor(timezone.now() - timedelta(days=999))
    steps = (
        lambda: Client().post(page("login"), {"username": user.email, "password": PASSWORD}),
        lambda: call_command("allow_sign_in", user.email, "192.0.2.1", account=acme.account.slug),
        lambda: call_command("set_password", user.email),
        lambda: Activity.objects.prune(),
    )
    for step in steps:
        Activity.objects.create(id=old, account=acme.account, event="changed", noun="account")
        step()
        assert not Activity.objects.filter(pk=old).exists()
