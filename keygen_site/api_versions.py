"""The versions of the API. `keygen_site.jsonapi.versions` has their differences."""

VERSIONS = ("1.0", "1.1", "1.2", "1.3", "1.4", "1.5", "1.6", "1.7", "1.8")
CURRENT_VERSION = VERSIONS[-1]
