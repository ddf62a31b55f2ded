"""The README's pictures: what they show is there, and this is how they are made (`make screens`)."""

import pytest
from playwright.sync_api import Page, ViewportSize, expect

from tests.browser.conftest import SCHEMES, SCREENS, Visitors
from tests.browser.story import OPERATOR, Api, Story

PICTURES = {"overview": "/overview", "message": "/app/{app}/msg/{message}"}
SIZE = ViewportSize(width=1000, height=640)


def picture(page: Page, name: str) -> None:
    """Take it by day and by night."""
    for scheme in SCHEMES:
        page.emulate_media(color_scheme=scheme)
        page.screenshot(path=SCREENS / "readme" / f"{name}-{scheme}.png")


@pytest.mark.parametrize("name", PICTURES)
def test_the_readme_shows_a_page_by_day_and_by_night(visitors: Visitors, story: Story, name: str) -> None:
    with visitors.visiting(OPERATOR) as page:
        page.set_viewport_size(SIZE)
        answer = page.goto(story.address(PICTURES[name]))
        picture(page, name)

    assert answer is not None
    assert answer.status == 200


def test_the_live_page_shows_attempts_that_are_made_while_it_is_open(
    visitors: Visitors, api: Api, story: Story
) -> None:
    with visitors.visiting(OPERATOR) as page:
        page.set_viewport_size(SIZE)
        page.goto(story.address("/app/{app}/live"))
        expect(page.get_by_role("status")).to_contain_text("Connected")
        before = page.locator("#live tbody tr").count()
        sent = [api.message(story.ids["app"]) for _ in range(3)]

        for message in sent:
            expect(page.locator("#live tbody tr", has_text=message).first).to_be_visible()
        picture(page, "live")

    assert before == 0
