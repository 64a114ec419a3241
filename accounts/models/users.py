"""People: those who work with an account, those who hold its licenses, and those who operate the server."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Self

from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.contrib.auth.models import PermissionsMixin
from django.contrib.contenttypes.fields import GenericRelation
from django.core.exceptions import ValidationError
from django.core.validators import EmailValidator
from django.db import models, transaction
from django.db.models import Exists, OuterRef, Q
from django.utils import timezone

from accounts.bearers import Bearer
from accounts.models.accounts import Account
from keygen_site.db.fields import ShortTextField, digest
from keygen_site.db.metadata import validate_metadata
from keygen_site.db.uuids import parse_uuid
from keygen_site.jsonapi.errors import DomainError
from keygen_site.models import Resource

INACTIVE_AFTER = timedelta(days=90)
MIN_PASSWORD, MAX_PASSWORD = 6, 72
# The two ways to a license, which is above accounts and therefore said by name: owned by a user, or shared with them.
OWNED, SHARED = "owned_licenses", "licenses"


class UserQuerySet(models.QuerySet):
    def visible_to(self, bearer):
        """The users that a bearer may see (contract: platform 8.4)."""
        users = self.filter(account=bearer.account_id)
        if bearer.is_staff:
            return users
        match bearer.role:
            case "product":
                return users.customers()
            case "license":
                return users.for_license(bearer.id)
            case "user":
                # Themselves, and those they share a license with.
                mates = Q(pk=bearer.id)
                for path in (f"{mine}__{theirs}" for mine in (OWNED, SHARED) for theirs in ("owner", "users")):
                    mates |= Q(pk__in=User.objects.filter(pk=bearer.id).values(path))
                return users.filter(mates)
        return users.none()

    def by_identifier(self, identifier):
        """Users whose id or e-mail is `identifier`; of one account, there is one at most."""
        uuid = parse_uuid(identifier)
        return self.filter(Q(pk=uuid) if uuid else Q(email=identifier))

    def customers(self) -> Self:
        """Users who are neither staff of the account nor let into the console: all that a product may manage."""
        return self.filter(role=User.Role.USER, is_staff=False)

    def customers_of(self, bearer: Bearer) -> Self:
        """A product's users: customers who hold one of its licenses. Staff with a license are not among them."""
        return self.filter(account=bearer.account_id).customers().for_product(bearer.id)

    def for_product(self, product):
        """Users of any role who hold a license of a product."""
        return self._of(product__in=[product])

    def for_license(self, license):
        """The owner of a license and the users attached to it."""
        return self.for_licenses([license])

    def for_licenses(self, licenses):
        """The owners of some licenses and the users attached to them."""
        return self._of(pk__in=licenses)

    def _of(self, **terms):
        # Subqueries rather than joins: rows come once, so that they may be counted and locked.
        holders = [
            User.objects.filter(**{f"{path}__{name}": value for name, value in terms.items()}).values("pk")
            for path in (OWNED, SHARED)
        ]
        return self.filter(Q(pk__in=holders[0]) | Q(pk__in=holders[1]))

    def with_activity(self, now: datetime) -> "UserQuerySet":
        """Users with `has_recent_license`: whether one of their licenses was active recently, seen from `now`."""
        since = now - INACTIVE_AFTER
        moments = ("created", "last_validated", "last_check_in", "last_check_out")
        recent = [
            Exists(
                User.objects.filter(
                    # One path at a time, so that a moment and the next are of the same license.
                    Q(*((f"{path}__{moment}__gte", since) for moment in moments), _connector=Q.OR),
                    pk=OuterRef("pk"),
                )
            )
            for path in (OWNED, SHARED)
        ]
        return self.annotate(has_recent_license=recent[0] | recent[1])

    def with_status(self, status):
        """Users of a status; of one that there is not, none."""
        if status == "BANNED":
            return self.exclude(banned=None)
        if status not in ("ACTIVE", "INACTIVE"):
            return self.none()
        now = timezone.now()
        users = self.filter(banned=None).with_activity(now)
        active = Q(created__gte=now - INACTIVE_AFTER) | Q(has_recent_license=True)
        return users.filter(active if status == "ACTIVE" else ~active)


class LastAdmin(DomainError):
    """An account keeps an admin who can sign in."""

    detail = "is the last admin of the account who can sign in: add an admin or lift the ban of another one first"


class UserManager(BaseUserManager.from_queryset(UserQuerySet)):  # type: ignore[misc]
    def create_superuser(self, email, password=None, **fields):
        """Somebody who operates the server: belongs to no account and sees all of them in the console."""
        fields = {"role": User.Role.ADMIN, "is_staff": True, "is_superuser": True, **fields}
        return self._create(email, password, fields)

    def create_user(self, email, password=None, **fields):
        """A person of `fields["account"]`; without a password nobody can sign in as them."""
        return self._create(email, password, fields)

    def _create(self, email, password, fields):
        user = self.model(email=email, **fields)
        user.set_password(password)
        user.validate_and_save()
        return user


class EmailField(ShortTextField):
    """An e-mail address: two that differ only in case or in blanks around them are the same."""

    def to_python(self, value):
        value = super().to_python(value)
        return value and value.strip().lower()


class User(AbstractBaseUser, PermissionsMixin, Resource):
    """A person with a role in an account. A superuser, who operates the server, belongs to none."""

    class Role(models.TextChoices):
        USER = "user"
        ADMIN = "admin"
        DEVELOPER = "developer"
        SALES_AGENT = "sales-agent"
        SUPPORT_AGENT = "support-agent"
        READ_ONLY = "read-only"

    account = models.ForeignKey(Account, models.CASCADE, null=True, blank=True, related_name="users")
    email = EmailField(max_length=255, validators=[EmailValidator("is invalid")])
    first_name = ShortTextField(max_length=255, null=True, blank=True)
    last_name = ShortTextField(max_length=255, null=True, blank=True)
    role = models.CharField(max_length=16, choices=Role, default=Role.USER)
    banned = models.DateTimeField(null=True, blank=True)
    metadata = models.JSONField(default=dict, blank=True, validators=[validate_metadata])
    is_staff = models.BooleanField("may use the console", default=False)
    tokens = GenericRelation("Token", content_type_field="bearer_type", object_id_field="bearer_id")

    group_id = None  # groups are not built; a user is in none

    objects = UserManager()

    USERNAME_FIELD = "email"

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(fields=["account", "email"], name="accounts_user_email_unique_in_account"),
            models.UniqueConstraint(
                fields=["email"], condition=Q(account=None), name="accounts_user_email_unique_without_account"
            ),
            models.CheckConstraint(
                condition=Q(account=None, is_superuser=True) | Q(account__isnull=False, is_superuser=False),
                name="accounts_user_superuser_or_in_account",
            ),
        ]
        indexes = [models.Index(fields=["account", "id"], name="accounts_user_listed")]

    class JSONAPIMeta:
        resource_name = "users"
        identifiers = "id or e-mail"

    def __str__(self):
        return self.email

    @property
    def full_name(self):
        """First and last name, or None unless both are known."""
        return None if self.first_name is None or self.last_name is None else f"{self.first_name} {self.last_name}"

    @property
    def is_active(self):
        """Whether the person may sign in to the console."""
        return self.banned is None

    @property
    def status(self):
        """`BANNED`, or whether anything happened lately: `ACTIVE`, `INACTIVE` (contract: platform 8.2)."""
        if self.banned:
            return "BANNED"
        if self.created >= timezone.now() - INACTIVE_AFTER:
            return "ACTIVE"
        if not hasattr(self, "has_recent_license"):
            self.has_recent_license = User.objects.filter(pk=self.pk).with_status("ACTIVE").exists()
        return "ACTIVE" if self.has_recent_license else "INACTIVE"

    def has_licenses_outside(self, product):
        """Whether the person holds a license of any other product."""
        return any(getattr(self, path).exclude(product=product).exists() for path in (OWNED, SHARED))

    def as_bearer(self):
        """The person as one who has signed in themselves, without a token."""
        return Bearer(
            account_id=self.account_id, id=self.pk, model=User, role=self.role, is_superuser=self.is_superuser
        )

    # Sessions of the console end with the password. They end with the email too, which is the other half of a sign-in.

    def get_session_auth_hash(self) -> str:
        return self._with_email(super().get_session_auth_hash())

    def get_session_auth_fallback_hash(self) -> Iterator[str]:
        return map(self._with_email, super().get_session_auth_fallback_hash())

    def _with_email(self, session_hash: str) -> str:
        return digest(f"{session_hash} {self.email}").hex()

    def clean(self):
        problems = {}
        others = User.objects.filter(account=self.account, email=self.email).exclude(pk=self.pk)
        if others.exists():
            problems["email"] = ValidationError("has already been taken", code="taken")
        if self._password is not None and (problem := _password_problem(self._password)):
            problems["password"] = problem
        if self._is_demoted() and self._is_last_admin():
            problems["account"] = _admin_required()
        if problems:
            raise ValidationError(problems)

    def lock_for_rules(self):
        if self._is_demoted():
            self._hold_admins()

    @transaction.atomic
    def ban(self):
        """Refuse the person, and every token that speaks for them.

        Raises:
            LastAdmin: no other admin of the account could sign in.
        """
        if self.role == User.Role.ADMIN:
            self._hold_admins()
            if self._is_last_admin():
                raise LastAdmin
        self.banned = timezone.now()
        self.save(update_fields=["banned", "updated"])

    def unban(self):
        self.banned = None
        self.save(update_fields=["banned", "updated"])

    @transaction.atomic
    def remove(self):
        """Delete the person, with their tokens and the licenses that they own.

        Raises:
            ValidationError: they are the account's last admin.
        """
        if self.role == User.Role.ADMIN:
            self._hold_admins()
            if self._is_last_admin():
                raise ValidationError({"account": _admin_required()})
        self.delete()

    def _is_demoted(self):
        if self._state.adding or self.account_id is None or self.role == User.Role.ADMIN:
            return False
        return User.objects.filter(pk=self.pk, role=User.Role.ADMIN).exists()

    def _is_last_admin(self):
        """Whether no other admin of the account can sign in. One who is banned cannot, nor lift a ban."""
        admins = User.objects.filter(account=self.account_id, role=User.Role.ADMIN, banned=None)
        return not admins.exclude(pk=self.pk).exists()

    def _hold_admins(self):
        """Two admins who remove each other at the same time must not both find the other one still there."""
        list(Account.objects.select_for_update(no_key=True).filter(pk=self.account_id))


def _password_problem(password):
    if len(password) < MIN_PASSWORD:
        return ValidationError(f"is too short (minimum is {MIN_PASSWORD} characters)", code="too_short")
    if len(password) > MAX_PASSWORD:
        return ValidationError(f"is too long (maximum is {MAX_PASSWORD} characters)", code="too_long")
    return None


def _admin_required():
    return ValidationError("account must have at least 1 admin user", code="admins_required")
