"""A process that is killed while it imports leaves nothing, on both databases, wherever it is killed."""

import signal
import subprocess
import sys
import textwrap

import pytest

from pools.models import Move
from tests.moving.exports import FIXTURE
from tests.moving.test_refusals import everything
from tests.processes import invocation, manage

# Kills its process before a function of the import is called.
KILLING = textwrap.dedent(
    """
    import os, signal, sys
    from unittest.mock import patch
    import django
    django.setup()
    from django.core.management import call_command
    target = sys.argv.pop(1)
    with patch(target, side_effect=lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL)):
        call_command("import_account", *sys.argv[1:])
    """
)
POINTS = [
    "pools.moving.importing.check_rows",  # all is staged
    "pools.moving.publishing._write_keys",  # the account, users, policies and licenses are written
    "pools.moving.importing.refresh_statistics_after",  # all is written, and not committed
]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("point", POINTS)
def test_killed_import_leaves_nothing_and_can_be_repeated(point):
    before = everything()
    call = invocation()
    arguments = [sys.executable, "-c", KILLING, point, FIXTURE / "plain.export", "--tokens", FIXTURE / "tokens.csv"]

    killed = subprocess.run(
        arguments, cwd=call["cwd"], env=call["env"] | {"DJANGO_SETTINGS_MODULE": "keygen_site.settings"}, check=False
    )

    assert killed.returncode == -signal.SIGKILL
    assert everything() == before
    if point == POINTS[-1]:
        assert manage("import_account", FIXTURE / "plain.export", "--without-tokens").code == 0
        assert Move.objects.count() == 1
