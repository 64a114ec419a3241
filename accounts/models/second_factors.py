"""Second factors: the codes of an authenticator app, and recovery codes (contract: security 1)."""

import base64
import math
import secrets
import time
from typing import TYPE_CHECKING, Self
from urllib.parse import quote
from uuid import UUID

from django.db import models, transaction
from django.utils import timezone
from django.utils.crypto import constant_time_compare
from django_otp.models import Device, ThrottlingMixin
from django_otp.oath import TOTP

from accounts.bearers import Bearer
from accounts.errors import TooManyRequests
from accounts.models.users import User
from keygen_site.db.fields import digest
from keygen_site.encryption import EncryptedTextField
from keygen_site.jsonapi.errors import NotFound
from keygen_site.models import Resource

ISSUER = "License-key pools"  # how an authenticator app calls this server
SECRET_BYTES = 20
STEP_SECONDS, CODE_DIGITS = 30, 6
# In the first seconds of a step, the code of the one before is accepted too: it was read just before it changed.
GRACE_SECONDS = 10
RECOVERY_CODES, RECOVERY_CODE_BYTES = 10, 10
# The wait after each failure is twice as long as the one before: 1 second, …, 17 minutes. Codes cannot be guessed at
# that pace: it would take some twenty years. The wait ends soon enough for the owner.
MAX_COUNTED_FAILURES = 11


def generate_secret() -> str:
    """A new secret in base32."""
    return base64.b32encode(secrets.token_bytes(SECRET_BYTES)).decode()


class SecondFactorQuerySet(models.QuerySet["SecondFactor"]):
    def visible_to(self, bearer: Bearer) -> Self:
        """The second factors that a bearer may know of: a user the own one, staff all."""
        factors = self.filter(user__account=bearer.account_id)
        return factors if bearer.is_staff else factors.filter(user=bearer.id)


class SecondFactor(ThrottlingMixin, Device, Resource):
    """The authenticator app of a user. It has no effect on sign-ins until it is enabled.

    Attributes:
        secret: the source of the app's codes, in base32. Show it to its user only, and only until it is enabled.
        last_step: the time step of the last code that was accepted; only later ones are accepted.
    """

    user = models.OneToOneField(User, models.CASCADE, related_name="second_factor", editable=False)
    secret = EncryptedTextField(purpose="second factor", default=generate_secret, editable=False)
    enabled = models.BooleanField(default=False)
    last_step = models.BigIntegerField(default=-1, editable=False)

    reveals_secret = False  # whether the API shows the secret to this bearer

    name = None  # fields of `Device`
    confirmed = None

    objects = SecondFactorQuerySet.as_manager()

    if TYPE_CHECKING:
        recovery_codes: models.Manager["RecoveryCode"]

    class Meta:
        ordering = ["-id"]

    class JSONAPIMeta:
        resource_name = "second-factors"

    def __str__(self) -> str:
        return str(self.pk)

    @property
    def account_id(self) -> UUID | None:
        """The account of the user."""
        return self.user.account_id

    @property
    def uri(self) -> str:
        """The URI that an authenticator app reads from a QR code."""
        label = ":".join(quote(part.replace(":", "_"), safe="") for part in (ISSUER, self.user.email))
        return f"otpauth://totp/{label}?secret={self.secret}&issuer={quote(ISSUER, safe='')}"

    def reload(self) -> None:
        """Read the values again that others may have changed.

        Raises:
            NotFound: it has been deleted meanwhile.
        """
        try:
            self.refresh_from_db(fields=["enabled", "secret"])
        except SecondFactor.DoesNotExist:
            raise NotFound.of("second factor", self.pk) from None

    def accept(self, code: str) -> bool:
        """Use up a code of the app or a recovery code. Each is accepted once.

        Do not call it in a transaction that may be rolled back: the failure would not be counted.

        Raises:
            TooManyRequests: there were too many wrong codes. Recovery codes are accepted all the same: they cannot be
                guessed, and guesses by others must not lock the user out.
        """
        code = "".join(character for character in code if character.isalnum()).lower()
        with transaction.atomic():
            locked = SecondFactor.objects.select_for_update().filter(pk=self.pk).first()
            if locked is None:
                return False
            if locked._use_recovery_code(code):
                return True
            locked._require_pause()
            step = locked._find_step(code)
            if step is None:
                locked.throttle_increment(commit=False)
            else:
                locked.last_step = step
                locked.throttle_reset(commit=False)
            locked.save(
                update_fields=["last_step", "throttling_failure_count", "throttling_failure_timestamp", "updated"]
            )
        return step is not None

    def renew_recovery_codes(self) -> list[str]:
        """Replace the recovery codes, and return the new ones. Only their digests are stored."""
        random = [secrets.token_bytes(RECOVERY_CODE_BYTES) for _ in range(RECOVERY_CODES)]
        encoded = [base64.b32encode(each).decode().lower() for each in random]
        self.recovery_codes.all().delete()
        RecoveryCode.objects.bulk_create(RecoveryCode(factor=self, digest=self._digest(code)) for code in encoded)
        return ["-".join(code[start : start + 4] for start in range(0, len(code), 4)) for code in encoded]

    def count_recovery_codes(self) -> int:
        """The number of recovery codes that were not used."""
        return self.recovery_codes.filter(used=None).count()

    def _find_step(self, code: str) -> int | None:
        """The time step whose code this is, if it may still be used."""
        now = time.time()
        for drift in (0, -1) if now % STEP_SECONDS < GRACE_SECONDS else (0,):
            totp = TOTP(base64.b32decode(self.secret), step=STEP_SECONDS, digits=CODE_DIGITS, drift=drift)
            totp.time = now
            if totp.t() > self.last_step and constant_time_compare(f"{totp.token():0{CODE_DIGITS}}", code):
                return totp.t()
        return None

    def _use_recovery_code(self, code: str) -> bool:
        return bool(self.recovery_codes.filter(digest=self._digest(code), used=None).update(used=timezone.now()))

    def _digest(self, code: str) -> bytes:
        # 80 random bits: a slow hash would add nothing.
        return digest(f"{self.pk} {code}")

    # Throttling ------------------------------------------------------------------------------------------------------

    def get_throttle_factor(self) -> int:
        """Seconds to wait after the first failure."""
        return 1

    def throttle_increment(self, commit: bool = True) -> None:
        super().throttle_increment(commit=False)
        self.throttling_failure_count = min(self.throttling_failure_count, MAX_COUNTED_FAILURES)  # type: ignore[has-type]  # of a base without types
        if commit:
            self.save()

    def _require_pause(self) -> None:
        is_allowed, reason = self.verify_is_allowed()
        if not is_allowed:
            seconds = (reason["locked_until"] - timezone.now()).total_seconds()
            raise TooManyRequests({}, seconds=max(1, math.ceil(seconds)))


class RecoveryCode(models.Model):
    """A code that replaces one of the app, once. Only its digest is stored."""

    factor = models.ForeignKey(SecondFactor, models.CASCADE, related_name="recovery_codes")
    digest = models.BinaryField(max_length=32)
    used = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["factor", "digest"], name="accounts_recoverycode_unique"),
        ]

    def __str__(self) -> str:
        return str(self.pk)
