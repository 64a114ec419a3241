"""Finding a license by its key, as every validation does."""

from keygen_site.db.compiled_queries import CompiledQuery
from keygen_site.db.fields import digest
from licensing.models.license_queries import HIDDEN
from licensing.models.licenses import License

_DIGEST = License._meta.get_field("digest")
_VISIBLE = CompiledQuery(
    lambda bearer, taken: License.objects.with_api_fields().visible_to(bearer).filter(digest=taken), _DIGEST
)
_OF_ACCOUNT = CompiledQuery(
    lambda account_id, taken: License.objects.with_api_fields().filter(account=account_id, digest=taken),
    License._meta.pk,
    _DIGEST,
)


def find_license(key, *, account, bearer=None, hidden=False):
    """The license of exactly this key, with what is shown of it, or None.

    Args:
        account: whose license it is.
        bearer: only if that one may see it; None: in any case.
        hidden: among those of whose key only the digest is kept, not among the others.
    """
    if hidden or key.startswith(HIDDEN):
        licenses = License.objects.with_api_fields().filter(account=account)
        licenses = licenses.visible_to(bearer) if bearer else licenses
        return (licenses.with_hidden_key if hidden else licenses.with_key)(key).first()
    return _VISIBLE.first(digest(key), bearer=bearer) if bearer else _OF_ACCOUNT.first(account.pk, digest(key))
