"""System checks for settings and files that are unsafe, or make the server easy to stop."""

import os
import stat
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Tags, Warning, register
from django.db import DEFAULT_DB_ALIAS, connections

LOOPBACK_HOSTS = ("localhost", "127.0.0.1", "[::1]", "testserver")
MIN_TOKEN_LENGTH = 20


def is_public() -> bool:
    """Whether others than programs on this machine reach the server, by its settings."""
    return settings.BEHIND_TLS_PROXY or not set(settings.ALLOWED_HOSTS) <= set(LOOPBACK_HOSTS)


@register(Tags.security)
def check_private_files(app_configs: Any, **options: Any) -> list[CheckMessage]:
    """Report a database file or a file of settings that other users of this machine may read."""
    files = [path for path in private_files() if path.is_file() and stat.S_IMODE(path.stat().st_mode) & 0o077]
    message = "Other users of this machine may read {}, which has keys or secrets."
    return [Warning(message.format(path.name), hint=f"chmod 600 {path}", id="keygen.W003") for path in files]


def private_files() -> list[Path]:
    """The files that only the server may read; some may not exist."""
    environment = Path(os.environ.get("ENV_FILE", settings.BASE_DIR / ".env"))
    name = str(connections[DEFAULT_DB_ALIAS].settings_dict["NAME"])
    if connections[DEFAULT_DB_ALIAS].vendor != "sqlite":
        return [environment]
    return [environment, *(Path(f"{name}{end}") for end in ("", "-wal", "-shm", "-journal"))]


@register(Tags.security, deploy=True)
def check_proxy(app_configs: Any, **options: Any) -> list[CheckMessage]:
    """Report a public server without a proxy: keys and tokens would cross the network in clear."""
    if settings.BEHIND_TLS_PROXY or not is_public():
        return []
    hint = (
        "Put a proxy in front that terminates TLS, sets X-Forwarded-For, buffers requests and responses and limits the "
        "connections of an IP address (docs/operations.md has nginx). Let the server listen on 127.0.0.1, and set "
        "BEHIND_TLS_PROXY=true."
    )
    return [Warning("Clients are expected to reach the server without a proxy.", hint=hint, id="keygen.W004")]


@register(Tags.security, deploy=True)
def check_unsafe_settings(app_configs: Any, **options: Any) -> list[CheckMessage]:
    """Report each setting that is unsafe on a public server, with its remedy."""
    unsafe = {
        "ALLOWED_HOSTS=* accepts every Host header.": (
            "*" in settings.ALLOWED_HOSTS,
            "Set ALLOWED_HOSTS to the names of the server.",
        ),
        "Mail has no right link: the first of ALLOWED_HOSTS is no name.": (
            settings.SITE_URL.endswith("://*") and "dummy" not in settings.EMAIL_BACKEND,
            "Set SITE_URL to the URL of the server.",
        ),
        "STATEMENT_TIMEOUT=0: a statement may hold a worker without end.": (
            not settings.STATEMENT_TIMEOUT,
            "Set STATEMENT_TIMEOUT to some seconds.",
        ),
        "IDLE_TRANSACTION_TIMEOUT=0: a request may hold its locks without end.": (
            not settings.IDLE_TRANSACTION_TIMEOUT,
            "Set IDLE_TRANSACTION_TIMEOUT to some seconds.",
        ),
        "METRICS_TOKEN is short enough to be guessed.": (
            0 < len(settings.METRICS_TOKEN) < MIN_TOKEN_LENGTH,
            f"Set a random text of {MIN_TOKEN_LENGTH} characters or more.",
        ),
    }
    return [Warning(what, hint=hint, id="keygen.W005") for what, (applies, hint) in unsafe.items() if applies]
