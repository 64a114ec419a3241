"""Complete error documents, as the contract defines them."""

BAD, UNAUTHORIZED, FORBIDDEN, NOT_FOUND, UNPROCESSABLE = 400, 401, 403, 404, 422
DOCS = "https://keygen.sh/docs/api"


def bad_request(detail, pointer=None, parameter=None, code=None):
    """`BR` and `BRQ` of the contract."""
    error = {"title": "Bad request", "detail": detail}
    if code:
        error["code"] = code
    if pointer is not None:
        error["source"] = {"pointer": pointer}
    if parameter is not None:
        error["source"] = {"parameter": parameter}
    return error


def unprocessable(topic, detail, code, pointer):
    """`UR` of the contract; `topic` is the resource's type."""
    _, _, folder, *names = pointer.split("/")
    kind = "attrs" if folder == "attributes" else "relationships"
    return {
        "title": "Unprocessable resource",
        "detail": detail,
        "code": code,
        "source": {"pointer": pointer},
        "links": {"about": f"{DOCS}/{topic}/#{topic}-object-{kind}-{names[0]}"},
    }


def explained(error):
    """An error that only this server has: it links to its code on our own page."""
    return error | {"links": {"about": f"/docs#{error['code']}"}}


def not_found(noun, identifier):
    return {"title": "Not found", "detail": f"The requested {noun} '{identifier}' was not found", "code": "NOT_FOUND"}


ENDPOINT_NOT_FOUND = {
    "title": "Not found",
    "detail": "The requested endpoint was not found (check your HTTP method, Accept header, and URL path)",
    "code": "NOT_FOUND",
}


def forbidden(reason="ensure the token or license is allowed to access all resources"):
    return {"title": "Access denied", "detail": f"You do not have permission to complete the request ({reason})"}


def lacks_permission(role):
    return forbidden(f"{role.replace('-', ' ')} lacks permission to perform action")


def unauthorized(code, detail="You must be authenticated to complete the request", about=None):
    error = {"title": "Unauthorized", "detail": detail, "code": code}
    return error | ({"links": {"about": f"{DOCS}/{about}"}} if about else {})


def assert_refused(response, status, *errors, early=False):
    """Assert that the response is an error document with exactly these errors; `early` ones have no `meta`."""
    document = response.json()
    assert (response.status_code, document["errors"]) == (status, list(errors))
    assert set(document) == ({"errors"} if early else {"errors", "meta"})
    if not early:
        assert document["meta"] == {"id": response["X-Request-Id"]}
