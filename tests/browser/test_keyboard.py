"""The keyboard is enough."""

import re

from playwright.sync_api import Page, expect

from tests.browser.conftest import Visitors
from tests.browser.story import OPERATOR, Api, Story, until

_MOST_TABS = 120
_NAME = """() => {
  const at = document.activeElement;
  return at === null || at === document.body ? "" : (at.getAttribute("aria-label") || at.innerText || "").trim();
}"""


def tab_to(page: Page, name: str) -> None:
    """Press Tab until what is focused has that name."""
    passed = []
    for _ in range(_MOST_TABS):
        page.keyboard.press("Tab")
        passed.append(page.evaluate(_NAME))
        if re.fullmatch(name, passed[-1]):
            return
    raise AssertionError(f"{name} is not among {passed}")


def follow(page: Page, name: str) -> None:
    """Go where that link leads, or do what that button does."""
    tab_to(page, name)
    with page.expect_navigation():
        page.keyboard.press("Enter")


def test_why_the_flaky_receiver_failed_is_found_and_the_message_is_sent_again(
    visitors: Visitors, api: Api, story: Story
) -> None:
    app, message = story.ids["app"], story.ids["message"]
    before = len(api.attempts(app, message))
    with visitors.visiting(OPERATOR) as page:
        page.goto(story.address("/overview"))
        follow(page, "Applications")
        follow(page, "Harbour & Sons")
        follow(page, "Messages")
        follow(page, re.escape(message))
        tab_to(page, r"http\S+/fail/1")
        tab_to(page, "Request and answer")
        page.keyboard.press("Enter")

        flaky = page.get_by_role("region", name="/fail/1")
        first = flaky.get_by_role("row").nth(1)
        expect(first.locator("details")).to_have_attribute("open", "")
        expect(first).to_contain_text("failed 500")

        page.keyboard.press("Shift+Tab")
        tab_to_back(page, "Resend")
        with page.expect_navigation():
            page.keyboard.press("Enter")
        expect(page.get_by_role("status")).to_contain_text("One more attempt is on its way")

    until(lambda: len(api.attempts(app, message)) > before)
    assert api.attempts(app, message)[0]["endpointId"] == story.ids["flaky"]


def tab_to_back(page: Page, name: str) -> None:
    """The same backwards, from where the focus is."""
    for _ in range(_MOST_TABS):
        if re.fullmatch(name, page.evaluate(_NAME)):
            return
        page.keyboard.press("Shift+Tab")
    raise AssertionError(f"{name} is not before")
