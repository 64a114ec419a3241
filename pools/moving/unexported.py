"""Counts the rows that the export format does not support. They are left behind when an account moves out."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from django.db.models import Exists, OuterRef, Q, QuerySet

from accounts.models import (
    Account,
    Activity,
    APISession,
    Invitation,
    SecondFactor,
    SigningKey,
    Token,
    User,
)
from keygen_site.models import IdempotentResponse
from licensing.models import License, Machine, Policy, Product
from pools.models import (
    DailyPopCount,
    DailyRefusalCount,
    Key,
    KeyEvent,
    KeyImport,
    Move,
    MutedPool,
    PendingImport,
    UsedText,
)
from pools.moving.classes import BCRYPT_PREFIX


@dataclass(frozen=True)
class Unexported:
    """Rows of an account, or values of them, that an export has no room for.

    Attributes:
        what: the plural noun of the rows in reports.
        rows: those of an account.
    """

    what: str
    rows: Callable[[Account], QuerySet[Any]]


def used_keys(account: Account) -> QuerySet[Key]:
    """The keys that left their pool, and are not the key of a license."""
    licenses = License.objects.filter(account=account, digest=OuterRef("digest"))
    return account.keys.published().used().exclude(Exists(licenses)).order_by("id")


def blocked_texts(account: Account) -> QuerySet[UsedText]:
    """The texts that never enter a pool again, without those of licenses, which are exported."""
    licenses = License.objects.filter(account=account, digest=OuterRef("digest"))
    return UsedText.objects.filter(account_id=account.pk).exclude(Exists(licenses))


def _with_permissions(model: Any, account: Account) -> QuerySet[Any]:
    rows: QuerySet[Any] = model.objects.filter(account=account, permissions__isnull=False)
    return rows


def exported_tokens(account: Account) -> QuerySet[Token]:
    """The tokens that keygen-api can check: those that moved in from there."""
    return Token.objects.filter(account=account, keygen_digest__isnull=False).order_by("pk")


USED_KEYS = Unexported("used keys without a license", used_keys)
USED_DIGESTS = Unexported(
    "texts of deleted keys and of keys used elsewhere, of which only digests are stored", blocked_texts
)
TOKENS = Unexported("tokens that moved in from keygen-api", exported_tokens)
OWN_TOKENS = Unexported(
    "tokens that were made here: keygen-api cannot check them, so make new ones there",
    lambda account: Token.objects.filter(account=account, keygen_digest=None),
)

# Omitted under all options. Rows of one installation only, such as rate limits, are not counted.
UNEXPORTED = (
    OWN_TOKENS,
    Unexported(
        "passwords that were set here, or used to sign in here: keygen-api cannot check them, so reset them there",
        lambda account: (
            User.objects.filter(account=account)
            .exclude(password__startswith=BCRYPT_PREFIX)
            .exclude(password="")
            .exclude(password__startswith="!")
        ),
    ),
    Unexported(
        "waiting keys that a person has seen: there they count as unseen",
        lambda account: account.keys.available().exclude(disclosed=None),
    ),
    Unexported(
        "keys of licenses that are stored as a hash of this server",
        lambda account: License.objects.filter(account=account, policy__encrypted=True),
    ),
    *(
        Unexported(
            f"{noun} with permissions of their own: they are in the export, but this server gives the standard ones",
            partial(_with_permissions, model),
        )
        for noun, model in (("users", User), ("products", Product), ("licenses", License))
    ),
    Unexported("events of keys", lambda account: KeyEvent.objects.filter(account=account)),
    Unexported("imports of keys", lambda account: KeyImport.objects.filter(account=account)),
    Unexported("imports that wait for a person", lambda account: PendingImport.objects.filter(account=account)),
    Unexported("entries of the activity", lambda account: Activity.objects.filter(account=account)),
    Unexported(
        "stored responses of idempotency keys", lambda account: IdempotentResponse.objects.filter(account_id=account.pk)
    ),
    Unexported(
        "references of licenses",
        lambda account: License.objects.filter(account=account, reference__isnull=False),
    ),
    Unexported(
        "low-stock alerts of pools",
        lambda account: Policy.objects.filter(
            Q(low_stock_threshold__isnull=False) | Q(low_stock_days__isnull=False)
        ).filter(account=account),
    ),
    Unexported("muted pools", lambda account: MutedPool.objects.filter(policy__account=account)),
    Unexported("daily numbers of pops", lambda account: DailyPopCount.objects.filter(policy__account=account)),
    Unexported(
        "daily numbers of refused pops", lambda account: DailyRefusalCount.objects.filter(policy__account=account)
    ),
    Unexported("people who may use the console", lambda account: User.objects.filter(account=account, is_staff=True)),
    Unexported("second factors", lambda account: SecondFactor.objects.filter(user__account=account)),
    Unexported("invitations to the team", lambda account: Invitation.objects.filter(account=account)),
    Unexported("sessions of browsers", lambda account: APISession.objects.filter(account=account)),
    Unexported(
        "retired signing keys: what they have signed is still valid",
        lambda account: SigningKey.objects.filter(account=account, retired__isnull=False),
    ),
    Unexported(
        "limits of tokens to some permissions",
        lambda account: Token.objects.filter(account=account, permissions__isnull=False),
    ),
    Unexported(
        "resets of heartbeats", lambda account: Machine.objects.filter(account=account, heartbeat_reset__isnull=False)
    ),
    Unexported(
        "states of the account: it is paused or canceled here",
        lambda account: Account.objects.filter(pk=account.pk).exclude(status=Account.Status.SUBSCRIBED),
    ),
    Unexported("options to mask keys", lambda account: Account.objects.filter(pk=account.pk, mask_keys=True)),
    Unexported("reports of a move", lambda account: Move.objects.filter(account=account)),
)
