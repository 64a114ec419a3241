"""Customers in the console: the users of role `user` who may not use it."""

from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html

from accounts.admin.actions import actor_of, operator_of
from accounts.admin.base import format_time
from accounts.admin.group_action import ChangeGroup
from accounts.admin.linked_filters import GroupFilter
from accounts.admin.people import PeopleAdmin, PersonForm, StatusFilter, new_password_field
from accounts.admin.searched_lists import SearchedListMixin
from accounts.admin.token_pages import MakeToken
from accounts.admin.users import Ban, Unban
from accounts.customer_search import find_customers
from accounts.models import Customer, User
from accounts.permissions import Change, may_change
from accounts.search import MAX_FOUND_ROWS, SearchScope


def name_user(user: User) -> str:
    """The name of a user for titles: first and last name, or else the email."""
    return user.display_name or user.email


def user_url(user: User) -> str:
    """The URL of the page of a customer or a member of the team."""
    return reverse(f"admin:accounts_{'customer' if user.is_customer else 'user'}_change", args=[user.pk])


def user_link(user: User) -> str:
    """A link to the page of a user: the email, and the name below it."""
    name = format_html(' <bdi class="quiet">{}</bdi>', user.display_name) if user.display_name else ""
    return format_html('<span><a href="{}"><bdi>{}</bdi></a>{}</span>', user_url(user), user.email, name)


class CustomerForm(PersonForm):
    new_password = new_password_field(
        "New API password", "Leave it empty to change nothing. Changing it revokes the customer's API tokens."
    )

    def clean(self) -> dict[str, Any]:
        values = super().clean()
        if "account" in self.fields and "account" not in self.errors and not values.get("account"):
            self.add_error("account", "Choose the account of the customer.")
        return values


@admin.register(Customer)
class CustomerAdmin(SearchedListMixin, PeopleAdmin):
    """The customers of an account. `licensing.admin.customers` replaces it with one that shows their licenses."""

    menu_name = "Customers"
    hint = "No customers yet. Issue a license to a new email address, and its customer is created with it."
    form = CustomerForm
    confirmed_actions = [MakeToken(), Ban(), Unban(), ChangeGroup()]
    list_display = ["email", "name", "status", "since"]
    list_select_related = ["account"]
    list_filter = [StatusFilter, GroupFilter]
    sortable_by = ()
    search_fields = ["email"]
    search_help_text = "Part of an email or name"
    fieldsets = [
        (None, {"fields": ["account", "email", "first_name", "last_name"]}),
        ("More", {"fields": ["new_password", "metadata"], "classes": ["collapse"]}),
    ]

    def get_fieldsets(self, request: HttpRequest, obj: Customer | None = None) -> Any:
        fieldsets: Any = [(title, dict(options)) for title, options in super().get_fieldsets(request, obj)]
        if not operator_of(request).is_superuser:
            fieldsets[0][1]["fields"] = fieldsets[0][1]["fields"][1:]
        return fieldsets

    def get_readonly_fields(self, request: HttpRequest, obj: Customer | None = None) -> Any:
        if obj is None:
            return []
        may_change_email = may_change(actor_of(request), obj, Change.EMAIL)
        return ["account"] if may_change_email else ["account", "email"]

    def get_search_results(
        self, request: HttpRequest, customers: QuerySet[Any], text: str
    ) -> tuple[QuerySet[Any], bool]:
        if not text.strip():
            return customers, False
        found = find_customers(SearchScope.of(operator_of(request)), text)
        if len(found) >= MAX_FOUND_ROWS and request.method == "GET":
            messages.info(request, f"Only the first {len(found)} results are shown. Type more to narrow them down.")
        return customers.filter(pk__in=found), False

    # Columns ---------------------------------------------------------------------------------------------------------

    @admin.display(description="name")
    def name(self, customer: Customer) -> str:
        return format_html("<bdi>{}</bdi>", customer.display_name)

    @admin.display(description="status")
    def status(self, customer: Customer) -> str:
        kind, text = ("banned", "Blocked") if customer.banned else ("active", "Active")
        return format_html('<span class="state state-{}">{}</span>', kind, text)

    @admin.display(description="created")
    def since(self, customer: Customer) -> str:
        return format_time(customer.created)
