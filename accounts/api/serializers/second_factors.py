"""Second factors as resource objects, and the documents that change them."""

from typing import Any, ClassVar

from accounts.models import SecondFactor
from keygen_site.jsonapi.request_documents import Members, Schema, meta
from keygen_site.jsonapi.sections import Section
from keygen_site.jsonapi.serializers import ACCOUNT, ACCOUNT_PATH, ResourceSerializer, to_one
from keygen_site.jsonapi.types import BOOLEAN, STRING

_SECRETS = ("uri", "secret")


class SecondFactorSerializer(ResourceSerializer):
    """A second factor: the authenticator app of a user (contract: security 1).

    Only the user sees the secret, and only until the factor is enabled.
    """

    section = Section(75, "Second factors", "The authenticator apps of users. Sign-ins need a code of an enabled one.")

    relationships: ClassVar = {"account": ACCOUNT, "user": to_one("users", "user_id", direct=True)}

    class Meta:
        model = SecondFactor
        fields = ["uri", "secret", "enabled", "created", "updated"]
        on_create: list[str] = []
        on_update = ["enabled"]
        required: list[str] = []
        descriptions = {
            "uri": "What an authenticator app reads from a QR code. Only until the factor is enabled.",
            "secret": "What the app computes the codes from, in base32. Only until the factor is enabled.",
            "enabled": "Whether sign-ins need a code.",
        }
        examples = {
            "uri": "otpauth://totp/Keys:ann%40acme.test?secret=JBSWY3DPEHPK3PXP&issuer=Keys",
            "secret": "JBSWY3DPEHPK3PXP",
        }

    @classmethod
    def path_of(cls, row: SecondFactor) -> str:
        return f"{ACCOUNT_PATH.format(row.account_id)}/users/{row.user_id}/second-factors/{row.pk}"

    @classmethod
    def shows_secret(cls, row: SecondFactor) -> bool:
        return row.reveals_secret and not row.enabled

    @classmethod
    def resource_object(cls, row: SecondFactor) -> dict[str, Any]:
        shown = super().resource_object(row)
        if not cls.shows_secret(row):
            for name in _SECRETS:
                del shown["attributes"][name]
        return shown

    @classmethod
    def extend_schema(cls, members: dict[str, Any]) -> None:
        attributes = members["attributes"]
        attributes["required"] = [name for name in attributes["required"] if name not in _SECRETS]


_TYPES = ("second-factors", "second-factor", "secondFactors", "secondFactor", "second_factors", "second_factor")
_TYPE = Schema(STRING, required=True, one_of=_TYPES, description="The resource type.")
_CODE = "A code of the authenticator app, or a recovery code."
NEW_FACTOR: Members = {
    **meta(
        password=Schema(STRING, description="The user's password, if no second factor is enabled."),
        otp=Schema(STRING, description=f"{_CODE} If a second factor is enabled."),
    ),
    "data": Schema(members={"type": _TYPE}, description="The new second factor. It may be left out."),
}
CHANGED_FACTOR: Members = {
    "data": Schema(
        required=True,
        members={
            "type": _TYPE,
            "id": Schema(STRING, description="Ignored: the URL names the resource."),
            "attributes": Schema(
                required=True,
                members={
                    "enabled": Schema(
                        BOOLEAN,
                        required=True,
                        description=SecondFactorSerializer.Meta.descriptions["enabled"],
                    )
                },
                description="The values to set.",
            ),
        },
        description="The second factor.",
    ),
    **meta(otp=Schema(STRING, required=True, description=_CODE)),
}
PROOF: Members = {
    "meta": Schema(
        members={"otp": Schema(STRING, required=True, description=_CODE)},
        description="Needed if the second factor of the user is enabled.",
    )
}
