"""Check-out: its options and the license file (contract: licenses 7.6)."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from django.http import QueryDict

from accounts.api.serializers.groups import GroupSerializer
from accounts.api.serializers.users import UserSerializer
from accounts.bearers import Bearer
from accounts.models import User
from accounts.signing.algorithms import KEY_KIND_BY_ALGORITHM
from keygen_site.jsonapi import types
from keygen_site.jsonapi.errors import REFERENCE, BadRequest, DomainError
from keygen_site.jsonapi.openapi.schemas import linkage_schema, object_schema, or_null
from keygen_site.jsonapi.operations import BOOLEAN, Parameter
from keygen_site.jsonapi.request_documents import Members, Schema
from keygen_site.jsonapi.serializers import ACCOUNT_PATH
from keygen_site.jsonapi.text import leading_integer, timestamp
from keygen_site.jsonapi.versions import CURRENT_VERSION, downgrade
from licensing import license_files
from licensing.api.serializers.entitlements import EntitlementSerializer
from licensing.api.serializers.licenses import LicenseSerializer
from licensing.api.serializers.policies import PolicySerializer
from licensing.api.serializers.products import ProductSerializer
from licensing.durations import MONTH, add_duration
from licensing.license_files import AES_256_GCM, BASE64, ENCODINGS, FileKind, render_certificate
from licensing.models import Entitlement, License
from licensing.signed_keys import signature_algorithm

MIN_TTL = 3600  # seconds
# The resources that a file may include, and the permission that each needs. Environments are not supported: there are
# none to include.
INCLUDES = {
    "entitlements": "entitlement.read",
    "product": "product.read",
    "policy": "policy.read",
    "group": "group.read",
    "owner": "user.read",
    "users": "user.read",
    "environment": "license.read",
}
# The names that owners had up to version 1.5.
_FORMER_NAMES = {"user": "owner", "license.user": "license.owner"}
# The texts in a query that mean true for `encrypt`; any other text is false.
TRUE_TEXTS = frozenset({"1", "t", "T", "true", "TRUE", "y", "Y", "yes", "YES"})


def _read_ttl(value: Any, pointer: str | None = None, parameter: str | None = None) -> int | None:
    """A number of seconds: a text counts as the number that it begins with, a blank one as null."""
    match value:
        case bool() | list() | dict():
            name = {bool: "boolean", list: "array", dict: "hash"}[type(value)]
            raise BadRequest(f"failed to coerce {name} to integer", pointer=pointer, parameter=parameter)
        case str():
            return leading_integer(value) if value.strip() else None
    return int(value)


def _read_includes(value: Any, pointer: str | None) -> list[str]:
    """The names in an array, without nulls. Other scalars become texts that are no names."""
    names = types.ARRAY.read(value, pointer)
    for index, name in enumerate(names):
        if isinstance(name, list | dict):
            raise BadRequest("unpermitted type (expected array of scalar types)", pointer=f"{pointer}/{index}")
    return [str(name) for name in names if name is not None]


_TTL = replace(types.INTEGER, read=_read_ttl)


def check_out_parameters(includes: Iterable[str], secret: str) -> dict[str, Parameter]:
    """The query parameters of a check-out.

    Args:
        includes: the names that `include` may have.
        secret: the secret of an encrypted file, for the description.
    """
    return {
        "encrypt": Parameter(
            f"Whether the file is encrypted with {secret}. Not if its policy is `encrypted`.", BOOLEAN
        ),
        "algorithm": Parameter("How the file is encoded and signed, e.g. `aes-256-gcm+ed25519`."),
        "ttl": Parameter(
            "For how many seconds the file is valid, at least 3600; empty: without end. By default a month."
        ),
        "include": Parameter(f"Resources to include, separated by commas: {', '.join(includes)}."),
    }


def check_out_members(includes: Iterable[str], parameters: Mapping[str, Parameter]) -> Members:
    """The members of a document that checks out, for the options of the query."""
    names = list(includes)
    array = {"type": "array", "items": {"type": "string", "enum": names}}
    options = {
        "encrypt": Schema(types.BOOLEAN, description=parameters["encrypt"].description),
        "algorithm": Schema(types.STRING, nullable=True, blank=True, description=parameters["algorithm"].description),
        "ttl": Schema(_TTL, nullable=True, description=parameters["ttl"].description.replace("empty", "null")),
        "include": Schema(
            replace(types.ARRAY, read=_read_includes, schema=array),
            blank=True,
            description=f"Resources to include: {', '.join(names)}.",
        ),
    }
    return {"meta": Schema(members=options, description="The options of the check-out.")}


PARAMETERS = check_out_parameters(INCLUDES, "the license's key")
CHECK_OUT = check_out_members(INCLUDES, PARAMETERS)


def file_schema(noun: str, includes: Iterable[str]) -> dict[str, Any]:
    """The JSON Schema of a license or machine file as a resource object.

    Args:
        noun: `license` or `machine`.
    """
    related = {"license": "licenses"} | ({"machine": "machines"} if noun == "machine" else {})
    relationships = {name: linkage_schema(type) | {"description": f"The {name}."} for name, type in related.items()}
    account = {"account": linkage_schema("accounts") | {"description": "The account."}}
    return object_schema(
        {
            "id": types.UUID_SCHEMA | {"description": f"A new id each time: {noun} files are not stored."},
            "type": {"type": "string", "enum": [f"{noun}-files"], "description": "The resource type."},
            "attributes": object_schema(
                {
                    "certificate": {"type": "string", "description": f"The text of the {noun} file."},
                    "algorithm": {"type": "string", "description": "How the file is encoded and signed."},
                    "includes": {
                        "type": "array",
                        "items": {"type": "string", "enum": sorted(includes)},
                        "description": "The included resources.",
                    },
                    "ttl": {
                        "type": ["integer", "null"],
                        "description": "For how many seconds it is valid; null: without end.",
                    },
                    "expiry": or_null(types.TIME_SCHEMA)
                    | {"description": "Until when it is valid; null: without end."},
                    "issued": types.TIME_SCHEMA | {"description": "When it was checked out."},
                }
            )
            | {"description": f"The values of the {noun} file."},
            "relationships": object_schema(account | relationships) | {"description": "The related resources."},
        }
    )


LICENSE_FILE = file_schema("license", INCLUDES)


class TTLInvalid(BadRequest):
    """`ttl` is less than an hour, or too large."""

    code = "CHECKOUT_TTL_INVALID"
    source = {"parameter": "ttl"}
    detail = f"must be greater than or equal to {MIN_TTL} (1 hour)"


class IncludeInvalid(BadRequest):
    """`include` names something that a license file cannot include."""

    code = "CHECKOUT_INCLUDE_INVALID"
    source = {"parameter": "include"}
    detail = "invalid includes"


class AlgorithmInvalid(BadRequest):
    """`algorithm` is not one of the supported encodings with a supported signature."""

    code = "CHECKOUT_ALGORITHM_INVALID"
    source = {"parameter": "algorithm"}


class EncryptionNotSupported(DomainError):
    """Only the hash of the license's key is stored, so the file would be one that its customer cannot open."""

    title = "Unprocessable resource"
    code = "CHECKOUT_ENCRYPTION_NOT_SUPPORTED"
    about = REFERENCE
    source = {"parameter": "encrypt"}
    detail = "is not supported for a license whose key is stored as a hash only (check it out without encryption)"


@dataclass(frozen=True)
class CheckOutOptions:
    """Parsed options of a check-out.

    Attributes:
        issued, ttl, expiry: the start, the length in seconds and the end of the file's validity; None: without end.
        encoding, signature: how the file is encoded and signed.
        includes: names out of `INCLUDES`.
    """

    issued: datetime
    ttl: int | None
    expiry: datetime | None
    encoding: str
    signature: str
    includes: tuple[str, ...]

    @property
    def algorithm(self) -> str:
        return f"{self.encoding}+{self.signature}"

    @property
    def meta(self) -> dict[str, Any]:
        """The `meta` of the file's document."""
        return {"issued": timestamp(self.issued), "expiry": timestamp(self.expiry), "ttl": self.ttl}


def parse_check_out(
    given: Mapping[str, Any], license: License, now: datetime, names: Collection[str] = frozenset(INCLUDES)
) -> CheckOutOptions:
    """The given options, by name, with defaults for the others.

    Args:
        names: the resources that a file can include.

    Raises:
        BadRequest: the first option that is invalid.
        EncryptionNotSupported: the file cannot be encrypted.
    """
    includes = tuple(dict.fromkeys(_FORMER_NAMES.get(name, name) for name in given.get("include", ())))
    if not set(includes) <= set(names):
        raise IncludeInvalid
    ttl = given.get("ttl", MONTH)
    if ttl is not None and ttl < MIN_TTL:
        raise TTLInvalid
    try:
        expiry = None if ttl is None else add_duration(now, ttl)
    except OverflowError:
        raise TTLInvalid("is too far in the future") from None
    encoding, signature = AES_256_GCM if given.get("encrypt") else BASE64, signature_algorithm(license.policy.scheme)
    algorithm = given.get("algorithm") or ""
    if algorithm.strip():
        encoding, _, signature = algorithm.partition("+")
    if encoding not in ENCODINGS:
        raise AlgorithmInvalid("invalid encoding algorithm")
    if signature not in KEY_KIND_BY_ALGORITHM:
        raise AlgorithmInvalid("invalid signing algorithm")
    if encoding == AES_256_GCM and license.policy.encrypted:
        raise EncryptionNotSupported
    return CheckOutOptions(now, ttl, expiry, encoding, signature, includes)


def parse_check_out_query(query: QueryDict) -> dict[str, Any]:
    """The options in the query, by name.

    Raises:
        BadRequest: `ttl` is an array or an object.
    """
    given: dict[str, Any] = {}
    if "encrypt" in query:
        given["encrypt"] = query["encrypt"] in TRUE_TEXTS
    if "algorithm" in query:
        given["algorithm"] = query["algorithm"]
    if any(name.startswith("algorithm[") for name in query):
        given["algorithm"] = "[]"  # an array or an object is no algorithm
    if "ttl" in query:
        given["ttl"] = _read_ttl(query["ttl"])
    for name in query:
        if name.startswith("ttl["):
            _read_ttl([] if name == "ttl[]" else {}, parameter="ttl")
    if names := query.get("include", "").rstrip(","):
        given["include"] = names.split(",")
    if any(name.startswith("include[") for name in query):
        given["include"] = query.getlist("include[]") or ["[]"]  # an object is no list of names
    return given


def render_license_file(license: License, options: CheckOutOptions, version: str, bearer: Bearer) -> str:
    """The text of a license file in the form of an API version, with the included resources that a bearer may see."""
    data = LicenseSerializer.resource_object(license)
    document: dict[str, Any] = {"data": data, "meta": options.meta}
    included: dict[str, dict[str, Any]] = {}  # by id: the owner is one of the users too
    for name in options.includes:
        resources = included_with_license(license, name, options.issued, bearer)
        if name in ("users", "entitlements"):
            data["relationships"][name]["data"] = linkage_of(resources)
        add_resources(included, resources)
    if included:
        document["included"] = list(included.values())
    return render_document(license_files.LICENSE_FILE, document, license.account_id, options, version, license.key)


def add_resources(included: dict[str, dict[str, Any]], resources: Iterable[dict[str, Any]]) -> None:
    """Add resource objects to those that a file includes by id, each once."""
    for shown in resources:
        included.setdefault(shown["id"], shown)


def linkage_of(resources: Iterable[dict[str, Any]]) -> list[dict[str, str]]:
    """The types and ids of resource objects."""
    return [{"type": shown["type"], "id": shown["id"]} for shown in resources]


def render_document(
    kind: FileKind, document: dict[str, Any], account_id: UUID, options: CheckOutOptions, version: str, secret: str
) -> str:
    """The text of a file with a document, in the form of an API version.

    Args:
        document: in the form of the current version. It is changed.
        secret: the secret that decrypts an encrypted file.
    """
    if version != CURRENT_VERSION:
        downgrade(document["data"], version)
        downgrade(document.get("included", []), version)
    return render_certificate(
        kind, document, account_id, secret=secret, encoding=options.encoding, signature=options.signature
    )


def included_with_license(license: License, name: str, now: datetime, bearer: Bearer) -> list[dict[str, Any]]:
    """The resources that a file includes for a license's relationship, as far as a bearer may see them."""
    visible = User.objects.with_activity(now).visible_to(bearer)
    match name:
        case "entitlements":
            entitlements = Entitlement.objects.of_license(license.pk)
            return [EntitlementSerializer.resource_object(entitlement) for entitlement in entitlements]
        case "group":
            return [GroupSerializer.resource_object(license.group)] if license.group else []
        case "product":
            return [ProductSerializer.resource_object(license.product)]
        case "policy":
            return [PolicySerializer.resource_object(license.policy)]
        case "owner":
            owners = visible.filter(pk=license.owner_id)
            return [UserSerializer.resource_object(owner) for owner in owners]
        case "users":
            # The user who was attached last comes first, the owner at the end.
            attached = visible.filter(license_users__license=license)
            users = attached.order_by("-license_users__id")
            return [UserSerializer.resource_object(user) for user in users] + included_with_license(
                license, "owner", now, bearer
            )
    return []


def license_file_object(license: License, options: CheckOutOptions, text: str) -> dict[str, Any]:
    """A license file as a resource object."""
    return file_object("license", options, text, {"license": license})


def file_object(noun: str, options: CheckOutOptions, text: str, related: Mapping[str, Any]) -> dict[str, Any]:
    """A file as a resource object. It is not stored, so its id is of no use.

    Args:
        noun: `license` or `machine`.
        text: the certificate.
        related: the row of each relationship, the license among them.
    """
    account_id = related["license"].account_id
    account_path = ACCOUNT_PATH.format(account_id)
    relationships = {
        "account": {"links": {"related": account_path}, "data": {"type": "accounts", "id": str(account_id)}}
    }
    for name, row in related.items():
        type = row.JSONAPIMeta.resource_name
        relationships[name] = {
            "links": {"related": f"{account_path}/{type}/{row.pk}"},
            "data": {"type": type, "id": str(row.pk)},
        }
    return {
        "id": str(uuid4()),
        "type": f"{noun}-files",
        "attributes": {
            "certificate": text,
            "algorithm": options.algorithm,
            "includes": list(options.includes),
            "ttl": options.ttl,
            "expiry": timestamp(options.expiry),
            "issued": timestamp(options.issued),
        },
        "relationships": relationships,
    }
