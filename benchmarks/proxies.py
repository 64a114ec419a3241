"""nginx in front of a server, with the very block of `docs/operations.md`."""

import os
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

OPERATIONS = Path(__file__).parent.parent / "docs" / "operations.md"
# Around the documented block: no daemon, and files in a folder of its own.
MAIN = """
daemon off;
master_process off;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{}}
http {{
    client_body_temp_path {folder}/bodies;
    proxy_temp_path {folder}/responses;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    {block}
}}
"""


@dataclass(frozen=True)
class Nginx:
    """A running nginx.

    Attributes:
        http, https: its ports on 127.0.0.1.
        certificate: the file with its certificate, for clients to trust.
        log: the file of its access log.
    """

    http: int
    https: int
    certificate: Path
    log: Path


def find_nginx() -> str | None:
    """The path of nginx, or None if it is not installed."""
    return shutil.which("nginx", path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin")


def free_ports(number: int) -> list[int]:
    """Ports of 127.0.0.1 that are not in use."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(number)]
    try:
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()


def documented_block(kind: str) -> str:
    """The only block of a kind in `docs/operations.md`."""
    (block,) = re.findall(rf"```{kind}\n(.*?)```", OPERATIONS.read_text(), re.DOTALL)
    return str(block)


@contextmanager
def nginx(folder: Path, *, http: int, https: int, server: int, changes: dict[str, str]) -> Iterator[Nginx]:
    """Run nginx with the documented block until the context ends.

    Args:
        folder: of its files; an empty one.
        http, https: the ports that it listens on.
        server: the port of the server behind it.
        changes: further texts of the block, and their replacements.
    """
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    subject = ("-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1")
    kind = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2")
    command = ["openssl", "req", "-x509", *kind, *subject, "-keyout", str(key), "-out", str(certificate)]
    subprocess.run(command, check=True, capture_output=True)
    block = documented_block("nginx")
    changes = {
        "listen 80;": f"listen 127.0.0.1:{http};",
        "listen 443 ssl;": f"listen 127.0.0.1:{https} ssl;",
        "https://$host$request_uri": f"https://$host:{https}$request_uri",
        "server 127.0.0.1:8000;": f"server 127.0.0.1:{server};",
        "/etc/ssl/keys.example.com.pem": str(certificate),
        "/etc/ssl/private/keys.example.com.key": str(key),
        "/var/log/nginx/": f"{folder}/",
        **changes,
    }
    for documented, actual in changes.items():
        if documented not in block:
            raise ValueError(f"docs/operations.md has no {documented!r}")
        block = block.replace(documented, actual)
    (folder / "nginx.conf").write_text(MAIN.format(folder=folder, block=block))
    program = [find_nginx() or "nginx", "-p", str(folder), "-c", str(folder / "nginx.conf")]
    process = subprocess.Popen([*program, "-e", str(folder / "error.log")])
    try:
        _wait_for(https, process, folder / "error.log")
        yield Nginx(http, https, certificate, folder / "keygen.log")
    finally:
        process.terminate()
        process.wait(timeout=30)


def _wait_for(port: int, process: "subprocess.Popen[bytes]", log: Path) -> None:
    for _ in range(100):
        if process.poll() is not None:
            break
        try:
            socket.create_connection(("127.0.0.1", port), timeout=5).close()
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise RuntimeError(f"nginx did not start:\n{log.read_text() if log.exists() else ''}")
