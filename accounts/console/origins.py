from accounts.bearers import Origin


def origin_of(request, reference=""):
    """Whence an act in the console comes, for the ledger."""
    return Origin(operator=request.user.email, request_id=request.id, reference=reference)
