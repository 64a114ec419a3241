"""The server with a pause in the middle of each pop, so that many requests are under way whenever it is stopped.

For `benchmarks.graceful`.
"""

import time

from django.conf import settings

from keygen_site.wsgi import application as prompt_application
from keygen_site.wsgi_bridge import ThreadedWSGI

PAUSE = 0.2  # seconds


def wsgi_application(environ, start_response):
    if environ["REQUEST_METHOD"] != "DELETE":
        return prompt_application(environ, start_response)
    time.sleep(PAUSE / 2)
    answer = prompt_application(environ, start_response)
    time.sleep(PAUSE / 2)  # the key is popped, and its answer not sent
    return answer


application = ThreadedWSGI(wsgi_application, settings.THREADS)
