"""Users of the console, and requests to its pages."""

from importlib import import_module

from django.apps import apps
from django.contrib.auth.models import Group
from django.forms import MultiWidget
from django.test import Client
from django.urls import reverse

from accounts.models import User

PASSWORD = "open sesame"
GROUPS = ["Operator", "Support", "Auditor"]


def group(name):
    """Return a group of the console, creating the groups if a test has deleted them."""
    if not Group.objects.filter(name=name).exists():
        import_module("pools.migrations.0002_console_groups").make_groups(apps, None)
        import_module("pools.migrations.0017_machine_permissions").add_permissions(apps, None)
    return Group.objects.get(name=name)


def staff(company, name="Operator", email=None, role="admin", password=None):
    """Return a user of a company who may use the console, in one of its groups."""
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
    """Return the URL of a page of the console, e.g. `page("pools_key_changelist", state="popped")`."""
    address = reverse(f"admin:{name}", args=args)
    return f"{address}?{'&'.join(f'{key}={value}' for key, value in query.items())}" if query else address


def act(client, address, *rows, **values):
    """Submit the page of an action for some rows."""
    return client.post(f"{page(address)}?{'&'.join(f'id={row.pk}' for row in rows)}", values)


def form_values(client, address):
    """The values that the form of a row sends if the operator changes nothing."""
    form = client.get(address).context["adminform"].form
    values = {field.html_initial_name: field.value() for field in form if field.field.show_hidden_initial}
    for field in form:
        widget = field.field.widget
        if isinstance(widget, MultiWidget) and not isinstance(field.value(), list):
            parts = zip(widget.widgets_names, widget.decompress(field.value()), strict=True)
            values |= {f"{field.html_name}{name}": value for name, value in parts}
        else:
            values[field.html_name] = field.value()
    return {name: "on" if value is True else value for name, value in values.items() if value not in (None, False)}


def shown(client, response):
    """Return the secret on the page that an action redirects to."""
    return client.get(response["Location"]).context["text"]
