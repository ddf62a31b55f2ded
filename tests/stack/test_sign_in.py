"""Signing in to the console at Dex, a real OpenID Connect provider: by its forms, and by nothing less."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest
from httpx import Response

from deploy.stack import programs
from service.observability.telemetry import open_telemetry
from tests.observability.whole import Whole, running_whole
from tests.stack.dex import CLIENT, SECRET, Dex, running_dex
from tests.support.factories import ORG

SITE = "https://relevo.test"
CALLBACK = f"{SITE}/console/sign-in/openid/callback"
SESSION = "__Host-relevo"


@pytest.fixture(scope="session")
def program() -> Path:
    """Dex's program."""
    return programs.build(programs.DEX)


@pytest.fixture
async def dex(program: Path, tmp_path: Path) -> AsyncIterator[Dex]:
    """Dex with a person whose name is an organisation's and whose e-mail is a role: what it can be told of anybody."""
    redirects = (CALLBACK, f"{SITE}/elsewhere")
    async with running_dex(program, tmp_path, email="admin", username=ORG, redirects=redirects) as running:
        yield running


@asynccontextmanager
async def client_of(dex: Dex, database: str, **others: str) -> AsyncIterator[Whole]:
    """A Relevo that is a client of that Dex."""
    usual = {
        "RELEVO_PUBLIC_URL": SITE,
        "RELEVO_OIDC_ISSUER": dex.url,
        "RELEVO_OIDC_AUDIENCE": "the API",
        "RELEVO_OIDC_ORG_CLAIM": "name",
        "RELEVO_OIDC_ROLE_CLAIM": "email",
        "RELEVO_OIDC_CLIENT_ID": CLIENT,
        "RELEVO_OIDC_CLIENT_SECRET": SECRET,
    }
    async with (
        open_telemetry(role="test", version="0", environ={}) as telemetry,
        running_whole(telemetry, database=database, **(usual | others)) as whole,
    ):
        yield whole


@pytest.fixture
async def console(dex: Dex, database: str) -> AsyncIterator[Whole]:
    """One as it should be."""
    async with client_of(dex, database) as whole:
        yield whole


async def begun(console: Whole) -> str:
    """The address at Dex to which a browser is sent."""
    answer = await console.api.get(f"{SITE}/console/sign-in/openid")
    assert answer.status_code == 303
    return answer.headers["location"]


def is_signed_in(answer: Response) -> bool:
    """Whether the answer opened a session."""
    return any(cookie.startswith(f"{SESSION}=") for cookie in answer.headers.get_list("set-cookie"))


async def test_a_person_types_a_password_at_dex_and_is_an_operator_here(console: Whole, dex: Dex) -> None:
    page = await console.api.get(f"{SITE}/console/sign-in")
    callback = await dex.sign_in(await begun(console))
    answer = await console.api.get(callback)
    form = await console.api.get(f"{SITE}/console/apps/new")

    assert f"Sign in with {urlsplit(dex.url).netloc}" in page.text
    assert callback.startswith(f"{CALLBACK}?code=")
    assert (answer.status_code, answer.headers["location"]) == (303, "/console/overview")
    assert is_signed_in(answer)
    assert form.status_code == 200


async def test_a_wrong_password_brings_nobody_back(console: Whole, dex: Dex) -> None:
    assert not (await dex.sign_in(await begun(console), password="another")).startswith(SITE)


async def test_dex_redeems_a_code_once(console: Whole, dex: Dex) -> None:
    address = await begun(console)
    cookies = dict(console.api.cookies)
    callback = await dex.sign_in(address)
    first = await console.api.get(callback)
    console.api.cookies.update(cookies)

    again = await console.api.get(callback, headers={"cookie": "; ".join(f"{n}={v}" for n, v in cookies.items())})

    assert (is_signed_in(first), again.status_code, is_signed_in(again)) == (True, 401, False)


async def test_dex_redeems_no_code_for_another_browsers_verifier(console: Whole, dex: Dex) -> None:
    code = dict(parse_qsl(urlsplit(await dex.sign_in(await begun(console))).query))["code"]
    state = dict(parse_qsl(urlsplit(await begun(console)).query))["state"]

    answer = await console.api.get(f"{CALLBACK}?{urlencode({'code': code, 'state': state})}")

    assert (answer.status_code, is_signed_in(answer)) == (401, False)


async def test_an_answer_of_dex_with_another_state_or_nonce_opens_nothing(console: Whole, dex: Dex) -> None:
    wrong_state = await dex.sign_in((await begun(console)).replace("state=", "state=0"))
    of_state = await console.api.get(wrong_state)
    wrong_nonce = await dex.sign_in((await begun(console)).replace("nonce=", "nonce=0"))
    of_nonce = await console.api.get(wrong_nonce)

    assert [(one.status_code, is_signed_in(one)) for one in (of_state, of_nonce)] == [(403, False), (401, False)]


async def test_dex_sends_errors_back_which_open_nothing(console: Whole, dex: Dex) -> None:
    refused = await dex.sign_in((await begun(console)).replace("response_type=code", "response_type=none"))
    answer = await console.api.get(refused)

    assert refused.startswith(f"{CALLBACK}?error=")
    assert (answer.status_code, is_signed_in(answer)) == (401, False)


async def test_a_client_whose_secret_dex_does_not_know_signs_nobody_in(dex: Dex, database: str) -> None:
    async with client_of(dex, database, RELEVO_OIDC_CLIENT_SECRET="another") as console:
        answer = await console.api.get(await dex.sign_in(await begun(console)))

    assert (answer.status_code, is_signed_in(answer)) == (503, False)


async def test_a_person_without_a_role_here_is_not_let_in(dex: Dex, database: str) -> None:
    async with client_of(dex, database, RELEVO_OIDC_ROLE_CLAIM="preferred_username") as console:
        answer = await console.api.get(await dex.sign_in(await begun(console)))

    assert (answer.status_code, is_signed_in(answer)) == (401, False)
