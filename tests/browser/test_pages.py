"""Every page, as people of each role see it, small and large, by day and by night."""

import os

import pytest

from tests.browser.conftest import SCHEMES, SCREENS, SIZES, Visitors
from tests.browser.looking import Watch, breaches, drawn, is_wider_than_the_window, out_of_reach
from tests.browser.places import PLACES, Place
from tests.browser.story import Story

PICTURES = "SCREENS" in os.environ  # to look at: `SCREENS=1 make test-browser` takes them of every page

of_every_page = pytest.mark.parametrize(
    ("place", "role"),
    [pytest.param(place, role, id=f"{place.name}-{role}") for place in PLACES for role in place.roles],
)
at_both_sizes = pytest.mark.parametrize("size", SIZES)


@at_both_sizes
@of_every_page
def test_a_page_fits_keeps_its_policy_and_asks_no_other_host(
    visitors: Visitors, story: Story, place: Place, role: str, size: str
) -> None:
    with visitors.visiting(role, size=size) as page:
        watch = Watch(page, story.url)
        answer = page.goto(story.address(place.path))
        wider = is_wider_than_the_window(page)
        for scheme in SCHEMES:
            page.emulate_media(color_scheme=scheme)
            drawn(page)
            if PICTURES:
                page.screenshot(path=SCREENS / f"{place.name}-{role}-{size}-{scheme}.png")

        assert answer is not None
        assert answer.status == place.status
        assert not wider
        assert watch.complaints() == []


@of_every_page
def test_axe_finds_nothing_on_a_page(visitors: Visitors, story: Story, place: Place, role: str) -> None:
    found = []
    with visitors.visiting(role, bypass_csp=True) as page:
        page.goto(story.address(place.path))
        for (size, (width, height)), scheme in zip(SIZES.items(), SCHEMES, strict=True):
            page.set_viewport_size({"width": width, "height": height})
            page.emulate_media(color_scheme=scheme)
            drawn(page)
            found += [f"{size}, {scheme}: {breach}" for breach in breaches(page)]

    assert found == []


@of_every_page
def test_tab_leads_to_all_of_a_page_and_shows_where_it_is(
    visitors: Visitors, story: Story, place: Place, role: str
) -> None:
    with visitors.visiting(role) as page:
        page.goto(story.address(place.path))

        assert out_of_reach(page) == []
