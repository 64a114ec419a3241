"""What the actions of policies, products and licenses take and give: see `keygen_site.jsonapi.operations`."""

from accounts.api.serializers.tokens import OF_LICENSE
from keygen_site.jsonapi.openapi.schemas import LINK, MOMENT, UUID, objects, or_null
from keygen_site.jsonapi.operations import FLAG, File, Operation, Parameter
from keygen_site.jsonapi.request_documents import Member, linkage
from licensing.api.serializers.check_out import INCLUDES, SCHEMA

_TEXT = Member("string")
_TEXTS = Member("array", blank=True, items=Member("string", required=True))
_SCOPE = {
    **dict.fromkeys(("product", "policy", "machine", "fingerprint", "checksum", "version"), _TEXT),
    "user": Member("string", nullable=True),
    **dict.fromkeys(("fingerprints", "components", "entitlements"), _TEXTS),
}
_ASKED = {"nonce": Member("integer"), "scope": Member(members=_SCOPE)}
_VALIDATE = {"meta": Member(members=_ASKED)}
_VALIDATE_KEY = {
    "meta": Member(
        required=True,
        members={
            "key": Member("string", required=True),
            **_ASKED,
            "encrypted": Member("boolean"),
            "legacy_encrypted": Member("boolean"),
        },
    )
}
_VERDICT = {
    "ts": Member("time", required=True),
    "valid": Member("boolean", required=True),
    "detail": Member("string", required=True),
    "code": Member("string", required=True),
}
_TO_POLICY = linkage("policies", "policy").members
_TO_USER = linkage("users", "user", nullable=True).members
_TO_USERS = {
    "data": Member(
        "array",
        required=True,
        blank=True,
        items=Member(
            required=True,
            members={
                "type": Member("string", required=True, one_of=("users", "user")),
                "id": Member("uuid", required=True),
            },
        ),
    )
}


def _number(name):
    return {"meta": Member(members={name: Member("integer")})}


def _linked(type):
    return objects(
        {
            "links": objects({"related": LINK}),
            "data": objects({"type": {"type": "string", "enum": [type]}, "id": UUID}),
        }
    )


# It is made when it is asked for, and kept nowhere.
_LICENSE_FILE = objects(
    {
        "id": UUID,
        "type": {"type": "string", "enum": ["license-files"]},
        "attributes": objects(
            {
                "certificate": {"type": "string"},
                "algorithm": {"type": "string"},
                "includes": {"type": "array", "items": {"type": "string", "enum": sorted(INCLUDES)}},
                "ttl": {"type": ["integer", "null"]},
                "expiry": or_null(MOMENT),
                "issued": MOMENT,
            }
        ),
        "relationships": objects({"account": _linked("accounts"), "license": _linked("licenses")}),
    }
)
_WISHES = {
    "encrypt": Parameter("Whether the file is encrypted with the license's key.", FLAG),
    "algorithm": Parameter("How it is written and signed, e.g. `aes-256-gcm+ed25519`."),
    "ttl": Parameter("For how many seconds it counts, 3600 at least; nothing: for ever."),
    "include": Parameter(f"What is put beside the license, separated by commas: {', '.join(INCLUDES)}."),
}

PRODUCT = {"product": Operation("Show the product that it is of", gives="products")}

LICENSES = {
    **PRODUCT,
    "quick_validate": Operation(
        "Say whether a license is valid, without a scope",
        gives="licenses",
        meta=_VERDICT,
    ),
    "validate": Operation(
        "Say whether a license is valid",
        "An answer is not an error: an expired license is `200` with `valid: false` and the reason as `code`.",
        takes=_VALIDATE,
        gives="licenses",
        meta=_VERDICT | _ASKED,
    ),
    "validate_key": Operation(
        "Say whether a key is a valid license's",
        "Nobody needs a credential; guessing is made slow.",
        takes=_VALIDATE_KEY,
        gives="licenses",
        nullable=True,
        meta=_VERDICT | _ASKED,
    ),
    "suspend": Operation("Suspend a license", gives="licenses"),
    "reinstate": Operation("Reinstate a suspended license", gives="licenses"),
    "renew": Operation("Extend a license by its policy's duration", gives="licenses"),
    "check_in": Operation("Check a license in", gives="licenses"),
    "reset_usage": Operation("Set the uses of a license to 0", gives="licenses"),
    "revoke": Operation("Delete a license", "Its key does not go back into the pool.", status=204),
    "increment_usage": Operation("Add to the uses of a license", takes=_number("increment"), gives="licenses"),
    "decrement_usage": Operation("Take from the uses of a license", takes=_number("decrement"), gives="licenses"),
    "check_out": Operation(
        "Get a license file as a resource object",
        "What the document says counts more than the query.",
        takes=SCHEMA,
        data=_LICENSE_FILE,
        parameters=_WISHES,
    ),
    "check_out_file": Operation("Get a license file", gives=File(("application/octet-stream",)), parameters=_WISHES),
    "policy": Operation("Show the policy of a license", gives="policies"),
    "change_policy": Operation("Put a license under another policy", takes=_TO_POLICY, gives="licenses"),
    "owner": Operation("Show the owner of a license", gives="users", nullable=True),
    "change_owner": Operation("Give a license another owner, or none", takes=_TO_USER, gives="licenses"),
    "former_owner": Operation(
        "Show the owner of a license", "Up to version 1.5.", gives="users", nullable=True, deprecated=True
    ),
    "change_former_owner": Operation(
        "Give a license another owner, or none",
        "Up to version 1.5.",
        takes=_TO_USER,
        gives="licenses",
        deprecated=True,
    ),
    "group": Operation("Show the group of a license", "There are no groups.", status=None),
    "entitlements": Operation("List the entitlements of a license", "There are none.", paged=True),
    "entitlement": Operation("Show an entitlement of a license", "There are none.", status=None),
    "machines": Operation("List the machines of a license", "There are none.", paged=True),
    "machine": Operation("Show a machine of a license", "There are none.", status=None),
}

LICENSE_USERS = {
    "attach": Operation("Attach users to a license, 1 to 100", takes=_TO_USERS, gives="license-users", many=True),
    "detach": Operation("Detach users from a license, 1 to 100", takes=_TO_USERS, status=204),
}

LICENSE_TOKENS = {
    "create": Operation(
        "Make a token that speaks for the license",
        "The text of the token is in this answer only.",
        takes=OF_LICENSE,
        gives="tokens",
    ),
}
