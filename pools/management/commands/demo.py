import io
from typing import Any

from django.core.management import call_command
from django.core.management.base import CommandError, CommandParser

from keygen_site.granian import granian_command, run_until_stopped
from keygen_site.management.commands.serve import raise_file_limit
from keygen_site.management.options import count, path
from keygen_site.management.project_command import ProjectCommand
from keygen_site.ports import port_problem


class Command(ProjectCommand):
    """Serves the demo of `quickstart` on this machine, for a first look: `make run`. Ctrl-C ends it within two seconds.

    For production there is `serve`, which finishes the requests that it has begun.
    """

    examples = ("", "--port 8001 --workers 4 --remember .venv/demo.env")

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--port", type=int, default=8000, help="port (default: 8000)")
        parser.add_argument("--workers", type=count, default=2, help="processes of the server (default: 2)")
        parser.add_argument("--remember", type=path, metavar="FILE", help="as of `quickstart`")

    def handle(self, *, port: int, workers: int, remember: str | None, **options: Any) -> None:
        if problem := port_problem(str(port)):
            raise CommandError(problem)
        address, text = f"http://127.0.0.1:{port}", io.StringIO()
        call_command("quickstart", address=address, remember=remember, json=self.as_json, stdout=text)
        command = granian_command(port=port, workers=workers, open_files=raise_file_limit())

        def announce() -> None:
            self.stdout.write(text.getvalue())
            serving = f"Serving at {address}. Stop with Ctrl-C."
            if self.as_json:
                self.note(serving)
            else:
                self.stdout.write(f"\n{serving}")
            self.stdout.flush()

        if code := run_until_stopped(command, f"{address}/healthz", announce):
            raise CommandError(f"The server ended by itself, with exit code {code}.", returncode=1)
