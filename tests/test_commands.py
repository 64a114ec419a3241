"""All commands of the project: as processes with their exit codes, and what none of them takes."""

import runpy

import pytest
from django.conf import settings
from django.core.management import get_commands, load_command_class
from django.core.management.base import BaseCommand

from accounts.models import Account, User
from pools.models import Key, KeyEvent, KeyImport
from tests.cast import add_keys, make_company, make_policy, numbered
from tests.processes import manage, manage_here

APPS = ("keygen_site", "accounts", "licensing", "pools")
COMMANDS = {name: app for name, app in sorted(get_commands().items()) if app in APPS}

# For each command some arguments, the exit code, and a part of the output; in this order, on a pool with three keys.
RUNS = {
    "allow_sign_in": [
        ("admin@acme.test 192.0.2.1 --account acme", 0, "admin@acme.test may sign in from 192.0.2.1 for 90 days."),
        ("admin@acme.test 192.0.2.1", 1, "No user has the email admin@acme.test among the superusers"),
        ("admin@acme.test localhost --account acme", 1, "localhost is no IP address"),
        ("admin@acme.test", 2, "the following arguments are required: ip_address"),
    ],
    "change_account": [
        ("acme --mask-keys", 0, "keys of pools are masked for roles that may not pop"),
        ("nothing --mask-keys", 1, "There is no account nothing."),
        ("acme", 2, "one of the arguments --mask-keys --no-mask-keys is required"),
    ],
    "changepassword": [
        ("admin@acme.test", 0, "The password of admin@acme.test was changed."),
        ("nobody@acme.test", 1, "There is no such user with the email nobody@acme.test."),
        ("admin@acme.test --account acme --superuser", 2, "not allowed with argument --account"),
    ],
    "check_pools": [
        ("--warn 2 --critical 1", 0, "OK: 1 pool has enough keys | 'acme/Pooled'=3;2;1;0\n"),
        ("--warn 3 --critical 1", 1, "WARNING: acme/Pooled has 3"),
        ("--policy Pooled", 2, "CRITICAL: acme/Pooled has 3"),
        ("--policy nothing", 3, "UNKNOWN: No policy with a pool matches 'nothing'"),
        ("--warn soon", 3, "UNKNOWN: Error: argument --warn: invalid int value: 'soon'"),
    ],
    "create_account": [
        ("beta ann@beta.test --name Beta", 0, "admin-"),
        ("beta ann@beta.test", 1, "slug has already been taken"),
        ("beta", 2, "the following arguments are required: email"),
    ],
    "export_keys": [
        ("--policy Pooled --format text", 0, "KEY-0001\nKEY-0002\nKEY-0003\n"),
        ("--policy Pooled --output no/such/folder", 1, "no/such/folder: No such file or directory"),
        ("--policy nothing", 2, "No policy with a pool matches 'nothing'"),
    ],
    "import_keys": [
        ("- --policy Pooled", 0, "2 keys were added to the pool of 'Pooled'"),
        ("missing.txt --policy Pooled", 1, "missing.txt: No such file or directory"),
        ("- --policy nothing", 2, "No policy with a pool matches 'nothing'"),
        ("- --policy Pooled", 6, "all keys of the file have been imported before"),
    ],
    "move_import": [
        ("first --policy Pooled --to Other", 0, "0 keys were moved to the pool of 'Other'. Left: 0 popped"),
        ("nothing --policy Pooled --to Other", 2, "No import into the pool of 'Pooled' has the id or name 'nothing'."),
        ("first --policy Pooled --to Pooled", 2, "--to is the policy whose pool already has these keys."),
    ],
    "pools": [
        ("", 0, "acme     Pooled"),
        ("--account nothing", 2, "There is no account 'nothing'."),
    ],
    "pop_key": [
        ("--policy Pooled", 0, "KEY-0001\n"),
        ("--policy nothing", 2, "No policy with a pool matches 'nothing'"),
        ("--policy Pooled --count 99", 4, "pool has fewer keys than asked for"),
    ],
    "prune_idempotency_keys": [
        ("", 0, "Stored responses deleted: 0"),
        ("--hours many", 2, "invalid int value: 'many'"),
    ],
    "quickstart": [
        ("--address http://127.0.0.1:8100", 0, "http://127.0.0.1:8100/admin/"),
        ("--no-such-option", 2, "unrecognized arguments: --no-such-option"),
    ],
    "replace_key": [
        ("- --policy Pooled", 1, "The key is still waiting in the pool."),
        ("nothing --policy Pooled", 2, "The pool of 'Pooled' has no key with the id 'nothing'."),
    ],
    "reset_second_factor": [
        ("admin@acme.test --account acme", 1, "admin@acme.test has no second factor."),
        ("admin@acme.test", 2, "There is no user admin@acme.test among the superusers"),
    ],
    "return_key": [
        ("- --policy Pooled --undelivered", 1, "The key is still waiting in the pool."),
        ("nothing --policy Pooled", 2, "The pool of 'Pooled' has no key with the id 'nothing'."),
    ],
    "rotate_key_encryption": [
        ("--dry-run", 0, "Values that are encrypted: 0"),
        ("--batch 0", 2, "--batch must be at least 1."),
    ],
    "rotate_signing_key": [
        ("acme --algorithm ed25519", 0, "ed25519 "),
        ("nothing", 2, "There is no account nothing."),
        ("acme --algorithm md5", 2, "invalid choice: 'md5'"),
    ],
    "run_imports": [
        ("", 0, ""),
        ("--lock none", 2, "invalid int value: 'none'"),
    ],
    "serve": [
        ("--port many", 2, "invalid int value: 'many'"),
        ("--workers 0", 2, "must be 1 or more"),
        ("--no-such-option", 2, "unrecognized arguments: --no-such-option"),
    ],
    "undo_import": [
        ("first --policy Pooled", 0, "0 keys were removed. Left: 0 popped"),
        ("nothing --policy Pooled", 2, "No import into the pool of 'Pooled' has the id or name 'nothing'."),
    ],
    "withdraw_import": [
        ("first --policy Pooled", 0, "0 keys were withdrawn. Left: 0 popped"),
        ("nothing --policy Pooled", 2, "No import into the pool of 'Pooled' has the id or name 'nothing'."),
    ],
    "withdraw_key": [
        ("- --policy Pooled", 0, "The key KE…01 is withdrawn."),
        ("- --policy Pooled", 1, "The key has been withdrawn."),
        ("nothing --policy Pooled", 2, "The pool of 'Pooled' has no key with the id 'nothing'."),
    ],
}

# Texts that are kept and not looked up: they may be empty.
LABELS = {"--reference", "--reason", "import_keys --name"}
KEY = {"key": "-", "--policy": "Pooled"}
IMPORT = {"key_import": "first", "--policy": "Pooled"}
VALID = {
    "create_account": {"slug": "beta", "email": "ann@beta.test"},
    "export_keys": {"--policy": "Pooled"},
    "import_keys": {"files": "-", "--policy": "Pooled"},
    "move_import": IMPORT | {"--to": "Other"},
    "pop_key": {"--policy": "Pooled"},
    "replace_key": KEY,
    "reset_second_factor": {"email": "admin@acme.test", "--account": "acme"},
    "return_key": KEY,
    "rotate_signing_key": {"account": "acme", "--algorithm": "ed25519"},
    "undo_import": IMPORT,
    "withdraw_import": IMPORT,
    "withdraw_key": KEY,
}


def options_of(command):
    """The arguments of a command that take a value, Django's own left out."""
    plain = {action.dest for action in BaseCommand().create_parser("manage.py", command)._actions}
    actions = load_command_class(COMMANDS[command], command).create_parser("manage.py", command)._actions
    return [action for action in actions if action.dest not in plain and action.nargs != 0]


def name_of(action):
    return action.option_strings[0] if action.option_strings else action.dest


@pytest.fixture
def pool(transactional_db):
    policy = make_company("acme").policy
    add_keys(policy, *numbered(3))
    return policy.pool


def test_all_are_tested():
    assert list(RUNS) == list(COMMANDS)


@pytest.mark.without_database
@pytest.mark.parametrize("command", COMMANDS)
def test_command_explains_itself(command):
    code, out, err = manage_here(command, "--help")

    assert (code, err) == (0, "")
    assert f"usage: manage.py {command}" in out


@pytest.mark.parametrize("command", RUNS)
def test_command_ends_with_the_exit_codes_that_it_documents(pool, command):
    if command in ("move_import", "undo_import", "withdraw_import"):
        policy = pool.instance
        make_policy(policy.product, "Other", use_pool=True)
        KeyImport.objects.create(account=policy.account, policy=policy, name="first")
    stdin = b"KEY-0004\nKEY-0005\n" if command == "import_keys" else b"KEY-0001\n"
    for number, (arguments, code, said) in enumerate(RUNS[command]):
        run = manage_here if number else manage  # the first one as a shell does
        outcome = run(command, *arguments.split(), stdin=stdin)

        assert outcome.code == code, (arguments, outcome)
        assert said in outcome.out + outcome.err
        assert "Traceback" not in outcome.err


@pytest.mark.without_database
@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({"LOCK_TIMEOUT": "soon"}, "UNKNOWN: Environment variables invalid: {'LOCK_TIMEOUT'"),
        ({"DATABASE_URL": "sqlite:////no/such/folder/db.sqlite3"}, "UNKNOWN: unable to open database file"),
        ({"DATABASE_URL": "postgres://postgres@%2Fno%2Fsuch%2Ffolder/keygen"}, "UNKNOWN: connection is bad"),
    ],
)
def test_monitoring_learns_that_the_server_is_not_set_up(environment, said):
    outcome = manage("check_pools", **environment)

    assert (outcome.code, outcome.err) == (3, "")
    assert outcome.out.startswith(said)
    assert len(outcome.out.splitlines()) == 1


@pytest.mark.parametrize("blank", ["", " ", "\t", "\N{NO-BREAK SPACE}"])
def test_no_option_takes_a_blank(pool, monkeypatch, capsys, blank):
    taken = {}
    for command in COMMANDS:
        for action in options_of(command):
            if {name_of(action), f"{command} {name_of(action)}"} & LABELS:
                continue
            arguments = VALID.get(command, {}) | {name_of(action): blank}
            spelled = [[value] if name[0] != "-" else [name, value] for name, value in arguments.items()]
            monkeypatch.setattr("sys.argv", ["manage.py", command, *sum(spelled, [])])
            with pytest.raises(SystemExit) as end:
                runpy.run_path(str(settings.BASE_DIR / "manage.py"), run_name="__main__")
            expected = 3 if command == "check_pools" else 2  # there 2 says that a pool is nearly empty
            if end.value.code != expected:
                taken[f"{command} {name_of(action)}"] = end.value.code
    capsys.readouterr()

    assert taken == {}
    assert pool.available().count() == Key.objects.count() == 3
    assert Account.objects.count() == User.objects.count() == 1
    assert not KeyEvent.objects.exists()
    assert not KeyImport.objects.exists()


def test_labels_may_be_empty(pool):
    assert manage_here("import_keys", "-", "--policy", "Pooled", "--name", "", stdin=b"KEY-0004").code == 0
    assert manage_here("pop_key", "--policy", "Pooled", "--reference", "").out == "KEY-0001\n"
    assert (KeyImport.objects.get().name, KeyEvent.objects.get(event="popped").reference) == ("", "")
