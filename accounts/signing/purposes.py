"""The purposes that an account's keys sign for, kept apart by how the signed texts begin.

Two old schemes of license keys sign a text that the client chooses, as it is. Such a text must not be one that the
account signs for another purpose: it would be a forged license file, response or token. So every signer states its
purpose, `sign()` refuses a text that is not of the purpose, and `sign_bare()` refuses a text that is of any.
"""

import base64
import re
import unicodedata
from collections.abc import Callable

from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import NoDigestInfo

from accounts.signing.algorithms import PrivateKey, compute_signature

_JSON_OBJECT = re.compile(rb'(?:\xef\xbb\xbf)?\s*\{\s*["}]')
_SIGNED_HEADER = re.compile(r"\s*(?:\([a-z-]+\)|host|date|digest|content-[a-z]+)\s*:")
_NOT_BASE64URL = re.compile(r"[^A-Za-z0-9_-]+")
# Blanks, control characters and characters that cannot be seen: a verifier may ignore them at the start of a text.
_IGNORED_AT_START = re.compile(
    r"\A[\s\x00-\x20\x7f-\xa0\xad\u034f\u180e\u200b-\u200f\u2028-\u202f\u2060-\u206f\ufe00-\ufe0f\ufeff]+"
)


class TextReserved(ValueError):
    """A text that a client chose is like the texts that the account signs for another purpose.

    Attributes:
        purpose: the name of that purpose.
    """

    def __init__(self, purpose: str) -> None:
        super().__init__(f"the text is reserved: it begins as that of a {purpose}")
        self.purpose = purpose


class Purpose:
    """Something that an account's keys sign. Each purpose registers itself when it is made.

    Args:
        name: for errors, e.g. `license file`.
        matches: whether a text is of this purpose.
    """

    def __init__(self, name: str, matches: Callable[[str], object]) -> None:
        self.name, self.matches = name, matches
        _purposes.append(self)

    def __repr__(self) -> str:
        return f"Purpose({self.name!r})"


_purposes: list[Purpose] = []


def _is_web_token(text: str) -> bool:
    """Whether a text is the signed part of a JSON Web Token: its first part is a JSON object in base64url."""
    header, dot, _ = text.partition(".")
    encoded = _NOT_BASE64URL.sub("", header.replace("+", "-").replace("/", "_"))
    encoded = encoded[: len(encoded) // 4 * 4 + (0, 0, 2, 3)[len(encoded) % 4]]
    decoded = base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4))
    return bool(dot) and bool(_JSON_OBJECT.match(decoded))


def _has_signed_header(text: str) -> bool:
    """Whether a line of a text is a header as responses have them signed.

    A client that reads the names of the signed headers from the response verifies any of them, in any order.
    """
    return any(_SIGNED_HEADER.match(line) for line in text.splitlines())


RESPONSE = Purpose("response", _has_signed_header)
LICENSE_FILE = Purpose("license file", re.compile(r"license/").match)
SIGNED_KEY = Purpose("signed license key", re.compile(r"key/").match)
WEB_TOKEN = Purpose("web token", _is_web_token)
MACHINE_FILE = Purpose("machine file", re.compile(r"machine/").match)
PROOF = Purpose("proof of a machine", re.compile(r"proof/").match)


def sign(purpose: Purpose, algorithm: str, key: PrivateKey, message: bytes) -> bytes:
    """The signature of a message for a purpose.

    Raises:
        ValueError: the message is not of the purpose, or the algorithm is unknown or needs another kind of key.
    """
    if not purpose.matches(message.decode(errors="replace")):
        raise ValueError(f"not the text of a {purpose.name}")
    return compute_signature(algorithm, key, message)


def sign_bare(algorithm: str, key: PrivateKey, text: str) -> bytes:
    """The signature of a text that a client chose, for schemes of old clients.

    Raises:
        TextReserved: the text is like one of another purpose, also after normalization.
    """
    for purpose in _purposes:
        if any(map(purpose.matches, _readings(text))):
            raise TextReserved(purpose.name)
    return compute_signature(algorithm, key, text.encode())


def sign_block(key: rsa.RSAPrivateKey, content: bytes) -> bytes:
    """A block of RSA with PKCS #1 padding over bytes that a client chose: they can be read with the public key.

    Raises:
        TextReserved: the bytes are the digest of a message with the name of its algorithm, so that the block would be
            a signature of that message.
    """
    # In DER, a DigestInfo is a sequence that begins with a sequence that begins with an object identifier.
    if len(content) > 4 and content[0] == content[2] == 0x30 and content[4] == 0x06:
        raise TextReserved("digest")
    return key.sign(content, padding.PKCS1v15(), NoDigestInfo())


def _readings(text: str) -> list[str]:
    """A text as it is, and as lenient readers may see it: without compatibility characters, blanks, upper case."""
    normal = _IGNORED_AT_START.sub("", unicodedata.normalize("NFKC", text))
    return [text, normal, normal.casefold()]
