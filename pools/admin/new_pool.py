"""The form that creates a pool, and its product if it is new."""

from typing import Any

from django import forms
from django.db import transaction
from django.db.models import QuerySet

from accounts.models import Account
from licensing.admin.quantities import DurationField
from licensing.models import Product
from pools.admin.alert_forms import AlertForm
from pools.models import Pool
from pools.services.low_stock import count_keys_for_days

DEFAULT_ALERT = 10  # keys


class NewPoolForm(AlertForm):
    """The product, the name, how long a license is valid, and the low-stock alert."""

    account = forms.ModelChoiceField(Account.objects.none(), help_text="The account of a new product.", required=False)
    product = forms.ModelChoiceField(Product.objects.none(), required=False, empty_label="A new product:")
    new_product = forms.CharField(
        max_length=255,
        required=False,
        label="Name of the new product",
        help_text="What you sell. Customers may see it.",
    )
    name = forms.CharField(
        max_length=255,
        label="Name of the pool",
        help_text="For example “Retail” or “One year”.",
        error_messages={"required": "Give the pool a name."},
    )
    duration = DurationField(label="A license is valid for", initial=None)

    field_order = ["account", "product", "new_product", "name", "duration", "alert_at", "alert_unit"]

    def __init__(
        self,
        *args: Any,
        products: QuerySet[Product],
        own_account: Account | None,
        may_add_product: bool,
        **options: Any,
    ) -> None:
        """
        Args:
            products: those that the operator may see.
            own_account: the account of the operator; None for a superuser, who chooses one.
        """
        super().__init__(*args, **options)
        self.own_account = own_account
        product: Any = self.fields["product"]
        product.queryset = products
        if own_account:
            del self.fields["account"]
        else:
            product.queryset = products.select_related("account")
            product.label_from_instance = lambda product: f"{product} ({product.account})"
            account: Any = self.fields["account"]
            account.queryset = Account.objects.all()
        if not may_add_product:
            for name in ("new_product", "account"):
                self.fields.pop(name, None)
            product.required, product.empty_label = True, "Choose a product"
        elif not products.exists():
            del self.fields["product"]

    def clean(self) -> dict[str, Any]:
        values = super().clean()
        product, name = values.get("product"), values.get("new_product", "").strip()
        if product and name:
            self.add_error("new_product", "Choose a product or name a new one, not both.")
        elif not product and not name and "new_product" in self.fields and not self.errors.get("product"):
            self.add_error("new_product", "Name the product, or choose one.")
        elif name and not (self.own_account or values.get("account")) and "account" not in self.errors:
            self.add_error("account", "Choose the account of the new product.")
        return values

    @transaction.atomic
    def create(self) -> Pool:
        """Create the pool.

        Raises:
            ValidationError: by field, by the rules of products and policies.
        """
        values = self.cleaned_data
        product = values.get("product")
        if product is None:
            account = self.own_account or values["account"]
            product = Product(account=account, name=values["new_product"].strip())
            product.validate_and_save()
        pool = Pool(
            account=product.account,
            product=product,
            name=values["name"],
            duration=values["duration"],
            use_pool=True,
            protected=True,
        )
        # Not `set_low_stock_alert()`: that the new pool is empty is no news.
        alert = self.arguments()
        pool.low_stock_days = alert.get("days")
        pool.low_stock_threshold = alert.get("keys")
        if pool.low_stock_days is not None:
            pool.low_stock_threshold = count_keys_for_days(pool, pool.low_stock_days)
        pool.validate_and_save()
        return pool
