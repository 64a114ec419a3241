"""Ctrl-C in a long-running command: it reports the work that has been done."""

from datetime import timedelta
from itertools import count
from uuid import uuid4

import pytest
from django.utils import timezone

from keygen_site.management.commands import prune_idempotency_keys
from keygen_site.models import IdempotentResponse
from pools.management.commands import import_keys
from pools.management.pool_command import ImportChangeCommand
from pools.models import Key, KeyImport
from pools.services import import_changes
from tests.cast import numbered
from tests.pools.test_key_commands import import_of


def interrupt_at(number, function=lambda *_, **__: None):
    """A function that is interrupted after its call of this number, from 1."""
    calls = count(1)

    def call(*arguments, **options):
        result = function(*arguments, **options)
        if next(calls) == number:
            raise KeyboardInterrupt
        return result

    return call


class TestImport:
    STDIN = b"KEY-0001\nKEY-0002\n"

    def test_interruption_before_the_commit_has_added_nothing(self, pooled_policy, run, monkeypatch):
        monkeypatch.setattr("pools.services.imports.StagedImport.publish", interrupt_at(1))

        outcome = run("import_keys", "-", "--policy", "Pooled", stdin=self.STDIN)

        assert outcome == (130, "", "Interrupted: nothing was added.")
        assert not Key.objects.available().exists()

    def test_interruption_after_the_commit_says_what_was_added(self, pooled_policy, run, monkeypatch):
        monkeypatch.setattr(import_keys, "import_keys", interrupt_at(1, import_keys.import_keys))

        code, _, error = run("import_keys", "-", "--policy", "Pooled", stdin=self.STDIN)

        assert code == 130
        added = KeyImport.objects.get()
        assert error == f"Interrupted: 2 keys were added, as import {added.pk}. The report may be incomplete."


@pytest.mark.parametrize(
    ("command", "participle"),
    [("undo_import", "removed"), ("withdraw_import", "withdrawn"), ("move_import --to Other", "moved")],
)
def test_interrupted_change_of_an_import_says_how_many(
    pooled_policy, other_policy, run, monkeypatch, command, participle
):
    import_of(pooled_policy, *numbered(3))
    monkeypatch.setattr(import_changes, "BATCH_SIZE", 1)
    with monkeypatch.context() as patch:
        patch.setattr(ImportChangeCommand, "note_progress", interrupt_at(1, ImportChangeCommand.note_progress))
        outcome = run(*command.split(), "ACME PO 4711", "--policy", "Pooled")

    assert outcome == (130, "", f"Interrupted: 1 key was {participle}. Repeat the command for the others.")
    assert run(*command.split(), "ACME PO 4711", "--policy", "Pooled").out.startswith(f"2 keys were {participle}")


def test_interrupted_pruning_says_how_many(acme, run, monkeypatch):
    old = timezone.now() - timedelta(days=2)
    for name in "one", "two":
        IdempotentResponse.objects.create(
            account_id=uuid4(), bearer_id=uuid4(), name=name, fingerprint=b"x", created=old
        )
    monkeypatch.setattr(prune_idempotency_keys, "BATCH", 1)
    prune = IdempotentResponse.objects.prune
    calls = count(1)

    def interrupt(self, *arguments):
        if next(calls) == 2:
            raise KeyboardInterrupt
        return prune(*arguments)

    monkeypatch.setattr(type(IdempotentResponse.objects), "prune", interrupt)

    outcome = run("prune_idempotency_keys")

    assert outcome == (130, "", "Interrupted: 1 stored response was deleted.")
