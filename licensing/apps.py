from django.apps import AppConfig


class LicensingConfig(AppConfig):
    """Products, their policies and licenses."""

    name = "licensing"
    verbose_name = "Licensing"

    def ready(self) -> None:
        from accounts import bearers
        from accounts.models.user_relations import register_relations
        from licensing.authentication import authenticate_key, check_token
        from licensing.models import License, Product
        from licensing.models.holders import HolderRelations

        bearers.register(Product)
        bearers.register(
            License,
            by_key=authenticate_key,
            check=check_token,
            of_product=lambda product_id: License.objects.filter(product=product_id),
        )
        register_relations(HolderRelations())
