"""The commands that change keys and imports, and those that hand out keys or write them: nothing is lost on the way."""

import json

import pytest

from licensing.models import License
from licensing.services import issue_license
from pools.models import Key, KeyEvent, KeyImport
from pools.services.exports import export_keys
from pools.services.imports import import_keys
from pools.services.keys import withdraw_key
from tests.cast import add_keys, numbered
from tests.pools.test_import import ORIGIN, lines

UMLAUT = "SCHLÜSSEL-0001"
ACME = ("--policy", "Pooled", "--account", "acme")


def everything():
    """All that the commands change."""
    return [
        list(model.objects.order_by("pk").values(*(field.attname for field in model._meta.concrete_fields)))
        for model in (Key, KeyEvent, KeyImport, License)
    ]


def pop(policy, audit, count=1):
    return [policy.pool.pop(audit) for _ in range(count)]


def import_of(policy, *texts, name="ACME PO 4711"):
    return import_keys(policy=policy, files=[lines(*texts)], audit=ORIGIN, name=name).key_import


@pytest.mark.parametrize("command", ["return_key --undelivered", "withdraw_key", "replace_key"])
class TestNaming:
    """How a command names a key."""

    @pytest.fixture(autouse=True)
    def keys(self, acme, rival, other_policy, audit):
        add_keys(acme.policy, UMLAUT, *numbered(2))
        add_keys(other_policy, "OTHER-0001")
        add_keys(rival.policy, "RIVAL-0001")
        for policy in acme.policy, other_policy, rival.policy:
            pop(policy, audit)

    @pytest.mark.parametrize("line", [UMLAUT, f"{UMLAUT}\n", f"{UMLAUT}\r\n"])
    def test_key_is_read_from_standard_input_in_any_locale(self, pooled_policy, run, command, line):
        assert run(*command.split(), "-", *ACME, stdin=line.encode()).code == 0
        assert Key.objects.get(key=UMLAUT).state == ("available" if "return" in command else "withdrawn")

    @pytest.mark.parametrize("spell", [str, lambda uuid: str(uuid).upper().replace("-", "")])
    def test_key_is_named_by_its_id(self, pooled_policy, run, command, spell):
        assert run(*command.split(), spell(Key.objects.get(key=UMLAUT).pk), *ACME).code == 0
        assert Key.objects.get(key=UMLAUT).state == ("available" if "return" in command else "withdrawn")

    @pytest.mark.parametrize("named", ["OTHER-0001", "RIVAL-0001", "no id", "KEY-0001", "00000000-" + "0" * 27])
    def test_id_of_no_key_of_the_pool_is_refused(self, run, command, named):
        key = Key.objects.filter(key=named).exclude(key="KEY-0001").first()
        before = everything()

        code, out, error = run(*command.split(), key.pk if key else named, *ACME)

        assert (code, out) == (2, "")
        assert error.startswith("The pool of 'Pooled' has no key with the id ")
        assert "write - and pass the key on standard input" in error
        assert everything() == before

    @pytest.mark.parametrize(
        ("stdin", "said"),
        [
            (b"", "must have one line with the key"),
            (b"\n", "must have one line with the key"),
            (f"{UMLAUT}\nKEY-0001\n".encode(), "must have one line with the key"),
            (UMLAUT.encode("latin-1"), "must be UTF-8"),
            (b"OTHER-0001", "The pool of 'Pooled' has no such key."),
            (b"RIVAL-0001", "The pool of 'Pooled' has no such key."),
            (b"no\0such", "The pool of 'Pooled' has no such key."),
        ],
    )
    def test_standard_input_without_a_key_of_the_pool_is_refused(self, run, command, stdin, said):
        before = everything()

        code, out, error = run(*command.split(), "-", *ACME, stdin=stdin)

        assert (code, out) == (2, "")
        assert said in error
        assert everything() == before

    def test_line_ends_only_at_a_line_feed(self, pooled_policy, run, audit, command):
        text = "KEY\N{LINE SEPARATOR}0003"  # as a key may have had before such characters were refused
        Key.objects.create(account=pooled_policy.account, policy=pooled_policy, key=text)
        pop(pooled_policy, audit, 3)

        # There is no other key, so that a replacement finds an empty pool.
        assert run(*command.split(), "-", *ACME, stdin=text.encode()).code in (0, 4)

    @pytest.mark.parametrize("option", ["--reference", "--reason"])
    def test_labels_are_checked_before_anything_is_done(self, run, command, option):
        if option == "--reason" and "return" in command:
            option = "--reference"
        before = everything()

        for text in "x" * 256, "a\nb", "\udcff":
            code, _, error = run(*command.split(), "-", *ACME, option, text, stdin=UMLAUT.encode())
            assert (code, error) == (2, f"{option} must have 255 characters at most, without control characters.")
        assert everything() == before


def issue(policy, audit):
    issue_license(policy=policy, audit=audit)


def pop_and_export(policy, audit):
    pop(policy, audit)
    list(export_keys(policy=policy, audit=audit, state="popped"))


def pop_and_withdraw(policy, audit):
    pop(policy, audit)
    withdraw_key(policy=policy, text="KEY-0001", audit=audit)


def leave(policy, audit):
    """The key stays available."""


class TestReturnKey:
    def test_key_is_available_again(self, pooled_policy, run, audit):
        add_keys(pooled_policy, *numbered(2))
        (key,) = pop(pooled_policy, audit)

        outcome = run("return_key", key.pk, "--policy", "Pooled", "--undelivered", "--reference", "Order 4711")

        assert outcome == (0, "The key KE…01 is available again.\n", "")
        assert pooled_policy.pool.pop(audit).key == "KEY-0001"
        event = KeyEvent.objects.get(event="returned")
        assert (event.operator, event.reference, event.key_id) == ("manage.py return_key", "Order 4711", key.pk)

    @pytest.mark.parametrize(
        ("arrange", "said"),
        [
            (leave, "The key is still waiting in the pool."),
            (pop_and_withdraw, "The key has been withdrawn."),
            (issue, "The key is held by a license."),
            (pop_and_export, "The key was shown to a person: it stays popped, so pop another key instead."),
        ],
    )
    def test_key_is_refused(self, pooled_policy, run, audit, arrange, said):
        (key,) = add_keys(pooled_policy, "KEY-0001")
        arrange(pooled_policy, audit)
        before = everything()

        assert run("return_key", key.pk, "--policy", "Pooled", "--undelivered") == (1, "", said)
        assert everything() == before

    def test_key_of_a_deleted_license_is_refused(self, pooled_policy, run, audit):
        (key,) = add_keys(pooled_policy, "KEY-0001")
        issue(pooled_policy, audit)
        License.objects.get().delete()

        code, _, error = run("return_key", key.pk, "--policy", "Pooled", "--undelivered")

        assert (code, error) == (1, "The key was issued with a license: it stays popped, so pop another key instead.")

    def test_return_is_confirmed(self, pooled_policy, run, audit):
        add_keys(pooled_policy, "KEY-0001")
        (key,) = pop(pooled_policy, audit)
        before = everything()

        outcome = run("return_key", key.pk, "--policy", "Pooled")

        assert outcome == (2, "", "Confirm with --undelivered that the key reached no one.")
        assert everything() == before


class TestWithdrawKey:
    @pytest.mark.parametrize("arrange", [leave, pop, issue, pop_and_export])
    def test_key_is_withdrawn_with_its_reason(self, pooled_policy, run, audit, arrange):
        (key,) = add_keys(pooled_policy, "KEY-0001")
        arrange(pooled_policy, audit)

        outcome = run("withdraw_key", key.pk, "--policy", "Pooled", "--reason", "refunded", "--reference", "Order 4711")

        assert outcome == (0, "The key KE…01 is withdrawn.\n", "")
        assert Key.objects.get().state == "withdrawn"
        event = KeyEvent.objects.get(event="withdrawn")
        assert (event.operator, event.reference) == ("manage.py withdraw_key", "Order 4711")
        assert event.details == {"reason": "refunded"}
        assert not License.objects.filter(suspended=True).exists()

    def test_license_is_suspended(self, pooled_policy, run, audit):
        (key,) = add_keys(pooled_policy, "KEY-0001")
        issue(pooled_policy, audit)

        assert run("withdraw_key", key.pk, "--policy", "Pooled", "--suspend-license").code == 0

        assert License.objects.get().suspended
        assert KeyEvent.objects.get(event="withdrawn").license_id == License.objects.get().pk

    @pytest.mark.parametrize(
        ("arrange", "options", "said"),
        [
            (pop_and_withdraw, [], "The key has been withdrawn."),
            (pop, ["--suspend-license"], "The key is not held by a license, so no license can be suspended."),
            (leave, ["--suspend-license"], "The key is not held by a license, so no license can be suspended."),
        ],
    )
    def test_key_is_refused(self, pooled_policy, run, audit, arrange, options, said):
        (key,) = add_keys(pooled_policy, "KEY-0001")
        arrange(pooled_policy, audit)
        before = everything()

        assert run("withdraw_key", key.pk, "--policy", "Pooled", *options) == (1, "", said)
        assert everything() == before


class TestReplaceKey:
    def test_next_key_is_popped_for_the_same_reference(self, pooled_policy, run, audit):
        add_keys(pooled_policy, *numbered(2))
        run("pop_key", "--policy", "Pooled", "--reference", "Order 4711")
        key, replacement = pooled_policy.pool.order_by("id")

        outcome = run("replace_key", key.pk, "--policy", "Pooled", "--reason", "defective")

        assert outcome == (0, "KEY-0002\n", "")
        assert [each.state for each in pooled_policy.pool.order_by("id")] == ["withdrawn", "popped"]
        event = KeyEvent.objects.get(event="replaced")
        assert (event.operator, event.reference) == ("manage.py replace_key", "Order 4711")
        assert event.details == {"reason": "defective", "replacement": str(replacement.pk)}
        assert KeyEvent.objects.filter(event="popped").first().reference == "Order 4711"

    def test_license_gets_the_new_key(self, pooled_policy, run, audit):
        key, replacement = add_keys(pooled_policy, *numbered(2))
        issue(pooled_policy, audit)

        printed = run("replace_key", key.pk, "--policy", "Pooled", "--json", "--reference", "Ticket 1").out

        assert json.loads(printed) == {"keys": [{"id": str(replacement.pk), "key": "KEY-0002"}]}
        assert License.objects.get().key == "KEY-0002"
        assert KeyEvent.objects.get(event="replaced").reference == "Ticket 1"

    @pytest.mark.parametrize("arrange", [pop, issue])
    def test_empty_pool_ends_with_4_and_changes_nothing(self, pooled_policy, run, audit, arrange):
        (key,) = add_keys(pooled_policy, "KEY-0001")
        arrange(pooled_policy, audit)
        before = everything()

        assert run("replace_key", key.pk, "--policy", "Pooled") == (4, "", "Pooled: pool is empty.")
        assert everything() == before

    @pytest.mark.parametrize(
        ("arrange", "said"),
        [
            (leave, "The key is still waiting in the pool."),
            (pop_and_withdraw, "The key has been withdrawn."),
        ],
    )
    def test_key_is_refused(self, pooled_policy, run, audit, arrange, said):
        key, _ = add_keys(pooled_policy, *numbered(2))
        arrange(pooled_policy, audit)
        before = everything()

        assert run("replace_key", key.pk, "--policy", "Pooled") == (1, "", said)
        assert everything() == before
