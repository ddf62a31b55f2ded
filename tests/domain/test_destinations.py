"""Where a URL leads, and hosts where nobody can be."""

import pytest

from service.domain.destinations import why_nowhere


@pytest.mark.parametrize(
    ("host", "port"),
    [
        *(
            (host, None)
            for host in ("a..b", ".a", "..", ".", "a..", "", "a*b", "*", "a,b", "(a)", "a b", "{a}", "$a", "~")
        ),
        *(
            (host, None)
            for host in ("a" * 64 + ".com", ".".join(["a" * 60] * 5), "a+b", "a=b", "a&b", "a;b", "a'b", "\u00e9")
        ),
        ("example.com", 0),
    ],
)
def test_where_nobody_can_be_reached(host: str, port: int | None) -> None:
    assert why_nowhere(host, port)


@pytest.mark.parametrize(
    ("host", "port"),
    [
        *(
            (host, None)
            for host in ("example.com", "example.com.", "localhost", "a_b.c", "xn--n3h.net", "1.a", "a" * 63)
        ),
        *(("example.com", port) for port in (1, 80, 65_535)),
    ],
)
def test_where_somebody_may_be(host: str, port: int | None) -> None:
    assert why_nowhere(host, port) is None
