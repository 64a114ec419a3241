"""Request documents and expected resource objects for licenses."""

from datetime import UTC, datetime

LIMITS = ["maxMachines", "maxProcesses", "maxUsers", "maxCores", "maxMemory", "maxDisk", "maxUses"]
DEFAULTS = {
    "name": None,
    "expiry": None,
    "status": "ACTIVE",
    "uses": 0,
    "suspended": False,
    "scheme": None,
    "encrypted": False,
    "strict": False,
    "floating": False,
    "protected": True,
    "version": None,
    **dict.fromkeys(LIMITS),
    "maxMachines": 1,
    "requireHeartbeat": False,
    "requireCheckIn": False,
    "lastValidated": None,
    "lastCheckIn": None,
    "nextCheckIn": None,
    "lastCheckOut": None,
    "metadata": {},
}


def shown(moment):
    """Format a timestamp as the API does."""
    return moment and moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"


def moment(text):
    """Parse an ISO 8601 date or timestamp as UTC."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def license_object(license, users=0, **attributes):
    """A license as the contract shows it; `attributes` are those that differ from a new license's."""
    account = f"/v1/accounts/{license.account_id}"
    path = f"{account}/licenses/{license.pk}"

    def to(name, **members):
        return {"links": {"related": f"{path}/{name}"}, **members}

    def data(type, uuid):
        return uuid and {"type": type, "id": str(uuid)}

    own = {"key": license.key, "created": shown(license.created), "updated": shown(license.updated)}
    return {
        "id": str(license.pk),
        "type": "licenses",
        "links": {"self": path},
        "attributes": DEFAULTS | own | attributes,
        "relationships": {
            "account": {"links": {"related": account}, "data": data("accounts", license.account_id)},
            "product": to("product", data=data("products", license.product_id)),
            "policy": to("policy", data=data("policies", license.policy_id)),
            "group": to("group", data=None),
            "owner": to("owner", data=data("users", license.owner_id)),
            "users": to("users", meta={"count": users}),
            "machines": to("machines", meta={"cores": 0, "memory": 0, "disk": 0, "count": 0}),
            "tokens": to("tokens"),
            "entitlements": to("entitlements"),
        },
    }


def change(**attributes):
    """Return a document that changes a license."""
    return {"data": {"type": "licenses", "attributes": attributes}}


def linkage(type, row):
    """Return a linkage document for one row, or null."""
    return {"data": row and {"type": type, "id": str(getattr(row, "pk", row))}}
