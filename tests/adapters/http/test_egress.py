"""Which addresses may be called, however they are written."""

import socket
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.adapters.destinations.http.egress import Address, Egress, EgressRefused, GuardedResolver, Network, literal
from tests.support.special_addresses import SPECIAL_V4, SPECIAL_V6

V4 = [IPv4Network(text) for text in SPECIAL_V4]
V6 = [IPv6Network(text) for text in SPECIAL_V6]
# Of the special networks those that carry no IPv4 address.
PRIVATE_V6 = [IPv6Network("fc00::/7"), IPv6Network("fe80::/10"), IPv6Network("2001:db8::/32")]
PUBLIC = ["1.1.1.1", "8.8.8.8", "93.184.215.14", "172.15.255.255", "172.32.0.0", "100.63.255.255", "100.128.0.0"]
PUBLIC_V6 = ["2606:4700:4700::1111", "2a00:1450:4001::200e", "2001:4860:4860::8888", "3ffe::1"]
METADATA = IPv4Address("169.254.169.254")

v4_inside = st.sampled_from(V4).flatmap(lambda network: st.ip_addresses(v=4, network=network))
v6_inside = st.sampled_from(V6).flatmap(lambda network: st.ip_addresses(v=6, network=network))


def carriers(address: IPv4Address) -> list[IPv6Address]:
    """Every IPv6 form that leads to an IPv4 address: mapped, compatible, NAT64, 6to4 and Teredo (obfuscated)."""
    number = int(address)
    return [
        IPv6Address((0xFFFF << 32) | number),
        IPv6Address(number),
        IPv6Address((0x64FF9B << 96) | number),
        IPv6Address((0x2002 << 112) | (number << 80)),
        IPv6Address((0x20010000 << 96) | (number ^ 0xFFFFFFFF)),
    ]


@pytest.mark.parametrize(("network", "defined_in"), [*SPECIAL_V4.items(), *SPECIAL_V6.items()])
def test_neither_end_of_a_special_range_may_be_called(network: str, defined_in: str) -> None:
    special = ip_network(network)

    assert not Egress().permits(special[0]), defined_in
    assert not Egress().permits(special[-1]), defined_in


@given(address=v4_inside | v6_inside)
def test_no_special_address_may_be_called(address: Address) -> None:
    assert not Egress().permits(address)


@pytest.mark.parametrize("address", [*PUBLIC, *PUBLIC_V6])
def test_public_addresses_may_be_called(address: str) -> None:
    assert Egress().permits(address)


@given(address=st.ip_addresses())
def test_what_may_be_called_is_public_by_the_standard_library_too(address: Address) -> None:
    judged = getattr(address, "ipv4_mapped", None) or address

    assert judged.is_global or not Egress().permits(address)


@given(address=v4_inside)
def test_no_ipv6_form_leads_to_a_special_ipv4_address(address: IPv4Address) -> None:
    assert not any(Egress().permits(carrier) for carrier in carriers(address))


@given(address=v4_inside)
def test_opening_the_way_through_nat64_does_not_open_what_lies_behind(address: IPv4Address) -> None:
    egress = Egress([ip_network("64:ff9b::/96"), ip_network("2002::/16"), ip_network("2001::/32")])

    assert not any(egress.permits(carrier) for carrier in carriers(address))
    assert egress.permits("64:ff9b::1.1.1.1")


@given(network=st.sampled_from([*V4, *PRIVATE_V6]), data=st.data())
def test_what_is_allowed_may_be_called_and_nothing_else(network: Network, data: st.DataObject) -> None:
    inside = data.draw(st.ip_addresses(v=network.version, network=network))
    elsewhere = data.draw(v4_inside | v6_inside)

    assert Egress([network]).permits(inside)
    assert not Egress([network]).permits(elsewhere) or _reaches(network, elsewhere)


def _reaches(network: Network, address: Address) -> bool:
    mapped: IPv4Address | None = getattr(address, "ipv4_mapped", None)
    return address in network or (mapped is not None and mapped in network)


def test_an_allowed_ipv4_network_is_reached_by_its_mapped_form_as_well() -> None:
    egress = Egress([ip_network("127.0.0.0/8")])

    assert egress.permits("127.0.0.1")
    assert egress.permits("::ffff:127.0.0.1")
    assert not egress.permits("::1")


@pytest.mark.parametrize("zone", ["fe80::1%eth0", "fe80::1%1", "::1%lo"])
def test_a_zone_changes_nothing(zone: str) -> None:
    assert not Egress().permits(zone)


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "127.1",
        "127.0.1",
        "0177.0.0.1",
        "0x7f.0.0.1",
        "0x7f000001",
        "0X7F000001",
        "2130706433",
        "017700000001",
        "127.0.0.1.",
        "[::1]",
        "::1",
        "[::ffff:7f00:1]",
        "[fe80::1%25eth0]",
        "0",
        "0.0.0.0",
        "169.254.169.254",
        "0xa9fea9fe",
    ],
)
def test_no_way_of_writing_an_address_gets_past(host: str) -> None:
    assert literal(host) is not None
    assert not Egress().permits_host(host)


@pytest.mark.parametrize("host", ["example.com", "localhost", "127.0.0.1.nip.io", "0x7g", "a.1", ""])
def test_names_are_left_to_be_looked_up(host: str) -> None:
    assert literal(host) is None
    assert Egress().permits_host(host)


def test_a_socket_is_refused_to_an_address_that_no_check_saw_before() -> None:
    target = (socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (str(METADATA), 80))

    with pytest.raises(EgressRefused):
        Egress().open_socket(target)


async def test_a_name_whose_addresses_are_all_refused_is_refused() -> None:
    resolver = GuardedResolver(Egress())

    with pytest.raises(EgressRefused):
        await resolver.resolve("localhost", 80)

    await resolver.close()


@pytest.mark.parametrize(
    "host",
    [
        "localhost.",
        "LOCALHOST",
        "\uff4c\uff4f\uff43\uff41\uff4c\uff48\uff4f\uff53\uff54",
        "\u2460\u2461\u2466.\u24ea.\u24ea.\u2460",
        "127\u30020\uff0e0\uff611",
        "0x7f.1.",
        "ip6-localhost",
    ],
    ids=ascii,
)
async def test_no_spelling_of_a_name_leads_to_this_machine(host: str) -> None:
    resolver = GuardedResolver(Egress())

    with pytest.raises(OSError):  # noqa: PT011  # refused or not found: which of the two depends on the machine's names
        await resolver.resolve(host, 80)

    await resolver.close()


async def test_of_several_addresses_ipv4_is_preferred() -> None:
    resolver = GuardedResolver(Egress([ip_network("127.0.0.0/8"), ip_network("::1/128")]))

    found = await resolver.resolve("localhost", 80)

    assert {ip_address(result["host"]).version for result in found} == {4}
    assert {result["port"] for result in found} == {80}
    await resolver.close()


async def test_a_name_that_does_not_exist_is_told_apart_from_a_refused_one() -> None:
    resolver = GuardedResolver(Egress())

    with pytest.raises(socket.gaierror):
        await resolver.resolve("no-such-host.invalid", 80)

    await resolver.close()
