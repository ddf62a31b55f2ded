"""The page that shows the API's document, without the help of any other host."""

from collections.abc import Iterator

from playwright.sync_api import Locator, Page, expect

from tests.browser.conftest import Visitors
from tests.browser.looking import Watch
from tests.browser.story import STRANGER, Story

PAINTED = "() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))"
AT_THE_END = "() => scrollY + innerHeight >= document.documentElement.scrollHeight - 1"


def scrolled(page: Page) -> Iterator[Locator]:
    """The operations in view, from the top to the bottom: the page has no others."""
    while True:
        yield page.locator(".opblock")
        if page.evaluate(AT_THE_END):
            return
        page.mouse.wheel(0, 500)
        page.evaluate(PAINTED)


def test_it_shows_every_operation_and_calls_one_within_its_policy(visitors: Visitors, story: Story) -> None:
    with visitors.visiting(STRANGER) as page:
        watch = Watch(page, story.url)
        page.goto(f"{story.url}/docs")
        expect(page.locator(".opblock").first).to_be_visible()
        shown = {text for seen in scrolled(page) for text in seen.locator(".opblock-summary").all_inner_texts()}

        page.reload()
        expect(page.locator(".opblock").first).to_be_visible()
        health = page.locator(".opblock", has_text="/api/v1/health").first
        next(seen for seen in scrolled(page) if health.count())
        health.locator(".opblock-summary-control").click()
        health.get_by_role("button", name="Try it out").click()
        health.get_by_role("button", name="Execute").click()
        expect(health.locator(".live-responses-table tbody .response-col_status").first).to_contain_text("204")

        assert len(shown) > 80
        assert watch.complaints() == []
