"""The egress guard: which addresses may be called. Each address is checked when its socket is made, after DNS.

A URL that can never be called is refused when an endpoint is created.
"""

import socket
from collections.abc import Callable, Sequence
from functools import partial
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

import httpx
import structlog
from aiohttp.abc import AbstractResolver, ResolveResult

from service.domain.destinations import why_nowhere
from service.domain.outcomes import NO_ANSWER, ErrorType
from service.observability.metrics import Metrics
from service.offloading.threads import Threads

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network
LookUp = Callable[[str, int, socket.AddressFamily], list[str]]
Found = tuple[int, int, int, str, tuple[str | int, ...] | tuple[int, bytes]]

# Many, since a name server that does not answer blocks a thread for its whole timeout.
LOOKUP_THREADS = 32
# How long a connection to one address is waited for before the next one is tried beside it (RFC 8305, section 5).
HAPPY_EYEBALLS_DELAY_S = 0.25

# The IANA special-purpose registries, including ranges marked as reachable: anycast services, which are no receivers.
REFUSED_V4 = (
    "0.0.0.0/8",
    "10.0.0.0/8",
    "100.64.0.0/10",
    "127.0.0.0/8",
    "169.254.0.0/16",
    "172.16.0.0/12",
    "192.0.0.0/24",
    "192.0.2.0/24",
    "192.31.196.0/24",
    "192.52.193.0/24",
    "192.88.99.0/24",
    "192.168.0.0/16",
    "192.175.48.0/24",
    "198.18.0.0/15",
    "198.51.100.0/24",
    "203.0.113.0/24",
    "224.0.0.0/4",
    "240.0.0.0/4",
)
# Only 2000::/3 of IPv6 is allocated to the public; the first three rows are everything else.
REFUSED_V6 = (
    "::/3",
    "4000::/2",
    "8000::/1",
    "2001::/23",
    "2001:db8::/32",
    "2002::/16",
    "2620:4f:8000::/48",
    "3fff::/20",
)
NAT64 = IPv6Network("64:ff9b::/96")
V4_COMPATIBLE = IPv6Network("::/96")

SETTING = "RELEVO_EGRESS_ALLOW"

_log = structlog.stdlib.get_logger("relevo.egress")


class EgressRefused(OSError):
    """None of the host's addresses may be called. An OSError, since aiohttp passes on only those."""


class Egress:
    """Permits public addresses, and those in `allow` (RELEVO_EGRESS_ALLOW)."""

    def __init__(self, allow: Sequence[Network] = ()) -> None:
        self._allow = tuple(map(_plain, allow))
        self._refused = tuple(ip_network(text) for text in REFUSED_V4 + REFUSED_V6)

    def permits(self, address: Address | str) -> bool:
        """Whether `address` may be called. An IPv4 address embedded in an IPv6 one must be permitted as well."""
        number = ip_address(address)
        if isinstance(number, IPv4Address):
            return self._is_open(number)
        if number.ipv4_mapped is not None:
            return self._is_open(number.ipv4_mapped)
        return self._is_open(number) and all(map(self._is_open, _inside(number)))

    def permits_host(self, host: str) -> bool:
        """False for a host that is a literal refused address. Names are not resolved here and pass."""
        address = literal(host)
        return address is None or self.permits(address)

    def open_socket(self, target: Found) -> socket.socket:
        """A socket for this address, or EgressRefused. Checked here, DNS rebinding cannot change the address
        afterwards."""
        family, kind, protocol, _, address = target
        if not self.permits(str(address[0])):
            raise EgressRefused
        return socket.socket(family, kind, protocol)

    def _is_open(self, address: Address) -> bool:
        if any(address in network for network in self._allow):
            return True
        return not any(address in network for network in self._refused)


def why_refused(url: str, *, egress: Egress) -> str | None:
    """What is wrong with an endpoint's URL, as a sentence for the caller; None when it may work.

    Names are not resolved here: their addresses are checked at each attempt.
    """
    try:
        target = httpx.URL(url)
        host = target.raw_host.decode("ascii")
    except (httpx.InvalidURL, ValueError):
        return "The URL cannot be requested."
    if literal(host) is None:
        return why_nowhere(host, target.port)
    if not egress.permits_host(host):
        tell_operator(host)
        return f"{host} is not an address that may be called: it is private or reserved."
    return why_nowhere("address", target.port)


def tell_operator(host: str) -> None:
    """Log a refused host with the setting that would permit it. Tenants do not see settings, which they cannot
    change."""
    _log.warning("egress.refused", host=host, reason=NO_ANSWER[ErrorType.EGRESS], setting=SETTING)


def literal(host: str) -> Address | None:
    """The literal address in a URL's host, in any form that a socket accepts; None for a name.

    Old forms count: `127.1`, `0177.0.0.1`, `0x7f000001` and `2130706433` all mean 127.0.0.1.
    """
    text = host.removeprefix("[").removesuffix("]")
    try:
        return ip_address(text.replace("%25", "%", 1))
    except ValueError:
        pass
    try:
        return IPv4Address(socket.inet_aton(text.rstrip(".")))
    except (OSError, ValueError):
        return None


def _plain(network: Network) -> Network:
    """The IPv4 network of an IPv4-mapped IPv6 network, since mapped addresses are checked as IPv4."""
    mapped = network.network_address.ipv4_mapped if isinstance(network, IPv6Network) else None
    return network if mapped is None or network.prefixlen < 96 else IPv4Network((mapped, network.prefixlen - 96))


def _inside(address: IPv6Address) -> list[IPv4Address]:
    # RFC 4291 excludes "::" and "::1" from the IPv4-compatible addresses.
    if address in NAT64 or (address in V4_COMPATIBLE and not (address.is_loopback or address.is_unspecified)):
        return [IPv4Address(int(address) & 0xFFFFFFFF)]
    return [*([address.sixtofour] if address.sixtofour else []), *(address.teredo or [])]


class GuardedResolver(AbstractResolver):
    """Resolves names in its own threads and returns permitted addresses only."""

    def __init__(self, egress: Egress, *, metrics: Metrics | None = None, look_up: LookUp | None = None) -> None:
        """`look_up` returns a name's addresses, by default by this machine's resolver."""
        self._egress = egress
        self._look_up = look_up or _look_up
        self._threads = Threads("dns", workers=LOOKUP_THREADS, metrics=metrics)

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """The host's permitted addresses in the system's order. EgressRefused when there are none."""
        found = await self._threads.run(partial(self._look_up, host, port, family))
        permitted = [address for address in found if self._egress.permits(address)]
        if not permitted:
            raise EgressRefused
        return [_result(host, address, port) for address in permitted]

    async def close(self) -> None:
        """Stop. Results of running lookups are dropped."""
        self._threads.close(wait=False)


def _look_up(host: str, port: int, family: socket.AddressFamily) -> list[str]:
    infos = socket.getaddrinfo(host, port, family, socket.SOCK_STREAM)
    return list(dict.fromkeys(str(sockaddr[0]) for *_, sockaddr in infos))


def _result(host: str, address: str, port: int) -> ResolveResult:
    return ResolveResult(
        hostname=host,
        host=address,
        port=port,
        family=socket.AF_INET6 if ":" in address else socket.AF_INET,
        proto=socket.IPPROTO_TCP,
        flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
    )
