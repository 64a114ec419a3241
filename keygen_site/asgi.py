"""The application that the server runs (`manage.py serve`).

It is the WSGI application, run in threads. granian passes only the decoded path to a WSGI application, in which `%2F`
is `/`; an ASGI application gets the path as it was sent, which `keygen_site.paths` needs for keys with slashes.
Django's own ASGI handler runs each request in a new thread, and so on a new connection to the database.
"""

import gc
import sys

from django.conf import settings
from django.db import connections
from django.urls import get_resolver

from keygen_site.db.key_digests import KeyEncryptionError, register_current_key
from keygen_site.paths import is_transfer
from keygen_site.server_start import run_start_functions
from keygen_site.wsgi import application as wsgi_application
from keygen_site.wsgi_bridge import ThreadedWSGI

try:
    register_current_key()
except KeyEncryptionError as error:
    sys.exit(f"The server does not start. {error}")

application = ThreadedWSGI(
    wsgi_application, settings.THREADS, is_transfer=is_transfer, after_transfer=connections.close_all
)

# Without this, a full garbage collection, which stops all threads, would visit the modules too. The URLs import most of
# them.
get_resolver().url_patterns  # noqa: B018 imports them
gc.collect()
gc.freeze()

run_start_functions()
