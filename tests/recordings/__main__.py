"""Compares the answers of a running server with the recorded ones.

    python -m tests.recordings check --base-url http://127.0.0.1:8000 [FOLDER/SCENARIO ...]
    python -m tests.recordings reasons    # lists the intended differences, with reasons

The server must run with SIGN_UP=true and SIGN_UPS_PER_HOUR=0, because each scenario starts with an account of its own.
Scenarios for a server with a single account (ACCOUNT) need --account and --sign-in of an empty one, created by sign-up.

`check` ends with 0 if nothing differs, with 1 if something does.
"""

import argparse
import http.client
import sys
import time
from collections.abc import Mapping
from urllib.parse import urlsplit

from tests.recordings.compact import may_differ, read, scenarios
from tests.recordings.replay import NOT_BUILT, ReplayFailed, Tally, replay, sign_in, sign_up, steps_to_replay


class RunningServer:
    """A server at a URL. Each request has a connection of its own."""

    def __init__(self, base_url: str) -> None:
        parts = urlsplit(base_url)
        self.host, self.port = parts.hostname or "127.0.0.1", parts.port or 80

    def call(
        self, method: str, path: str, headers: Mapping[str, str | None], body: bytes | None
    ) -> tuple[int, Mapping[str, str], bytes]:
        connection = http.client.HTTPConnection(self.host, self.port, timeout=60)
        try:
            connection.putrequest(method, path, skip_accept_encoding=True, skip_host=True)
            connection.putheader("Host", self.host)
            for name, value in headers.items():
                if value is not None:
                    connection.putheader(name, value)
            if body is not None or method in ("POST", "PUT", "PATCH"):
                connection.putheader("Content-Length", str(len(body or b"")))
            connection.endheaders(body)
            response = connection.getresponse()
            return response.status, response.headers, response.read()
        finally:
            connection.close()

    def wait(self, seconds: float) -> None:
        time.sleep(seconds)


def check(args: argparse.Namespace) -> int:
    """Replay scenarios, print the differences, and return the exit status."""
    server, without = RunningServer(args.base_url), set(filter(None, args.without.split(",")))
    tally, stopped = Tally(), 0
    for name, path in scenarios(args.scenarios).items():
        scenario = read(path)
        if scenario.get("single") and not args.account:
            print(f"{name}: left out, because it is for a server with a single account (--account)")
            continue
        try:
            if args.account:
                email, _, password = args.sign_in.partition(":")
                names = {"account": args.account, "email": email, "password": password, "domain": server.host}
            else:
                names = sign_up(server)
            sign_in(server, names)
            for difference in replay(server, scenario, names, without, tally):
                if not args.quiet:
                    print(f"{name} {difference}")
        except (ReplayFailed, OSError, http.client.HTTPException) as error:
            stopped += 1
            print(f"{name}: stopped: {error}")
    compared = tally.same + tally.deliberate + tally.different
    print(
        f"{tally.same} of {compared} answers the same, {tally.deliberate} differ on purpose, {tally.different} differ, "
        f"{stopped} scenarios stopped" + (f", {tally.left_out} steps left out" if without else "")
    )
    return 1 if tally.different or stopped else 0


def print_reasons() -> None:
    """Print each reason of a deliberate difference, with the steps that have it and the status of our answer."""
    steps: dict[str, dict[int, list[str]]] = {}
    for name, path in scenarios([]).items():
        for number, step in steps_to_replay(read(path), NOT_BUILT) if may_differ(path) else ():
            if step.get("differs"):
                by_status = steps.setdefault(step["differs"], {})
                by_status.setdefault(step["ours"]["status"], []).append(f"{name} {number}")
    for reason, by_status in sorted(steps.items()):
        print(reason)
        for status, places in sorted(by_status.items()):
            print(f"    {status}: {', '.join(places)}")


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.recordings", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("reasons", help="list the reasons of deliberate differences")
    command = commands.add_parser("check", help="compare the answers of a running server")
    command.add_argument("scenarios", nargs="*", metavar="FOLDER/SCENARIO", help="also a folder or a path of files")
    command.add_argument("--base-url", required=True)
    command.add_argument("--account", help="an empty account to use instead of new ones, on a server with ACCOUNT")
    command.add_argument("--sign-in", metavar="EMAIL:PASSWORD", help="of an admin of --account")
    command.add_argument(
        "--without",
        default="",
        metavar="NAMES",
        help="resources that are not built, by their names in paths, separated by commas: steps that request them are "
        "left out, and the rest of a scenario after one that changed something there",
    )
    command.add_argument("--quiet", action="store_true", help="only the numbers")
    args = parser.parse_args()
    if args.command == "reasons":
        print_reasons()
        return 0
    if args.account and not args.sign_in:
        parser.error("--account needs --sign-in")
    return check(args)


if __name__ == "__main__":
    sys.exit(main())
