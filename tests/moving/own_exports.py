"""Exports of accounts of this server, in memory."""

from io import BytesIO, StringIO

from pools.moving.exporting import export_account, make_signing_keys
from pools.moving.format import ExportWriter
from pools.moving.table_files import write_tokens
from tests.moving.exports import read_export


def exported(account, secret=None):
    """Return the bytes of an account's export. The signing keys that it lacks are made."""
    make_signing_keys(account)
    out = BytesIO()
    export_account(account, ExportWriter(out, secret))
    return out.getvalue()


def rows_of(account):
    """Export an account, and return its rows by class."""
    return read_export(exported(account))


def tokens_of(account):
    """Return the file of an account's tokens."""
    out = StringIO()
    write_tokens(account, out)
    return out.getvalue().encode()
