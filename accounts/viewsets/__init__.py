from accounts.viewsets.tokens import BearerTokenViewSet, TokenViewSet

__all__ = ["BearerTokenViewSet", "TokenViewSet"]
