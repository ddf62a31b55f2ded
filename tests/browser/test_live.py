"""The live page, by watching it: attempts come, wait while it is paused, and end with the session."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Visitors
from tests.browser.looking import Watch
from tests.browser.story import CUSTOMER, OPERATOR, STRANGER, Api, Story

CONNECTED = "Connected: attempts appear here the moment they have been made."


@pytest.fixture
def page(visitors: Visitors, story: Story) -> Iterator[Page]:
    """An operator's page, which complains of nothing up to its end."""
    with visitors.visiting(OPERATOR) as page:
        watch = Watch(page, story.url)
        yield page
        assert watch.complaints() == []


@pytest.fixture
def app(api: Api) -> str:
    """An application with an endpoint that answers."""
    app = api.application(name="Watched <b>closely</b>")
    api.endpoint(app, "/ok")
    return app


def watched(page: Page, story: Story, app: str) -> None:
    """Open the page, and wait until it is told of what happens."""
    page.goto(story.address(f"/app/{app}/live"))
    expect(page.locator("#live-state")).to_have_text(CONNECTED)


def test_attempts_appear_as_they_are_made_and_lead_to_their_message(
    page: Page, api: Api, story: Story, app: str
) -> None:
    watched(page, story, app)
    rows = page.locator("#live tbody tr")
    expect(rows).to_have_count(0)

    first, second = api.message(app), api.message(app)

    expect(rows).to_have_count(2)
    for message in (first, second):
        expect(rows.filter(has_text=message)).to_contain_text("delivered")
    rows.filter(has_text=first).get_by_text("delivered").click()
    expect(page).to_have_url(story.address(f"/app/{app}/msg/{first}"))


def test_while_it_is_paused_attempts_wait(page: Page, api: Api, story: Story, app: str) -> None:
    watched(page, story, app)
    rows, button = page.locator("#live tbody tr"), page.locator("#live-pause")

    button.press("Enter")
    message = api.message(app)
    expect(button).to_have_text("Resume (1)")
    expect(rows).to_have_count(0)
    button.press("Enter")

    expect(rows).to_have_count(1)
    expect(rows).to_contain_text(message)
    expect(button).to_have_text("Pause")


def test_a_filter_narrows_it_and_stays_in_the_address(page: Page, api: Api, story: Story, app: str) -> None:
    watched(page, story, app)

    page.get_by_label("Result").select_option("failed")
    page.get_by_role("button", name="Filter").click()
    expect(page).to_have_url(story.address(f"/app/{app}/live?status=2"))
    page.reload()
    expect(page.locator("#live-state")).to_have_text(CONNECTED)
    api.attempted(app, api.message(app), times=1)

    expect(page.get_by_label("Result")).to_have_value("2")
    expect(page.locator("#live tbody tr")).to_have_count(0)


def test_where_the_connection_was_lost_it_says_that_attempts_may_be_missing(
    page: Page, api: Api, story: Story, app: str
) -> None:
    cut = []
    page.route_web_socket("**/console/live/ws**", lambda socket: cut.append((socket, socket.connect_to_server())))
    watched(page, story, app)

    cut[0][0].close(code=1001)

    expect(page.locator("#live tr.gap")).to_have_text("Attempts may be missing here")
    message = api.message(app)
    expect(page.locator("#live tbody tr").first).to_contain_text(message)
    assert len(cut) == 2


def test_it_ends_with_the_session(visitors: Visitors, story: Story, app: str) -> None:
    with visitors.visiting(STRANGER) as page:
        page.goto(story.address("/sign-in"))
        page.get_by_label("Token").fill(story.tokens[OPERATOR])
        page.get_by_role("button", name="Sign in").click()
        page.get_by_role("button", name="Sign out").wait_for()
        watched(page, story, app)

        with page.context.expect_page() as opened:
            page.evaluate("open('/console/overview')")
        opened.value.get_by_role("button", name="Sign out").click()

        expect(page.locator("#live-state")).to_contain_text("Your session has ended")
        expect(page.get_by_role("link", name="Load the page again")).to_be_visible()


def test_a_customer_watches_its_own_application(visitors: Visitors, story: Story) -> None:
    with visitors.visiting(CUSTOMER) as page:
        page.goto(story.url)
        page.get_by_role("link", name="Live").first.click()

        expect(page.locator("#live-state")).to_have_text(CONNECTED)
