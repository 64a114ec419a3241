"""Users: the people who work with an account, hold its licenses, or operate the server."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Self, cast
from uuid import UUID

from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.contrib.auth.models import PermissionsMixin
from django.contrib.contenttypes.fields import GenericRelation
from django.core.exceptions import ValidationError
from django.core.validators import RegexValidator
from django.db import models, transaction
from django.db.models import Q
from django.utils import timezone

from accounts.bearers import Bearer, own_permissions
from accounts.models.accounts import Account
from accounts.models.email_domains import email_domain
from accounts.models.groups import GroupMember
from accounts.models.user_relations import user_relations
from accounts.passwords import password_error
from keygen_site.db.fields import ShortTextField, digest
from keygen_site.db.literals import Literal
from keygen_site.db.metadata import validate_metadata
from keygen_site.db.text_search import BinaryOrder, folded_column
from keygen_site.db.uuids import parse_uuid
from keygen_site.jsonapi.errors import DomainError

if TYPE_CHECKING:
    from accounts.models.second_factors import SecondFactor

INACTIVE_AFTER = timedelta(days=90)


TEAM_ROLES = ["admin", "developer", "sales-agent", "support-agent", "read-only"]  # all but customers


class UserQuerySet(models.QuerySet["User"]):
    def visible_to(self, bearer: Bearer) -> Self:
        """The users that a bearer may see (contract: platform 8.4)."""
        users = self.filter(account=bearer.account_id)
        if bearer.is_staff:
            return users
        if bearer.role == "product":
            return users.customers()
        return users.filter(user_relations().visible_to(bearer))

    def by_identifier(self, identifier: str) -> Self:
        """Users whose id or email is `identifier`: at most one in an account."""
        uuid = parse_uuid(identifier)
        return self.filter(Q(pk=uuid) if uuid else Q(email=identifier))

    def customers(self) -> Self:
        """Users of role `user` who may not use the console: all that a product may manage."""
        return self.filter(role=User.Role.USER, is_staff=False)

    def team(self) -> Self:
        """Users of any other role, and all who may use the console: the rest are customers."""
        # The condition of the index `accounts_user_team`, to the letter: SQLite compares the texts.
        return self.filter(Q(role__in=[Literal(role) for role in TEAM_ROLES]) | Q(is_staff=True))

    def customers_of(self, bearer: Bearer) -> Self:
        """The customers of a product. Staff who hold a license of it are not among them."""
        return self.filter(account=bearer.account_id).customers().filter(user_relations().of_product(bearer.id))

    def with_activity(self, now: datetime) -> Self:
        """Annotate each user with `has_recent_activity`: whether one of their licenses was active recently."""
        return self.annotate(has_recent_activity=user_relations().active_since(now - INACTIVE_AFTER))

    def with_status(self, status: str) -> Self:
        """Users of a status; none if the status is unknown."""
        if status == "BANNED":
            return self.exclude(banned=None)
        if status not in ("ACTIVE", "INACTIVE"):
            return self.none()
        now = timezone.now()
        users = self.filter(banned=None).with_activity(now)
        active = Q(created__gte=now - INACTIVE_AFTER) | Q(has_recent_activity=True)
        return users.filter(active if status == "ACTIVE" else ~active)

    def end_sessions(self) -> None:
        """End all sessions of these users in the console, also for the time after they get access again."""
        self.update(sessions_ended=timezone.now())


class LastAdmin(DomainError):
    """An account keeps an admin who can sign in."""

    detail = "is the last admin of the account who can sign in: add an admin or lift the ban of another one first"


class UserManager(BaseUserManager.from_queryset(UserQuerySet)):  # type: ignore[misc]
    def create_superuser(self, email: str, password: str | None = None, **fields: Any) -> "User":
        """Create a user who operates the server: belongs to no account and sees all of them in the console."""
        fields = {"role": User.Role.ADMIN, "is_staff": True, "is_superuser": True, **fields}
        return self._create(email, password, fields)

    def create_user(self, email: str, password: str | None = None, **fields: Any) -> "User":
        """Create a user of `fields["account"]`. Without a password the user cannot sign in."""
        return self._create(email, password, fields)

    def new_user(self, email: str, password: str | None = None, **fields: Any) -> "User":
        """A user who is not saved."""
        account = fields.get("account")
        if account and fields.get("role", User.Role.USER) == User.Role.USER:
            fields.setdefault("permissions", account.permissions_of_new("user"))
        user: User = self.model(email=email, **fields)
        user.set_password(password)
        return user

    def _create(self, email: str, password: str | None, fields: dict[str, Any]) -> "User":
        user = self.new_user(email, password, **fields)
        user.validate_and_save()
        return user


# Looser than a standard check (contract: platform 8.3): international addresses, and IP addresses as the host.
_IN_NAME, _IN_HOST = r"[^\s@,;<>()\x00-\x1f\x7f]", r"[^\s@,;<>()\x00-\x1f\x7f.]"
validate_email = RegexValidator(rf"\A{_IN_NAME}+@({_IN_HOST}+\.)+{_IN_HOST}+\Z", "is invalid")


class EmailField(ShortTextField):
    """An email address, stored in lower case and without surrounding blanks."""

    def to_python(self, value: Any) -> Any:
        value = super().to_python(value)
        return value and value.strip().lower()


class User(AbstractBaseUser, PermissionsMixin, GroupMember):
    """A person with a role in an account. A superuser operates the server and belongs to no account."""

    class Role(models.TextChoices):
        USER = "user"
        ADMIN = "admin"
        DEVELOPER = "developer"
        SALES_AGENT = "sales-agent"
        SUPPORT_AGENT = "support-agent"
        READ_ONLY = "read-only"

    account = models.ForeignKey(Account, models.CASCADE, null=True, blank=True, related_name="users")
    email = EmailField(max_length=255, validators=[validate_email])
    first_name = ShortTextField(max_length=255, null=True, blank=True)
    last_name = ShortTextField(max_length=255, null=True, blank=True)
    role = models.CharField(max_length=16, choices=Role, default=Role.USER)
    banned = models.DateTimeField(null=True, blank=True)
    metadata = models.JSONField(default=dict, blank=True, validators=[validate_metadata])
    # The names of the API's permissions, or `*` for all of the role; null for the standard ones of the role.
    permissions = models.JSONField(null=True, blank=True, editable=False)
    is_staff = models.BooleanField("may use the console", default=False)
    # Sessions in the console that began before this are over.
    sessions_ended = models.DateTimeField(null=True, editable=False)
    tokens = GenericRelation("Token", content_type_field="bearer_type", object_id_field="bearer_id")

    objects = UserManager()

    if TYPE_CHECKING:
        account_id: UUID | None
        _password: str | None  # the password that `set_password()` got, until the row is saved
        has_recent_activity: bool  # set by `with_activity()`

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
        indexes = [
            models.Index(fields=["account", "id"], name="accounts_user_listed"),
            # For the search of the console, by the beginning of each.
            models.Index(models.F("account"), BinaryOrder(models.F("email")), name="accounts_user_email"),
            models.Index(
                models.F("account"),
                folded_column("first_name"),
                name="accounts_user_first_name",
                condition=Q(first_name__isnull=False),
            ),
            models.Index(
                models.F("account"),
                folded_column("last_name"),
                name="accounts_user_last_name",
                condition=Q(last_name__isnull=False),
            ),
            models.Index(models.F("account"), email_domain("email"), name="accounts_user_email_domain"),
            # For the list of those who are banned: a few among many.
            models.Index(fields=["account", "id"], name="accounts_user_banned", condition=Q(banned__isnull=False)),
            # For the members of a group.
            models.Index(fields=["group", "id"], name="accounts_user_group", condition=Q(group__isnull=False)),
            # For `team()`: a few among up to millions of customers.
            models.Index(
                fields=["account", "id"],
                condition=Q(role__in=TEAM_ROLES) | Q(is_staff=True),
                name="accounts_user_team",
            ),
        ]

    class JSONAPIMeta:
        resource_name = "users"
        identifiers = "id or email"
        identifiers_in_lower_case = True

    def __str__(self) -> str:
        return self.email

    @property
    def full_name(self) -> str | None:
        """First and last name, or None unless the user has both."""
        return None if self.first_name is None or self.last_name is None else f"{self.first_name} {self.last_name}"

    @property
    def display_name(self) -> str:
        """First and last name, as far as they are known, for people."""
        return " ".join(filter(None, (self.first_name, self.last_name)))

    @property
    def is_customer(self) -> bool:
        """Whether the user is one of `UserQuerySet.customers()`."""
        return self.role == User.Role.USER and not self.is_staff

    @property
    def is_active(self) -> bool:  # type: ignore[override]
        """Whether Django's sign-in lets the user in."""
        return self.banned is None

    @property
    def may_use_console(self) -> bool:
        """Whether the user may sign in to the console, and go on with a session there."""
        return self.is_staff and self.is_active and (self.account is None or self.account.is_active)

    @property
    def status(self) -> str:
        """`BANNED`, or by recent activity `ACTIVE` or `INACTIVE` (contract: platform 8.2)."""
        if self.banned:
            return "BANNED"
        if self.created >= timezone.now() - INACTIVE_AFTER:
            return "ACTIVE"
        if not hasattr(self, "has_recent_activity"):
            self.has_recent_activity = User.objects.filter(pk=self.pk).with_status("ACTIVE").exists()
        return "ACTIVE" if self.has_recent_activity else "INACTIVE"

    def as_bearer(self) -> Bearer:
        """The user as a bearer who signed in without a token."""
        return Bearer(
            account_id=cast(UUID, self.account_id),  # a superuser has none, and acts in the console only
            id=self.pk,
            model=User,
            role=self.role,
            own_permissions=own_permissions(self.permissions),
            is_superuser=self.is_superuser,
        )

    @property
    def enabled_second_factor(self) -> "SecondFactor | None":
        """The second factor that a sign-in to the console asks for."""
        factor: SecondFactor | None = getattr(self, "second_factor", None)
        return factor if factor and factor.enabled else None

    # A change of the password ends the sessions of the console. So does a change of the email or of the second factor,
    # the other parts of a sign-in, and of `sessions_ended`.

    def get_session_auth_hash(self) -> str:
        return self._add_to_hash(super().get_session_auth_hash())

    def get_session_auth_fallback_hash(self) -> Iterator[str]:
        return map(self._add_to_hash, super().get_session_auth_fallback_hash())

    def _add_to_hash(self, session_hash: str) -> str:
        factor = self.enabled_second_factor
        ended = self.sessions_ended.isoformat() if self.sessions_ended else ""
        return digest(f"{session_hash} {self.email} {factor.pk if factor else ''} {ended}").hex()

    def clean(self) -> None:
        problems: dict[str, Any] = {}
        others = User.objects.filter(account=self.account, email=self.email).exclude(pk=self.pk)
        if others.exists():
            problems["email"] = ValidationError("has already been taken", code="taken")
        if self._password is not None and (problem := password_error(self._password, self)):
            problems["password"] = problem
        if self._is_demoted() and self._is_last_admin():
            problems["account"] = _admin_required_error()
        if error := self.group_error():
            problems["group"] = error
        if problems:
            raise ValidationError(problems)

    def lock_for_rules(self) -> None:
        if self._is_demoted():
            self._lock_admins()
        super().lock_for_rules()

    @transaction.atomic
    def ban(self) -> None:
        """Refuse the user and all their tokens, and end their sessions: they do not return with `unban()`.

        Raises:
            LastAdmin: no other admin of the account could sign in.
        """
        if self.role == User.Role.ADMIN:
            self._lock_admins()
            if self._is_last_admin():
                raise LastAdmin
        self.banned = self.sessions_ended = timezone.now()
        self.save(update_fields=["banned", "sessions_ended", "updated"])

    def unban(self) -> None:
        self.banned = None
        self.save(update_fields=["banned", "updated"])

    @transaction.atomic
    def remove(self) -> None:
        """Delete the user, with their tokens and the licenses that they own.

        Raises:
            ValidationError: the user is the account's last admin.
        """
        if self.role == User.Role.ADMIN:
            self._lock_admins()
            if self._is_last_admin():
                raise ValidationError({"account": _admin_required_error()})
        self.delete()

    def _is_demoted(self) -> bool:
        if self._state.adding or self.account_id is None or self.role == User.Role.ADMIN:
            return False
        return User.objects.filter(pk=self.pk, role=User.Role.ADMIN).exists()

    def _is_last_admin(self) -> bool:
        """Whether no other admin of the account can sign in. A banned admin cannot, and cannot lift a ban either."""
        admins = User.objects.filter(account=self.account_id, role=User.Role.ADMIN, banned=None)
        return not admins.exclude(pk=self.pk).exists()

    def _lock_admins(self) -> None:
        """Lock the account, so that two admins who remove each other concurrently do not both succeed."""
        list(Account.objects.select_for_update(no_key=True).filter(pk=self.account_id))  # type: ignore[misc]


def _admin_required_error() -> ValidationError:
    return ValidationError("account must have at least 1 admin user", code="admins_required")


class CustomerManager(UserManager):
    def get_queryset(self) -> UserQuerySet:
        return cast(UserQuerySet, super().get_queryset().customers())


class Customer(User):
    """A user of role `user` who may not use the console. The console has customers and the team on separate pages."""

    objects = CustomerManager()  # type: ignore[misc]

    class Meta:
        proxy = True
        ordering = ["-id"]
        verbose_name = "customer"
        default_permissions = ()  # those of users count

    class JSONAPIMeta:
        resource_name = "users"
