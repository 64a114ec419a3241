"""Request documents and expected resource objects for products and policies."""

UNKNOWN = "01a20000-0000-7000-8000-000000000000"  # the id of nothing
DEFAULTS = {
    "duration": None,
    "strict": False,
    "floating": False,
    "usePool": False,
    "maxMachines": 1,
    "maxProcesses": None,
    "maxUsers": None,
    "maxCores": None,
    "maxMemory": None,
    "maxDisk": None,
    "maxUses": None,
    "machineUniquenessStrategy": "UNIQUE_PER_LICENSE",
    "machineMatchingStrategy": "MATCH_ANY",
    "componentUniquenessStrategy": "UNIQUE_PER_MACHINE",
    "componentMatchingStrategy": "MATCH_ANY",
    "expirationStrategy": "RESTRICT_ACCESS",
    "expirationBasis": "FROM_CREATION",
    "renewalBasis": "FROM_EXPIRY",
    "transferStrategy": "KEEP_EXPIRY",
    "authenticationStrategy": "TOKEN",
    "machineLeasingStrategy": "PER_LICENSE",
    "processLeasingStrategy": "PER_MACHINE",
    "overageStrategy": "NO_OVERAGE",
    "scheme": None,
    "encrypted": False,
    "protected": True,  # the accounts of the cast are
    "requireProductScope": False,
    "requirePolicyScope": False,
    "requireMachineScope": False,
    "requireFingerprintScope": False,
    "requireComponentsScope": False,
    "requireUserScope": False,
    "requireChecksumScope": False,
    "requireVersionScope": False,
    "requireCheckIn": False,
    "checkInInterval": None,
    "checkInIntervalCount": None,
    "heartbeatDuration": None,
    "heartbeatCullStrategy": "DEACTIVATE_DEAD",
    "heartbeatResurrectionStrategy": "NO_REVIVE",
    "heartbeatBasis": "FROM_FIRST_PING",
    "requireHeartbeat": False,
    "metadata": {},
}


def document(type, attributes, **relationships):
    """Return a request document; `relationships` are linkage documents by name."""
    data = {"type": type, "attributes": attributes}
    if relationships:
        data["relationships"] = relationships
    return {"data": data}


def product_document(**attributes):
    return document("products", {"name": "Rocket"} | attributes)


def policy_document(product, **attributes):
    return document("policies", {"name": "Basic"} | attributes, product=linkage(product))


def linkage(product):
    return {"data": {"type": "products", "id": str(getattr(product, "pk", product))}}


def policy_object(policy, **attributes):
    """A policy as the contract shows it; `attributes` are those that differ from a new policy's."""
    account, path = _account(policy), f"/v1/accounts/{policy.account_id}/policies/{policy.pk}"
    product = {"links": {"related": f"{path}/product"}, "data": {"type": "products", "id": str(policy.product_id)}}
    return {
        "id": str(policy.pk),
        "type": "policies",
        "links": {"self": path},
        "attributes": {"name": "Basic"} | DEFAULTS | _moments(policy) | attributes,
        "relationships": {"account": account, "product": product} | _links(path, "pool licenses entitlements"),
    }


def product_object(product, **attributes):
    """A product as the contract shows it; `attributes` are those that differ from a new product's."""
    path = f"/v1/accounts/{product.account_id}/products/{product.pk}"
    new = {
        "name": "Rocket",
        "code": None,
        "distributionStrategy": "LICENSED",
        "url": None,
        "platforms": None,
        "metadata": {},
    }
    names = "policies licenses machines users tokens platforms channels releases artifacts"
    return {
        "id": str(product.pk),
        "type": "products",
        "links": {"self": path},
        "attributes": new | _moments(product) | attributes,
        "relationships": {"account": _account(product)} | _links(path, names),
    }


def _account(row):
    path = f"/v1/accounts/{row.account_id}"
    return {"links": {"related": path}, "data": {"type": "accounts", "id": str(row.account_id)}}


def _links(path, names):
    return {name: {"links": {"related": f"{path}/{name}"}} for name in names.split()}


def _moments(row):
    return {name: getattr(row, name).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z" for name in ("created", "updated")}


def ids(response):
    """Return the ids in a list response, in order."""
    assert response.status_code == 200, response.content
    return [resource_object["id"] for resource_object in response.json()["data"]]
