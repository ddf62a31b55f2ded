"""Where Relevo may connect to. Every address is checked where its socket is made, whatever name led to it.

A URL that can never be called is refused when it is said.
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

# A name server that does not answer holds a thread for its whole timeout, and must not hold the last one.
LOOKUP_THREADS = 32

# The IANA special-purpose registries, with what they mark as reachable: anycast services that are no receivers.
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
# Of IPv6 only 2000::/3 has been given out to the public; the first three rows are everything else.
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
    """Every address of the host is one that Relevo must not call. An OSError, as aiohttp hands only those on."""


class Egress:
    """Decides which addresses may be called: the public ones, and those in `allow`."""

    def __init__(self, allow: Sequence[Network] = ()) -> None:
        self._allow = tuple(map(_plain, allow))
        self._refused = tuple(ip_network(text) for text in REFUSED_V4 + REFUSED_V6)

    def permits(self, address: Address | str) -> bool:
        """Whether `address` may be called. An IPv4 address inside an IPv6 one must be permitted as well."""
        number = ip_address(address)
        if isinstance(number, IPv4Address):
            return self._is_open(number)
        if number.ipv4_mapped is not None:
            return self._is_open(number.ipv4_mapped)
        return self._is_open(number) and all(map(self._is_open, _inside(number)))

    def permits_host(self, host: str) -> bool:
        """False for a host that is itself a refused address. A name is not looked up here, and passes."""
        address = literal(host)
        return address is None or self.permits(address)

    def open_socket(self, target: Found) -> socket.socket:
        """A socket for the address it will be connected to, or EgressRefused: nothing can change in between."""
        family, kind, protocol, _, address = target
        if not self.permits(str(address[0])):
            raise EgressRefused
        return socket.socket(family, kind, protocol)

    def _is_open(self, address: Address) -> bool:
        if any(address in network for network in self._allow):
            return True
        return not any(address in network for network in self._refused)


def why_refused(url: str, *, egress: Egress) -> str | None:
    """What is wrong with the URL, for whoever said it; None when it may work.

    A name is not looked up: where it leads is judged at each attempt.
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
    """Customers are not told of settings, who could change nothing; operators find the one that opens the way."""
    _log.warning("egress.refused", host=host, reason=NO_ANSWER[ErrorType.EGRESS], setting=SETTING)


def literal(host: str) -> Address | None:
    """The address that a URL's host spells out, in any form that a socket understands; None for a name.

    The old forms count: `127.1`, `0177.0.0.1`, `0x7f000001` and `2130706433` all mean 127.0.0.1.
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
    """The IPv4 network that an IPv6 one maps, as it is by IPv4 that its addresses are judged."""
    mapped = network.network_address.ipv4_mapped if isinstance(network, IPv6Network) else None
    return network if mapped is None or network.prefixlen < 96 else IPv4Network((mapped, network.prefixlen - 96))


def _inside(address: IPv6Address) -> list[IPv4Address]:
    # "::" and "::1" are addresses of their own: RFC 4291 takes them out of the IPv4-compatible ones.
    if address in NAT64 or (address in V4_COMPATIBLE and not (address.is_loopback or address.is_unspecified)):
        return [IPv4Address(int(address) & 0xFFFFFFFF)]
    return [*([address.sixtofour] if address.sixtofour else []), *(address.teredo or [])]


class GuardedResolver(AbstractResolver):
    """Looks names up in threads of its own and passes on permitted addresses only."""

    def __init__(self, egress: Egress, *, metrics: Metrics | None = None, look_up: LookUp | None = None) -> None:
        """`look_up` gives a name's addresses, by default as this machine knows them."""
        self._egress = egress
        self._look_up = look_up or _look_up
        self._threads = Threads("dns", workers=LOOKUP_THREADS, metrics=metrics)

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """The host's addresses in the order of the system. EgressRefused when all are refused.

        The connector tries both families in turn, a quarter of a second apart (RFC 8305).
        """
        found = await self._threads.run(partial(self._look_up, host, port, family))
        permitted = [address for address in found if self._egress.permits(address)]
        if not permitted:
            raise EgressRefused
        return [_result(host, address, port) for address in permitted]

    async def close(self) -> None:
        """Lets lookups that are under way finish unheard."""
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
