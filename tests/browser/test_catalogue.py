"""The catalogue and test messages in a real browser: what only comes after a form, by doing it."""

import json
import re

from playwright.sync_api import expect

from tests.browser.conftest import Visitors
from tests.browser.looking import breaches, is_wider_than_the_window
from tests.browser.story import LONG, OPERATOR, Api, Story

SCHEMA = {"type": "object", "properties": {"ship": {"type": "string"}, LONG: {"type": "string"}}}
CONTENT = {"application/json": {"schema": SCHEMA}}
SPECIFICATION = {
    "openapi": "3.1.0",
    "webhooks": {"ship.moored": {"post": {"description": LONG, "requestBody": {"content": CONTENT}}}},
}


def test_an_import_is_looked_at_and_then_done(visitors: Visitors, story: Story, api: Api) -> None:
    with visitors.visiting(OPERATOR, size="phone", bypass_csp=True) as page:
        page.goto(story.address("/event-types/import"))
        page.get_by_label("OpenAPI document").fill(json.dumps(SPECIFICATION))
        page.get_by_role("button", name="Show what would change").click()
        expect(page.get_by_role("heading", name="ship.moored")).to_be_visible()
        found, wider = breaches(page), is_wider_than_the_window(page)
        names = {one["name"] for one in api.get("/event-type")["data"]}

        page.get_by_role("button", name="Import this").click()
        expect(page.get_by_role("status")).to_have_text("The event types are as the document says.")

    assert (found, wider) == ([], False)
    assert "ship.moored" not in names
    assert api.get("/event-type/ship.moored")["schemas"]["1"] == SCHEMA


def test_a_refused_event_type_says_why_at_its_field(visitors: Visitors, story: Story) -> None:
    typed = '{"1": {"type": "objekt"}}'

    with visitors.visiting(OPERATOR, size="phone", bypass_csp=True) as page:
        page.goto(story.address("/event-types/new"))
        page.get_by_label("Name", exact=True).fill("ship.lost")
        page.get_by_label("Schemas").fill(typed)
        page.get_by_role("button", name="Create").click()

        expect(page.get_by_label("Schemas")).to_have_accessible_description(re.compile("This is not a JSON Schema"))
        expect(page.get_by_label("Schemas")).to_have_value(typed)
        found, wider = breaches(page), is_wider_than_the_window(page)

    assert (found, wider) == ([], False)


def test_an_example_is_edited_and_sent(visitors: Visitors, story: Story, api: Api) -> None:
    app = api.application(name="The harbour")

    with visitors.visiting(OPERATOR) as page:
        page.goto(story.address(f"/app/{app}"))
        page.get_by_role("link", name="Send a test message").click()
        page.get_by_role("combobox", name="Event type").fill("invoice.paid")
        page.get_by_role("button", name="Take its example").click()
        example = page.get_by_label("Payload").input_value()
        page.get_by_label("Payload").fill(example.replace("2026-0042", "2026-0043"))
        page.get_by_role("button", name="Send", exact=True).click()
        expect(page.get_by_role("heading", level=1)).to_have_text("invoice.paid")

    (message,) = api.get(f"/app/{app}/msg")["data"]
    assert message["payload"] == {"invoice": "2026-0043", "total": "252.00"}
