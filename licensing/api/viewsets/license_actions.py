"""The actions of licenses (contract: licenses 7)."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.http import HttpResponse
from django.utils import timezone
from rest_framework.decorators import action

from accounts import rate_limits
from accounts.authentication import client_ip
from accounts.permissions import Forbidden, require
from keygen_site.jsonapi import codec
from keygen_site.jsonapi.errors import BadRequest
from keygen_site.jsonapi.negotiation import Document
from keygen_site.jsonapi.operations import Access, File, Gives, operation
from keygen_site.jsonapi.request_documents import Members, Schema, meta
from keygen_site.jsonapi.requests import APIRequest
from keygen_site.jsonapi.text import timestamp
from keygen_site.jsonapi.types import ARRAY, BOOLEAN, INTEGER, LARGE_INTEGER, STRING, TIME
from keygen_site.jsonapi.versions import LAST_WITH_CONSTANTS
from licensing.api.serializers.check_out import (
    CHECK_OUT,
    INCLUDES,
    LICENSE_FILE,
    PARAMETERS,
    AlgorithmInvalid,
    CheckOutOptions,
    EncryptionNotSupported,
    IncludeInvalid,
    TTLInvalid,
    license_file_object,
    parse_check_out,
    parse_check_out_query,
    render_license_file,
)
from licensing.api.serializers.licenses import LicenseSerializer
from licensing.api.viewsets.license_base import LicenseBase
from licensing.models import License
from licensing.models.license_errors import (
    AlreadySuspended,
    CheckInNotRequired,
    NoDuration,
    NoExpiry,
    NotSuspended,
    UsesOutOfRange,
)
from licensing.services import validate_license
from licensing.validation import NOT_FOUND, find_license
from licensing.verdicts import Verdict

MAX_REPEATED_BYTES = 4096
MAX_SCOPE_ITEMS = 1_000  # of a list in a scope: each is compared in the database
_SCOPE: Members = {
    **{
        name: Schema(STRING, description=text)
        for name, text in {
            "product": "The id of the product that the license must be of.",
            "policy": "The id of the policy that the license must be under.",
            "machine": "The id of a machine of the license, which must be alive.",
            "fingerprint": "The fingerprint of a machine of the license, which must be alive.",
            "checksum": "The checksum of a release. There are none, so that the license is not valid.",
            "version": "The version of a release. There are none, so that the license is not valid.",
        }.items()
    },
    "user": Schema(
        STRING, nullable=True, description="The id or email of a user of the license; null: it must have no owner."
    ),
    **{
        name: Schema(
            ARRAY, blank=True, items=Schema(STRING, required=True), max_items=MAX_SCOPE_ITEMS, description=text
        )
        for name, text in {
            "fingerprints": "Fingerprints of machines of the license. The policy's `machineMatchingStrategy` says how "
            "many of them must match.",
            "components": "Fingerprints of components of the machine with the `fingerprint`. The policy's "
            "`componentMatchingStrategy` says how many of them must match.",
            "entitlements": "Codes of entitlements, all of which the license must have.",
        }.items()
    },
}
_VALIDATION: Members = {
    "nonce": Schema(LARGE_INTEGER, description="A number of the client's choice, which the response repeats."),
    "scope": Schema(
        members=_SCOPE, description="What the license must match; some of it may be required by its policy."
    ),
}
_VERDICT: Members = {
    "ts": Schema(TIME, required=True, description="When the license was validated."),
    "valid": Schema(BOOLEAN, required=True, description="Whether the license is valid."),
    "detail": Schema(STRING, required=True, description="The reason as a text, such as `is expired`."),
    "code": Schema(
        STRING, required=True, description="The reason as a code, such as `VALID`, `EXPIRED` or `NOT_FOUND`."
    ),
}


def _optional_number(name: str, description: str) -> Members:
    """A document that may have a number in `meta`."""
    number = Schema(INTEGER, description=description)
    return {"meta": Schema(members={name: number}, description="The options of the action.")}


class LicenseActions(LicenseBase):
    """Mixin of the viewset of licenses: the URLs with `actions/…`."""

    # Validation ------------------------------------------------------------------------------------------------------

    @action(detail=True, url_path="actions/validate")
    @operation(
        "Validate a license, without a scope",
        permission="license.validate",
        gives=Gives(LicenseSerializer, meta=_VERDICT),
    )
    def quick_validate(self, request: APIRequest, license: License) -> Document:
        return self._validate(license, None)

    @quick_validate.mapping.post
    @operation(
        "Validate a license",
        permission="license.validate",
        takes={"meta": Schema(members=_VALIDATION, description="The options of the validation.")},
        gives=Gives(LicenseSerializer, meta={**_VERDICT, **_VALIDATION}),
        locks=False,
        idempotent=False,
        records="",
    )
    def validate(self, request: APIRequest, license: License, document: dict[str, Any]) -> Document:
        """An invalid license is not an error: the response is `200` with `valid: false` and the reason as `code`. It
        repeats `nonce` and `scope` if they have 4 KiB at most."""
        return self._validate(license, document.get("meta", {}))

    @action(detail=False, methods=["post"], url_path="actions/validate-key")
    @operation(
        "Validate a license key",
        permission="license.validate",
        takes=meta(
            key=Schema(STRING, required=True, description="The key of the license."),
            **_VALIDATION,
            encrypted=Schema(BOOLEAN, description="Whether to look only among licenses whose key is stored as a hash."),
            legacy_encrypted=Schema(BOOLEAN, description="The same as `encrypted`."),
        ),
        gives=Gives(LicenseSerializer, nullable=True, meta={**_VERDICT, **_VALIDATION}),
        locks=False,
        idempotent=False,
        records="",
        document_first=True,
        access=Access.ANONYMOUS,
    )
    def validate_key(self, request: APIRequest, document: dict[str, Any]) -> Document:
        """Attempts with keys that do not exist, or that the bearer may not see, are limited."""
        options, bearer = document["meta"], request.user
        caller = (request.account.pk, client_ip(request))
        if bearer is None:
            rate_limits.KEY_GUESSES.refuse_if_spent(*caller)
        key, hashed = options["key"], bool(options.get("encrypted") or options.get("legacy_encrypted"))
        license = find_license(key, account=request.account, bearer=bearer, hashed=hashed)
        if license:
            return self._validate(license, options)
        if bearer is None or not bearer.is_staff:
            # A bearer may always ask for the keys that it sees: it learns nothing that it cannot list.
            rate_limits.KEY_GUESSES.hit(*caller)
        if bearer and find_license(key, account=request.account, hashed=hashed):
            raise Forbidden
        return self._verdict_document(None, NOT_FOUND, timezone.now(), options)

    def _validate(self, license: License, options: Mapping[str, Any] | None) -> Document:
        """Validate a license; without options quickly."""
        scope = None if options is None else options.get("scope", {})
        return self._verdict_document(license, *validate_license(license, scope), options or {})

    def _verdict_document(
        self, license: License | None, verdict: Verdict, now: datetime, options: Mapping[str, Any]
    ) -> Document:
        members = {"ts": timestamp(now), "valid": verdict.valid, "detail": verdict.detail, "code": verdict.code}
        if self.request.version <= LAST_WITH_CONSTANTS:
            # Fewer licenses are valid in these versions (contract: licenses 2.4).
            members["valid"] = verdict.valid and verdict.code in ("VALID", "EXPIRED")
            members["constant"] = members.pop("code")
        members |= {name: content for name, content in options.items() if name in _VALIDATION and _is_short(content)}
        return Document(data=license and LicenseSerializer.resource_object(license), meta=members)

    # Uses of a license (validations, check-ins and check-outs, counted uses) are not recorded, only changes by people.
    # State -----------------------------------------------------------------------------------------------------------

    @action(detail=True, methods=["post"], url_path="actions/suspend")
    @operation(
        "Suspend a license",
        permission="license.suspend",
        locks=True,
        idempotent=True,
        gives=LicenseSerializer,
        records="suspended",
        errors=(AlreadySuspended,),
    )
    def suspend(self, request: APIRequest, license: License) -> License:
        license.suspend()
        return license

    @action(detail=True, methods=["post"], url_path="actions/reinstate")
    @operation(
        "Reinstate a suspended license",
        permission="license.reinstate",
        locks=True,
        idempotent=True,
        gives=LicenseSerializer,
        records="reinstated",
        errors=(NotSuspended,),
    )
    def reinstate(self, request: APIRequest, license: License) -> License:
        license.reinstate()
        return license

    @action(detail=True, methods=["post"], url_path="actions/renew")
    @operation(
        "Extend a license by its policy's duration",
        permission="license.renew",
        locks=True,
        idempotent=True,
        gives=LicenseSerializer,
        records="renewed",
        errors=(
            NoDuration,
            NoExpiry,
        ),
    )
    def renew(self, request: APIRequest, license: License) -> License:
        license.renew()
        return license

    @action(detail=True, methods=["post"], url_path="actions/check-in")
    @operation(
        "Check a license in",
        permission="license.check-in",
        locks=True,
        idempotent=False,
        gives=LicenseSerializer,
        records="",
        errors=(CheckInNotRequired,),
    )
    def check_in(self, request: APIRequest, license: License) -> License:
        license.check_in()
        return license

    @action(detail=True, methods=["delete"], url_path="actions/revoke")
    @operation("Revoke a license", permission="license.revoke", locks=True, records="revoked")
    def revoke(self, request: APIRequest, license: License) -> None:
        """Deletes the license. Its key does not go back into the pool."""
        license.delete()

    # Uses ------------------------------------------------------------------------------------------------------------

    @action(detail=True, methods=["post"], url_path="actions/increment-usage")
    @operation(
        "Add to the uses of a license",
        permission="license.usage.increment",
        takes=_optional_number("increment", "How many uses to add; 1 by default."),
        gives=LicenseSerializer,
        locks=False,
        idempotent=True,
        records="",
    )
    def increment_usage(self, request: APIRequest, license: License, document: dict[str, Any]) -> License:
        number = document.get("meta", {}).get("increment", 1)
        if number < 0:
            # A bearer who may only add uses must not subtract them.
            require("license.usage.decrement", request.user)
        return _add_uses(license, number, pointer="/meta/increment")

    @action(detail=True, methods=["post"], url_path="actions/decrement-usage")
    @operation(
        "Subtract from the uses of a license",
        permission="license.usage.decrement",
        takes=_optional_number("decrement", "How many uses to subtract; 1 by default."),
        gives=LicenseSerializer,
        locks=False,
        idempotent=True,
        records="",
    )
    def decrement_usage(self, request: APIRequest, license: License, document: dict[str, Any]) -> License:
        number = document.get("meta", {}).get("decrement", 1)
        return _add_uses(license, -number, pointer="/meta/decrement", is_use=False)

    @action(detail=True, methods=["post"], url_path="actions/reset-usage")
    @operation(
        "Set the uses of a license to 0",
        permission="license.usage.reset",
        locks=True,
        idempotent=True,
        gives=LicenseSerializer,
        records="uses-reset",
    )
    def reset_usage(self, request: APIRequest, license: License) -> License:
        license.reset_uses()
        return license

    # Check-out -------------------------------------------------------------------------------------------------------

    @action(detail=True, methods=["post"], url_path="actions/check-out")
    @operation(
        "Get a license file as a resource object",
        permission="license.check-out",
        takes=CHECK_OUT,
        gives=Gives(data=LICENSE_FILE),
        locks=False,
        idempotent=False,
        records="",
        document_first=True,
        parameters=PARAMETERS,
        errors=(
            TTLInvalid,
            IncludeInvalid,
            AlgorithmInvalid,
            EncryptionNotSupported,
        ),
    )
    def check_out(self, request: APIRequest, license: License, document: CheckOutOptions) -> dict[str, Any]:
        """A member of the document overrides the query parameter of the same name."""
        return license_file_object(license, document, self._check_out(license, document))

    @check_out.mapping.get
    @operation(
        "Get a license file",
        permission="license.check-out",
        gives=File(("application/octet-stream",)),
        locks=False,
        records="",
        document_first=True,
        parameters=PARAMETERS,
        errors=(
            TTLInvalid,
            IncludeInvalid,
            AlgorithmInvalid,
            EncryptionNotSupported,
        ),
    )
    def check_out_file(self, request: APIRequest, license: License, document: CheckOutOptions) -> HttpResponse:
        return LicenseFile(self._check_out(license, document), filename=f"{license.pk}.lic")

    def _check_out(self, license: License, options: CheckOutOptions) -> str:
        for name in options.includes:
            require(INCLUDES[name], self.request.user)
        # The file shows the license as it was before the check-out (contract: licenses 7.6).
        text = render_license_file(license, options, self.request.version, self.actor)
        license.record_check_out(options.issued)
        return text

    def read_document(self, row: License | None) -> Any:
        if row is None or self.action not in ("check_out", "check_out_file"):
            return super().read_document(row)
        given = parse_check_out_query(self.request.query_params)
        if document := super().read_document(row):
            given |= document.get("meta", {})
        return parse_check_out(given, row, timezone.now())


def _is_short(content: Any) -> bool:
    """Whether a response repeats a part of its request: anyone could make it large at will otherwise."""
    return len(codec.dumps(content)) <= MAX_REPEATED_BYTES


def _add_uses(license: License, number: int, *, pointer: str, is_use: bool = True) -> License:
    try:
        license.add_uses(number, is_use=is_use)
    except UsesOutOfRange as error:
        raise BadRequest(error.detail, pointer=pointer) from None
    return license


class LicenseFile(HttpResponse):
    """A license or machine file as an attachment."""

    data = None  # other responses, of REST framework, have this attribute

    def __init__(self, text: str, *, filename: str) -> None:
        disposition = f'attachment; filename="{filename}"'
        super().__init__(text, content_type="application/octet-stream", headers={"Content-Disposition": disposition})
