"""A Relevo with a story, a receiver and a browser: each once for the run."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import pytest
from playwright.sync_api import Browser, Page, StorageState, expect, sync_playwright

from tests.browser.story import Api, Story, told
from tests.stack.relevo import running_receiver, running_relevo
from tests.support.patience import patient

HERE = Path(__file__).parent
SCREENS = HERE.parents[1] / "build" / "screens"
SIZES = {"phone": (360, 740), "desk": (1440, 900)}
SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
# Attempts that fail come soon, and one is left to wait for.
SCHEDULE = "[0.3, 1, 1, 900]"


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """These tests need a browser: they run for those who name this directory."""
    wanted = [Path(argument.partition("::")[0]).absolute() for argument in config.args]
    named = any(path == HERE or HERE in path.parents for path in wanted)
    return None if named or HERE not in collection_path.parents else True


class Visitors:
    """Opens pages of the console for people of each role."""

    def __init__(self, browser: Browser, story: Story) -> None:
        self._browser = browser
        self._story = story
        self._states: dict[str, StorageState] = {}

    @contextmanager
    def visiting(self, role: str, *, size: str = "desk", bypass_csp: bool = False) -> Iterator[Page]:
        """A page of somebody who has signed in, if the role has a token; nothing is loaded yet."""
        width, height = SIZES[size]
        context = self._browser.new_context(
            viewport={"width": width, "height": height},
            storage_state=self._state_of(role),
            bypass_csp=bypass_csp,
            locale="en-GB",
            timezone_id="Europe/Berlin",
            reduced_motion="reduce",
        )
        context.set_default_timeout(patient(5) * 1000)
        try:
            yield context.new_page()
        finally:
            context.close()

    def _state_of(self, role: str) -> StorageState | None:
        token = self._story.tokens.get(role)
        if token is not None and role not in self._states:
            self._states[role] = self._signed_in(token)
        return self._states.get(role)

    def _signed_in(self, token: str) -> StorageState:
        context = self._browser.new_context()
        page = context.new_page()
        page.goto(self._story.address("/sign-in"))
        page.get_by_label("Token").fill(token)
        page.get_by_role("button", name="Sign in").click()
        page.get_by_role("button", name="Sign out").wait_for()
        state = context.storage_state()
        context.close()
        return state


@pytest.fixture(scope="session")
def api() -> Iterator[Api]:
    """A Relevo with a database of its own, and a receiver that misbehaves as it is told to."""
    with (
        tempfile.TemporaryDirectory(prefix="relevo-") as directory,
        running_receiver() as receiver,
        running_relevo(Path(directory), RELEVO_RETRY_SCHEDULE=SCHEDULE) as relevo,
    ):
        api = Api(relevo, receiver)
        yield api
        api.close()


@pytest.fixture(scope="session")
def story(api: Api) -> Story:
    """What there is to be seen."""
    return told(api)


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """The system's own Chromium."""
    expect.set_options(timeout=patient(5) * 1000)
    program = shutil.which("chromium") or "/usr/bin/chromium"
    with sync_playwright() as playwright:
        # As root it has no sandbox.
        browser = playwright.chromium.launch(executable_path=program, chromium_sandbox=os.geteuid() != 0)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def visitors(chromium: Browser, story: Story) -> Visitors:
    """People of each role."""
    return Visitors(chromium, story)
