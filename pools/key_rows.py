"""Rows of keys to import, with all that can be prepared without a connection."""

from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from keygen_site.db.key_digests import key_digester
from keygen_site.encryption import text_encrypter
from pools.models.keys import KEY_PURPOSE


class Row(NamedTuple):
    """A key to write.

    Attributes:
        text: the key, in clear.
        stored: the text as it is stored, encrypted if encryption is on.
        digest, ending: the values of the columns for look-ups.
        used: when it was used in another system, if it was.
    """

    text: str
    stored: str
    digest: bytes
    ending: int
    used: datetime | None = None


class Encoded(NamedTuple):
    """Keys to write, with all that can be prepared without a connection.

    Attributes:
        values: the rows in the form in which they are sent to the database.
        uuids: the texts that spell a UUID, with their digests.
    """

    rows: list[Row]
    values: list[Any]
    uuids: list[tuple[UUID, bytes]]


class RowMaker:
    """Makes rows of texts, in any thread. Created in a thread that has a connection to the database."""

    def __init__(self) -> None:
        digester = key_digester()
        self.digest, self._ending = digester.digest, digester.ending
        self._encrypt = text_encrypter(KEY_PURPOSE)

    def make(self, text: str, used: datetime | None = None) -> Row:
        return Row(text, self._encrypt(text), self.digest(text), self._ending(text), used)
