from django.apps import AppConfig


class LicensingConfig(AppConfig):
    """Products, their policies and licenses."""

    name = "licensing"
    verbose_name = "Licensing"

    def ready(self) -> None:
        from accounts import bearers, searchable
        from accounts.models.user_relations import register_relations
        from licensing import resource_search
        from licensing.authentication import authenticate_key, check_token
        from licensing.models import Entitlement, License, Machine, Policy, Product
        from licensing.models.holders import HolderRelations

        bearers.register(Product)
        bearers.register(
            License,
            by_key=authenticate_key,
            check=check_token,
            of_product=lambda product_id: License.objects.filter(product=product_id),
        )
        register_relations(HolderRelations())
        searchable.register(
            Product,
            resource_search.PRODUCT_MEMBERS,
            lambda now: Product.objects.all(),
            permissions=("product.read",),
        )
        searchable.register(
            Policy,
            resource_search.POLICY_MEMBERS,
            lambda now: Policy.objects.all(),
            permissions=("policy.read",),
        )
        searchable.register(
            License,
            resource_search.LICENSE_MEMBERS,
            lambda now: License.objects.with_api_fields(),
            permissions=("license.read",),
        )
        searchable.register(
            Machine,
            resource_search.MACHINE_MEMBERS,
            lambda now: Machine.objects.with_api_fields(),
            permissions=("machine.read",),
        )
        searchable.register(
            Entitlement,
            resource_search.ENTITLEMENT_MEMBERS,
            lambda now: Entitlement.objects.all(),
            permissions=("entitlement.read",),
        )
