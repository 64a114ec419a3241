from accounts.serializers.tokens import TokenSerializer

__all__ = ["TokenSerializer"]
