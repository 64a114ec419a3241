import subprocess
import sys

import pytest
from django.conf import settings

# Runs `start()` in a daemon thread, as the server does a request, in this process or in one that it forks.
SCRIPT = """
import multiprocessing, sys, threading
from accounts import background

def finish():
    threading.main_thread().join()
    print("finished after the main thread", flush=True)

def hang():
    threading.Event().wait()

def start(name):
    background.EXIT_SECONDS = 0.01 if name == "hang" else 60
    request = threading.Thread(target=background.run_in_background, args=[globals()[name]], daemon=True)
    request.start()
    request.join()

how, name = sys.argv[1:]
if how == "fork":
    child = multiprocessing.get_context("fork").Process(target=start, args=[name])
    child.start()
    child.join()
else:
    start(name)
"""


def run(how, name):
    return subprocess.run(
        [sys.executable, "-c", SCRIPT, how, name],
        cwd=settings.BASE_DIR,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )


@pytest.mark.parametrize("how", ["exit", "fork"])
class TestRunInBackground:
    def test_run_in_background_is_finished_before_the_process_ends(self, how):
        assert run(how, "finish").stdout == "finished after the main thread\n"

    def test_run_in_background_does_not_keep_the_process_for_longer_than_a_limit(self, how):
        assert run(how, "hang").stderr == "__main__.hang was given up at exit: it took longer than 0.01 seconds\n"
