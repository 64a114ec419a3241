"""A `curl` command for each operation, to paste into a shell with the variables of the introduction."""

import json
import re
import shlex
from collections.abc import Mapping
from typing import Any

from keygen_site.jsonapi.openapi.routes import BASE, BASE_OF_ACCOUNT, Endpoint
from keygen_site.jsonapi.operations import Access, File

_UPLOAD = "keys.csv"
# Variables that are something else: the credential, and in all shells the name of the person.
_TAKEN = ("TOKEN", "USER")


def curl_sample(endpoint: Endpoint, described: Mapping[str, Any], document: Any = None) -> dict[str, str]:
    """An entry of `x-codeSamples`.

    Args:
        described: the operation object.
        document: an example of the request document, if there is one.
    """
    lines = [f'curl{_method(endpoint, document)} "{_url(endpoint)}"']
    if credential := _credential(endpoint, described):
        lines.append(credential)
    if any(each.get("$ref", "").endswith("/IdempotencyKey") for each in described["parameters"]):
        lines.append('-H "Idempotency-Key: order-4711"')
    if endpoint.action and isinstance(endpoint.operation.takes, File):
        lines += ['-H "Content-Type: text/csv"', f"--data-binary @{_UPLOAD}"]
    elif document is not None:
        text = json.dumps(document, indent=2, ensure_ascii=False)
        lines += ['-H "Content-Type: application/vnd.api+json"', f"-d {shlex.quote(text)}"]
    return {"lang": "Shell", "label": "curl", "source": " \\\n  ".join(lines)}


def _method(endpoint: Endpoint, document: Any) -> str:
    has_body = document is not None or (endpoint.action and isinstance(endpoint.operation.takes, File))
    default = "POST" if has_body else "GET"
    return "" if endpoint.method == default else f" -X {endpoint.method}"


def _credential(endpoint: Endpoint, described: Mapping[str, Any]) -> str:
    if described.get("security", [None])[:1] in ([], [{}]):
        return ""
    if Access.PASSWORD in endpoint.operation.access:
        return '-u "$EMAIL:$PASSWORD"'
    return '-H "Authorization: Bearer $TOKEN"'


def _url(endpoint: Endpoint) -> str:
    """The URL with shell variables: `$API` is the URL of the account, `$SERVER` that of the server."""
    path = endpoint.path
    account = BASE_OF_ACCOUNT.rstrip("/")
    if path == account or path.startswith(BASE_OF_ACCOUNT):
        path = f"$API{path.removeprefix(account)}"
    elif endpoint.name == "account" or not endpoint.action or BASE_OF_ACCOUNT in path:
        path = f"$SERVER{path}"
    else:
        path = f"$API/{path.removeprefix(BASE)}"
    return re.sub(r"{(\w+)}", lambda found: f"${_variable(endpoint, found[1])}", path)


def _variable(endpoint: Endpoint, parameter: str) -> str:
    """The name of the shell variable for a path parameter, e.g. `POLICY`."""
    noun = parameter
    if parameter == "id":
        noun = endpoint.view.serializer_class.type_name().removesuffix("s").replace("policie", "policy")
    variable = noun.upper().replace("-", "_")
    return f"{variable}_ID" if variable in _TAKEN else variable
