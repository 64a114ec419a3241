"""Whether a port is free. Run by `make run` with the system's Python before anything is installed.

python3 keygen_site/ports.py 8000
"""

import socket
import sys


def port_problem(port: str, host: str = "127.0.0.1") -> str:
    """Why a server cannot listen on a port, with a way out; empty if it can.

    Servers share a port without an error (SO_REUSEPORT): requests would reach either of two databases.
    """
    if not port.isdecimal() or not 1 <= int(port) <= 65_535:
        return f"PORT must be a number from 1 to 65535, not {port!r}. Try: PORT=8001 make run"
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # connections of an ended server do not count
        try:
            trial.bind((host, int(port)))
            trial.listen()
        except OSError as error:
            return f"Port {port} cannot be used ({error.strerror}). Try another: PORT={int(port) % 65_535 + 1} make run"
    return ""


if __name__ == "__main__":
    sys.exit(port_problem(sys.argv[1]) or 0)
