"""Check-out: what a client may wish for, and the license file that it gets (contract: licenses 7.6)."""

from dataclasses import dataclass
from datetime import datetime
from uuid import uuid4

from accounts.api.serializers.users import UserSerializer
from accounts.models import User
from keygen_site.jsonapi import request_documents
from keygen_site.jsonapi.errors import BadRequest
from keygen_site.jsonapi.request_documents import Member
from keygen_site.jsonapi.serializers import ACCOUNT_PATH, timestamp
from licensing.api.filters import FALSE
from licensing.api.serializers.licenses import LicenseSerializer
from licensing.api.serializers.policies import PolicySerializer
from licensing.api.serializers.products import ProductSerializer
from licensing.durations import MONTH, later
from licensing.license_files import ENCODINGS, PLAIN, SEALED, SIGNATURES, certificate
from licensing.signed_keys import algorithm_of

SHORTEST = 3600  # seconds
SCHEMA = {
    "meta": Member(
        members={
            "encrypt": Member("boolean"),
            "algorithm": Member("string", nullable=True, blank=True),
            "ttl": Member("integer", nullable=True),
            "include": Member("array", blank=True, items=Member("string", required=True, blank=True)),
        }
    )
}
# What may be put beside the license, and what one has to be permitted for it. There are no groups, entitlements yet.
INCLUDES = {
    "entitlements": "license.read",
    "product": "product.read",
    "policy": "policy.read",
    "group": "license.read",
    "owner": "user.read",
    "users": "user.read",
}


class TTLInvalid(BadRequest):
    code = "CHECKOUT_TTL_INVALID"
    source = {"parameter": "ttl"}
    detail = f"must be greater than or equal to {SHORTEST} (1 hour)"


class IncludeInvalid(BadRequest):
    code = "CHECKOUT_INCLUDE_INVALID"
    source = {"parameter": "include"}
    detail = "invalid includes"


class AlgorithmInvalid(BadRequest):
    code = "CHECKOUT_ALGORITHM_INVALID"
    source = {"parameter": "algorithm"}


@dataclass(frozen=True)
class CheckOutOptions:
    """What a license file is to be like.

    Attributes:
        issued, ttl, expiry: from when, for how many seconds and until when it counts; None: for ever.
        encoding, signature: how it is written and signed.
        includes: names out of `INCLUDES`.
    """

    issued: datetime
    ttl: int | None
    expiry: datetime | None
    encoding: str
    signature: str
    includes: tuple[str, ...]

    @property
    def algorithm(self):
        return f"{self.encoding}+{self.signature}"


def parse_check_out(request, license, now):
    """What a request says in its query and in its document, of which the latter counts more.

    Raises:
        BadRequest: it cannot be had.
    """
    said = _in_query(request.query_params)
    if request.method == "POST":
        said |= request_documents.read(request.data, SCHEMA).get("meta", {})
    ttl = said.get("ttl", MONTH)
    if ttl is not None and ttl < SHORTEST:
        raise TTLInvalid
    try:
        expiry = None if ttl is None else later(now, ttl)
    except OverflowError:
        raise TTLInvalid("is too far in the future") from None
    includes = tuple(dict.fromkeys("owner" if name == "user" else name for name in said.get("include", ())))
    if not set(includes) <= set(INCLUDES):
        raise IncludeInvalid
    encoding, signature = SEALED if said.get("encrypt") else PLAIN, algorithm_of(license.policy.scheme)
    if algorithm := said.get("algorithm"):
        encoding, _, signature = algorithm.partition("+")
    if encoding not in ENCODINGS:
        raise AlgorithmInvalid("invalid encoding algorithm")
    if signature not in SIGNATURES:
        raise AlgorithmInvalid("invalid signing algorithm")
    return CheckOutOptions(now, ttl, expiry, encoding, signature, includes)


def _in_query(query):
    said = {}
    if "encrypt" in query:
        said["encrypt"] = query["encrypt"] not in ("", *FALSE)
    if "algorithm" in query:
        said["algorithm"] = query["algorithm"]
    if "ttl" in query:
        said["ttl"] = _number(query["ttl"])
    if query.get("include"):
        said["include"] = query["include"].split(",")
    return said


def _number(text):
    if not text:
        return None
    try:
        return int(text)
    except ValueError:
        raise BadRequest("type mismatch (received string expected integer)", parameter="ttl") from None


def render_license_file(license, wish):
    """The text of the license file."""
    document = {
        "data": LicenseSerializer.resource_object(license),
        "meta": {"issued": timestamp(wish.issued), "expiry": timestamp(wish.expiry), "ttl": wish.ttl},
    }
    included = [shown for name in INCLUDES if name in wish.includes for shown in _included(license, name)]
    if included:
        # The owner is one of the users, and nobody is there twice.
        document["included"] = list({shown["id"]: shown for shown in included}.values())
    return certificate(document, license, encoding=wish.encoding, signature=wish.signature)


def _included(license, name):
    match name:
        case "product":
            return [ProductSerializer.resource_object(license.product)]
        case "policy":
            return [PolicySerializer.resource_object(license.policy)]
        case "owner":
            owners = User.objects.with_activity().filter(pk=license.owner_id)
            return [UserSerializer.resource_object(owner) for owner in owners]
        case "users":
            users = license.all_users().with_activity()
            return [UserSerializer.resource_object(user) for user in users]
    return []


def license_file_object(license, wish, text):
    """A license file as a resource object. It is kept nowhere, so its id is good for nothing."""
    account_path = ACCOUNT_PATH.format(license.account_id)
    return {
        "id": str(uuid4()),
        "type": "license-files",
        "attributes": {
            "certificate": text,
            "algorithm": wish.algorithm,
            "includes": list(wish.includes),
            "ttl": wish.ttl,
            "expiry": timestamp(wish.expiry),
            "issued": timestamp(wish.issued),
        },
        "relationships": {
            "account": {
                "links": {"related": account_path},
                "data": {"type": "accounts", "id": str(license.account_id)},
            },
            "license": {
                "links": {"related": LicenseSerializer.path_of(license)},
                "data": {"type": "licenses", "id": str(license.pk)},
            },
        },
    }
