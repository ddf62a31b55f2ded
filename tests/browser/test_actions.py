"""Everything that a page lets somebody do, by doing it."""

from collections.abc import Iterator

import httpx
import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Visitors
from tests.browser.looking import Watch
from tests.browser.story import CUSTOMER, OPERATOR, STRANGER, Api, Story, until


@pytest.fixture
def page(visitors: Visitors, story: Story) -> Iterator[Page]:
    """An operator's page, which complains of nothing up to its end."""
    with visitors.visiting(OPERATOR) as page:
        watch = Watch(page, story.url)
        yield page
        assert watch.complaints() == []


@pytest.fixture
def sent(api: Api) -> tuple[str, str]:
    """An application with an endpoint that answers, and a message that it got."""
    app = api.application(name="Somebody")
    api.endpoint(app, "/ok")
    message = api.message(app)
    api.attempted(app, message, times=1)
    return app, message


def test_a_token_that_is_typed_opens_a_session_and_signing_out_ends_it(visitors: Visitors, story: Story) -> None:
    with visitors.visiting(STRANGER) as page:
        page.goto(story.url)
        page.keyboard.type(story.tokens[OPERATOR])
        page.keyboard.press("Enter")
        expect(page.get_by_role("heading", level=1)).to_have_text("The last 24 hours")

        page.get_by_role("button", name="Sign out").click()
        expect(page.get_by_role("status")).to_have_text("You have signed out.")

        page.goto(story.address("/apps"))
        expect(page).to_have_url(story.address("/sign-in?next=/console/apps"))


def test_a_link_with_a_token_signs_in_by_one_key_and_leaves_none_in_the_address(
    visitors: Visitors, story: Story
) -> None:
    with visitors.visiting(STRANGER) as page:
        page.goto(story.address(f"/sign-in#token={story.tokens[OPERATOR]}"))
        expect(page.get_by_label("Token")).to_have_value(story.tokens[OPERATOR])
        expect(page).to_have_url(story.address("/sign-in"))
        page.keyboard.press("Enter")

        expect(page.get_by_role("button", name="Sign out")).to_be_visible()


def test_a_token_that_does_not_hold_is_refused_in_words(visitors: Visitors, story: Story) -> None:
    with visitors.visiting(STRANGER) as page:
        page.goto(story.address("/sign-in"))
        page.keyboard.type("not a token")
        page.keyboard.press("Enter")

        expect(page.get_by_role("alert")).to_contain_text("not valid")


def test_an_application_is_created_edited_and_deleted_by_its_typed_name(page: Page, story: Story) -> None:
    page.goto(story.address("/apps"))
    page.get_by_role("link", name="New application").click()
    page.get_by_label("Name").fill("Lighthouse")
    page.get_by_label("Uid").fill("lighthouse")
    page.get_by_role("button", name="Create").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Lighthouse")

    page.get_by_role("link", name="Edit").click()
    page.get_by_label("Name").fill("Lighthouse Ltd")
    page.get_by_label("Deliveries a second").fill("5")
    page.get_by_role("button", name="Keep").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Lighthouse Ltd")
    expect(page.locator(".about")).to_contain_text("at most 5 deliveries a second")

    page.get_by_role("link", name="Delete").click()
    page.get_by_label("Type its name").fill("Lighthouse")
    page.get_by_role("button", name="Delete the application").click()
    expect(page.locator(".problem")).to_contain_text("not the application's name")
    page.get_by_label("Type its name").fill("Lighthouse Ltd")
    page.get_by_role("button", name="Delete the application").click()
    expect(page.get_by_role("status")).to_have_text("It was deleted.")
    expect(page.get_by_role("link", name="Lighthouse Ltd")).to_have_count(0)


def test_what_a_form_refuses_is_said_beside_the_field(page: Page, story: Story) -> None:
    page.goto(story.address("/apps/new"))
    page.get_by_label("Name").fill("Another")
    page.get_by_label("Uid").fill("with blanks")
    page.get_by_role("button", name="Create").click()

    uid = page.get_by_label("Uid")
    expect(uid).to_have_value("with blanks")
    expect(uid).to_have_attribute("aria-invalid", "true")


def test_a_message_is_found_and_sent_again(page: Page, api: Api, story: Story, sent: tuple[str, str]) -> None:
    app, message = sent
    page.goto(story.address(f"/app/{app}"))
    page.get_by_role("link", name="Messages", exact=True).click()
    page.get_by_role("link", name=message).click()
    page.get_by_role("button", name="Resend").click()

    expect(page.get_by_role("status")).to_contain_text("One more attempt is on its way")
    until(lambda: len(api.attempts(app, message)) == 2)
    page.reload()
    expect(page.get_by_role("row")).to_have_count(3)
    expect(page.get_by_role("row").last).to_contain_text("manual")


def test_a_payload_is_removed(page: Page, story: Story, sent: tuple[str, str]) -> None:
    app, message = sent
    page.goto(story.address(f"/app/{app}/msg/{message}"))
    expect(page.get_by_label("Payload, indented")).to_contain_text('"invoice": "2026-0042"')
    page.get_by_role("button", name="Remove the payload").click()

    expect(page.get_by_role("status")).to_have_text("The payload was removed.")
    expect(page.get_by_text("2026-0042")).to_have_count(0)


def test_an_endpoint_is_created_disabled_enabled_given_a_new_secret_and_deleted(
    page: Page, api: Api, story: Story
) -> None:
    app = api.application(name="A harbour")
    page.goto(story.address(f"/app/{app}"))
    page.get_by_role("link", name="New endpoint").click()
    page.get_by_label("URL", exact=True).fill(f"{api.receiver}/ok")
    page.get_by_role("button", name="Create").click()
    expect(page.get_by_role("heading", level=1)).to_have_text(f"{api.receiver}/ok")

    page.get_by_role("button", name="Disable").click()
    expect(page.locator(".facts").first).to_contain_text("disabled")
    page.get_by_role("button", name="Enable").click()
    expect(page.locator(".facts").first).to_contain_text("enabled")

    page.get_by_role("link", name="Show or replace the secret").click()
    expect(page.get_by_text("whsec_")).to_have_count(1)  # in a hint
    page.get_by_role("button", name="Show the secret").click()
    first = page.get_by_label("The secret", exact=True).text_content()
    page.get_by_role("button", name="Make a new secret").click()
    expect(page.get_by_role("status")).to_contain_text("There is a new secret")
    second = api.get(f"/app/{app}/endpoint/{only_endpoint(api, app)}/secret")["key"]

    page.goto(story.address(f"/app/{app}/endpoint/{only_endpoint(api, app)}/delete"))
    page.get_by_label("Type the host of its URL").fill(httpx.URL(api.receiver).host)
    page.get_by_role("button", name="Delete the endpoint").click()
    expect(page.get_by_role("status")).to_have_text("It was deleted.")

    assert first is not None
    assert first.startswith("whsec_")
    assert first != second


def test_what_was_sent_is_sent_again_with_its_count_first(page: Page, api: Api, story: Story) -> None:
    app = api.application(name="A recovered one")
    endpoint = api.endpoint(app, "/fail/1?of=another")
    message = api.message(app)
    api.attempted(app, message, times=2)
    page.goto(story.address(f"/app/{app}/endpoint/{endpoint}"))
    page.get_by_role("link", name="Replay all").click()
    page.get_by_label("From (UTC)").fill(story.ids["yesterday"])
    page.get_by_role("button", name="Count the messages").click()
    expect(page.get_by_role("heading", name="1 message would be sent")).to_be_visible()
    page.get_by_role("button", name="Send it").click()

    until(lambda: len(api.attempts(app, message)) == 3)


def test_an_event_type_is_created_archived_and_brought_back(page: Page, story: Story) -> None:
    page.goto(story.address("/event-types/new"))
    page.get_by_label("Name", exact=True).fill("boat.moored")
    page.get_by_role("button", name="Create").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("boat.moored")

    page.get_by_role("button", name="Archive").click()
    expect(page.locator(".about")).to_contain_text("archived")
    page.get_by_role("button", name="Bring back").click()
    expect(page.locator(".about")).not_to_contain_text("archived")


def test_a_portal_link_that_an_operator_makes_opens_the_one_application(
    visitors: Visitors, page: Page, story: Story
) -> None:
    page.goto(story.address("/app/{app}/portal-link"))
    page.get_by_role("button", name="Make the link").click()
    link = page.get_by_label("The link").text_content()
    assert link is not None

    with visitors.visiting(STRANGER) as portal:
        portal.goto(link)

        expect(portal.get_by_role("heading", level=1)).to_have_text("Harbour & Sons")
        assert "#" not in portal.url


def test_anything_is_found_by_its_id(page: Page, story: Story) -> None:
    page.goto(story.address("/overview"))
    page.get_by_role("searchbox").fill(story.ids["message"])
    page.keyboard.press("Enter")

    expect(page).to_have_url(story.address("/app/{app}/msg/{message}"))


def test_a_customer_is_led_to_the_own_application_and_sees_no_other(visitors: Visitors, story: Story) -> None:
    with visitors.visiting(CUSTOMER) as page:
        page.goto(story.address("/overview"))
        expect(page).to_have_url(story.address("/app/{app}"))

        answers = [page.goto(story.address(path)) for path in ("/app/{long_app}", "/apps", "/app/{app}/delete")]

    assert [answer and answer.status for answer in answers] == [404, 403, 403]


def only_endpoint(api: Api, app_id: str) -> str:
    """The id of an application's endpoint."""
    (endpoint,) = api.get(f"/app/{app_id}/endpoint")["data"]
    return str(endpoint["id"])
