"""Where a client is, as far as the connection and the trusted proxies say."""

import ipaddress
import logging
import re
from typing import TYPE_CHECKING

from msgsvc.settings import Settings

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_WITH_PORT = re.compile(r"\[([^\]]*)\](?::[0-9]+)?|([0-9.]+):[0-9]+", flags=re.ASCII)
"""``[2001:db8::1]``, ``[2001:db8::1]:4711`` or ``203.0.113.7:4711``."""

logger = logging.getLogger("msgsvc")


class ClientAddresses:
    """Finds the client's address of each request."""

    def __init__(self, settings: Settings) -> None:
        self._trusted = settings.trusted_proxy
        self._header = settings.client_address_header
        self.key = self._header.upper().replace("-", "_")
        self._has_warned = False

    def find(self, environ: "WSGIEnvironment") -> str:
        """The client's address; see find_behind()."""
        return self.find_behind(environ.get("REMOTE_ADDR", ""), environ.get(f"HTTP_{self.key}", ""))

    def find_behind(self, peer_address: str, forwarded: str) -> str:
        """The client's address, from the peer's and what it forwards; empty where unknown, as on a Unix socket."""
        peer = _parse(peer_address)
        if forwarded and not self._is_trusted(peer):
            self._warn_once(peer)
        elif forwarded:
            peer = self._forwarded(forwarded) or peer
        return "" if peer is None else str(peer)

    def _forwarded(self, value: str) -> Address | None:
        """The last entry that is not a trusted proxy, or the first entry if all are."""
        entries = value.split(",") if self.key == "X_FORWARDED_FOR" else [value]
        client = None
        for entry in reversed(entries):
            address = _parse(entry.strip())
            if address is None:
                break
            client = address
            if not self._is_trusted(address):
                break
        return client

    def _is_trusted(self, address: Address | None) -> bool:
        return address is not None and any(address in network for network in self._trusted)

    def _warn_once(self, peer: Address | None) -> None:
        if not self._has_warned:
            self._has_warned = True
            logger.warning(
                "%s from %s is not believed: MSGSVC_TRUSTED_PROXY does not name it", self._header, peer or "a socket"
            )


def network_of(address: str) -> str:
    """The address that throttles count by: of IPv6 the /64 network, because a client can use all of it."""
    ip = _parse(address)
    if not isinstance(ip, ipaddress.IPv6Address):
        return address
    return str(ipaddress.ip_network((int(ip), 64), strict=False))


def _parse(text: str) -> Address | None:
    match = _WITH_PORT.fullmatch(text)
    try:
        address = ipaddress.ip_address((match[1] or match[2]) if match else text)
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address):
        return address.ipv4_mapped or ipaddress.IPv6Address(int(address))
    return address
