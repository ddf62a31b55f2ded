"""The logo of a portal: it is loaded from where its organisation has it, and from nowhere else."""

from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.story import Api
from tests.stack.relevo import running_relevo
from tests.support.certificates import self_signed
from tests.support.patience import patient

LOGO = b'<svg xmlns="http://www.w3.org/2000/svg" width="32" height="24"><path d="M0 0h32v24H0z"/></svg>'
ELSEWHERE = "https://localhost:1/x.svg"
_VIOLATIONS = """
window.violations = [];
document.addEventListener("securitypolicyviolation", (event) => window.violations.push(event.blockedURI));
"""


class Picture(BaseHTTPRequestHandler):
    """Answers with the logo."""

    def do_GET(self) -> None:
        """Answer."""
        self.send_response(200)
        self.send_header("content-type", "image/svg+xml")
        self.end_headers()
        self.wfile.write(LOGO)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def pictures(tmp_path: Path) -> Iterator[str]:
    """The origin of an organisation's own site, over TLS, as logos have to be."""
    context, _ = self_signed(tmp_path)
    with ThreadingHTTPServer(("127.0.0.1", 0), Picture) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"https://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture
def page(chromium: Browser) -> Iterator[Page]:
    """A browser that nobody used before, and that takes the site's certificate."""
    context = chromium.new_context(ignore_https_errors=True)
    context.set_default_timeout(patient(5) * 1000)
    yield context.new_page()
    context.close()


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Api]:
    """A Relevo of its own, since a brand is on every page of the portal."""
    with running_relevo(tmp_path) as relevo:
        api = Api(relevo, "https://receiver.example.com")
        yield api
        api.close()


def portal_of(api: Api) -> str:
    """A link to a new application."""
    return str(api.make(f"/auth/app-portal-access/{api.application(name='Pictured')}")["url"])


def test_a_logo_is_loaded_from_its_own_site_and_a_picture_of_another_site_is_not(
    page: Page, api: Api, pictures: str
) -> None:
    page.goto(f"{api.relevo.url}/console/sign-in")
    page.get_by_label("Token").fill(api.relevo.token)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("button", name="Sign out")).to_be_visible()
    page.goto(f"{api.relevo.url}/console/brand")
    page.get_by_label("Name").fill("Harbour & Sons")
    page.get_by_label("Logo").fill(f"{pictures}/logo.svg")
    page.get_by_role("button", name="Keep").click()
    expect(page.get_by_role("status")).to_be_visible()

    page.add_init_script(_VIOLATIONS)
    page.goto(portal_of(api))
    expect(page.get_by_role("heading", name="Pictured")).to_be_visible()
    width = page.locator("a.brand img").evaluate("(image) => image.decode().then(() => image.naturalWidth)")
    unharmed = page.evaluate("window.violations")
    page.evaluate("(url) => { new Image().src = url; }", ELSEWHERE)
    page.wait_for_function("window.violations.length > 0")

    assert width == 32
    assert unharmed == []
    assert page.evaluate("window.violations") == [ELSEWHERE]
