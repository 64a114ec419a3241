"""People in the console."""

from importlib import import_module

from django.apps import apps
from django.contrib.auth.models import Group
from django.test import Client
from django.urls import reverse

from accounts.models import User

PASSWORD = "open sesame"
GROUPS = ["Operator", "Support", "Auditor"]


def group(name):
    """A group of the console. Tests with real transactions empty the tables, also what migrations have filled."""
    if not Group.objects.filter(name=name).exists():
        import_module("pools.migrations.0002_console_groups").make_groups(apps, None)
    return Group.objects.get(name=name)


def staff(company, name="Operator", email=None, role="admin", password=None):
    """Somebody of a company who may use the console, in a group of it."""
    email = email or f"{name.lower()}@{company.account.slug}.test"
    person = company.user(role, email=email, is_staff=True, password=password)
    person.groups.set([group(name)])
    return person


def superuser(password=None):
    return User.objects.filter(account=None).first() or User.objects.create_superuser("root@example.test", password)


def signed_in(person):
    client = Client()
    client.force_login(person)
    return client


def page(name, *args, **query):
    """The address of a page of the console, e.g. `page("pools_key_changelist", state="popped")`."""
    address = reverse(f"admin:{name}", args=args)
    return f"{address}?{'&'.join(f'{key}={value}' for key, value in query.items())}" if query else address


def act(client, address, *rows, **values):
    """Do what the page of an act does when its button is clicked."""
    return client.post(f"{page(address)}?{'&'.join(f'id={row.pk}' for row in rows)}", values)


def shown(client, response):
    """The secret on the page that an act has led to."""
    return client.get(response["Location"]).context["text"]
