"""The one settings file. Everything a deployment changes comes from the environment (README, "Configuration").

A malformed or missing value stops the start; everything that is wrong is said at once.
"""

import os
from pathlib import Path

import dj_email_url
from environs import Env, validate

BASE_DIR = Path(__file__).resolve().parent.parent

env = Env(eager=False)  # collects what is wrong; `env.seal()` below reports it all
env.read_env(os.environ.get("ENV_FILE", BASE_DIR / ".env"), recurse=False)

DEBUG = env.bool("DEBUG", False)


def required(read, name, debug_default, **options):
    """A value without which a production server must not start: only DEBUG gives it a default."""
    if DEBUG:
        return read(name, debug_default, **options)
    return read(name, **options)


not_blank = validate.Length(min=1, error="Must not be blank.")

SECRET_KEY = required(env.str, "SECRET_KEY", "for-debugging-only", validate=not_blank)
ALLOWED_HOSTS = required(env.list, "ALLOWED_HOSTS", ["localhost", "127.0.0.1", "[::1]"], validate=not_blank)
DATABASE = required(env.dj_db_url, "DATABASE_URL", "sqlite:///db.sqlite3")

# Single-account mode: the id or slug of the only account, which then also answers under /v1/… without a prefix.
ACCOUNT = env.str("ACCOUNT", "")
# Lets anybody make an account by POST /v1/accounts.
SIGN_UP = env.bool("SIGN_UP", False)
# Answers every failed sign-in alike, so that nobody learns which e-mails have an account.
UNIFORM_SIGN_IN_ERRORS = env.bool("UNIFORM_SIGN_IN_ERRORS", False)
# Behind a proxy that ends TLS and sets X-Forwarded-Proto: cookies become secure, links https.
BEHIND_TLS_PROXY = env.bool("BEHIND_TLS_PROXY", False)
# A line of text, or one of JSON, for each record.
LOG_FORMAT = env.str("LOG_FORMAT", "text", validate=validate.OneOf(["text", "json"]))
LOG_LEVEL = env.str("LOG_LEVEL", "INFO", validate=validate.OneOf(["DEBUG", "INFO", "WARNING", "ERROR"]))
# Whoever has it may read the numbers at /metrics. Without it there are none.
METRICS_TOKEN = env.str("METRICS_TOKEN", "")
# The folder in which the processes share these numbers; its name is the library's, which reads it for itself.
if folder := env.str("PROMETHEUS_MULTIPROC_DIR", ""):
    Path(folder).mkdir(parents=True, exist_ok=True)
else:
    os.environ.pop("PROMETHEUS_MULTIPROC_DIR", None)  # the library would take it for a folder
# The revision of the source that runs, for the header Keygen-Revision.
REVISION = env.str("REVISION", "")
# Where mail goes, e.g. submission://user:password@host:587. Without it no mail is sent; console:// prints it.
EMAIL_URL = env.str(
    "EMAIL_URL",
    "dummy://",
    validate=validate.Regexp(r"(smtp|submission|console|file|dummy)://", error="Must be a URL such as smtp://host:25."),
)
DEFAULT_FROM_EMAIL = env.str("MAIL_FROM", "no-reply@localhost")
# Seconds a statement waits for a lock. A pop that waited longer is answered 503, never "pool is empty".
LOCK_TIMEOUT = env.float("LOCK_TIMEOUT", 2.0, validate=validate.Range(min=0.05, max=60))
# Seconds that a statement of a request may take, and that its transaction may wait for the next one; 0: for ever.
STATEMENT_TIMEOUT = env.float("STATEMENT_TIMEOUT", 30.0, validate=validate.Range(min=0))
IDLE_TRANSACTION_TIMEOUT = env.float("IDLE_TRANSACTION_TIMEOUT", 60.0, validate=validate.Range(min=0))
# Requests of one account, address and credential; 0: as many as they like. A shop's rush must not be refused unasked.
REQUESTS_PER_SECOND = env.int("REQUESTS_PER_SECOND", 0, validate=validate.Range(min=0))
REQUESTS_PER_MINUTE = env.int("REQUESTS_PER_MINUTE", 0, validate=validate.Range(min=0))
# Bytes that a file of keys may have which comes by HTTP, as it is sent and unpacked. The command has no limit.
MAX_IMPORT_BYTES = env.int("MAX_IMPORT_BYTES", 2 * 2**30, validate=validate.Range(min=1))
# Threads that answer requests in each process of the server. Each keeps a connection to the database.
THREADS = env.int("THREADS", 1, validate=validate.Range(min=1))
# PostgreSQL prepares statements on the server; switch off for a connection pooler that cannot follow them.
PREPARED_STATEMENTS = env.bool("PREPARED_STATEMENTS", True)
# A pooler such as PgBouncer gives each transaction another session: what a session is set to, the role has to be.
CONNECTION_POOLER = env.bool("CONNECTION_POOLER", False)

env.seal()

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
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "keygen_site.http.WellFormedRequestMiddleware",
    "keygen_site.http.PageSessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "keygen_site.http.PageAuthenticationMiddleware",
    "keygen_site.http.PageMessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
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

# Opening a connection costs more than most requests do: it is kept, and looked at when the next request needs it.
DATABASE["CONN_MAX_AGE"] = None
DATABASE["CONN_HEALTH_CHECKS"] = True
if DATABASE["ENGINE"] == "django.db.backends.sqlite3":
    if not Path(DATABASE["NAME"]).is_absolute() and DATABASE["NAME"] != ":memory:":
        DATABASE["NAME"] = str(BASE_DIR / DATABASE["NAME"])
    DATABASE["ENGINE"] = "keygen_site.db.sqlite"
    DATABASE["OPTIONS"] = {
        # A transaction that reads first and writes later cannot wait for another writer, it fails: lock at once.
        "transaction_mode": "IMMEDIATE",
        "timeout": 20,  # seconds
        # FULL: with NORMAL a power cut could put a key back that was already handed out.
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;",
    }
    DATABASE["TEST"] = {"NAME": os.environ.get("TEST_DATABASE_NAME")}
else:
    # A server that is gone without a word is given up soon, so that another one can be tried.
    DATABASE["OPTIONS"] = {"connect_timeout": 5, "tcp_user_timeout": 30_000, **DATABASE.get("OPTIONS", {})}
    if CONNECTION_POOLER:
        DATABASE["DISABLE_SERVER_SIDE_CURSORS"] = True
    else:
        given = DATABASE["OPTIONS"].get("options", "")
        DATABASE["OPTIONS"]["options"] = f"{given} -c lock_timeout={int(LOCK_TIMEOUT * 1000)}ms".strip()
    if PREPARED_STATEMENTS:
        DATABASE["OPTIONS"]["server_side_binding"] = True
        DATABASE["OPTIONS"]["prepare_threshold"] = 5

DATABASES = {"default": DATABASE}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# People and sessions -------------------------------------------------------------------------------------------------

AUTH_USER_MODEL = "accounts.User"
AUTHENTICATION_BACKENDS = ["accounts.authentication.EmailBackend"]
SILENCED_SYSTEM_CHECKS = [
    "auth.W004",  # an e-mail is unique within its account only; EmailBackend knows
    "security.W019",  # X-Frame-Options is as the contract has it; pages have `frame-ancestors` too
    "security.W021",  # whether browsers may have the host on their list is for whoever owns the domain to say
]
PASSWORD_HASHERS = [
    "django.contrib.auth.hashers.Argon2PasswordHasher",
    "django.contrib.auth.hashers.PBKDF2PasswordHasher",
]
AUTH_PASSWORD_VALIDATORS = [{"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator"}]
LOGIN_URL = "admin:login"

if BEHIND_TLS_PROXY:
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    SECURE_HSTS_SECONDS = 63_072_000  # two years
    SECURE_HSTS_INCLUDE_SUBDOMAINS = True
    SECURE_SSL_REDIRECT = True
    # A balancer asks these without the proxy.
    SECURE_REDIRECT_EXEMPT = [r"^v1/health", r"^(healthz|readyz|metrics)$"]
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = BEHIND_TLS_PROXY
X_FRAME_OPTIONS = "SAMEORIGIN"
SESSION_COOKIE_AGE = 10 * 60 * 60  # seconds since the sign-in: a working day

# The apps in the order of the console's menu; others follow.
CONSOLE_MENU = ["pools", "licensing", "accounts"]

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
    "filters": {"without path": {"()": "keygen_site.observability.log_formatters.WithoutPath"}},
    "handlers": {
        "stderr": {
            "class": "logging.StreamHandler",
            "formatter": "json" if LOG_FORMAT == "json" else "line",
            "filters": ["without path"],
        },
    },
    "root": {"handlers": ["stderr"], "level": LOG_LEVEL},
    "loggers": {
        # Django's own handlers would write lines past our formatter.
        "django": {"handlers": [], "propagate": True},
        "django.server": {"handlers": [], "propagate": True},
        # One line for each 4xx answer would drown the log: refusals are the API's daily bread.
        "django.request": {"level": "ERROR"},
        # Anybody can name a host that is not ours, twice a traceback each time; it is a 400 like any other.
        "django.security.DisallowedHost": {"level": "CRITICAL"},
        # Statements carry keys and digests; they never go into a log.
        "django.db.backends": {"level": "WARNING"},
    },
}
