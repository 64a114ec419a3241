"""The WSGI application that the server runs: `granian --interface wsgi keygen_site.wsgi:application`."""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "keygen_site.settings")

application = get_wsgi_application()

from keygen_site.timeouts import limit_requests  # noqa: E402 the settings are there only now

limit_requests()
