"""IP addresses in the form in which limits count them. `accounts.authentication.client_ip()` is that of a request."""

import re
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address

IPV6_PREFIX_LENGTH = 64  # the smallest block that a provider assigns to a customer
_NAT64 = IPv6Network("64:ff9b::/96")  # an IPv4 address in its last 32 bits
_MAX_CHARACTERS = 100  # more than any spelling has
_WITH_PORT = re.compile(r"\[(?P<ipv6>[^\]]*)\](?::[0-9]{1,5})?|(?P<ipv4>[0-9.]+):[0-9]{1,5}")


def normalize_ip(text: str) -> str:
    """The text of an IPv4 address, or of the /64 network of an IPv6 address; empty if the text is neither.

    One client has many IPv6 addresses, and an IPv4 address several spellings in IPv6. A port is ignored, as in
    `192.0.2.1:5678` and `[2001:db8::1]:80`; so are quotation marks and the zone in `fe80::1%eth0`.
    """
    return _normalize(text) if len(text) <= _MAX_CHARACTERS else ""


@lru_cache(maxsize=1_000)
def _normalize(text: str) -> str:
    text = text.strip().strip('"')
    if match := _WITH_PORT.fullmatch(text):
        text = match["ipv6"] or match["ipv4"] or ""
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return ""
    if isinstance(address, IPv4Address):
        return str(address)
    if ipv4 := _embedded_ipv4(address):
        return str(ipv4)
    return str(IPv6Network((address.packed, IPV6_PREFIX_LENGTH), strict=False))


def _embedded_ipv4(address: IPv6Address) -> IPv4Address | None:
    """The IPv4 address that an IPv6 address stands for: IPv4-mapped, 6to4, or NAT64."""
    if address in _NAT64:
        return IPv4Address(address.packed[-4:])
    return address.ipv4_mapped or address.sixtofour
