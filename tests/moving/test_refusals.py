"""Exports whose rows contradict each other, this server or their types: one sentence, and an unchanged database."""

from datetime import UTC, datetime
from hashlib import sha256
from io import BytesIO
from uuid import uuid4

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key
from django.apps import apps

from accounts.models import Account
from keygen_site.jsonapi.errors import DomainError
from pools.moving.errors import AccountExists, ExportIncomplete, RowInvalid, RowsContradict, TokensMissing
from pools.moving.format import ExportReader
from tests.cast import make_product
from tests.moving.exports import ENCRYPTED, PLAIN, SECRETS, TOKENS, WAYS_OUT, import_fixture, read_export, write_export

OTHER = str(uuid4())
WAY_OUT = "Correct it in keygen-api, and export again"
NUL = "must not contain the character NUL"


def everything():
    """All rows of all tables that an import could write."""
    models = [model for model in apps.get_models() if model._meta.app_label in ("accounts", "licensing", "pools")]
    return {model: sorted(map(repr, model._base_manager.values_list())) for model in models}


@pytest.fixture
def unchanged(db):
    """Check that the refusals of a test have changed nothing."""
    before = everything()
    yield
    assert everything() == before


def refusal(export, **options):
    """The class and the sentence of the refusal of an export."""
    with pytest.raises(DomainError) as error:
        import_fixture(export, **options)
    detail = error.value.detail
    assert "\n" not in detail
    assert len(detail) < 350
    assert WAYS_OUT.search(detail), detail
    for secret in secrets():
        assert secret not in detail
    return type(error.value), detail


def secrets():
    [account] = read_export()["Account"]
    return [account["secret_key"], "PRIVATE KEY", account["ed25519_private_key"], SECRETS["exportSecret"]]


def changed(class_name, number=0, **columns):
    """The export with other values in the columns of a row."""
    rows = read_export()
    rows[class_name][number] |= columns
    return write_export(rows)


def doubled(class_name, **columns):
    """The export with another row of a class, equal to the first one but for some columns."""
    rows = read_export()
    rows[class_name].append(rows[class_name][0] | columns)
    return write_export(rows)


# Of a class, the column and its value, and the end of the sentence.
INVALID_VALUES = [
    ("License", "id", "x", "its column id must be a UUID"),
    ("License", "id", None, "its column id must not be null"),
    ("License", "key", None, "its column key must not be null"),
    ("License", "key", 17, "its column key must be a text"),
    ("License", "key", "a\0b", f"its column key {NUL}"),
    ("License", "name", "a\0b", f"its column name {NUL}"),
    ("License", "name", "x" * 1025, "its column name must have at most 1,024 characters"),
    ("License", "metadata", [], "its column metadata must be a map"),
    ("License", "metadata", {"a": {"b\0": 1}}, f"its column metadata {NUL}"),
    ("License", "metadata", {"a": datetime.fromisoformat("2026-01-01T00:00:00Z")}, "its column metadata must be JSON"),
    ("License", "metadata", {"a": float("nan")}, "its column metadata must be JSON"),
    ("License", "expiry", "2026-01-01", "its column expiry must be a moment"),
    ("License", "uses", "1", "its column uses must be an integer"),
    ("License", "uses", -1, "its column uses must be an integer"),
    ("License", "uses", True, "its column uses must be an integer"),
    ("License", "max_memory_override", 2**63, "its column max_memory_override must be an integer"),
    ("License", "name", "\U0001f3ae" * 700, "its column name must have at most 2,600 bytes"),
    ("License", "last_validated_at", datetime(3000, 1, 1, tzinfo=UTC), "must be a moment before the year 3000"),
    ("Machine", "last_heartbeat_at", datetime(9999, 12, 31, tzinfo=UTC), "must be a moment before the year 3000"),
    ("License", "suspended", 1, "its column suspended must be true or false"),
    ("License", "policy_id", {}, "its column policy_id must be a UUID"),
    ("License", "created_at", None, "its column created_at must not be null"),
    ("User", "email", None, "its column email must not be null"),
    ("User", "password_digest", "$2a$31$" + "x" * 53, "its column password_digest must be a digest of bcrypt"),
    ("User", "password_digest", "secret-text", "its column password_digest must be a digest of bcrypt"),
    ("Policy", "scheme", "RSA_4096", "its column scheme must be one of"),
    ("Policy", "duration", 2**31, "its column duration must be an integer"),
    ("Policy", "duration", -1, "its column duration must be an integer between 0 and"),
    ("Policy", "heartbeat_duration", -1, "its column heartbeat_duration must be an integer between 0 and"),
    ("Key", "key", b"\xff", "its column key must be a text"),
    ("Machine", "fingerprint", "a\0", f"its column fingerprint {NUL}"),
    ("MachineProcess", "last_heartbeat_at", None, "its column last_heartbeat_at must not be null"),
    ("Role", "name", "root", "its column name is none of its resource"),
    ("Role", "resource_type", "Account", "its column resource_type must be one of User, Product, License"),
    ("Account", "private_key", b"-----BEGIN RSA PRIVATE KEY-----", "private_key and public_key are no key pair"),
    ("Account", "ed25519_public_key", "00" * 32, "ed25519_private_key and ed25519_public_key are no key pair"),
    ("Account", "secret_key", None, "its column secret_key must be a text"),
    ("Account", "slug", "NOT A SLUG", "choose another one with --slug"),
    ("Account", "slug", None, "its column slug must not be null"),
    ("Account", "created_at", "yesterday", "its column created_at must be a moment"),
    ("Account", "id", "x", "has no valid id"),
]


class TestValues:
    def test_value_of_a_wrong_type_is_refused(self, unchanged):
        for class_name, column, value, expected in INVALID_VALUES:
            error, detail = refusal(changed(class_name, **{column: value}))

            assert error is RowInvalid, (class_name, column, detail)
            assert expected in detail, (class_name, column, detail)

    def test_policy_that_requires_check_ins_must_say_when(self, unchanged):
        """Without an interval, neither could its licenses be validated nor any be listed."""
        for interval, count in (None, 1), ("", 1), ("decade", 1), ("week", None), ("week", 0), ("week", 2**31 - 1):
            columns = {"require_check_in": True, "check_in_interval": interval, "check_in_interval_count": count}
            _, detail = refusal(changed("Policy", **columns))

            assert "for the policy requires check-ins. Correct it in keygen-api" in detail, (interval, count)

    def test_rsa_key_that_does_not_fit_its_public_key_is_refused(self, unchanged):
        """The server loads its own keys without this check."""
        [account] = read_export()["Account"]
        numbers = load_pem_private_key(account["private_key"], None).private_numbers()
        broken = rsa.RSAPrivateNumbers(
            numbers.p, numbers.q, numbers.d + 2, numbers.dmp1, numbers.dmq1, numbers.iqmp, numbers.public_numbers
        ).private_key(unsafe_skip_rsa_key_validation=True)
        pem = broken.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())

        _, detail = refusal(changed("Account", private_key=pem))

        assert "private_key and public_key are no key pair" in detail

    def test_error_names_the_row_and_not_its_value(self, unchanged):
        rows = read_export()
        license = rows["License"][3]

        _, detail = refusal(changed("License", 3, name=["SECRET"]))

        assert detail == f"The License {license['id']} cannot be read: its column name must be a text. {WAY_OUT}"


class TestContradictions:
    def test_rows_that_do_not_fit_together_are_refused(self, unchanged):
        rows = read_export()
        key, license, user, policy = (rows[name][0] for name in ("Key", "License", "User", "Policy"))
        cases = {
            "its column account_id must be the id of the account": changed("License", account_id=OTHER),
            "its column account_id must": changed("WebhookEndpoint", account_id=OTHER),
            f"The id {license['id']} occurs twice": doubled("License", key="another one"),
            "have the same key": doubled("License", id=OTHER),
            "have the same email": doubled("User", id=OTHER),
            "have the same license and user": doubled("LicenseUser", id=OTHER),
            "have the same fingerprint": doubled("Machine", id=OTHER),
            f"The License {license['id']} names the Policy {OTHER}": changed("License", policy_id=OTHER),
            f"The License {license['id']} names the User {OTHER}": changed("License", user_id=OTHER),
            f"The User {user['id']} names the Group {OTHER}": changed("User", group_id=OTHER),
            f"The Key {key['id']} names the Policy {OTHER}": changed("Key", policy_id=OTHER),
            f"The Policy {policy['id']} has a pool, and a scheme": changed("Policy", scheme="ED25519_SIGN"),
            "names the License": changed("Machine", license_id=OTHER),
            f"The user {user['id']} has two roles": doubled_role(user["id"]),
            f"A role names the user {OTHER}": doubled_role(OTHER),
        }
        for expected, export in cases.items():
            error, detail = refusal(export)

            assert error in (RowsContradict, RowInvalid), (expected, detail)
            assert expected in detail, (expected, detail)

    def test_rows_of_another_account_are_refused(self, rival):
        product = make_product(rival.account, "Taken")
        rows = read_export()
        old = rows["Product"][1]["id"]
        for of_class in rows.values():
            for row in of_class:
                for column, value in row.items():
                    row[column] = str(product.pk) if value == old else value

        error, detail = refusal(write_export(rows), tokens=None)

        assert (error, detail) == (
            RowsContradict,
            f"Another account of this server has a Product with the id {product.pk}. Import the export into another "
            "server",
        )

    def test_slug_of_another_account_is_refused_with_a_way_out(self, acme):
        Account.objects.filter(pk=acme.account.pk).update(slug="example-com")

        error, detail = refusal(PLAIN)

        assert error is AccountExists
        assert "choose another one with --slug" in detail
        assert import_fixture(slug="example-two").slug == "example-two"

    def test_account_that_exists_and_did_not_move_in_is_refused(self, acme):
        rows = read_export()
        for of_class in rows.values():
            for row in of_class:
                if "account_id" in row:
                    row["account_id"] = str(acme.account.pk)
        rows["Account"][0] |= {"id": str(acme.account.pk), "slug": "acme"}

        error, detail = refusal(write_export(rows), tokens=None)

        assert error is AccountExists
        assert "Import the export into another server" in detail

    def test_foreign_classes_are_counted_and_left_out(self, db):
        rows = read_export()
        rows["ReleaseArtifact; DROP TABLE"] = [{"id": OTHER, "account_id": SECRETS["account"], "x": "\0"}]
        rows["Environment"] = [{"id": OTHER, "account_id": SECRETS["account"]}]
        rows["ReleaseConstraint"] = [{"id": OTHER}]  # belongs to the account by another row

        report = import_fixture(write_export(rows))

        assert report.counts["ReleaseConstraint"].left_out == {"is not kept by this server": 1}

        assert report.counts["Environment"].read == 1
        assert report.counts["Environment"].kept == 0
        assert report.counts["ReleaseArtifact; DROP TABLE"].left_out == {"is not kept by this server": 1}


def doubled_role(user_id):
    rows = read_export()
    rows["Role"].append(rows["Role"][-1] | {"id": OTHER, "resource_id": user_id})
    rows["RolePermission"].append(rows["RolePermission"][0] | {"role_id": OTHER})
    return write_export(rows)


class TestIncomplete:
    @pytest.mark.parametrize(("export", "secret"), [(PLAIN, None), (ENCRYPTED, SECRETS["exportSecret"])])
    def test_export_that_ends_between_two_chunks_is_refused(self, unchanged, export, secret):
        borders = [each.offset for each in ExportReader(BytesIO(export), secret)]
        assert len(borders) == 21

        for border in borders[: len(borders) if secret is None else 2]:
            error, detail = refusal(export[:border], secret=secret)

            assert "incomplete" in detail or "is not in the export" in detail or "empty" in detail, (border, detail)

    def test_digest_tells_another_file(self, unchanged):
        error, detail = refusal(PLAIN, sha256="0" * 64)

        assert error is ExportIncomplete
        assert "its digest is c95c6bde" in detail

    def test_roles_without_permissions_are_whole_if_the_digest_says_so(self, db):
        rows = read_export()
        del rows["RolePermission"]
        export = write_export(rows)

        assert refusal(export)[0] is ExportIncomplete
        assert import_fixture(export, sha256=sha256(export).hexdigest()).counts["Role"].read == 27


class TestTokens:
    def test_table_that_is_none_is_refused(self, unchanged):
        header, first, *_ = TOKENS.decode().splitlines()
        created = "2026-11-27 00:49:18.811433"
        cases = {
            b"": "has no column id",
            b"a,b\n1,2\n": "has no column id",
            f"{header}\n{first},more\n".encode(): "too many or too few values",
            f"{header}\n{first.replace(first.split(',')[7], 'xyz')}\n".encode(): "its column digest must be 64 or 128",
            f"{header}\n{first.replace(created, 'soon')}\n".encode(): "created_at must be a moment",
            f"{header}\n{first}\n{first}\n".encode(): "occurs twice in the table of tokens",
            header.encode() + b"\n\xff\xfe\n": "is not a CSV file in UTF-8",
        }
        for table, expected in cases.items():
            _, detail = refusal(PLAIN, tokens=table)

            assert expected in detail

    def test_table_of_another_database_is_refused(self, unchanged):
        table = TOKENS.replace(SECRETS["account"].encode(), OTHER.encode())

        error, detail = refusal(PLAIN, tokens=table)

        assert error is TokensMissing
        assert "is it the table of another database? If the account has none, leave out --tokens" in detail

    @pytest.mark.parametrize("tokens", [None, TOKENS.splitlines(keepends=True)[0]])
    def test_move_without_tokens_says_so_unless_told(self, db, tokens):
        report = import_fixture(tokens=tokens, dry_run=True)

        assert [(each.class_name, each.kept) for each in report.findings] == [("Token", False)]
        assert "say --without-tokens" in report.findings[0].problem
        assert import_fixture(tokens=None, without_tokens=True, dry_run=True).findings == []

    def test_tokens_that_cannot_move_are_named_and_those_of_other_accounts_passed_over(self, db):
        header, first, *rest = TOKENS.decode().splitlines()
        cells = first.split(",")
        old, orphan, other = cells[:], cells[:], cells[:]
        old[0], old[7] = str(uuid4()), "$2a$12$" + "x" * 53
        orphan[0], orphan[3], orphan[7] = str(uuid4()), OTHER, "0" * 64
        other[1] = OTHER
        table = "\n".join([header, first, *rest, *(",".join(each) for each in (old, orphan, other))])

        report = import_fixture(tokens=table.encode())

        assert (report.counts["Token"].read, report.counts["Token"].kept) == (10, 8)
        assert {each.id: each.kept for each in report.findings} == {old[0]: False, orphan[0]: False}
        assert "version 1" in report.findings[0].problem
