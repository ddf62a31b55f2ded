"""URLs that are refused when they are said, and those that are not, as the API takes them."""

from ipaddress import ip_network
from ssl import PROTOCOL_TLS_CLIENT, SSLContext

import httpx
import pytest
from pydantic import TypeAdapter, ValidationError
from structlog.testing import capture_logs

from service.adapters.destinations.http.client import open_http_client
from service.adapters.destinations.http.egress import Egress, why_refused
from service.adapters.destinations.http.sender import HttpSender
from service.adapters.destinations.http.targets import target_of
from service.api.schemas.rules import WebUrl
from service.domain.destinations import HttpDestination
from service.domain.outcomes import ErrorType, Failed
from tests.support.factories import a_parcel

PRIVATE = [
    *("127.0.0.1", "127.1", "2130706433", "0x7f000001", "0177.0.0.1", "127.0.0.1.", "10.0.0.1", "172.16.0.1"),
    *("192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "224.0.0.1", "255.255.255.255", "198.18.0.1"),
    *("[::1]", "[::]", "[fd00::1]", "[fe80::1]", "[::ffff:10.0.0.1]", "[::10.0.0.1]", "[64:ff9b::10.0.0.1]"),
    *("[2002:a00:1::]", "[ff02::1]", "\uff11\uff12\uff17.0.0.1", "\u2460\u2461\u2466.0.0.1"),
]
NEVER = [
    *("http://a..b/", "http://./", "http://a*b/", "http://a,b/", "http://example.com:0/", "http://8.8.8.8:0/"),
    *(f"http://{'a' * 64}.com/", f"http://{'.'.join(['a' * 60] * 5)}/", "http://(a)/", "http://a+b/", "http://$/"),
]
FINE = [
    *("http://example.com/", "https://example.com:8443/a?b=c#d", "http://localhost/", "http://a_b.example/"),
    *("http://8.8.8.8/", "http://[2606:4700::1111]/", "http://user:pass@example.com/", "http://\u2603.net/"),
    *(
        "http://b\u00fccher.example/",
        "http://stra\u00dfe.example/",
        "http://example.com./",
        "http://127.0.0.1.example/",
    ),
    "http://rebind.example/",
]


def said(url: str, egress: Egress) -> str | None:
    """Why the URL is refused, by whichever of the two that look at it."""
    try:
        return why_refused(str(TypeAdapter(WebUrl).validate_python(url)), egress=egress)
    except ValidationError as error:
        return str(error)


@pytest.mark.parametrize("host", PRIVATE, ids=ascii)
def test_a_literal_private_address_is_refused_when_it_is_said(host: str) -> None:
    reason = said(f"http://{host}/", Egress())

    assert reason is not None
    assert "RELEVO" not in reason


async def test_operators_are_told_of_the_setting_and_customers_are_not() -> None:
    egress = Egress()
    with capture_logs() as written:
        said("http://10.0.0.1/", egress)
        async with open_http_client(
            egress, concurrency=1, ssl_context=SSLContext(PROTOCOL_TLS_CLIENT), look_up=lambda *_: ["10.0.0.2"]
        ) as client:
            sender = HttpSender(client, timeout=60, egress=egress)
            outcomes = [
                await sender.send(HttpDestination(url=url), a_parcel())
                for url in ("http://10.0.0.3/secret", "http://inner.example/secret")
            ]

    told = [(line["host"], line["setting"]) for line in written if line["event"] == "egress.refused"]
    hosts = ("10.0.0.1", "10.0.0.3", "inner.example")
    assert told == [(host, "RELEVO_EGRESS_ALLOW") for host in hosts]
    assert "/secret" not in str(written)
    for outcome in outcomes:
        assert isinstance(outcome, Failed)
        assert outcome.error_type is ErrorType.EGRESS
        assert "RELEVO" not in outcome.exchange.text


@pytest.mark.parametrize(
    ("allow", "host"), [("127.0.0.0/8", "127.1"), ("::1/128", "[::1]"), ("10.0.0.0/8", "10.1.2.3")]
)
def test_what_is_allowed_is_not_refused(allow: str, host: str) -> None:
    assert said(f"http://{host}/", Egress([ip_network(allow)])) is None


@pytest.mark.parametrize("url", NEVER, ids=ascii)
def test_a_url_that_can_never_work_is_refused(url: str) -> None:
    assert said(url, Egress([ip_network("0.0.0.0/0")]))


@pytest.mark.parametrize("url", FINE, ids=ascii)
def test_a_url_that_may_work_is_not_refused_and_can_be_asked_for(url: str) -> None:
    assert said(url, Egress()) is None
    assert target_of(httpx.URL(str(TypeAdapter(WebUrl).validate_python(url)))).port
