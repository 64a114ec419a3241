"""All settings. Those of a deployment come from the environment (README, "Configuration").

A malformed or missing value stops the start, with an error that lists all of them.
"""

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import dj_email_url
from environs import Env, ValidationError, validate

from keygen_site.encryption_keys import validate_keys

BASE_DIR = Path(__file__).resolve().parent.parent

env = Env(eager=False)  # collects the errors; `env.seal()` below reports all of them
env.read_env(os.environ.get("ENV_FILE", BASE_DIR / ".env"), recurse=False)

DEBUG = env.bool("DEBUG", False)


def require(read: Callable[..., Any], name: str, debug_default: Any, **options: Any) -> Any:
    """Read a variable that must be set in production. It has a default only with DEBUG."""
    if DEBUG:
        return read(name, debug_default, **options)
    return read(name, **options)


not_blank = validate.Length(min=1, error="Must not be blank.")


def refuse_weak_secret(secret: str) -> None:
    """Refuse a SECRET_KEY that is short or a well-known example, unless DEBUG: who knows it signs in as everyone.

    Raises:
        ValidationError: with a command that makes a good one.
    """
    is_example = any(word in secret.lower() for word in EXAMPLE_SECRETS)
    if not DEBUG and (len(secret) < 32 or len(set(secret)) < 8 or is_example):
        raise ValidationError(
            "Must be a random text of 32 characters or more and no example. Make one by: "
            "python3 -c 'import secrets; print(secrets.token_urlsafe(50))'"
        )


def refuse_malformed_origins(origins: list[str]) -> None:
    """Refuse origins for sessions that are not those of https pages."""
    for origin in origins:
        if not re.fullmatch(r"https://[a-z0-9.-]+(:[0-9]+)?", origin):
            raise ValidationError("Must be origins such as https://portal.example.com, separated by commas.")


def refuse_malformed_url(url: str) -> None:
    """Refuse a text that is no URL of a server, and a URL with a path. An empty text is accepted.

    Raises:
        ValidationError: with an example.
    """
    try:
        is_valid = bool(re.fullmatch(r"(https?://[^\s/?#@*]+)?", url)) and urlsplit(url).port != 0
    except ValueError:  # the port is no number, or a bracket is missing
        is_valid = False
    if not is_valid:
        raise ValidationError("Must be a URL such as https://keys.example.com or https://keys.example.com:8443.")


EXAMPLE_SECRETS = ("replace-me", "replace_me", "replaceme", "changeme", "change-me", "change_me", "django-insecure")
SECRET_KEY = require(env.str, "SECRET_KEY", "for-debugging-only", validate=refuse_weak_secret)
# Former values of SECRET_KEY: sessions and repeated requests from before its change still work. A blank value, as
# between two commas, would be a secret that everyone knows.
no_blank_item = validate.ContainsNoneOf([""], error="Must not have blank items.")
SECRET_KEY_FALLBACKS: list[str] = env.list("SECRET_KEY_FALLBACKS", [], subcast=str.strip, validate=no_blank_item)
ALLOWED_HOSTS = require(env.list, "ALLOWED_HOSTS", ["localhost", "127.0.0.1", "[::1]"], validate=not_blank)
is_supported = validate.Regexp(r"(postgres|postgresql|sqlite)://", error="Must begin with postgres:// or sqlite:///.")
require(env.str, "DATABASE_URL", "sqlite:///db.sqlite3", validate=is_supported)
DATABASE = require(env.dj_db_url, "DATABASE_URL", "sqlite:///db.sqlite3")

# The keys that encrypt the secrets in the database, as id:base64-of-32-bytes; the first encrypts, all decrypt.
KEY_ENCRYPTION_KEYS = env.str("KEY_ENCRYPTION_KEYS", "", validate=validate_keys)

# Single-account mode: the id or slug of the only account, which then has URLs under /v1/… without a prefix too.
ACCOUNT = env.str("ACCOUNT", "")
# Allows everyone to create an account by POST /v1/accounts.
SIGN_UP = env.bool("SIGN_UP", False)
# New accounts from one IP address in an hour; 0: no limit.
SIGN_UPS_PER_HOUR = env.int("SIGN_UPS_PER_HOUR", 10, validate=validate.Range(min=0))
# Gives all failed sign-ins the same error, so that it does not reveal which e-mails have an account.
UNIFORM_SIGN_IN_ERRORS = env.bool("UNIFORM_SIGN_IN_ERRORS", False)
# The origins of the browser applications that may sign in to the API by a cookie; empty: none.
SESSION_ORIGINS: list[str] = env.list("SESSION_ORIGINS", [], subcast=str.strip, validate=refuse_malformed_origins)
# The users of the console who need a second factor: superusers, staff (all users of the console), or none.
REQUIRE_SECOND_FACTOR = env.str(
    "REQUIRE_SECOND_FACTOR", "superusers", validate=validate.OneOf(["superusers", "staff", "none"])
)
# The days that the activity is kept, which has all changes but those of keys; 0: for ever, as the ledger of keys is.
ACTIVITY_DAYS = env.int("ACTIVITY_DAYS", 730, validate=validate.Range(min=0))
# Behind a proxy that terminates TLS and sets X-Forwarded-Proto: cookies become secure, links https.
BEHIND_TLS_PROXY = env.bool("BEHIND_TLS_PROXY", False)
# Each log record is one line of text or JSON.
LOG_FORMAT = env.str("LOG_FORMAT", "text", validate=validate.OneOf(["text", "json"]))
LOG_LEVEL = env.str("LOG_LEVEL", "INFO", validate=validate.OneOf(["DEBUG", "INFO", "WARNING", "ERROR"]))
# The token for /metrics. Without it, /metrics does not exist.
METRICS_TOKEN = env.str("METRICS_TOKEN", "")
# The folder in which the processes share their metrics. The library reads the variable itself.
if folder := env.str("PROMETHEUS_MULTIPROC_DIR", ""):
    Path(folder).mkdir(parents=True, exist_ok=True)
else:
    os.environ.pop("PROMETHEUS_MULTIPROC_DIR", None)  # the library would use an empty text as a folder
# The revision of the running source code, for the header Keygen-Revision.
REVISION = env.str("REVISION", "")
# The mail server, e.g. submission://user:password@host:587. Without it no mail is sent; console:// prints mail.
EMAIL_URL = env.str(
    "EMAIL_URL",
    "dummy://",
    validate=validate.Regexp(r"(smtp|submission|console|file|dummy)://", error="Must be a URL such as smtp://host:25."),
)
# The URL of this server, without a path, for links in mail, which never use a client's Host header.
# Default: the first of ALLOWED_HOSTS.
SITE_URL = env.str("SITE_URL", "", validate=refuse_malformed_url)
DEFAULT_FROM_EMAIL = env.str("MAIL_FROM", "no-reply@localhost")
# Seconds that a statement waits for a lock. A pop that waits longer is a 503, never "pool is empty".
LOCK_TIMEOUT = env.float("LOCK_TIMEOUT", 2.0, validate=validate.Range(min=0.05, max=60))
# Seconds that a statement of a request may take, and that its transaction may wait for the next one; 0: no limit.
STATEMENT_TIMEOUT = env.float("STATEMENT_TIMEOUT", 30.0, validate=validate.Range(min=0))
IDLE_TRANSACTION_TIMEOUT = env.float("IDLE_TRANSACTION_TIMEOUT", 60.0, validate=validate.Range(min=0))
# Requests of one account, IP address and credential; invalid credentials count together. 0: no limit, so that a sales
# spike is not throttled by default.
REQUESTS_PER_SECOND = env.int("REQUESTS_PER_SECOND", 0, validate=validate.Range(min=0))
REQUESTS_PER_MINUTE = env.int("REQUESTS_PER_MINUTE", 0, validate=validate.Range(min=0))
# New idempotency keys of a user or a license in an hour; a hundred times as many of staff or a product; 0: no limit.
IDEMPOTENCY_KEYS_PER_HOUR = env.int("IDEMPOTENCY_KEYS_PER_HOUR", 10_000, validate=validate.Range(min=0))
# The maximum size in bytes of a file of keys sent by HTTP, as sent and unpacked, and of its lines. The command has no
# limits.
MAX_IMPORT_BYTES = env.int("MAX_IMPORT_BYTES", 256 * 2**20, validate=validate.Range(min=1))
MAX_IMPORT_LINES = env.int("MAX_IMPORT_LINES", 20_000_000, validate=validate.Range(min=1))
# The maximum size in bytes, unpacked, of a file of keys that is imported within its request. Others are imported by a
# worker in the background.
MAX_DIRECT_IMPORT_BYTES = env.int("MAX_DIRECT_IMPORT_BYTES", 256 * 2**10, validate=validate.Range(min=0))
# Imports that run within requests at the same time, on this machine. Fewer than all web workers have threads, so that a
# thread stays free.
IMPORTS_AT_ONCE = env.int("IMPORTS_AT_ONCE", 1, validate=validate.Range(min=1))
# Processes on this machine that import in the background, each for one account at a time. They end when nothing waits.
IMPORT_WORKERS = env.int("IMPORT_WORKERS", 2, validate=validate.Range(min=1))
# Files of an account that wait for a worker. More are refused.
MAX_WAITING_IMPORTS = env.int("MAX_WAITING_IMPORTS", 20, validate=validate.Range(min=1))
# An invalid DATABASE_URL is None here, and reported by `seal()`.
IS_SQLITE = DATABASE is not None and DATABASE["ENGINE"] == "django.db.backends.sqlite3"
# Threads that serve requests in each process of the server. Each keeps a connection to the database. PostgreSQL may be
# on another machine, so two are the default: one runs while the other waits (`python -m benchmarks --latency 1`).
THREADS = env.int("THREADS", 1 if IS_SQLITE else 2, validate=validate.Range(min=1))
# Whether PostgreSQL prepares statements on the server. Off for a connection pooler that does not support them.
PREPARED_STATEMENTS = env.bool("PREPARED_STATEMENTS", True)
# Behind a pooler such as PgBouncer, transactions share sessions: parameters must be set for the role, not the session.
CONNECTION_POOLER = env.bool("CONNECTION_POOLER", False)

env.seal()

# The console accepts forms from its own origin, which is known from the Host of a request, and from this one.
CSRF_TRUSTED_ORIGINS = [SITE_URL.lower()] if SITE_URL else []
CSRF_FAILURE_VIEW = "keygen_site.jsonapi.exceptions.csrf_failure"
# Where http is redirected to: by default the same host and port, which is wrong if https has a port of its own.
SECURE_SSL_HOST = urlsplit(SITE_URL).netloc if urlsplit(SITE_URL).port else None
SITE_URL = SITE_URL or f"{'https' if BEHIND_TLS_PROXY else 'http'}://{ALLOWED_HOSTS[0].lstrip('.')}"

INSTALLED_APPS = [
    "keygen_site",
    "accounts",
    "licensing",
    "pools",
    "rest_framework",
    "rest_framework_json_api",
    "django_filters",
    "accounts.apps.ConsoleConfig",  # the Django admin
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.humanize",
]

MIDDLEWARE = [
    "keygen_site.observability.request_context.RequestIdMiddleware",
    "keygen_site.observability.access_log.AccessLogMiddleware",
    "keygen_site.http.APIHeadersMiddleware",
    "keygen_site.http.PageHeadersMiddleware",
    "accounts.signing.middleware.SignatureMiddleware",
    "keygen_site.http.KeepMethodMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "keygen_site.http.WellFormedRequestMiddleware",
    "keygen_site.body_limits.BodyLimitMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "keygen_site.observability.health.ProbeMiddleware",
    "keygen_site.http.PageSessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "keygen_site.http.PageAuthenticationMiddleware",
    "keygen_site.http.PageMessageMiddleware",
]

ROOT_URLCONF = "keygen_site.urls"
WSGI_APPLICATION = "keygen_site.wsgi.application"
APPEND_SLASH = False  # the API ignores a trailing slash itself, and never redirects

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

# Database ------------------------------------------------------------------------------------------------------------

# Opening a connection takes longer than most requests: it stays open, and the first statement of a request checks it.
DATABASE["CONN_MAX_AGE"] = None
DATABASE["CONN_HEALTH_CHECKS"] = True
if IS_SQLITE:
    if not Path(DATABASE["NAME"]).is_absolute() and DATABASE["NAME"] != ":memory:":
        DATABASE["NAME"] = str(BASE_DIR / DATABASE["NAME"])
    DATABASE["ENGINE"] = "keygen_site.db.sqlite"
    DATABASE["OPTIONS"] = {
        # Lock when a transaction begins: one that reads and then writes fails instead of waiting for another writer.
        "transaction_mode": "IMMEDIATE",
        "timeout": 20,  # seconds
        # FULL: with NORMAL, a key that was handed out could be available again after a power cut.
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;",
    }
    DATABASE["TEST"] = {"NAME": os.environ.get("TEST_DATABASE_NAME")}
else:
    DATABASE["ENGINE"] = "keygen_site.db.postgresql"
    # Give up an unreachable server soon, so that the next host can be tried.
    DATABASE["OPTIONS"] = {"connect_timeout": 5, "tcp_user_timeout": 30_000, **DATABASE.get("OPTIONS", {})}
    if CONNECTION_POOLER:
        DATABASE["DISABLE_SERVER_SIDE_CURSORS"] = True
    else:
        options = DATABASE["OPTIONS"].get("options", "")
        DATABASE["OPTIONS"]["options"] = f"{options} -c lock_timeout={int(LOCK_TIMEOUT * 1000)}ms".strip()
    if PREPARED_STATEMENTS:
        DATABASE["OPTIONS"]["server_side_binding"] = True
        DATABASE["OPTIONS"]["prepare_threshold"] = 5

DATABASES = {"default": DATABASE}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# People and sessions -------------------------------------------------------------------------------------------------

AUTH_USER_MODEL = "accounts.User"
AUTHENTICATION_BACKENDS = ["accounts.authentication.EmailBackend"]
SILENCED_SYSTEM_CHECKS = [
    "auth.W004",  # an e-mail is unique within its account only, which EmailBackend handles
    "security.W019",  # X-Frame-Options is the contract's; pages have `frame-ancestors` too
    "security.W021",  # HSTS preloading is the decision of the owner of the domain
]
PASSWORD_HASHERS = [
    "django.contrib.auth.hashers.Argon2PasswordHasher",
    "django.contrib.auth.hashers.PBKDF2PasswordHasher",
    "accounts.passwords.MovedPasswordHasher",  # of users who moved in from keygen-api, until they sign in
]
# In the order of their errors: the first one is reported.
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "accounts.passwords.LengthValidator"},
    {"NAME": "accounts.passwords.CommonPasswordValidator"},
    {"NAME": "accounts.passwords.SimilarityValidator"},
]
LOGIN_URL = "admin:login"
LOGIN_REDIRECT_URL = "admin:index"  # after a sign-in whose `next` leads to another site

if BEHIND_TLS_PROXY:
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    SECURE_HSTS_SECONDS = 63_072_000  # two years
    SECURE_HSTS_INCLUDE_SUBDOMAINS = True
    SECURE_SSL_REDIRECT = True
    # A load balancer requests these without TLS.
    SECURE_REDIRECT_EXEMPT = [r"^v1/health", r"^(healthz|readyz|metrics)$"]
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = BEHIND_TLS_PROXY
X_FRAME_OPTIONS = "SAMEORIGIN"
SESSION_COOKIE_AGE = 10 * 60 * 60  # seconds since the sign-in: a working day

# The console's menu, in groups: title, name of the URL, permission ("superuser": for superusers; "": for all),
# and the beginnings of the names of URLs of further pages that belong to the entry.
CONSOLE_MENU: list[list[tuple[str, str, str, list[str]]]] = [
    [
        ("Overview", "index", "", ["inbox"]),
        ("Pools", "pools_pool_changelist", "licensing.view_policy", []),
        ("Keys", "pools_key_changelist", "pools.view_key", []),
        ("Imports", "pools_keyimport_changelist", "pools.view_keyimport", ["pools_pendingimport_"]),
        ("Activity", "activity", "pools.view_keyevent", ["pools_keyevent_"]),
    ],
    [
        ("Licenses", "licensing_license_changelist", "licensing.view_license", ["licensing_machine_"]),
        ("Customers", "accounts_customer_changelist", "accounts.view_user", []),
        ("Groups", "accounts_group_changelist", "accounts.view_group", []),
    ],
    [
        ("Products", "licensing_product_changelist", "licensing.view_product", []),
        ("Policies", "licensing_policy_changelist", "licensing.view_policy", ["licensing_entitlement_"]),
        ("API tokens", "accounts_token_changelist", "accounts.view_token", []),
        ("Team", "accounts_user_changelist", "accounts.view_user", ["accounts_invitation_"]),
        ("Settings", "settings", "", ["settings_", "second_factor", "password_change"]),
    ],
    [
        ("Accounts", "accounts_account_changelist", "superuser", []),
        ("Team roles", "auth_group_changelist", "superuser", []),
    ],
]

# Mail ----------------------------------------------------------------------------------------------------------------

globals().update(dj_email_url.parse(EMAIL_URL))  # EMAIL_BACKEND, EMAIL_HOST, EMAIL_PORT, …
EMAIL_TIMEOUT = 15  # seconds

# Language, time, files -----------------------------------------------------------------------------------------------

LANGUAGE_CODE = "en-us"
USE_I18N = False
TIME_ZONE = "UTC"
USE_TZ = True

STATIC_URL = "/static/"
STATIC_ROOT = BASE_DIR / "staticfiles"
FILE_UPLOAD_DIRECTORY_PERMISSIONS = 0o755  # static files are public; all other files that a command makes are private
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}
WHITENOISE_USE_FINDERS = DEBUG

# API -----------------------------------------------------------------------------------------------------------------

REST_FRAMEWORK = {
    "DEFAULT_RENDERER_CLASSES": [
        "keygen_site.jsonapi.negotiation.JSONAPIRenderer",
        "keygen_site.jsonapi.negotiation.JSONRenderer",
    ],
    "DEFAULT_PARSER_CLASSES": ["keygen_site.jsonapi.negotiation.DocumentParser"],
    "DEFAULT_CONTENT_NEGOTIATION_CLASS": "keygen_site.jsonapi.negotiation.ContentNegotiation",
    "DEFAULT_PAGINATION_CLASS": "keygen_site.jsonapi.pagination.Pagination",
    "DEFAULT_FILTER_BACKENDS": ["keygen_site.jsonapi.filters.FilterBackend"],
    "DEFAULT_AUTHENTICATION_CLASSES": ["accounts.authentication.BearerAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": [],  # `APIViewSet.authorize` checks permissions
    "EXCEPTION_HANDLER": "keygen_site.jsonapi.exceptions.exception_handler",
    "UNAUTHENTICATED_USER": None,
    "TEST_REQUEST_DEFAULT_FORMAT": "json",
}

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "line": {
            "()": "keygen_site.observability.log_formatters.LineFormatter",
            "format": "{asctime} {levelname} {name} {message}",
            "style": "{",
        },
        "json": {"()": "keygen_site.observability.log_formatters.JSONFormatter"},
    },
    "filters": {"hide path": {"()": "keygen_site.observability.log_formatters.HidePathFilter"}},
    "handlers": {
        "stderr": {
            "class": "logging.StreamHandler",
            "formatter": "json" if LOG_FORMAT == "json" else "line",
            "filters": ["hide path"],
        },
    },
    "root": {"handlers": ["stderr"], "level": LOG_LEVEL},
    "loggers": {
        # Without Django's own handlers, which bypass our formatter.
        "django": {"handlers": [], "propagate": True},
        "django.server": {"handlers": [], "propagate": True},
        # No line for each 4xx response: refusals are normal in an API, and the access log has them.
        "django.request": {"level": "ERROR"},
        # Two tracebacks for each request with a wrong host. `jsonapi.exceptions.bad_request` logs a line instead.
        "django.security.DisallowedHost": {"level": "CRITICAL"},
        # The same goes for a form with too many fields or files.
        "django.security.TooManyFieldsSent": {"level": "CRITICAL"},
        "django.security.TooManyFilesSent": {"level": "CRITICAL"},
        # Statements contain keys and digests, and are never logged.
        "django.db.backends": {"level": "WARNING"},
    },
}
