"""Request documents for accounts, users and tokens."""

import base64


def basic(user, password="", colon=":"):
    """Return the value of an Authorization header of the Basic scheme."""
    return "Basic " + base64.b64encode(f"{user}{colon}{password}".encode()).decode()


def user_document(**attributes):
    return {"data": {"type": "users", "attributes": attributes}}


def token_document(bearer=None, **attributes):
    """Return a document that creates a token, for the caller or for a bearer such as `("products", id)`."""
    data = {"type": "tokens", "attributes": attributes}
    if bearer:
        data["relationships"] = {"bearer": {"data": {"type": bearer[0], "id": str(bearer[1])}}}
    return {"data": data}
