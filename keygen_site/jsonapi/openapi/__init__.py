"""The description of the API for machines and people: `/openapi.json` and `/docs`.

It is read from what the API runs by: Django's routes, the members of documents (`keygen_site.jsonapi.request_documents`), the tables
of the serializers, the filters, the permissions, and the `operations` of the viewsets.
"""
