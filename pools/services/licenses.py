"""Changes of licenses that concern their keys in a pool."""

from django.db import transaction
from django.template.loader import render_to_string

from accounts.audit import AuditContext
from accounts.mail import mail_customer, quote
from keygen_site.jsonapi.errors import DomainError
from licensing.models import License
from pools.models import Key, KeyEvent


class LicenseRefused(DomainError):
    """A change is refused because of the state of the license."""


class NoCustomer(LicenseRefused):
    detail = "cannot be emailed: the license has no customer"


class CustomerEmailChanged(LicenseRefused):
    """The customer has another email than the one that the operator saw."""

    detail = "was not emailed: the email of the customer has changed. Open the license and send the key again"


class LicenseKeyNotStored(LicenseRefused):
    detail = "cannot be emailed: only a digest of the key is stored"


class LicenseKeyChanged(LicenseRefused):
    detail = "was not emailed: the license has another key by now. Open the license and send that one"


@transaction.atomic
def email_license_key(license: License, *, to: str, audit: AuditContext) -> None:
    """Email the key of a license to its customer, and record that in the ledger, for a key from a pool.

    The key counts as disclosed. The mail is sent after the commit.

    Args:
        to: the email of the customer, as the operator saw it.

    Raises:
        NoCustomer, CustomerEmailChanged: the license has no owner with this email.
        LicenseKeyNotStored, LicenseKeyChanged: there is no such key to send.
        MailNotSetUp, TooManyMails: see `mail_customer()`.
    """
    keys = Key.objects.filter(account=license.account_id).with_key(license.key)
    # Keys are locked before licenses.
    key = keys.select_for_update(of=("self",)).select_related("policy").first()
    locked = License.objects.select_related("account", "product", "policy", "owner")
    license, seen = locked.select_for_update(of=("self",)).get(pk=license.pk), license
    if license.owner is None:
        raise NoCustomer
    if license.owner.email != to:
        raise CustomerEmailChanged
    if license.policy.encrypted:
        raise LicenseKeyNotStored
    if license.key != seen.key:
        raise LicenseKeyChanged
    names = {"product": quote(license.product.name), "account": quote(license.account.name)}
    text = render_to_string("pools/license_key.txt", {"license": license, "email": to, **names})
    mail_customer(license.account, f"Your license key for {names['product']}", text, to)
    if key:
        keys.disclose(Key.Disclosure.REVEALED, audit)
        details: KeyEvent.Details = {"emailed_to": to}
        KeyEvent.about(KeyEvent.Event.REVEALED, key, audit, license_id=license.pk, details=details).save()
