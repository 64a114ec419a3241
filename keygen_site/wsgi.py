"""The WSGI application, for servers that pass on the path as it was sent, such as gunicorn.

granian does not, and runs `keygen_site.asgi`.
"""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "keygen_site.settings")

application = get_wsgi_application()

from keygen_site.db.session_limits import apply_request_limits  # noqa: E402 Django's settings are needed first

apply_request_limits()
