"""The server with a pop in two statements: one selects a key, the other marks it as popped.

The negative control of `benchmarks.exactly_once`, which must detect that keys are handed out twice.
"""

import time
from typing import Any

from keygen_site.asgi import application, wsgi_application
from pools import popping
from pools.api import single_pops

PAUSE_SECONDS = 0.02  # so that another process selects the same key meanwhile, also on a busy machine


def select_then_mark(model: Any, event: Any) -> Any:
    key = model.objects.filter(policy=event.policy_id).available().order_by("id").first()
    if key:
        time.sleep(PAUSE_SECONDS)
        key.popped = key.disclosed = event.created
        key.disclosure, key.disclosed_to = event.event, event.actor
        key.save(update_fields=["popped", "disclosed", "disclosure", "disclosed_to"])
        event.key, event.key_digest = key, key.digest
        event.save(force_insert=True)
    return key


popping._pop_postgresql = popping._pop_sqlite = lambda model, policy, event: select_then_mark(model, event)
single_pops.pop_of_found_policy = lambda *arguments: None  # so that the policy is found first, and then a key

__all__ = ["application", "wsgi_application"]
