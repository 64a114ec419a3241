"""The server with its claim taken apart: it looks for a key first and marks it then, as two statements.

The negative control of `benchmarks.exactly_once`, which must find this server out.
"""

from keygen_site.asgi import application, wsgi_application
from pools import popping


def look_then_mark(model, event, using, after=None, locking=""):
    key = model.objects.filter(policy=event.policy_id).available().order_by("id").first()
    if key:
        key.popped = event.created
        key.save(update_fields=["popped"])
        event.key, event.key_digest = key, key.digest
        event.save(force_insert=True)
    return key


popping._claim_postgresql = popping._claim_sqlite = lambda model, policy, event, using: look_then_mark(
    model, event, using
)

__all__ = ["application", "wsgi_application"]
