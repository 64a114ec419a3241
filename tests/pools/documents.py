"""Request documents for keys."""


def key_document(policy, key="KEY-0001", **changes):
    """A document that creates a key; `changes` replace members of `data`, None takes one out."""
    data = {
        "type": "keys",
        "attributes": {"key": key},
        "relationships": {"policy": linkage(policy)},
    } | changes
    return {"data": {name: value for name, value in data.items() if value is not None}}


def linkage(policy):
    return {"data": {"type": "policies", "id": str(getattr(policy, "pk", policy))}}


def key_object(key):
    """Return a key as the API shows it, with its members in order."""
    account, path = str(key.account_id), f"/v1/accounts/{key.account_id}/keys/{key.pk}"
    product = str(key.policy.product_id)
    return {
        "id": str(key.pk),
        "type": "keys",
        "links": {"self": path},
        "attributes": {"key": key.key, "created": moment(key.created), "updated": moment(key.updated)},
        "relationships": {
            "account": {
                "links": {"related": f"/v1/accounts/{account}"},
                "data": {"type": "accounts", "id": account},
            },
            "product": {"links": {"related": f"{path}/product"}, "data": {"type": "products", "id": product}},
            "policy": {"links": {"related": f"{path}/policy"}, "data": {"type": "policies", "id": str(key.policy_id)}},
        },
    }


def moment(value):
    """Format a timestamp as the API does: ISO 8601, three fractional digits, Z."""
    return value.strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"
