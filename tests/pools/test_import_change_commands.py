"""The commands that undo, move and withdraw imports."""

import pytest

from pools.models import Key, KeyEvent
from tests.cast import numbered
from tests.pools.test_key_commands import everything, import_of, pop


class TestImportChanges:
    """`undo_import`, `move_import` and `withdraw_import`."""

    COMMANDS = ("undo_import", "withdraw_import", "move_import --to Other")

    def test_import_is_undone(self, pooled_policy, run, audit):
        import_of(pooled_policy, *numbered(3))
        pop(pooled_policy, audit)

        outcome = run("undo_import", "ACME PO 4711", "--policy", "Pooled", "--reference", "Ticket 1")

        assert outcome.out == "2 keys were removed. Left: 1 popped, 0 withdrawn, 0 available and disclosed.\n"
        assert [key.key for key in Key.objects.all()] == ["KEY-0001"]
        event = KeyEvent.objects.get(event="removed")
        assert (event.operator, event.reference, event.details) == ("manage.py undo_import", "Ticket 1", {"count": 2})
        assert import_of(pooled_policy, "KEY-0002").added == 1

    def test_import_is_moved(self, pooled_policy, other_policy, run, audit):
        moved = import_of(pooled_policy, *numbered(3))
        pop(pooled_policy, audit)

        outcome = run("move_import", moved.pk, "--policy", "Pooled", "--to", "Other", "--reference", "Ticket 1")

        assert outcome.out == (
            "2 keys were moved to the pool of 'Other'. Left: 1 popped, 0 withdrawn, 0 available and disclosed.\n"
        )
        assert [key.key for key in other_policy.pool.available_in_order()] == ["KEY-0002", "KEY-0003"]
        event = KeyEvent.objects.get(event="moved")
        assert (event.operator, event.reference) == ("manage.py move_import", "Ticket 1")
        assert event.details == {"count": 2, "destination": str(other_policy.pk)}

    def test_rest_of_an_import_is_withdrawn(self, pooled_policy, run, audit):
        withdrawn = import_of(pooled_policy, *numbered(3))
        pop(pooled_policy, audit)

        outcome = run(
            "withdraw_import", withdrawn.pk, "--policy", "Pooled", "--reason", "leaked", "--reference", "Ticket 1"
        )

        assert outcome.out == "2 keys were withdrawn. Left: 1 popped, 2 withdrawn, 0 available and disclosed.\n"
        assert [key.state for key in pooled_policy.pool.order_by("id")] == ["popped", "withdrawn", "withdrawn"]
        for event in KeyEvent.objects.filter(event="withdrawn"):
            assert (event.operator, event.reference) == ("manage.py withdraw_import", "Ticket 1")
            assert event.details == {"reason": "leaked"}

    @pytest.mark.parametrize("command", COMMANDS)
    def test_command_can_be_repeated(self, pooled_policy, other_policy, run, command):
        import_of(pooled_policy, *numbered(3))
        arguments = [*command.split(), "ACME PO 4711", "--policy", "Pooled"]
        assert run(*arguments).out.startswith("3 keys were ")
        before = everything()

        code, out, _ = run(*arguments)

        assert code == 0
        assert out.startswith("0 keys were ")
        # A repeated move finds its import again, and a repetition leaves no other trace.
        assert everything() == before

    @pytest.mark.parametrize("command", COMMANDS)
    def test_unknown_import_is_refused(self, pooled_policy, other_policy, rival, run, command):
        import_of(pooled_policy, "KEY-0001", name="Ours")
        elsewhere = import_of(other_policy, "KEY-0002", name="Elsewhere")
        theirs = import_of(rival.policy, "KEY-0003", name="Theirs")
        before = everything()

        for named in elsewhere.name, elsewhere.pk, theirs.name, theirs.pk, "nothing":
            code, out, error = run(*command.split(), named, "--policy", "Pooled", "--account", "acme")
            assert (code, out) == (2, "")
            assert error == f"No import into the pool of 'Pooled' has the id or name {str(named)!r}."
        assert everything() == before

    @pytest.mark.parametrize("command", COMMANDS)
    def test_several_imports_of_a_name_are_listed(self, pooled_policy, other_policy, run, command):
        imports = [import_of(pooled_policy, text) for text in numbered(2)]
        before = everything()

        code, _, error = run(*command.split(), "ACME PO 4711", "--policy", "Pooled")

        assert code == 2
        first, *listed = error.splitlines()
        assert first == "Several imports have the name 'ACME PO 4711'. Choose one by its id:"
        assert [line.split()[0] for line in listed] == [str(each.pk) for each in imports]
        assert everything() == before

    @pytest.mark.parametrize(
        ("to", "said"),
        [
            ("Pooled", "--to is the policy whose pool already has these keys."),
            ("Unpooled", "No policy with a pool matches 'Unpooled'."),
            ("nothing", "No policy with a pool matches 'nothing'."),
            ("theirs", "No policy with a pool matches '"),
        ],
    )
    def test_move_to_another_place_is_refused(self, acme, rival, run, to, said):
        import_of(acme.policy, "KEY-0001")
        to = rival.policy.pk if to == "theirs" else to
        before = everything()

        code, _, error = run("move_import", "ACME PO 4711", "--policy", acme.policy.pk, "--to", to)

        assert code == 2
        assert error.startswith(said)
        assert everything() == before

    def test_reason_is_checked(self, pooled_policy, run):
        import_of(pooled_policy, "KEY-0001")
        before = everything()

        code, _, error = run("withdraw_import", "ACME PO 4711", "--policy", "Pooled", "--reason", "a\nb")

        assert (code, error) == (2, "--reason must have 255 characters at most, without control characters.")
        assert everything() == before
