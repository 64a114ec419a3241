"""The application that the server runs: `granian --interface asginl keygen_site.asgi:application`.

It is the WSGI application, in threads of its own. granian tells a WSGI application only the decoded path, in which
`%2F` is `/`; an ASGI application is told the path as it was sent, by which a key with slashes can be named
(`keygen_site.paths`). Django's ASGI handler does not do: it answers each request in a new thread, and so on a new
connection to the database.
"""

from django.conf import settings

from keygen_site.wsgi import application as wsgi_application
from keygen_site.wsgi_bridge import Threaded

application = Threaded(wsgi_application, settings.THREADS)
