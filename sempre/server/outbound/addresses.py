"""Where a host name leads, and whether that is out in the world or somewhere inside."""

import asyncio
import ipaddress
import socket

__all__ = ["PrivateAddress", "is_public", "resolve"]

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class PrivateAddress(Exception):
    """A host leads into a private network, where this request may not go."""


def is_public(address: Address) -> bool:
    """Whether an address is out in the world. One that wraps another is where the other is."""
    if isinstance(address, ipaddress.IPv6Address):
        for inner in (address.ipv4_mapped, address.sixtofour, address.teredo and address.teredo[1]):
            if inner:
                return is_public(inner)
    return address.is_global and not address.is_multicast


async def resolve(host: str, port: int, *, allow_private: bool) -> str:
    """An address of ``host`` to connect to. Raises PrivateAddress if any of its addresses is not public and they all
    must be, OSError if it has none.
    """
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    addresses = [str(entry[4][0]) for entry in found]
    if not allow_private:
        inside = [address for address in addresses if not is_public(ipaddress.ip_address(address.partition("%")[0]))]
        if inside:
            raise PrivateAddress(f"{host!r} leads to a private address ({inside[0]})")
    return addresses[0]
