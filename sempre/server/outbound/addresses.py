"""Where a host name leads, and whether that is out in the world or somewhere inside."""

import asyncio
import ipaddress
import socket

__all__ = ["PrivateAddress", "is_public", "resolve"]

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

# Gateways lead these to the IPv4 address in their last four bytes.
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


class PrivateAddress(Exception):
    """A host leads into a private network, where this request may not go."""


def is_public(address: Address) -> bool:
    """Whether an address is out in the world. One that wraps another is where the other is."""
    if isinstance(address, ipaddress.IPv6Address):
        translated = ipaddress.IPv4Address(address.packed[-4:]) if address in _NAT64 else None
        for inner in (translated, address.ipv4_mapped, address.sixtofour, address.teredo and address.teredo[1]):
            if inner:
                return is_public(inner)
    return address.is_global and not address.is_multicast and not address.is_reserved


async def resolve(host: str, port: int, *, allow_private: bool) -> list[str]:
    """The addresses of ``host`` to connect to, the best first. Raises PrivateAddress if any of them is not public and
    they all must be, OSError if there is none.
    """
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except UnicodeError as error:  # a name that cannot be one
        raise OSError(f"{host!r} is no name of a host: {error}") from error
    addresses = [str(entry[4][0]) for entry in found]
    if not addresses:
        raise OSError(f"{host!r} leads nowhere")
    if not allow_private:
        inside = [address for address in addresses if not is_public(ipaddress.ip_address(address.partition("%")[0]))]
        if inside:
            raise PrivateAddress(f"{host!r} leads to a private address ({inside[0]})")
    return addresses
