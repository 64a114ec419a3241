"""A leaked signing key signs nothing after a rotation. Its earlier signatures can still be verified."""

import base64
import json

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from django.contrib.admin.models import LogEntry
from django.core.management import CommandError, call_command
from django.db import connection

from accounts.models import Account, SigningKey
from accounts.signing.algorithms import KEY_KIND_BY_ALGORITHM, KEY_KINDS
from accounts.signing.key_cache import cached_private_key
from tests.accounts import test_signatures
from tests.cast import make_license, make_policy
from tests.conftest import API
from tests.console import act, page, signed_in, staff, superuser
from tests.licensing import test_license_check_out, test_signed_keys
from tests.licensing.test_issue_license import license_document
from tests.races import race


def meta_of(company):
    return (
        API(company.admin_token, company.account.slug).get(f"/v1/accounts/{company.account.pk}").json()["data"]["meta"]
    )


def load(kind, public):
    text = base64.b64decode(public)
    if kind == "ed25519":
        return ed25519.Ed25519PublicKey.from_public_bytes(bytes.fromhex(text.decode()))
    return load_pem_public_key(text)


# Kinds of texts that an account signs: a function that makes one, and a function that verifies it with public keys.


def make_response(acme, algorithm):
    header = f'keyid="{acme.account.pk}", algorithm="{algorithm}"'
    return API(acme.admin_token).get("keys", Keygen_Accept_Signature=header)


def verify_response(acme, algorithm, response, keys, monkeypatch):
    monkeypatch.setattr(test_signatures, "public_keys", lambda acme: keys)
    kind = KEY_KIND_BY_ALGORITHM[algorithm]
    test_signatures.check(response, acme, "get", "/v1/accounts/acme/keys", algorithm, kind)


def make_file(acme, algorithm):
    license = make_license(acme.unpooled, f"KEY-{algorithm}-{SigningKey.objects.count()}")
    response = API(acme.admin_token).post(f"licenses/{license.pk}/actions/check-out?algorithm=base64%2B{algorithm}")
    return response.json()["data"]["attributes"]["certificate"]


def verify_file(acme, algorithm, certificate, keys, monkeypatch):
    monkeypatch.setattr(test_license_check_out, "public_key", lambda account, kind: load(kind, keys[kind]))
    test_license_check_out.opened(acme.account, certificate)


def make_key(acme, scheme):
    policy = make_policy(acme.product, scheme=scheme)
    return API(acme.admin_token).post("licenses", license_document(policy)).json()["data"]["attributes"]["key"]


def verify_key(acme, scheme, key, keys, monkeypatch):
    monkeypatch.setattr(test_signed_keys, "public_key", lambda account, kind: load(kind, keys[kind]))
    test_signed_keys.seed_of(acme.account, scheme, key)


SIGNED = [
    *((make_response, verify_response, algorithm) for algorithm in KEY_KIND_BY_ALGORITHM),
    *((make_file, verify_file, algorithm) for algorithm in test_license_check_out.SIGNATURES),
    *((make_key, verify_key, scheme) for scheme in test_signed_keys.ALL),
]


def test_everything_that_is_signed_verifies_with_the_key_of_its_time_only(acme, monkeypatch):
    old = meta_of(acme)["keys"]
    before = [make(acme, algorithm) for make, _, algorithm in SIGNED]
    SigningKey.objects.rotate(acme.account, *KEY_KINDS)
    after = [make(acme, algorithm) for make, _, algorithm in SIGNED]
    new = meta_of(acme)["keys"]

    offenders = []
    for (_, verify, algorithm), first, second in zip(SIGNED, before, after, strict=True):
        for signed, keys, is_genuine in (
            (first, old, True),
            (first, new, False),
            (second, new, True),
            (second, old, False),
        ):
            try:
                verify(acme, algorithm, signed, keys, monkeypatch)
                verified = True
            except InvalidSignature:
                verified = False
            if verified != is_genuine:
                offenders.append((verify.__name__, algorithm, signed is first, keys is old))
    assert offenders == []


class TestPublished:
    def test_old_public_keys_stay_published(self, acme):
        first = meta_of(acme)
        SigningKey.objects.rotate(acme.account, *KEY_KINDS)
        second = meta_of(acme)
        SigningKey.objects.rotate(acme.account, "ed25519")
        third = meta_of(acme)

        assert "retiredKeys" not in first
        assert published(second["retiredKeys"]) == set(first["keys"].items())
        assert published(third["retiredKeys"]) == {*first["keys"].items(), ("ed25519", second["keys"]["ed25519"])}
        assert not set(first["keys"].values()) & set(second["keys"].values())
        assert third["publicKey"] == third["keys"]["rsa2048"] == second["keys"]["rsa2048"]

    def test_rotation_keeps_the_keys_of_other_accounts(self, acme, rival):
        before = meta_of(rival)

        SigningKey.objects.rotate(acme.account, *KEY_KINDS)

        assert meta_of(rival) == before

    def test_old_private_keys_are_deleted(self, acme):
        meta_of(acme)
        old = [key.private for key in SigningKey.objects.filter(account=acme.account)]

        SigningKey.objects.rotate(acme.account, *KEY_KINDS)

        with connection.cursor() as cursor:
            cursor.execute("SELECT * FROM accounts_signingkey")
            stored = repr(cursor.fetchall())
        assert len(old) == 3
        assert not any(repr(private)[1:-1] in stored for private in old)


class TestNoticed:
    """Other processes have the old key in their caches: nothing is told to them."""

    def test_rotation_is_noticed_by_the_next_request(self, acme):
        make_response(acme, "ed25519")  # now it is cached
        old = cached_private_key(Account.objects.get(), "ed25519")
        account_in_another_process = Account.objects.get()

        SigningKey.objects.rotate(account_in_another_process, "ed25519")

        assert cached_private_key(Account.objects.get(), "ed25519") != old
        test_signatures.check(make_response(acme, "ed25519"), acme, "get", "/v1/accounts/acme/keys")

    @pytest.mark.parametrize("credential", ["token", "password", "none"])
    def test_rotation_is_noticed_with_every_kind_of_credential(self, acme, credential):
        acme.admin.set_password("open sesame")
        acme.admin.save()
        basic = base64.b64encode(b"admin@acme.test:open sesame").decode()
        headers = {"token": f"Bearer {acme.admin_token}", "password": f"Basic {basic}", "none": ""}

        def ask():
            return API().get(f"/v1/accounts/{acme.account.pk}/keys", Authorization=headers[credential])

        ask()
        SigningKey.objects.rotate(acme.account, *KEY_KINDS)

        test_signatures.check(ask(), acme, "get", f"/v1/accounts/{acme.account.pk}/keys")

    def test_rotation_costs_a_request_no_statement(self, acme, django_assert_num_queries):
        SigningKey.objects.rotate(acme.account, *KEY_KINDS)
        make_response(acme, "ed25519")

        with django_assert_num_queries(2):
            make_response(acme, "ed25519")


@pytest.mark.django_db(transaction=True)
def test_rotations_at_the_same_time_leave_one_key_in_use(acme):
    meta_of(acme)

    results = race(3, lambda: SigningKey.objects.rotate(Account.objects.get(), "ed25519", "ecdsa"))

    assert [type(result) for result in results] == [list] * 3
    keys = SigningKey.objects.filter(account=acme.account)
    assert sorted(key.kind for key in keys if key.retired is None) == sorted(KEY_KINDS)
    assert keys.exclude(retired=None).count() == 6
    assert Account.objects.get().signing_key_version == 3


class TestCommand:
    def test_command_prints_the_new_public_keys(self, acme, capsys):
        call_command("rotate_signing_key", "acme")

        lines = dict(line.split(" ") for line in capsys.readouterr().out.splitlines())
        assert lines == meta_of(acme)["keys"]

    def test_command_rotates_one_algorithm(self, acme):
        before = meta_of(acme)["keys"]

        call_command("rotate_signing_key", str(acme.account.pk), "--algorithm", "ecdsa")

        after = meta_of(acme)["keys"]
        assert {kind for kind in KEY_KINDS if before[kind] != after[kind]} == {"ecdsa"}

    @pytest.mark.parametrize("arguments", [["nowhere"], ["acme", "--algorithm", "md5"]])
    def test_command_reports_errors(self, acme, arguments):
        with pytest.raises(CommandError):
            call_command("rotate_signing_key", *arguments)


class TestConsole:
    def test_console_rotates_for_a_superuser(self, acme):
        before, root = meta_of(acme)["keys"], superuser()

        response = act(signed_in(root), "accounts_account_rotate-signing-keys", acme.account, keys=["ed25519", "ecdsa"])

        assert response.status_code == 302
        after = meta_of(acme)["keys"]
        assert {kind for kind in KEY_KINDS if before[kind] != after[kind]} == {"ed25519", "ecdsa"}
        entry = LogEntry.objects.get()
        assert (entry.user, entry.object_id) == (root, str(acme.account.pk))

    def test_console_rotates_for_no_one_else(self, acme):
        before = meta_of(acme)["keys"]

        for role in ("admin", "developer", "user"):
            client = signed_in(staff(acme, email=f"{role}-op@acme.test", role=role))
            response = act(client, "accounts_account_rotate-signing-keys", acme.account, keys=[*KEY_KINDS])
            assert response.status_code == 403
        assert meta_of(acme)["keys"] == before

    def test_console_says_what_a_rotation_does(self, acme):
        response = signed_in(superuser()).get(page("accounts_account_rotate-signing-keys", id=acme.account.pk))

        assert "cannot be undone" in response.content.decode()
        assert response.content.decode().count('type="checkbox"') == 3


def published(keys):
    return {(key["kind"], key["publicKey"]) for key in keys}


def test_the_description_of_the_api_has_the_old_keys(acme):
    SigningKey.objects.rotate(acme.account, "ed25519")
    schema = json.dumps(API().get("/openapi.json").json())

    assert "retiredKeys" in schema
