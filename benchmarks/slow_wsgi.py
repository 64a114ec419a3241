"""The server with a pause in each pop, so that many requests are running whenever it is stopped.

For `benchmarks.graceful`.
"""

import time
from typing import Any

from django.conf import settings

from keygen_site.wsgi import application as fast_application
from keygen_site.wsgi_bridge import ThreadedWSGI

PAUSE = 0.2  # seconds


def wsgi_application(environ: dict[str, Any], start_response: Any) -> Any:
    if environ["REQUEST_METHOD"] != "DELETE":
        return fast_application(environ, start_response)
    time.sleep(PAUSE / 2)
    response = fast_application(environ, start_response)
    time.sleep(PAUSE / 2)  # the key is popped, and the response not sent
    return response


application = ThreadedWSGI(wsgi_application, settings.THREADS)
