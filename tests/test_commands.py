"""All commands of the project: their help, results, exit codes and interruptions, and invalid options."""

import json
import re
import runpy
import shlex

import pytest
from django.conf import settings
from django.core.management import get_commands, load_command_class
from django.core.management.base import BaseCommand

from accounts.models import Account, User
from pools.models import Key, KeyEvent, KeyImport
from tests.cast import add_keys, make_company, make_policy, numbered
from tests.pools.test_command_outputs import closed_pipe
from tests.processes import Terminal, manage, manage_here
from tests.security.second_factors import enable

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
        ("unknown@acme.test", 1, "There is no such user with the email unknown@acme.test."),
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
        ("beta ann@beta.test --password-variable UNSET", 2, "The environment variable UNSET is not set."),
    ],
    "cull_machines": [
        ("", 0, "Deleted 0 machines and 0 processes."),
        ("--all", 2, "unrecognized arguments: --all"),
    ],
    "demo": [
        ("--port 99999", 1, "PORT must be a number from 1 to 65535"),
        ("--port many", 2, "invalid int value: 'many'"),
    ],
    "export_account": [
        ("acme --output /dev/null", 0, "digest: sha-256="),
        ("acme --output no/such/folder", 1, "no/such/folder: No such file or directory"),
        ("nothing", 2, "There is no account 'nothing'."),
    ],
    "export_keys": [
        ("--policy Pooled --format text", 0, "KEY-0001\nKEY-0002\nKEY-0003\n"),
        ("--policy Pooled --output no/such/folder", 1, "no/such/folder: No such file or directory"),
        ("--policy nothing", 2, "No policy with a pool matches 'nothing'"),
    ],
    "import_account": [
        ("tests/moving/fixture/plain.export --without-tokens --dry-run", 0, "can be imported; nothing was written"),
        ("missing.export", 1, "missing.export: No such file or directory"),
        ("tests/moving/fixture/encrypted.export", 1, "The export is encrypted: give its secret with --secret-file."),
        ("", 2, "the following arguments are required: file"),
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
        ("--policy Pooled --count 99", 4, "Pooled: pool has fewer keys than asked for (2 keys left)."),
        ("--policy Pooled --count 0", 2, "must be 1 or more"),
    ],
    "prune_idempotency_keys": [
        ("", 0, "0 stored responses were deleted."),
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
    "set_password": [
        ("admin@acme.test", 0, "The password of admin@acme.test was changed."),
        ("unknown@acme.test", 1, "There is no such user with the email unknown@acme.test."),
        ("admin@acme.test --password-variable UNSET", 2, "The environment variable UNSET is not set."),
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

# Of each command a call that works and prints JSON, in this order. The key on standard input is after the bar.
RESULTS = [
    ("import_keys", "- --policy Pooled --name first | KEY-0004"),
    ("pools", "--account acme"),
    ("check_pools", "--policy Pooled --warn 1 --critical 0"),
    ("pop_key", "--policy Pooled --count 1"),
    ("replace_key", "- --policy Pooled | KEY-0001"),
    ("return_key", "- --policy Pooled --undelivered | KEY-0002"),
    ("withdraw_key", "- --policy Pooled | KEY-0003"),
    ("export_keys", "--policy Pooled --output FILE"),
    ("export_account", "acme --output /dev/null"),
    ("import_account", "tests/moving/fixture/plain.export --without-tokens --dry-run"),
    ("cull_machines", ""),
    ("move_import", "first --policy Pooled --to Other"),
    ("withdraw_import", "first --policy Pooled"),
    ("undo_import", "first --policy Pooled"),
    ("create_account", "beta ann@beta.test"),
    ("change_account", "acme --mask-keys"),
    ("allow_sign_in", "admin@acme.test 192.0.2.1 --account acme"),
    ("set_password", "admin@acme.test | correct-horse-battery"),
    ("changepassword", "admin@acme.test | another-horse-battery"),
    ("reset_second_factor", "admin@acme.test --account acme"),
    ("rotate_signing_key", "acme --algorithm ed25519"),
    ("rotate_key_encryption", "--dry-run"),
    ("prune_idempotency_keys", ""),
    ("quickstart", ""),
]
# The plural after one, and forms that leave the number to the reader.
UNGRAMMATICAL = re.compile(
    r"\(s\)|\b1 (keys|lines|pools|values|stored responses|popped keys) |\b1 \w+ were |[02-9] \w+ was "
)

# Texts that are kept and not looked up: they may be empty.
LABELS = {"--reference", "--reason", "import_keys --name"}
KEY = {"key": "-", "--policy": "Pooled"}
IMPORT = {"key_import": "first", "--policy": "Pooled"}
VALID = {
    "create_account": {"slug": "beta", "email": "ann@beta.test"},
    "export_account": {"account": "acme"},
    "export_keys": {"--policy": "Pooled"},
    "import_account": {"file": "missing.export"},
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
    actions = parser_of(command)._actions
    return [action for action in actions if action.dest not in plain and action.nargs != 0]


def parser_of(command):
    return load_command_class(COMMANDS[command], command).create_parser("manage.py", command)


def name_of(action):
    return action.option_strings[0] if action.option_strings else action.dest


@pytest.fixture
def pool(transactional_db):
    policy = make_company("acme").policy
    add_keys(policy, *numbered(3))
    return policy.pool


def test_all_are_tested_and_in_the_guide():
    guide = (settings.BASE_DIR / "docs" / "commands.md").read_text()

    assert list(RUNS) == list(COMMANDS)
    assert [command for command in COMMANDS if not re.search(rf"^\| .*`{command}\b", guide, re.MULTILINE)] == []


@pytest.mark.without_database
def test_help_has_examples_that_the_command_accepts():
    for command in COMMANDS:
        code, out, err = manage_here(command, "--help")

        assert (code, err) == (0, ""), command
        assert out.startswith(f"usage: manage.py {command} [-h]"), command
        assert out.count("--pythonpath") == out.count("--traceback") == 1, command  # named at the end
        examples = re.findall(rf"^  manage\.py {command}\b(.*)$", out, re.MULTILINE)
        assert examples, command
        for example in examples:
            arguments = shlex.split(re.split(r" [|<>] ", example)[0])
            parser_of(command).parse_args(["--no-color", "--traceback", *arguments])  # raises a CommandError


@pytest.mark.parametrize("command", RUNS)
def test_command_ends_with_the_exit_codes_that_it_documents(pool, command):
    if command in ("move_import", "undo_import", "withdraw_import"):
        policy = pool.instance
        make_policy(policy.product, "Other", use_pool=True)
        KeyImport.objects.create(account=policy.account, policy=policy, name="first")
    stdin = b"KEY-0004\nKEY-0005\n" if command == "import_keys" else b"KEY-0001\n"
    documented = manage_here(command, "--help").out.partition("exit codes:")[2]
    for arguments, code, said in RUNS[command]:
        outcome = manage_here(command, *arguments.split(), stdin=stdin)

        assert outcome.code == code, (arguments, outcome)
        assert re.search(rf"^  {code} ", documented, re.MULTILINE)
        assert said in outcome.out + outcome.err
        assert "Traceback" not in outcome.err
        assert not UNGRAMMATICAL.search(outcome.out + outcome.err), outcome


def test_each_result_is_one_json_object(pool, tmp_path):
    company = pool.instance.account
    make_policy(pool.instance.product, "Other", use_pool=True)
    enable(company.users.get())
    tested = {command for command, _ in RESULTS}
    for command, call in RESULTS:
        arguments, _, stdin = call.replace("FILE", str(tmp_path / "keys.csv")).partition(" | ")
        code, out, err = manage_here(command, *arguments.split(), "--json", stdin=stdin.encode())

        assert code == 0, (command, out, err)
        assert out.count("\n") == 1, out
        result = json.loads(out)
        assert all(re.fullmatch(r"[a-z]+[0-9]*([A-Z][a-z]+)*", name) for name in result), result
    without = {command for command in COMMANDS if "--json" not in parser_of(command)._option_string_actions}
    assert without == {"serve", "run_imports"}  # they print no result
    assert set(COMMANDS) == tested | without | {"demo"}  # which `tests/test_demo.py` starts


def test_interruption_is_one_line_and_130(pool, monkeypatch):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    for command in COMMANDS:
        monkeypatch.setattr(type(load_command_class(COMMANDS[command], command)), "handle", interrupt)
        example = re.split(r" [|<>] ", load_command_class(COMMANDS[command], command).examples[0])[0]

        code, out, err = manage_here(command, *shlex.split(example))

        assert (code, out) == (130, ""), (command, err)
        assert re.fullmatch(r"Interrupted: .+\.\n", err), (command, err)


def test_interruption_of_a_command_of_django_is_one_line(pool, monkeypatch):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("django.core.management.commands.check.Command.handle", interrupt)

    assert manage_here("check") == (130, "", "Interrupted.\n")


@pytest.mark.parametrize("color", ["", "1"])
def test_only_errors_on_a_terminal_are_red(pool, monkeypatch, color):
    monkeypatch.setenv("NO_COLOR", color)

    done = manage_here("create_account", "beta", "ann@beta.test", stream=Terminal)
    failed = manage_here("create_account", "beta", "ann@beta.test", stream=Terminal)

    assert (done.code, failed.code) == (0, 1)
    assert "\x1b" not in done.out + done.err
    assert ("\x1b[" in failed.err) == (not color)
    assert "\x1b" not in manage_here("create_account", "beta", "ann@beta.test").err


@pytest.mark.without_database
@pytest.mark.django_db(transaction=True)
def test_command_ends_quietly_when_its_reader_has_gone(pool):
    for arguments, code, run in [
        (["pools"], 0, manage_here),
        (["check_pools"], 2, manage_here),
        (["diffsettings"], 5, manage_here),  # of Django, which does not say whether it has done all
        (["pools", "--help"], 0, manage),  # the buffer is written at the end of the process
    ]:
        with closed_pipe() as stdout:
            outcome = run(*arguments, stdout=stdout)

        assert (outcome.code, outcome.err) == (code, ""), arguments


@pytest.mark.without_database
@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({"LOCK_TIMEOUT": "soon"}, "UNKNOWN: Environment variables invalid: {'LOCK_TIMEOUT'"),
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
