"""The portal as a customer's browser opens it: by a link, and within another site's page."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from html import escape
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from urllib.parse import quote, unquote

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.browser.conftest import SCHEMES
from tests.browser.looking import Watch, breaches
from tests.browser.story import Api, Story
from tests.stack.relevo import running_relevo
from tests.support.patience import patient


class Embedder(BaseHTTPRequestHandler):
    """Answers with a page that has the address of the query in a frame."""

    def do_GET(self) -> None:
        """Answer."""
        address = escape(unquote(self.path.partition("?")[2]))
        page = f'<!doctype html><title>Another site</title><iframe src="{address}" width="900" height="600"></iframe>'
        self.send_response(200)
        self.send_header("content-type", "text/html")
        self.end_headers()
        self.wfile.write(page.encode())

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def serving_pages() -> Iterator[str]:
    """The origin of another site: to browsers, this machine's name is another one than its address."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Embedder) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://localhost:{server.server_port}"
        server.shutdown()


@pytest.fixture(scope="module")
def named() -> Iterator[str]:
    """The origin that may embed the portal."""
    with serving_pages() as origin:
        yield origin


@pytest.fixture(scope="module")
def unnamed() -> Iterator[str]:
    """One that may not."""
    with serving_pages() as origin:
        yield origin


@pytest.fixture
def context(chromium: Browser) -> Iterator[BrowserContext]:
    """A browser that nobody used before."""
    fresh = chromium.new_context()
    fresh.set_default_timeout(patient(5) * 1000)
    yield fresh
    fresh.close()


@pytest.fixture(scope="module")
def embeddable(named: str) -> Iterator[Api]:
    """A Relevo whose portal pages of that origin may embed, and which believes that it is reached over TLS.

    It is not, but browsers take cookies for TLS from this machine all the same.
    """
    variables = {"RELEVO_PORTAL_ANCESTORS": named, "RELEVO_PUBLIC_URL": "https://127.0.0.1"}
    with (
        tempfile.TemporaryDirectory(prefix="relevo-") as directory,
        running_relevo(Path(directory), **variables) as relevo,
    ):
        api = Api(relevo, "https://receiver.example.com")
        yield api
        api.close()


def link_of(api: Api, app_id: str) -> str:
    """A link to the application, at the address where the server really is."""
    link = str(api.make(f"/auth/app-portal-access/{app_id}")["url"])
    return f"{api.relevo.url}/console/{link.partition('/console/')[2]}"


def sign_in(page: Page, api: Api) -> None:
    """Become an operator."""
    page.goto(f"{api.relevo.url}/console/sign-in")
    page.get_by_label("Token").fill(api.relevo.token)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("button", name="Sign out")).to_be_visible()


def refused(context: BrowserContext, embedder: str, url: str) -> bool:
    """Whether the browser refuses to show the address in a frame of that site, and because of what its policy says."""
    page = context.new_page()
    with page.expect_console_message(lambda message: "frame-ancestors" in message.text):
        page.goto(f"{embedder}/?{quote(url, safe='')}")
    return page.frames[1].get_by_role("heading").count() == 0


def test_a_link_opens_its_application_and_leaves_its_token_in_no_address(
    context: BrowserContext, story: Story, api: Api
) -> None:
    link = link_of(api, story.ids["app"])
    token = link.partition("#token=")[2]
    page = context.new_page()
    watch, seen = Watch(page, story.url), []
    page.on("framenavigated", lambda frame: seen.append(frame.url))
    page.goto("about:blank")

    page.goto(link)
    expect(page.get_by_role("heading", name="Harbour & Sons")).to_be_visible()
    arrived = page.url
    complaints = watch.complaints()
    page.go_back()

    assert arrived == story.address("/app/{app}")
    assert complaints == []
    assert token not in page.url
    assert not any(token in url for url in seen[2:]), "once it was read"
    assert token not in page.content()


def test_a_link_that_is_opened_where_the_portals_door_is_open_already_is_taken(
    context: BrowserContext, story: Story, api: Api
) -> None:
    page = context.new_page()
    page.goto(story.address("/portal"))

    page.goto(link_of(api, story.ids["app"]))

    expect(page.get_by_role("heading", name="Harbour & Sons")).to_be_visible()


def test_a_link_that_has_ended_says_so_and_is_not_shown(context: BrowserContext, story: Story) -> None:
    page = context.new_page()

    page.goto(story.address("/portal") + "#token=nonsense")

    expect(page.get_by_role("alert")).to_contain_text("This link does not hold")
    assert "nonsense" not in page.url
    assert page.get_by_label("Link").input_value() == ""


def test_without_the_setting_no_page_of_another_site_embeds_the_portal(
    context: BrowserContext, story: Story, api: Api, named: str
) -> None:
    assert refused(context, named, link_of(api, story.ids["app"]))


def test_a_page_that_was_named_embeds_the_portal_and_its_customer_works_in_it(
    context: BrowserContext, embeddable: Api, named: str
) -> None:
    link = link_of(embeddable, embeddable.application(name="Embedded"))
    page = context.new_page()
    page.goto(f"{named}/?{quote(link, safe='')}")
    frame = page.frame_locator("iframe")
    expect(frame.get_by_role("heading", name="Embedded")).to_be_visible()

    frame.get_by_role("link", name="Messages").first.click()
    expect(frame.get_by_role("heading", name="Messages")).to_be_visible()
    (cookie,) = context.cookies()
    frame.get_by_role("button", name="Sign out").click()
    expect(frame.get_by_role("heading", name="Your webhooks")).to_be_visible()

    assert (cookie["name"], cookie["sameSite"], cookie["secure"]) == ("__Host-relevo-portal", "None", True)
    assert str(cookie["partitionKey"]).startswith("http://localhost")
    assert context.cookies() == []


def test_a_page_that_was_not_named_embeds_nothing(context: BrowserContext, embeddable: Api, unnamed: str) -> None:
    assert refused(context, unnamed, link_of(embeddable, embeddable.application(name="Embedded")))


def test_nobody_embeds_what_an_operator_sees(context: BrowserContext, embeddable: Api, named: str) -> None:
    relevo = embeddable.relevo
    page = context.new_page()
    sign_in(page, embeddable)

    assert refused(context, named, f"{relevo.url}/console/sign-in")
    assert page.goto(f"{relevo.url}/console/apps").headers["x-frame-options"] == "DENY"  # type: ignore[union-attr]  # it answers


@pytest.mark.parametrize("colour", ["#ffee00", "#101010", "#7a7a7a", "#ff0000"])
def test_whatever_its_colour_a_brand_can_be_read(chromium: Browser, embeddable: Api, colour: str) -> None:
    context = chromium.new_context(bypass_csp=True)
    page = context.new_page()
    sign_in(page, embeddable)
    page.goto(f"{embeddable.relevo.url}/console/brand")
    page.get_by_label("Name").fill("Harbour & Sons")
    page.get_by_label("Colour").fill(colour)
    page.get_by_role("button", name="Keep").click()
    expect(page.get_by_role("status")).to_be_visible()

    page.goto(link_of(embeddable, embeddable.application(name="Branded")))
    expect(page.get_by_role("heading", name="Branded")).to_be_visible()
    button = page.get_by_role("link", name="New endpoint")
    found = []
    for scheme in SCHEMES:
        page.emulate_media(color_scheme=scheme)
        found += breaches(page)
    shown = button.evaluate("(each) => getComputedStyle(each).backgroundColor")
    context.close()

    assert found == []
    assert shown == f"rgb({', '.join(str(channel) for channel in bytes.fromhex(colour[1:]))})"
