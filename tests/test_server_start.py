"""The state of a process of the server after its start."""

import subprocess
import sys

from tests.processes import invocation

PROGRAM = """
import gc, sys
import keygen_site.asgi
print(gc.get_freeze_count() > len(gc.get_objects()), "pools.api.viewsets" in sys.modules)
"""


class TestGarbageCollection:
    def test_visits_no_modules(self, transactional_db):
        """Most objects of a process are those of its modules. They are loaded, and exempt from garbage collection."""
        options = invocation()
        command = [sys.executable, "-c", PROGRAM]

        outcome = subprocess.run(command, cwd=options["cwd"], env=options["env"], capture_output=True, check=True)

        assert outcome.stdout.decode().split() == ["True", "True"]
