"""Settings that are addresses in browsers: refused where no browser has them, or written as browsers write them."""

import pytest

from service.settings import Settings, SettingsError


@pytest.mark.parametrize(
    "origin",
    [
        "console.example.com",
        "https://h/path",
        "https://",
        "null",
        "https://u@h",
        "ftp://h",
        "https://h.",
        "https://*.h.de",
        "https://h:",
        "https://h:99999",
        "https://[::1",
        "https://[::g]",
        "https://bücher.example",
    ],
)
def test_an_origin_that_no_browser_sends_is_refused(origin: str) -> None:
    with pytest.raises(SettingsError, match=r"^RELEVO_CORS_ORIGINS: an origin is"):
        Settings.from_environment({"RELEVO_CORS_ORIGINS": f"https://console.example.com, {origin}"})


@pytest.mark.parametrize(
    "url",
    [
        "relevo.example.com",
        "http://",
        "https:///x",
        "https://h:99999",
        "https://h:",
        "https://[::1",
        "https://u@h",
        "https://h/\tx",
        "https://h/\0",
        "https://h/<script>",
        'https://h/"',
        "https://h/ü",
        "https://h/?q",
        "https://h/#part",
        "https://a..b",
    ],
)
def test_a_public_address_that_no_link_can_begin_with_is_refused(url: str) -> None:
    with pytest.raises(SettingsError, match=r"^RELEVO_PUBLIC_URL: it is a URL "):
        Settings.from_environment({"RELEVO_PUBLIC_URL": url})


@pytest.mark.parametrize(
    ("written", "sent"),
    [
        ("https://Relevo.Example.com:443", "https://relevo.example.com"),
        ("HTTP://localhost:80", "http://localhost"),
        ("http://localhost:443", "http://localhost:443"),
        ("https://[0:0::1]:8443", "https://[::1]:8443"),
    ],
)
def test_origins_are_compared_with_what_browsers_send(written: str, sent: str) -> None:
    server = Settings.from_environment({"RELEVO_PUBLIC_URL": f"{written}/A/", "RELEVO_CORS_ORIGINS": written}).server

    assert (server.public_url, server.cors_origins) == (f"{sent}/A", (sent,))


@pytest.mark.parametrize(
    "origin",
    [
        "*",
        "app.example.com",
        "http://app.example.com",
        "https://h/path",
        "https://h;x",
        "https://*.example.com",
        "'none'",
        "https://h h",
        "https://u@h",
        "https://h:port",
        "https://",
    ],
)
def test_an_origin_that_may_not_embed_the_portal_is_refused(origin: str) -> None:
    with pytest.raises(SettingsError, match=r"^RELEVO_PORTAL_ANCESTORS: an origin that may embed it is"):
        Settings.from_environment({"RELEVO_PORTAL_ANCESTORS": f"https://app.example.com, {origin}"})
