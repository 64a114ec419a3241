"""An export has all rows of its account that the format supports, and no row of another account."""

import base64
import csv
from datetime import UTC, datetime
from io import StringIO

import pytest
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from django.apps import apps

from accounts.models import Account, SigningKey, Token, TokenKeys, User
from accounts.permission_names import DEFAULTS
from licensing.models import License, LicenseUser
from licensing.services import issue_license
from pools.models import Key
from pools.moving.classes import BCRYPT_PREFIX, CLASSES
from pools.moving.exporting import batches, exported_rows
from pools.moving.format import SecretMissing
from pools.moving.table_files import used_keys_for_file, write_tokens
from pools.moving.unexported import UNEXPORTED, USED_DIGESTS, USED_KEYS
from tests.cast import add_keys, make_license, make_policy, numbered
from tests.moving.exports import read_export
from tests.moving.own_exports import exported, rows_of
from tests.tenant_rows import Belongings

# Columns of exported models that are columns of no class, and where else they are, or why they are nowhere.
ELSEWHERE = {
    Account: {
        "status": UNEXPORTED,
        "mask_keys": UNEXPORTED,
        "setting_values": "AccountSetting",
        "signing_key_version": "derived",
        "has_moved_tokens": "derived",
    },
    User: {
        "role": "Role",
        "permissions": "RolePermission",
        "is_staff": UNEXPORTED,
        "is_superuser": "no user of an account is one",
        "last_login": "of the console",
        "sessions_ended": "of the console",
    },
    License: {"permissions": "RolePermission", "reference": UNEXPORTED, "digest": "derived"},
    Key: {
        "digest": "derived",
        "ending": "derived",
        "place": "the order of the rows",
        "key_import": UNEXPORTED,
        "popped": USED_KEYS,
        "withdrawn": USED_KEYS,
        "disclosed": UNEXPORTED,
        "disclosure": UNEXPORTED,
        "disclosed_to": UNEXPORTED,
    },
}
BY_MODEL = {
    "Product": {"permissions": "RolePermission"},
    "Policy": dict.fromkeys(("low_stock_threshold", "low_stock_days", "low_stock_alerted"), UNEXPORTED),
    "Machine": {"digest": "derived", "product": "derived", "heartbeat_reset": UNEXPORTED},
    "Component": {"digest": "derived"},
    "Process": {"digest": "derived"},
}


@pytest.fixture
def everything(acme, rival):
    """A row of each kind of two accounts; the rows of Acme by kind."""
    Belongings(rival.account, rival.product, "Rival")
    return Belongings(acme.account, acme.product, "Acme").rows


def only(rows):
    (row,) = rows
    return row


class TestCompleteness:
    """A model or a field that is added later is exported, or listed as not exported."""

    def test_all_models_of_an_account_are_exported_or_listed(self, acme):
        listed = {each.rows(acme.account).model for each in (*UNEXPORTED, USED_DIGESTS, USED_KEYS)}
        exported_models = {each.model for each in CLASSES} | {SigningKey, Token, TokenKeys}
        of_accounts = [
            model
            for model in apps.get_models()
            if not model._meta.proxy and any(field.name in ("account", "account_id") for field in model._meta.fields)
        ]

        assert [model for model in of_accounts if model not in listed | exported_models] == []

    def test_all_fields_are_exported_or_listed(self):
        missing = []
        for each in CLASSES:
            known = {column.attname for column in each.columns} | {"account_id"}
            elsewhere = {**ELSEWHERE.get(each.model, {}), **BY_MODEL.get(each.model.__name__, {})}
            for field in each.model._meta.concrete_fields:
                if field.attname not in known and field.name not in elsewhere:
                    missing.append(f"{each.name}.{field.name}")

        assert missing == []


class TestRows:
    def test_each_class_has_the_rows_of_the_account(self, acme, everything):
        rows = rows_of(acme.account)

        assert list(rows)[0] == "Account"
        for each in CLASSES:
            if each.model is not Account:
                ids = {str(pk) for pk in exported_rows(each, acme.account).values_list("pk", flat=True)}
                assert ids
                assert {row["id"] for row in rows[each.name]} == ids, each.name
                assert {row["account_id"] for row in rows[each.name]} == {str(acme.account.pk)}
        assert "rival" not in str(rows).lower()

    def test_values_are_those_of_the_rows(self, acme, everything):
        license = everything["license"]
        expiry = datetime(2031, 2, 3, 4, 5, 6, 789, tzinfo=UTC)
        License.objects.filter(pk=license.pk).update(expiry=expiry, uses=7, suspended=True, max_users=9, version="1.2")

        row = only(rows_of(acme.account)["License"])

        assert row["key"] == "LICENSE-OF-Acme"
        assert (row["expiry"], row["uses"], row["suspended"]) == (expiry, 7, True)
        assert (row["max_users_override"], row["max_uses_override"], row["last_validated_version"]) == (9, None, "1.2")
        assert row["user_id"] == str(everything["user"].pk)
        assert row["created_at"] == license.created

    def test_licenses_have_the_sums_of_their_users_and_machines(self, acme, everything):
        license = everything["license"]
        license.machines.update(cores=8, memory=1024)
        license.machines.create(account=acme.account, fingerprint="second", cores=4, disk=10)
        other = make_license(acme.unpooled)

        licenses = {row["id"]: row for row in rows_of(acme.account)["License"]}

        names = ["license_users_count", "machines_count", "machines_core_count", "machines_memory_count"]
        names.append("machines_disk_count")
        assert [licenses[str(license.pk)][name] for name in names] == [1, 2, 12, 1024, 10]
        assert [licenses[str(other.pk)][name] for name in names] == [0] * 5
        assert LicenseUser.objects.filter(license=license).count() == 1

    def test_machines_have_the_policy_of_their_license(self, acme, everything):
        row = only(rows_of(acme.account)["Machine"])

        assert row["policy_id"] == str(everything["license"].policy_id)

    def test_an_export_in_many_chunks_is_the_same(self, acme, everything, monkeypatch):
        add_keys(acme.policy, *numbered(5))
        whole = rows_of(acme.account)
        monkeypatch.setattr("pools.moving.exporting.MAX_ROWS", 2)
        monkeypatch.setattr("pools.moving.exporting._ROLES_PER_STEP", 1)

        parts = rows_of(acme.account)

        whole["Account"][0].pop("secret_key")
        parts["Account"][0].pop("secret_key")
        assert parts == whole

    def test_rows_are_read_in_batches(self, acme):
        add_keys(acme.policy, *numbered(5))

        assert [len(batch) for batch in batches(acme.policy.pool.all(), 2)] == [2, 2, 1]
        assert list(batches(acme.policy.pool.none(), 2)) == []


class TestKeys:
    def test_keys_that_wait_are_exported_in_the_order_of_the_pool(self, acme, audit):
        add_keys(acme.policy, *numbered(4))
        acme.policy.pool.pop(audit)
        Key.objects.filter(pk=acme.policy.pool.with_key("KEY-0004").get().pk).update(place=1)

        keys = [row["key"] for row in rows_of(acme.account)["Key"]]

        assert keys == ["KEY-0004", "KEY-0002", "KEY-0003"]

    def test_used_keys_without_a_license_are_in_a_file_of_their_own(self, acme, rival, audit):
        add_keys(rival.policy, "RIVAL-0001")
        rival.policy.pool.pop(audit)
        keys = add_keys(acme.policy, *numbered(4))
        popped = acme.policy.pool.pop(audit)
        license = issue_license(policy=acme.policy, audit=audit)
        Key.objects.filter(pk=keys[2].pk).update(withdrawn=popped.popped)

        used = list(used_keys_for_file(acme.account))

        assert license.key == "KEY-0002"
        assert [key.key for key in used] == ["KEY-0001", "KEY-0003"]
        assert (used[0].popped, used[0].pool, used[1].withdrawn) == (popped.popped, "Pooled", popped.popped)
        assert [row["key"] for row in rows_of(acme.account)["Key"]] == ["KEY-0004"]


class TestRoles:
    def test_roles_are_rows_with_their_permissions(self, acme):
        acme.user("sales-agent")
        acme.user("user", permissions=["license.read", "key-event.read"])
        make_license(acme.unpooled, permissions=["*"])

        rows = rows_of(acme.account)

        roles = {(row["resource_type"], row["name"]): row for row in rows["Role"]}
        assert set(roles) == {
            ("User", "admin"),
            ("User", "sales_agent"),
            ("User", "user"),
            ("Product", "product"),
            ("License", "license"),
        }
        permissions = {key: set() for key in roles}
        by_id = {row["id"]: key for key, row in roles.items()}
        for row in rows["RolePermission"]:
            permissions[by_id[row["role_id"]]].add(row["permission_action"])
        assert permissions["User", "sales_agent"] == DEFAULTS["sales-agent"]
        assert permissions["Product", "product"] == DEFAULTS["product"]
        assert permissions["User", "user"] == {"license.read"}  # the other one is of this server only
        assert permissions["License", "license"] > DEFAULTS["license"]
        assert roles["User", "admin"]["resource_id"] == str(acme.admin.pk)

    def test_roles_have_the_same_ids_in_each_export(self, acme):
        first, second = rows_of(acme.account), rows_of(acme.account)

        assert first["Role"] == second["Role"]
        assert first["RolePermission"] == second["RolePermission"]
        assert len({row["id"] for row in first["RolePermission"]}) == len(first["RolePermission"])


class TestSecrets:
    def test_the_account_has_its_private_keys(self, acme):
        row = only(rows_of(acme.account)["Account"])

        in_use, _ = SigningKey.objects.published(acme.account.pk)
        assert load_pem_private_key(row["private_key"], None) is not None
        assert row["private_key"].decode() == in_use["rsa2048"].private
        assert row["ecdsa_private_key"].decode() == in_use["ecdsa"].private
        assert len(bytes.fromhex(row["ed25519_private_key"])) == 32
        assert row["ed25519_public_key"].encode() == base64.b64decode(in_use["ed25519"].public)

    def test_an_account_without_a_secret_key_gets_one(self, acme):
        row = only(rows_of(acme.account)["Account"])

        assert len(bytes.fromhex(row["secret_key"])) == 64

    def test_an_account_that_moved_in_keeps_its_secret_key(self, acme):
        TokenKeys.objects.create(account=acme.account, secret_key="ab" * 64, private_key="pem")

        assert only(rows_of(acme.account)["Account"])["secret_key"] == "ab" * 64

    def test_a_secret_encrypts_all_but_the_lengths(self, acme):
        content = exported(acme.account, "s3cret")

        assert read_export(content, "s3cret")["Account"][0]["slug"] == "acme"
        assert b"acme" not in content
        with pytest.raises(SecretMissing):
            read_export(content)

    def test_passwords_are_those_of_bcrypt(self, acme):
        moved = acme.user("developer")
        User.objects.filter(pk=moved.pk).update(password=f"{BCRYPT_PREFIX}$2a$12$digest")
        acme.admin.set_password("correct-horse-battery")
        acme.admin.save()

        digests = {row["email"]: row["password_digest"] for row in rows_of(acme.account)["User"]}

        assert digests == {"developer@acme.test": "$2a$12$digest", "admin@acme.test": None}


class TestTokens:
    def test_moved_tokens_are_rows_of_the_table(self, acme, rival):
        Token.objects.filter(bearer_id=rival.admin.pk).update(keygen_digest=b"r" * 32)
        time = datetime(2026, 11, 27, 0, 49, 21, 827340, tzinfo=UTC)
        license = make_license(acme.unpooled)
        token, _ = Token.generate(license, max_activations=3)
        Token.objects.filter(pk=token.pk).update(
            keygen_digest=b"\xab" * 32, created=time, expiry=time.replace(microsecond=0), updated=time, name="Shop, EU"
        )
        out = StringIO()

        assert write_tokens(acme.account, out) == 1

        row = only(csv.DictReader(StringIO(out.getvalue())))
        assert row == {
            "id": str(token.pk),
            "account_id": str(acme.account.pk),
            "activations": "0",
            "bearer_id": str(license.pk),
            "bearer_type": "License",
            "created_at": "2026-11-27 00:49:21.82734",
            "deactivations": "0",
            "digest": "ab" * 32,
            "environment_id": "",
            "expiry": "2026-11-27 00:49:21",
            "max_activations": "3",
            "max_deactivations": "",
            "name": "Shop, EU",
            "updated_at": "2026-11-27 00:49:21.82734",
        }

    def test_a_token_with_a_new_text_does_not_move_out(self, acme):
        token = Token.objects.get(bearer_id=acme.admin.pk)
        Token.objects.filter(pk=token.pk).update(keygen_digest=b"r" * 32)
        token.refresh_from_db()

        token.regenerate()

        assert write_tokens(acme.account, StringIO()) == 0


def test_unexported_rows_are_counted(acme, everything, audit):
    counts = {each.what.partition(":")[0]: each.rows(acme.account).count() for each in UNEXPORTED}

    assert counts["events of keys"] == acme.account.key_events.count() > 0
    assert counts["tokens that were made here"] == acme.account.tokens.count() > 0
    assert counts["second factors"] == 1
    assert counts["imports that wait for a person"] == 1
    assert counts["muted pools"] == 0

    make_policy(acme.product, "Watched", use_pool=True, low_stock_threshold=5)
    add_keys(acme.policy, "KEY-0001")
    acme.policy.pool.pop(audit).delete()

    counts = {each.what.partition(":")[0]: each.rows(acme.account).count() for each in UNEXPORTED}
    assert counts["low-stock alerts of pools"] == 1
    assert USED_DIGESTS.rows(acme.account).count() == 1
