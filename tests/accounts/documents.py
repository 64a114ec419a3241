"""Requests about accounts, people and tokens."""

import base64


def basic(user, password="", colon=":"):
    """The value of an Authorization header by HTTP's Basic scheme."""
    return "Basic " + base64.b64encode(f"{user}{colon}{password}".encode()).decode()


def user_document(**attributes):
    return {"data": {"type": "users", "attributes": attributes}}


def token_document(bearer=None, **attributes):
    """The document that makes a token, by itself or for a bearer: `("products", id)`."""
    data = {"type": "tokens", "attributes": attributes}
    if bearer:
        data["relationships"] = {"bearer": {"data": {"type": bearer[0], "id": str(bearer[1])}}}
    return {"data": data}
