"""Secrets at rest: a stolen database reveals no key, no private key and no file, not even by guessing."""

import hashlib
from datetime import timedelta

import pytest
from django.core.exceptions import FieldError
from django.core.management import call_command
from django.db import connection, transaction
from django.test import override_settings

from accounts.models import RateLimitCounter, SigningKey
from accounts.rate_limits import RateLimit
from keygen_site.db.key_digests import KeyEncryptionError, key_digest, key_digester
from keygen_site.encryption import DecryptionError, decrypt_bytes, decrypt_text, encrypt_bytes, encrypt_text
from keygen_site.key_rotation import rotate_values
from keygen_site.models import DigestKey, IdempotentResponse
from licensing.models import License
from pools.models import Key, PendingImport, UsedText
from pools.services.keys import change_key
from pools.services.pending_imports import check_pending_import, create_pending_import, run_pending_import
from tests.cast import add_keys, make_license
from tests.console import act, page, shown, signed_in, staff
from tests.encryption import configured, encryption, forget_digest_key, new_key, revealed, stored_values
from tests.other_database import empty_database

# A quote and a backslash are written differently in JSON and in COPY, an umlaut in JSON and in bytes.
AWKWARD = ['QUOTE"KEY"0001', "BACK\\SLASH\\0001", "ÜMLAUT-SCHLÜSSEL"]
FILE = ["FILE-KEY-0001", "FILE-KEY-0002", 'FILE"KEY\\0003', "FILE-ÄÖÜ-0004"]
REJECTED = ["short", "FILE-KEY-0001"]


@pytest.fixture
def encrypted(db):
    with encryption(new_key("one")):
        yield


def fill(acme, api, audit):
    """Store secrets by all doors; returns them."""
    client, admin = signed_in(staff(acme, email="ann@acme.test")), api(acme.admin)
    pool = f"policies/{acme.policy.pk}/pool"
    secrets = [
        *AWKWARD,
        *FILE,
        "TYPED-KEY-0001",
        "IMPORT-KEY-0001",
        "IMPORT-KEY-0002",
        "PASTED-KEY-0001",
        "CLIENT-CHOSE-1",
    ]
    for text in AWKWARD:
        add_keys(acme.policy, text)
    policy = {"policy": {"data": {"type": "policies", "id": str(acme.policy.pk)}}}
    document = {"data": {"type": "keys", "attributes": {"key": "TYPED-KEY-0001"}, "relationships": policy}}
    assert admin.post("keys", document, Idempotency_Key="create").status_code == 201
    lines = b"IMPORT-KEY-0001\nIMPORT-KEY-0002\n"
    assert admin.request("POST", f"{pool}/actions/import", lines, content_type="text/plain").status_code == 200
    pending = upload(acme, "\n".join([*FILE, *REJECTED]).encode())
    assert pending.report["rejected"] == 2
    client.post(page("pools_pendingimport_import", acme.policy.pk), {"keys": "PASTED-KEY-0001\n"})
    # Hand out by the API, the console, and with licenses.
    popped = admin.delete(pool, Idempotency_Key="pop").json()["data"]["attributes"]["key"]
    assert popped == AWKWARD[0]
    issued = admin.post("licenses", license_document(acme.policy), Idempotency_Key="issue")
    assert issued.json()["data"]["attributes"]["key"] == AWKWARD[1]
    chosen = license_document(acme.unpooled, key="CLIENT-CHOSE-1")
    assert admin.post("licenses", chosen, Idempotency_Key="chosen").status_code == 201
    key = Key.objects.with_key(AWKWARD[2]).get()
    assert AWKWARD[2] in shown(client, act(client, "pools_key_reveal", key))
    assert admin.get(f"{pool}/actions/export").status_code == 200
    admin.post("licenses/actions/validate-key", {"meta": {"key": "CLIENT-CHOSE-1"}})
    for kind in ("ed25519", "rsa2048"):
        pem = SigningKey.objects.get_or_generate(acme.account.pk, kind).private
        secrets += [line for line in pem.splitlines() if len(line) > 40 and "-----" not in line]
    return secrets


def upload(acme, content, **options):
    pending = create_pending_import(policy=acme.policy, operator=acme.admin, blocks=[content], source="file.txt")
    check_pending_import(pending, **options)
    pending.refresh_from_db()
    return pending


def license_document(policy, **attributes):
    related = {"policy": {"data": {"type": "policies", "id": str(policy.pk)}}}
    return {"data": {"type": "licenses", "attributes": attributes, "relationships": related}}


class TestStolenDatabase:
    def test_has_no_secret(self, encrypted, acme, api, audit):
        secrets = fill(acme, api, audit)

        assert revealed(secrets) == set()

    def test_has_all_secrets_in_clear_without_encryption(self, acme, api, audit):
        """The search finds them where they are."""
        with encryption("off"):
            secrets = fill(acme, api, audit)
            rotate_values(100)  # decrypts the values that were written before

            assert revealed(secrets) == set(secrets)

    def test_has_no_value_in_clear_in_a_column_that_is_encrypted(self, encrypted, acme, api, audit):
        fill(acme, api, audit)

        values = stored_values()

        assert sum(map(bool, values.values())) >= 6
        markers = (b"\x01", b'"\\u0001')  # of texts and bytes, and of JSON
        plain = {column for column, several in values.items() for value in several if not value.startswith(markers)}
        assert plain == set()

    def test_does_not_confirm_a_guess_of_a_short_key(self, acme):
        """Of a key of eight digits there are a hundred million: a plain hash of each takes a minute."""
        add_keys(acme.policy, "12345678")
        make_license(acme.unpooled, "87654321")

        guesses = {hashlib.sha256(text.encode()).digest() for text in ("12345678", "87654321", "5678", "4321")}

        stored = {bytes(row.digest) for row in (*Key.objects.all(), *License.objects.all())}
        assert not guesses & stored
        assert key_digest("12345678") in stored

    def test_does_not_confirm_the_credential_of_a_rate_limit(self, acme):
        RateLimit("minute", 5, timedelta(minutes=1)).hit(acme.account.pk, "127.0.0.1", "12345678")

        guess = f"minute\n5\n{acme.account.pk}\n127.0.0.1\n12345678"
        assert not RateLimitCounter.objects.filter(digest=hashlib.sha256(guess.encode()).digest()).exists()


class TestBehaviour:
    def test_everything_works_as_without(self, encrypted, acme, api, audit):
        fill(acme, api, audit)
        admin = api(acme.admin)
        pool = f"policies/{acme.policy.pk}/pool"

        again = admin.delete(pool, Idempotency_Key="pop")
        texts = [row["attributes"]["key"] for row in admin.get(f"{pool}?limit=100").json()["data"]]

        assert again.headers["Idempotency-Replayed"] == "true"
        assert again.json()["data"]["attributes"]["key"] == AWKWARD[0]
        assert set(texts) == {AWKWARD[2], "TYPED-KEY-0001", "IMPORT-KEY-0001", "IMPORT-KEY-0002"}
        assert admin.get("licenses/CLIENT-CHOSE-1").status_code == 200
        valid = admin.post("licenses/actions/validate-key", {"meta": {"key": AWKWARD[1]}})
        assert valid.json()["meta"]["valid"] is True

    def test_pending_import_is_imported(self, encrypted, acme):
        pending = upload(acme, "\n".join(FILE).encode())

        run_pending_import(PendingImport.objects.get(pk=pending.pk), skip_invalid=False)

        assert list(acme.policy.pool.order_by("id").values_list("key", flat=True)) == FILE

    def test_texts_stay_unique_with_every_setting(self, acme, audit):
        add_keys(acme.policy, "KEY-IN-CLEAR")
        with encryption(new_key("one")):
            add_keys(acme.policy, "KEY-ENCRYPTED")
            assert acme.account.keys.had("KEY-IN-CLEAR")
            with encryption(new_key("two")):
                assert acme.account.keys.had("KEY-ENCRYPTED")
                assert upload(acme, b"KEY-IN-CLEAR\nKEY-ENCRYPTED\nKEY-NEW-0001\n").report["rejected"] == 2

    def test_used_text_stays_blocked(self, acme, audit):
        key = add_keys(acme.policy, "KEY-0001")[0]
        acme.policy.pool.pop(audit)
        with encryption(new_key("one")):
            Key.objects.get(pk=key.pk).delete()

            assert UsedText.objects.with_text(acme.account.pk, "KEY-0001").exists()
            assert acme.account.keys.had("KEY-0001")

    def test_changed_key_is_found_by_its_new_text(self, encrypted, acme, audit):
        key = add_keys(acme.policy, "OLD-KEY-AAAA")[0]

        change_key(key, "NEW-KEY-BBBB", audit)

        assert Key.objects.get().key == "NEW-KEY-BBBB"
        assert Key.objects.get().ending == key_digester().ending("BBBB")
        assert not Key.objects.with_key("OLD-KEY-AAAA").exists()

    def test_console_finds_keys_by_their_last_characters(self, encrypted, acme, audit):
        add_keys(acme.policy, "KEY-AAAA", "KEY-BBBB", "KEY-CCCC")
        acme.policy.pool.pop(audit)
        client = signed_in(staff(acme))

        for ending in ("AAAA", "BBBB"):
            keys = client.get(page("pools_key_changelist", q=ending)).context["cl"].result_list
            assert [key.key for key in keys] == [f"KEY-{ending}"]

    def test_texts_are_compared_by_their_digests_only(self, encrypted, acme):
        add_keys(acme.policy, "KEY-0001", "KEY-0002")

        assert Key.objects.get(key="KEY-0001").key == "KEY-0001"
        assert Key.objects.filter(key__in=["KEY-0001", "KEY-0002", "KEY-0003"]).count() == 2
        assert Key.objects.exclude(key="KEY-0001").get().key == "KEY-0002"
        for lookup in ("key__startswith", "key__regex", "key__gt", "key__iexact", "key__lower"):
            with pytest.raises(FieldError):
                Key.objects.filter(**{lookup: "KEY"}).exists()
        with pytest.raises(FieldError):
            SigningKey.objects.filter(private="guess").exists()


class TestValues:
    def test_ciphertexts_differ_and_fit_their_purpose_only(self, encrypted):
        first, second = encrypt_text("KEY-0001", "a"), encrypt_text("KEY-0001", "a")

        assert first != second
        assert decrypt_text(first, "a") == decrypt_text(second, "a") == "KEY-0001"
        with pytest.raises(DecryptionError):
            decrypt_text(first, "b")
        with pytest.raises(DecryptionError):
            decrypt_bytes(encrypt_bytes(b"x", "a"), "b")

    def test_ciphertext_of_another_column_is_refused(self, encrypted, acme):
        key = add_keys(acme.policy, "KEY-0001")[0]
        license = make_license(acme.unpooled, "LICENSE-0001")
        with connection.cursor() as cursor:
            cursor.execute("SELECT key FROM licensing_license")
            (stored,) = cursor.fetchone()
            cursor.execute("UPDATE pools_key SET key = %s", [stored])

        assert License.objects.get(pk=license.pk).key == "LICENSE-0001"
        with pytest.raises(DecryptionError):
            Key.objects.get(pk=key.pk)

    @pytest.mark.parametrize("value", ["", "KEY", "\x01", "\x01:", "\x01one:KEY", "\x01:\x01one:", "Ü" * 1024])
    def test_any_value_is_read_as_it_was_written(self, value):
        for setting in ("", new_key("one")):
            with override_settings(KEY_ENCRYPTION_KEYS=setting):
                assert decrypt_text(encrypt_text(value, "a"), "a") == value
                raw = b"\x01keygen-encrypted" + value.encode()
                assert decrypt_bytes(encrypt_bytes(raw, "a"), "a") == raw

    @pytest.mark.parametrize("value", [{}, [], {"a": ["KEY"]}, "text", "\x01one:", 0, None])
    def test_json_is_read_as_it_was_written(self, acme, value):
        pending = PendingImport.objects.create(account=acme.account, policy=acme.policy)
        for items in ((), (new_key("one"),)):
            with encryption(*items):
                PendingImport.objects.filter(pk=pending.pk).update(report={"value": value})
                assert PendingImport.objects.get().report == {"value": value}
                if value is not None:
                    PendingImport.objects.filter(pk=pending.pk).update(report=value)
                    assert PendingImport.objects.get().report == value

    def test_stored_response_is_emptied(self, encrypted, acme):
        values = {"account_id": acme.account.pk, "bearer_id": acme.admin.pk, "fingerprint": b"", "request_id": "1"}
        IdempotentResponse.objects.create(name="a", body=b"secret", **values)

        IdempotentResponse.objects.void(acme.account.pk, "1")

        assert not IdempotentResponse.objects.exclude(body=b"").exists()
        assert bytes(IdempotentResponse.objects.get().body) == b""


class TestDigestKey:
    def test_is_in_clear_only_without_encryption(self, acme):
        before = key_digest("KEY-0001")
        with encryption(new_key("one")):
            assert key_digest("KEY-0001") == before
            assert DigestKey.objects.filter(key_id="one").exists()

    def test_row_is_written_again_after_a_rollback(self, acme):
        with override_settings(KEY_ENCRYPTION_KEYS=",".join([new_key("one"), *configured()])):
            with transaction.atomic():
                key_digester()
                transaction.set_rollback(True)
            assert not DigestKey.objects.filter(key_id="one").exists()

            key_digester()

            assert DigestKey.objects.filter(key_id="one").exists()

    def test_is_read_again_by_another_session(self, transactional_db, tmp_path):
        here = key_digest("KEY-0001")
        with empty_database(tmp_path):
            call_command("migrate", verbosity=0)
            assert key_digest("KEY-0001") != here
        assert key_digest("KEY-0001") == here

    def test_is_not_made_again_when_it_is_lost(self, db):
        DigestKey.objects.all().delete()
        forget_digest_key()

        with pytest.raises(KeyEncryptionError, match="restore it from a backup"):
            key_digest("KEY-0001")
