"""What to call an account that nobody has named."""

import re
import secrets

from accounts.models import Account

# Domains whose addresses say nothing about where somebody works.
PERSONAL = (
    "aol.com fastmail.com gmail.com gmx.com gmx.de gmx.net googlemail.com hey.com hotmail.com icloud.com live.com "
    "mac.com mail.com mailinator.com me.com msn.com outlook.com proton.me protonmail.com qq.com web.de yahoo.com "
    "yandex.com yandex.ru zoho.com"
)


def name_from(email):
    """A name and a free slug for the account of somebody: `keygen-sh` from a company's address, else from their own."""
    person, _, domain = email.strip().lower().rpartition("@")
    name = person if domain in PERSONAL.split() else domain
    slug = re.sub(r"[^a-z0-9]+", "-", name).strip("-") or "account"
    if Account.objects.filter(slug=slug).exists():
        slug = f"{slug}-{secrets.token_hex(3)}"
    return name or slug, slug
