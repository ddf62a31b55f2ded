"""Signing in at an OpenID Connect provider, as a person does: from our page to the provider's and back."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser import providers
from tests.browser.providers import Provider
from tests.stack.relevo import Relevo, running_relevo
from tests.support.patience import patient
from tests.support.processes import free_port

PROVIDERS = {"dex": providers.dex, "our own": providers.our_own}


@pytest.fixture(scope="module")
def port() -> int:
    """Where Relevo will be, which a provider is told before."""
    return free_port()


@pytest.fixture(scope="module", params=PROVIDERS)
def provider(request: pytest.FixtureRequest, port: int) -> Iterator[Provider]:
    """One after the other."""
    if request.param == "dex" and not providers.dex_is_built():
        pytest.skip("NOT TESTED: Dex, which `make stack` builds")
    with PROVIDERS[request.param](f"http://127.0.0.1:{port}/console/sign-in/openid/callback") as running:
        yield running


@pytest.fixture(scope="module")
def relevo(provider: Provider, port: int) -> Iterator[Relevo]:
    """A Relevo that is a client of it."""
    with (
        tempfile.TemporaryDirectory(prefix="relevo-") as directory,
        running_relevo(Path(directory), RELEVO_PORT=str(port), **provider.variables) as running,
    ):
        yield running


@pytest.fixture
def page(chromium: Browser) -> Iterator[Page]:
    """A browser that nobody used before."""
    context = chromium.new_context()
    context.set_default_timeout(patient(5) * 1000)
    yield context.new_page()
    context.close()


def test_a_person_comes_back_to_the_page_that_was_wanted_and_is_signed_in(
    page: Page, relevo: Relevo, provider: Provider
) -> None:
    page.goto(f"{relevo.url}/console/event-types")

    page.get_by_role("link", name="Sign in with").click()
    page.wait_for_url(f"{provider.url}/**")
    provider.sign_in(page)
    expect(page.get_by_role("heading", name="Event types")).to_be_visible()
    (session,) = page.context.cookies(relevo.url)
    page.get_by_role("button", name="Sign out").click()
    page.goto(f"{relevo.url}/console/event-types")

    assert (session["name"], session["httpOnly"], session["sameSite"]) == ("relevo", True, "Lax")
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()


def test_a_person_who_declines_is_told_so_and_is_not_signed_in(page: Page, relevo: Relevo, provider: Provider) -> None:
    if provider.decline is None:
        pytest.skip("Dex has no page to decline on")
    page.goto(f"{relevo.url}/console/sign-in")

    page.get_by_role("link", name="Sign in with").click()
    provider.decline(page)

    expect(page.get_by_role("alert")).to_contain_text("The provider did not sign you in")
    assert page.context.cookies(relevo.url) == []
