"""Masks keys in the responses of accounts with `mask_keys`."""

from typing import Any

from accounts.api.base import APIViewSet
from accounts.permissions import is_permitted
from keygen_site.db.fields import mask_key
from keygen_site.jsonapi.negotiation import Document
from pools.api.serializers import KeySerializer


class MaskedKeysMixin(APIViewSet):
    """Masks the keys in the responses to bearers who may not pop, if the account has `mask_keys`.

    Every viewset whose responses have keys of pools inherits from it. Keys of licenses are not masked: support needs
    them to find a customer's license.
    """

    def finalize_response(self, request: Any, response: Any, *args: Any, **kwargs: Any) -> Any:
        response = super().finalize_response(request, response, *args, **kwargs)
        account, bearer = getattr(request, "account", None), vars(request).get("_user")
        if account and account.mask_keys and not (bearer and is_permitted("policy.pool.pop", bearer)):
            _mask_keys(getattr(response, "data", None))
        return response


def _mask_keys(data: Any) -> None:
    shown = data.get("data") if isinstance(data, Document) else data
    for each in shown if isinstance(shown, list) else [shown]:
        if each and each.get("type") == KeySerializer.type_name():
            each["attributes"]["key"] = mask_key(each["attributes"]["key"])
