"""Rotation of the keys that encrypt the database: no value is lost, none is left, and pops go on meanwhile."""

import json

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from accounts.models import SecondFactor, SigningKey, TokenKeys
from keygen_site import key_rotation
from keygen_site.checks import check_encryption
from keygen_site.db.key_digests import KeyEncryptionError, key_digest, key_digester
from keygen_site.key_rotation import count_other_values, encrypted_fields, rotate_values
from keygen_site.models import DigestKey, IdempotentResponse
from licensing.models import License
from pools.models import Key, PendingImport
from pools.services.pending_imports import check_pending_import, create_pending_import
from tests.cast import add_keys, make_license, numbered
from tests.encryption import encryption, forget_digest_key, new_key, restored_digest_key, revealed, stored_values
from tests.races import Holder, race_of

ONE, TWO = new_key("one"), new_key("two")
KEYS = numbered(30)


@pytest.fixture
def filled(acme, api):
    """Values in all encrypted columns."""
    return fill(acme, api)


def fill(acme, api):
    add_keys(acme.policy, *KEYS)
    make_license(acme.unpooled, "LICENSE-0001")
    pending = create_pending_import(policy=acme.policy, operator=acme.admin, blocks=[b"FILE-KEY-0001\nx\n"])
    check_pending_import(pending)
    texts = {"column": "A-KEY-AS-HEADER", "problem": "A-KEY-IN-A-PROBLEM"}
    PendingImport.objects.update(**texts, options={"delimiter": ";"}, error={"detail": "A-KEY-IN-AN-ERROR"})
    SecondFactor.objects.create(user=acme.admin)
    TokenKeys.objects.create(account=acme.account, secret_key="5ec4e7", private_key="A-PRIVATE-KEY")
    SigningKey.objects.get_or_generate(acme.account.pk, "ed25519")
    api(acme.admin).delete(f"policies/{acme.policy.pk}/pool", Idempotency_Key="pop")
    return contents()


def contents():
    """All values of all encrypted columns, in clear."""
    found = {}
    for field in encrypted_fields():
        rows = field.model._base_manager.order_by("pk").values_list("pk", field.attname)
        found[str(field)] = {pk: bytes(value) if isinstance(value, memoryview) else value for pk, value in rows}
    return found


def prefixes():
    """The columns that have values under each key; "" for values in clear."""
    found = {}
    for column, values in stored_values().items():
        for value in values:
            start = value[:60]
            name = next((key_id for key_id in ("one", "two", "tests") if f"{key_id}:".encode() in start[:40]), "")
            found.setdefault(name, set()).add(column)
    return found


ALL = {str(field) for field in encrypted_fields()}


class TestRotation:
    def test_turns_encryption_on_changes_keys_and_turns_it_off(self, filled):
        assert contents().keys() == ALL
        columns = {column for column, values in filled.items() if any(values.values())}
        digests = sorted(Key.objects.values_list("digest", flat=True))
        updated = list(Key.objects.order_by("pk").values_list("updated", "popped"))

        for number, (item, name) in enumerate([(ONE, "one"), (TWO, "two"), ("off", ""), (ONE, "one")]):
            with encryption(item, *([ONE, TWO] if item == "off" else [ONE] if item == TWO else [TWO] * bool(number))):
                rotation = rotate_values(batch_size=7)

                assert rotation.left == 0, name
                assert prefixes() == {name: columns}, name
                assert contents() == filled, name
                assert list(DigestKey.objects.values_list("key_id", flat=True)) == [name]
                assert count_other_values() == {}
                assert rotate_values(batch_size=7).changed == {}
                assert sorted(Key.objects.values_list("digest", flat=True)) == digests
                assert list(Key.objects.order_by("pk").values_list("updated", "popped")) == updated
                assert check_encryption(None) == []

    def test_covers_all_columns(self, filled):
        assert {column for column, values in filled.items() if any(values.values())} == ALL

    def test_removes_what_was_in_clear(self, filled):
        secrets = {*KEYS, "LICENSE-0001", "FILE-KEY-0001", "A-KEY-AS-HEADER", "A-KEY-IN-A-PROBLEM"}
        with encryption("off"):
            rotate_values(100)
            assert revealed(secrets) == secrets

        with encryption(ONE):
            rotate_values(100)

            assert revealed(secrets) == set()

    def test_is_resumed_where_it_was_interrupted(self, filled, monkeypatch):
        calls = []

        def interrupt(column, count):
            calls.append(column)
            if len(calls) == 3:
                raise KeyboardInterrupt

        with encryption(ONE):
            with pytest.raises(KeyboardInterrupt):
                rotate_values(4, interrupt)
            assert contents() == filled
            some = sum(count_other_values().values())

            rotation = rotate_values(4)

            assert sum(rotation.changed.values()) == some
            assert contents() == filled

    def test_key_of_the_database_must_be_configured(self, filled):
        with encryption(ONE):
            rotate_values(100)
        forget_digest_key()
        with pytest.raises(KeyEncryptionError, match="must have the key one"):
            key_digest("KEY-0001")


class TestCommand:
    def test_command_reports_what_it_does(self, filled, capsys):
        with encryption(ONE):
            call_command("rotate_key_encryption", "--dry-run", "--json")
            planned = json.loads(capsys.readouterr().out)["wouldChange"]
            assert planned["pools.Key.key"] == len(KEYS)

            call_command("rotate_key_encryption", "--batch", "10", "--json")

            report = json.loads(capsys.readouterr().out)
            assert (report["changed"], report["left"]) == (planned, 0)
        with encryption(TWO, ONE):
            call_command("rotate_key_encryption")
            output = capsys.readouterr().out
            assert f"Encrypted with the key two: {sum(planned.values())} values." in output
            assert "The key one is no longer used." in output
            call_command("rotate_key_encryption", "--dry-run")
            assert "Values that are not encrypted with the key two: 0" in capsys.readouterr().out

    def test_wrong_key_is_one_line(self, filled):
        with encryption(ONE):
            rotate_values(100)
        forget_digest_key()
        with pytest.raises(CommandError, match="must have the key one"):
            call_command("rotate_key_encryption")


@pytest.mark.postgresql
class TestConcurrency:
    """The rotation and others at the same time, in a stated order."""

    @pytest.fixture(autouse=True)
    def _digest_key(self, transactional_db):
        with restored_digest_key():
            yield

    def test_rotation_skips_a_key_that_is_being_popped(self, acme, api, audit):
        filled = fill(acme, api)
        with encryption(ONE), Holder(lambda: acme.policy.pool.pop(audit).key) as holder:
            original = key_rotation._rotate_rest
            first = Key.objects.available().order_by("id").first()

            def finish_pop(field):
                holder.let_go(commit=True)
                return original(field)

            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(key_rotation, "_rotate_rest", finish_pop)
                rotation = rotate_values(batch_size=5)

            assert rotation.left == 0
            key = Key.objects.get(pk=first.pk)
            assert (key.state, key.key) == ("popped", holder.result)
            assert contents() == filled
            assert prefixes().keys() == {"one"}

    def test_rotation_gives_up_a_row_that_stays_locked(self, acme, api, audit):
        fill(acme, api)
        with encryption(ONE), Holder(lambda: acme.policy.pool.pop(audit).key) as holder:
            with connection.cursor() as cursor:
                cursor.execute("SET lock_timeout = '50ms'")
            rotation = rotate_values(batch_size=5)
            assert (rotation.left, rotation.retired) == (1, [])
            assert DigestKey.objects.count() == 2  # the older key is still needed

            holder.let_go()
            assert rotate_values(batch_size=5).left == 0
            assert DigestKey.objects.get().key_id == "one"

    def test_pop_takes_the_next_key_while_a_batch_is_open(self, acme, api, audit):
        fill(acme, api)
        with encryption(ONE):
            fields = {str(field): field for field in encrypted_fields()}

            def rotate_some():
                field = fields["pools.Key.key"]
                batch = list(key_rotation._other_values(field).select_for_update(skip_locked=True)[:10])
                return key_rotation._write(field, batch)

            with Holder(rotate_some) as holder:
                popped = acme.policy.pool.pop(audit)
                holder.let_go(commit=True)

            assert holder.result == 10
            assert popped.key in KEYS
            rest = [acme.policy.pool.pop(audit).key for _ in range(len(KEYS) - 2)]
            assert len({popped.key, *rest}) == len(KEYS) - 1

    def test_pops_and_rotations_lose_nothing(self, acme, api, audit):
        fill(acme, api)
        with encryption(ONE):
            works = [lambda: [acme.policy.pool.pop(audit).key for _ in range(8)] for _ in range(3)]
            results = race_of([*works, lambda: rotate_values(3).left, lambda: rotate_values(4).left])

            popped = [key for keys in results[:3] for key in keys]
            assert len(set(popped)) == 24
            assert set(popped) <= set(KEYS)
            assert results[3:] == [0, 0]
            rotate_values(100)
            assert prefixes().keys() == {"one"}
            assert set(Key.objects.values_list("key", flat=True)) == set(KEYS)


def test_license_key_is_decrypted_everywhere(acme, api):
    with encryption(ONE):
        license = make_license(acme.unpooled, "LICENSE-0001")

        assert License.objects.get(pk=license.pk).key == "LICENSE-0001"
        assert api(acme.admin).get(f"licenses/{license.pk}").json()["data"]["attributes"]["key"] == "LICENSE-0001"
        assert key_digester().digest("LICENSE-0001") == bytes(License.objects.get().digest)
        assert IdempotentResponse.objects.count() == 0
