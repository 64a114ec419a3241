"""What `metadata` may hold; the first migration of this app refers to it here."""

from keygen_site.db.metadata import validate_metadata

__all__ = ["validate_metadata"]
