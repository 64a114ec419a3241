"""The OpenAPI description of the API, at `/openapi.json`, and the reference made from it, at `/docs`.

It is read from the declarations that the API runs by: Django's routes, the operations and filters of the viewsets, the
serializers, and the schemas of request documents.
"""
