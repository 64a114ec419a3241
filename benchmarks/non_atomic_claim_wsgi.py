"""The server with its claim taken apart: it looks for a key first and marks it then, as two statements.

The negative control of `benchmarks.exactly_once`, which must find this server out.
"""

from keygen_site.asgi import application, wsgi_application
from pools import popping


def look_then_mark(model, policy, event):
    key = model.objects.filter(policy=event.policy_id).available().order_by("id").first()
    if key:
        key.popped = event.created
        key.save(update_fields=["popped"])
        event.key, event.key_digest = key, key.digest
        event.save(force_insert=True)
    return key


popping._pop_postgresql = popping._pop_sqlite = look_then_mark

__all__ = ["application", "wsgi_application"]
