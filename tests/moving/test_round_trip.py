"""An account moves in, out and in again: it is the same, except for a few values, each for a reason."""

import csv
from datetime import UTC, datetime
from io import StringIO

import pytest
from django.db import connection, transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from accounts.models import Account, Group, Setting, User
from licensing.models import Entitlement, License, Policy, Product
from pools.key_files import find_text_fault, fold_spelling
from pools.models import Key, UsedText
from pools.moving.exporting import make_signing_keys
from tests.conftest import API
from tests.fuzzing import examples
from tests.moving.exports import ACCOUNT_ID, PLAIN, SECRETS, TOKENS, import_fixture, read_export
from tests.moving.own_exports import exported, rows_of, tokens_of

# Why an export from here differs from that of keygen-api which the account came with.
NOT_KEPT_HERE = {"WebhookEndpoint"}
IDS_OF_THIS_SERVER = {"Role", "RolePermission"}  # roles are no rows here


def without_null_metadata(row):
    """Metadata is never null here. The API of keygen-api shows null as an empty object, too."""
    return row | {"metadata": row["metadata"] or {}} if "metadata" in row else row


def by_id(rows):
    return {row["id"]: row for row in rows}


def ids_of(rows):
    return [row["id"] for row in rows]


def permissions_of(rows):
    """The role and the permissions of each resource."""
    found = {row["id"]: (row["resource_type"], row["resource_id"], row["name"], set()) for row in rows["Role"]}
    for row in rows["RolePermission"]:
        found[row["role_id"]][3].add(row["permission_action"])
    return {resource: (kind, name, names) for kind, resource, name, names in found.values()}


def lines_of(tokens):
    return {row["id"]: row for row in csv.DictReader(StringIO(tokens.decode()))}


class TestFixture:
    """The account of keygen-api 1.8."""

    def test_it_moves_out_as_it_came(self, moved):
        before, after = read_export(PLAIN), rows_of(moved)

        assert set(before) - set(after) == NOT_KEPT_HERE
        for name in set(after) - IDS_OF_THIS_SERVER:
            assert by_id(after[name]) == by_id(map(without_null_metadata, before[name])), name
        assert permissions_of(after) == permissions_of(before)

    def test_tokens_move_out_as_they_came(self, moved):
        assert lines_of(tokens_of(moved)) == lines_of(TOKENS)

    def test_a_token_that_was_used_here_moves_out_too(self, moved_admin, moved):
        assert moved_admin.get("me").status_code == 200

        assert lines_of(tokens_of(moved)) == lines_of(TOKENS)

    @pytest.mark.django_db(transaction=True)  # two imports are two transactions
    def test_it_moves_in_again_and_works(self, moved):
        content, tokens = exported(moved), tokens_of(moved)
        forget(moved)

        import_fixture(content, tokens=tokens, accept_unmarked=True)

        admin = API(SECRETS["tokens"]["admin"], ACCOUNT_ID)
        assert admin.get("me").json()["data"]["attributes"]["email"] == "admin@example.com"
        pool = Policy.objects.get(account=ACCOUNT_ID, name="Beta pool").pk
        popped = admin.delete(f"policies/{pool}/pool").json()["data"]["attributes"]["key"]
        assert popped == SECRETS["pool"]["waiting, oldest first"][0]


def forget(account):
    """Delete an account without a trace, so that it can move in again."""
    pk = account.pk
    if connection.vendor == "postgresql":  # an import before this in the test's transaction has made them immediate
        connection.cursor().execute("SET CONSTRAINTS ALL DEFERRED")
    Account.objects.get(pk=pk).delete()
    UsedText.objects.filter(account_id=pk).delete()


# Accounts that Hypothesis makes up -----------------------------------------------------------------------------------

text = st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=20)
number = st.none() | st.integers(1, 2**31 - 1)
moment = st.none() | st.datetimes(datetime(2000, 1, 1), datetime(2900, 1, 1), timezones=st.just(UTC))
value = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**31), 2**31) | text,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(text, inner, max_size=2),
    max_leaves=4,
)
metadata = st.dictionaries(st.from_regex(r"\A[a-z]{1,8}\Z"), value, max_size=3)
license_values = st.fixed_dictionaries(
    {
        "name": st.none() | text,
        "expiry": moment,
        "uses": st.integers(0, 2**31 - 1),
        "suspended": st.booleans(),
        "protected": st.none() | st.booleans(),
        "version": st.none() | text,
        "max_users": number,
        "max_memory": st.none() | st.integers(1, 2**63 - 1),
        "last_validated": moment,
        "last_check_in": moment,
        "metadata": metadata,
    }
)
policy_values = st.fixed_dictionaries(
    {
        "name": text,
        "duration": number,
        "strict": st.booleans(),
        "floating": st.booleans(),
        "max_machines": number,
        "scheme": st.sampled_from([None, "ED25519_SIGN"]),
        "heartbeat_basis": st.sampled_from(["FROM_CREATION", "FROM_FIRST_PING"]),
        "protected": st.booleans(),
        "metadata": metadata,
    }
)
user_values = st.fixed_dictionaries(
    {
        "role": st.sampled_from(User.Role.values),
        "first_name": st.none() | text,
        "banned": moment,
        "metadata": metadata,
    }
)
machine_values = st.fixed_dictionaries(
    {
        "fingerprint": text,
        "cores": number,
        "memory": st.none() | st.integers(1, 2**63 - 1),
        "hostname": st.none() | text,
        "last_heartbeat": moment,
        "metadata": metadata,
    }
)


def make_up(company, draw):
    """Give an account rows of all classes, whose values Hypothesis draws."""
    account, product = company.account, company.product
    Product.objects.filter(pk=product.pk).update(
        platforms=draw(st.none() | st.lists(text, max_size=2)), code=draw(st.none() | text), metadata=draw(metadata)
    )
    group = Group.objects.create(account=account, name=draw(text), max_users=draw(number), metadata=draw(metadata))
    policy = Policy.objects.create(account=account, product=product, **draw(policy_values))
    users = [
        User.objects.create(account=account, email=f"u{index}@acme.test", group=group, **values)
        for index, values in enumerate(draw(st.lists(user_values, min_size=1, max_size=3)))
    ]
    group.owners.create(account=account, user=users[0])
    entitlement = Entitlement.objects.create(account=account, name=draw(text), code="FEATURE", metadata=draw(metadata))
    policy.policy_entitlements.create(account=account, entitlement=entitlement)
    for index, values in enumerate(draw(st.lists(license_values, min_size=1, max_size=2))):
        license = License.objects.create(
            account=account,
            product=product,
            policy=policy,
            owner=draw(st.sampled_from([None, *users])),
            group=draw(st.sampled_from([None, group])),
            key=f"{draw(text)}-{index}",
            **values,
        )
        license.license_users.create(account=account, user=users[-1])
        license.license_entitlements.create(account=account, entitlement=entitlement)
        machine = license.machines.create(account=account, owner=users[0], **draw(machine_values))
        machine.components.create(account=account, fingerprint=draw(text), name=draw(text), metadata=draw(metadata))
        machine.processes.create(account=account, pid=draw(text), last_heartbeat=datetime.now(UTC))
    names = draw(st.lists(st.sampled_from(["license.validate", "license.read"]), unique=True))
    Setting.objects.create(account=account, key=Setting.Key.LICENSE_PERMISSIONS, value=names)
    possible = text.filter(lambda each: not find_text_fault(f"WAITING-{each}"))
    texts = draw(st.lists(possible, max_size=4, unique_by=fold_spelling))
    Key.objects.bulk_create(Key(account=account, policy=company.policy, key=f"WAITING-{each}") for each in texts)


@settings(max_examples=examples(40), suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(st.data())
def test_any_account_moves_out_and_in(acme, data):
    account = acme.account
    make_signing_keys(account)  # once for all examples: it takes a second
    with transaction.atomic():
        make_up(acme, data.draw)
        content = exported(account, secret="s3cret")
        before = read_export(content, "s3cret")
        forget(account)

        report = import_fixture(content, tokens=None, secret="s3cret", accept_unmarked=True, without_tokens=True)

        after = rows_of(Account.objects.get(pk=account.pk))
        assert report.findings == []
        assert list(after) == list(before)
        for name, rows in before.items():
            assert by_id(after[name]) == by_id(rows), name
        assert (
            [row["id"] for row in after["Key"]] == [row["id"] for row in before["Key"]] if before.get("Key") else True
        )
        transaction.set_rollback(True)
