"""Dex, an OpenID Connect provider, with a client and one person, who signs in by the forms that browsers show."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from html import unescape
from pathlib import Path
from re import search
from urllib.parse import urljoin

import httpx

from tests.support.patience import patient
from tests.support.processes import free_port

CLIENT = "relevo-console"
SECRET = "known to Dex and to Relevo: 100 %"
PASSWORD = "password"
_HASH = "$2a$10$2b2cU8CPhOTaGrs1HRQuAueS7JTT5ZHsHSzYiFPm1leZck7Mc8T4W"  # bcrypt's of PASSWORD
_READY_WITHIN_S = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Dex:
    """A running Dex. Its person's ID tokens have `email` and, as `name`, the user name."""

    url: str
    email: str

    async def sign_in(self, address: str, *, password: str = PASSWORD) -> str:
        """Where Dex leads a browser that was sent to this address, once the person has typed the password."""
        async with httpx.AsyncClient(trust_env=False) as browser:
            answer = await self._followed(browser, await browser.get(address))
            form = search(r'<form[^>]*action="([^"]+)"', answer.text)
            if form is None:
                return _onwards(answer)
            fields = {"login": self.email, "password": password}
            action = urljoin(str(answer.url), unescape(form[1]))
            return _onwards(await self._followed(browser, await browser.post(action, data=fields)))

    async def _followed(self, browser: httpx.AsyncClient, answer: httpx.Response) -> httpx.Response:
        """The answer after the redirections within Dex."""
        while answer.has_redirect_location and _onwards(answer).startswith(self.url):
            answer = await browser.get(_onwards(answer))
        return answer


def _onwards(answer: httpx.Response) -> str:
    """Where the answer leads to: without a redirection, nowhere else."""
    return urljoin(str(answer.url), str(answer.headers.get("location", "")))


@asynccontextmanager
async def running_dex(
    program: Path, directory: Path, *, email: str, username: str, redirects: Sequence[str]
) -> AsyncIterator[Dex]:
    """Dex on a free port of loopback."""
    port = free_port()
    url = f"http://127.0.0.1:{port}/dex"
    configuration = directory / "dex.json"
    client = {"id": CLIENT, "secret": SECRET, "name": "Relevo", "redirectURIs": list(redirects)}
    person = {"email": email, "username": username, "hash": _HASH}
    configuration.write_text(json.dumps({"issuer": url, "listen": f"127.0.0.1:{port}", "client": client, **person}))
    process = await asyncio.create_subprocess_exec(program, configuration, stderr=asyncio.subprocess.DEVNULL)
    try:
        await _until_it_answers(url)
        yield Dex(url=url, email=email)
    finally:
        process.terminate()
        await process.wait()


async def _until_it_answers(url: str) -> None:
    async with httpx.AsyncClient(trust_env=False) as anybody, asyncio.timeout(patient(_READY_WITHIN_S)):
        while not await _answers(anybody, url):  # noqa: ASYNC110  # another process, which sets no event of ours
            await asyncio.sleep(0.05)


async def _answers(anybody: httpx.AsyncClient, url: str) -> bool:
    try:
        return (await anybody.get(f"{url}/.well-known/openid-configuration")).is_success
    except httpx.TransportError:
        return False
