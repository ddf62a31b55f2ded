"""Who may show the console in a frame: nobody, but for the portal within pages of the origins that were named."""

from collections.abc import Iterator

import pytest
from fastapi import FastAPI
from httpx import AsyncClient, Response

from service.console.pages import POLICY
from tests.console.conftest import Browser, made, token_of

TLS = "https://localhost:8000"
EMBEDDER = "https://app.example.com"
IN_A_FRAME = {"sec-fetch-dest": "iframe"}


@pytest.fixture
def embeddable(app: FastAPI) -> Iterator[None]:
    """While a page of EMBEDDER may embed the portal."""
    app.state.portal_ancestors = (EMBEDDER, "https://other.example.com")
    yield
    app.state.portal_ancestors = ()


@pytest.fixture
async def link(api: AsyncClient) -> str:
    """A link of a customer's application."""
    app_id = await made(api, "/app", name="n")
    return str((await api.post(f"/auth/app-portal-access/{app_id}", json={})).json()["url"])


async def opened(browser: Browser, link: str) -> Response:
    """The answer to a link that is opened over TLS."""
    return await browser.client.post(f"{TLS}/console/portal", data={"token": link}, headers={"origin": TLS})


def is_framed_by_nobody(answer: Response) -> bool:
    """Whether browsers refuse the page to every frame."""
    headers = answer.headers
    return (headers["content-security-policy"], headers.get("x-frame-options")) == (POLICY, "DENY")


def cookies_of(answer: Response) -> dict[str, set[str]]:
    """The attributes of each cookie that is set, by its name; of those that are removed, none."""
    found = {}
    for header in answer.headers.get_list("set-cookie"):
        name, *attributes = header.split("; ")
        if "Max-Age=0" not in attributes:
            found[name.partition("=")[0]] = {one.lower() for one in attributes if "=" not in one or "SameSite" in one}
    return found


async def test_nobody_frames_the_portal_unless_that_is_set(stranger: Browser, link: str) -> None:
    answer = await opened(stranger, link)
    page = await stranger.client.get(f"{TLS}{answer.headers['location']}")
    door = await stranger.client.get(f"{TLS}/console/portal")

    assert cookies_of(answer) == {"__Host-relevo-portal": {"secure", "httponly", "samesite=lax"}}
    assert page.status_code == 200
    assert is_framed_by_nobody(page)
    assert is_framed_by_nobody(door)


@pytest.mark.usefixtures("embeddable")
async def test_the_portal_is_framed_by_whom_the_setting_names_and_its_cookie_stays_with_that_site(
    stranger: Browser, link: str
) -> None:
    door = await stranger.client.get(f"{TLS}/console/portal", headers=IN_A_FRAME)
    answer = await opened(stranger, link)
    own = f"{TLS}{answer.headers['location']}"
    pages = [
        await stranger.client.get(url) for url in (own, f"{own}/messages", f"{own}/msg/none", f"{TLS}/console/apps")
    ]

    assert cookies_of(answer) == {
        "__Host-relevo-portal": {"secure", "httponly", "samesite=none", "partitioned"},
    }
    assert "x-frame-options" not in answer.headers, "a redirection in a frame is followed"
    assert [page.status_code for page in pages] == [200, 200, 404, 403]
    for page in (door, *pages):
        assert page.headers["content-security-policy"].endswith(
            f"; frame-ancestors {EMBEDDER} https://other.example.com"
        )
        assert "x-frame-options" not in page.headers


@pytest.mark.usefixtures("embeddable")
async def test_an_operators_session_is_framed_by_nobody_and_its_cookie_stays_out_of_frames(stranger: Browser) -> None:
    answer = await stranger.client.post(f"{TLS}/console/sign-in", data={"token": token_of()}, headers={"origin": TLS})
    paths = ("/overview", "/apps", "/app/unknown", "/nowhere", "/sign-in", "/portal")
    pages = [await stranger.client.get(f"{TLS}/console{path}") for path in paths]
    sign_in = await stranger.client.get(f"{TLS}/console/sign-in", headers=IN_A_FRAME)

    assert cookies_of(answer) == {"__Host-relevo": {"secure", "httponly", "samesite=lax"}}
    assert [is_framed_by_nobody(page) for page in pages] == [True] * 5 + [False], "all but the portal's door"
    assert is_framed_by_nobody(sign_in)
    assert "csrf" not in pages[-1].text


@pytest.mark.usefixtures("embeddable")
async def test_where_there_is_no_tls_no_cookie_is_for_frames(stranger: Browser, link: str) -> None:
    answer = await stranger.open_portal(link)

    assert cookies_of(answer) == {"relevo-portal": {"httponly", "samesite=lax"}}


@pytest.mark.usefixtures("embeddable")
async def test_one_browser_has_one_session_a_customers_or_an_operators(stranger: Browser, link: str) -> None:
    await opened(stranger, link)
    await stranger.client.post(f"{TLS}/console/sign-in", data={"token": token_of()}, headers={"origin": TLS})
    operator = await stranger.client.get(f"{TLS}/console/apps")
    await opened(stranger, link)
    customer = await stranger.client.get(f"{TLS}/console/apps")

    assert (operator.status_code, customer.status_code) == (200, 403)


@pytest.mark.usefixtures("embeddable")
async def test_in_a_frame_whoever_has_no_session_is_led_to_the_portals_door(stranger: Browser, link: str) -> None:
    page = await stranger.client.get(f"{TLS}/console/overview", headers=IN_A_FRAME)
    form = await stranger.client.post(
        f"{TLS}/console/sign-out", headers=IN_A_FRAME | {"content-type": "application/x-www-form-urlencoded"}
    )
    answer = await opened(stranger, link)
    shown = await stranger.client.get(f"{TLS}{answer.headers['location']}")
    csrf = shown.text.partition('name="csrf" value="')[2].partition('"')[0]
    left = await stranger.client.post(
        f"{TLS}/console/sign-out", data={"csrf": csrf}, headers=IN_A_FRAME | {"origin": TLS}
    )

    assert [one.headers["location"] for one in (page, form, left)] == [
        "/console/portal?done=ended",
        "/console/portal?done=ended",
        "/console/portal?done=signed-out",
    ]
