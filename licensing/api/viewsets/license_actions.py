"""What can be done to a license (contract: licenses 7)."""

from django.db import transaction
from django.http import HttpResponse
from django.utils import timezone
from rest_framework import status
from rest_framework.decorators import action
from rest_framework.response import Response

from accounts.authentication import client_address
from accounts.permissions import Forbidden, require
from keygen_site.jsonapi.errors import BadRequest
from keygen_site.jsonapi.negotiation import Document
from keygen_site.jsonapi.serializers import timestamp
from licensing.api.serializers.check_out import INCLUDES, license_file_object, parse_check_out, render_license_file
from licensing.api.serializers.licenses import LicenseSerializer
from licensing.api.viewsets.license_base import LicenseBase
from licensing.models import License, find_license
from licensing.models.licenses import MOST_USES
from licensing.rate_limits import GUESSES
from licensing.services import validate_license
from licensing.validation import NOT_FOUND

# Until then an answer said "constant" for "code", and was more often "no" (contract: licenses 2.4).
LAST_WITH_CONSTANTS = "1.1"


class LicenseActions(LicenseBase):
    """Mixin of the viewset of licenses: what an address says after `actions/`."""

    @action(detail=True, url_path="actions/validate")
    def quick_validate(self, request, *args, **kwargs):
        license = self.get_object()
        return self._answer(license, *validate_license(license, scope=None, quick=True))

    @quick_validate.mapping.post
    def validate(self, request, *args, **kwargs):
        license = self.get_object()
        asked = self.document().get("meta", {})
        return self._answer(license, *validate_license(license, scope=asked.get("scope", {})), asked)

    @action(detail=False, methods=["post"], url_path="actions/validate-key")
    def validate_key(self, request, *args, **kwargs):
        """The same by the key alone; nobody has to say who they are, so guessing is made slow."""
        asked = self.document()["meta"]
        self.authorize()
        guesser = (request.account.pk, client_address(request))
        if request.user is None:
            GUESSES.refuse_if_spent(*guesser)
        hidden = bool(asked.get("encrypted") or asked.get("legacy_encrypted"))
        license = find_license(asked["key"], account=request.account, bearer=request.user, hidden=hidden)
        if license is None:
            if request.user is None:
                GUESSES.hit(*guesser)
            elif find_license(asked["key"], account=request.account, hidden=hidden):
                raise Forbidden
            return self._answer(None, NOT_FOUND, timezone.now(), asked)
        return self._answer(license, *validate_license(license, scope=asked.get("scope", {})), asked)

    def _answer(self, license, verdict, moment, asked=()):
        meta = {"ts": timestamp(moment), "valid": verdict.valid, "detail": verdict.detail, "code": verdict.code}
        if self.request.version <= LAST_WITH_CONSTANTS:
            meta["valid"] = verdict.valid and verdict.code in ("VALID", "EXPIRED")
            meta["constant"] = meta.pop("code")
        meta |= {name: asked[name] for name in ("nonce", "scope") if name in asked}
        return Response(Document(data=license and LicenseSerializer.resource_object(license), meta=meta))

    @action(detail=True, methods=["post"], url_path="actions/suspend")
    def suspend(self, request, *args, **kwargs):
        return self._changed(License.suspend)

    @action(detail=True, methods=["post"], url_path="actions/reinstate")
    def reinstate(self, request, *args, **kwargs):
        return self._changed(License.reinstate)

    @action(detail=True, methods=["post"], url_path="actions/renew")
    def renew(self, request, *args, **kwargs):
        return self._changed(License.renew)

    @action(detail=True, methods=["post"], url_path="actions/check-in")
    def check_in(self, request, *args, **kwargs):
        return self._changed(License.check_in)

    @action(detail=True, methods=["post"], url_path="actions/reset-usage")
    def reset_usage(self, request, *args, **kwargs):
        return self._changed(License.reset_uses)

    @transaction.atomic
    def _changed(self, verb):
        license = self.get_object()
        verb(license)
        return Response(LicenseSerializer.resource_object(license))

    @action(detail=True, methods=["delete"], url_path="actions/revoke")
    @transaction.atomic
    def revoke(self, request, *args, **kwargs):
        self.get_object().delete()
        return Response(status=status.HTTP_204_NO_CONTENT)

    @action(detail=True, methods=["post"], url_path="actions/increment-usage")
    def increment_usage(self, request, *args, **kwargs):
        license = self.get_object()
        number = self._number("increment")
        if number < 0:
            # Whoever counts their own uses up must not count them down by the same way.
            require("license.usage.decrement", request.user)
        return self._used(license, number)

    @action(detail=True, methods=["post"], url_path="actions/decrement-usage")
    def decrement_usage(self, request, *args, **kwargs):
        license = self.get_object()
        return self._used(license, -self._number("decrement"))

    def _number(self, name):
        number = self.document().get("meta", {}).get(name, 1)
        if abs(number) > MOST_USES:
            raise BadRequest("integer is too large", pointer=f"/meta/{name}")
        return number

    def _used(self, license, number):
        license.add_uses(number)
        return Response(LicenseSerializer.resource_object(license))

    @action(detail=True, methods=["post"], url_path="actions/check-out")
    def check_out(self, request, *args, **kwargs):
        license, wish = self._checked_out()
        return Response(license_file_object(license, wish, render_license_file(license, wish)))

    @check_out.mapping.get
    def check_out_file(self, request, *args, **kwargs):
        license, wish = self._checked_out()
        return LicenseFile(render_license_file(license, wish), filename=f"{license.pk}.lic")

    def _checked_out(self):
        license = self.look_up()
        wish = parse_check_out(self.request, license, timezone.now())
        self.authorize_for(license)
        for name in wish.includes:
            require(INCLUDES[name], self.request.user)
        license.record_check_out(wish.issued)
        return license, wish


class LicenseFile(HttpResponse):
    """A license file to be stored as it is."""

    data = None  # what answers with a document have here

    def __init__(self, text, *, filename):
        disposition = f'attachment; filename="{filename}"'
        super().__init__(text, content_type="application/octet-stream", headers={"Content-Disposition": disposition})
