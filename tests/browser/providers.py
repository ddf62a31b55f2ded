"""Identity providers whose pages a person uses in the browser: Dex where it is built, and one of our own."""

import tempfile
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from html import escape
from pathlib import Path
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

from anyio.from_thread import start_blocking_portal
from cryptography.hazmat.primitives.asymmetric import rsa
from playwright.sync_api import Page

from deploy.stack import programs
from tests.stack.dex import CLIENT, PASSWORD, SECRET, running_dex
from tests.support.factories import ORG
from tests.support.issuer import GivenCode, IssuerStub, new_rsa_key, running_issuer, signed

_PERSON = "reader@example.com"
_CREDENTIALS = ":".join(quote(part, safe="") for part in (CLIENT, SECRET))  # as RFC 6749 has them
_BASIC = f"Basic {b64encode(_CREDENTIALS.encode()).decode()}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Provider:
    """A provider that is running, and how a person signs in and declines on its page. `claims` are the variables of its
    tokens' claims. Dex has no way to decline."""

    url: str
    claims: Mapping[str, str]
    sign_in: Callable[[Page], None]
    decline: Callable[[Page], None] | None = None

    @property
    def variables(self) -> dict[str, str]:
        """The settings of a Relevo whose console offers to sign in there."""
        return {
            "RELEVO_OIDC_ISSUER": self.url,
            "RELEVO_OIDC_AUDIENCE": "the API",
            "RELEVO_OIDC_CLIENT_ID": CLIENT,
            "RELEVO_OIDC_CLIENT_SECRET": SECRET,
            **self.claims,
        }


def dex_is_built() -> bool:
    """Whether `make stack` has built it."""
    return programs.is_built(programs.DEX)


@contextmanager
def dex(callback: str) -> Iterator[Provider]:
    """Dex, whose person types a password."""

    def sign_in(page: Page) -> None:
        page.locator("input[name=login]").fill("reader")
        page.locator("input[name=password]").fill(PASSWORD)
        page.locator("button[type=submit]").click()

    with tempfile.TemporaryDirectory(prefix="relevo-") as directory, start_blocking_portal() as portal:
        program = programs.build(programs.DEX)
        started = running_dex(program, Path(directory), email="reader", username=ORG, redirects=[callback])
        with portal.wrap_async_context_manager(started) as running:
            claims = {"RELEVO_OIDC_ORG_CLAIM": "name", "RELEVO_OIDC_ROLE_CLAIM": "email"}
            yield Provider(url=running.url, claims=claims, sign_in=sign_in)


@contextmanager
def our_own(_: str) -> Iterator[Provider]:
    """One whose page has a link for either answer."""
    stub = _Asking(key=new_rsa_key())
    stub.publish("k", stub.key)
    with start_blocking_portal() as portal, portal.wrap_async_context_manager(running_issuer(stub)):
        claims = {"RELEVO_OIDC_ORG_CLAIM": "org", "RELEVO_OIDC_ROLE_CLAIM": "role"}
        yield Provider(
            url=stub.url,
            claims=claims,
            sign_in=lambda page: page.get_by_role("link", name=_PERSON).click(),
            decline=lambda page: page.get_by_role("link", name="Decline").click(),
        )


@dataclass(slots=True, kw_only=True)
class _Asking(IssuerStub):
    """An issuer whose page asks the person."""

    key: rsa.RSAPrivateKey
    _given: int = field(default=0, init=False)

    def answer(self, path: str) -> bytes:
        """What it says at a path."""
        if not path.startswith("/authorize?"):
            return IssuerStub.answer(self, path)
        asked = dict(parse_qsl(urlsplit(path).query))
        back, state = asked["redirect_uri"], asked["state"]
        answers = {_PERSON: {"code": self._code(asked)}, "Decline": {"error": "access_denied"}}
        page = ["<!doctype html><title>Sign in</title><h1>Who are you?</h1>"]
        for name, answer in answers.items():
            address = f"{back}?{urlencode(answer | {'state': state})}"
            page.append(f'<p><a href="{escape(address)}">{name}</a></p>')
        return "".join(page).encode()

    def _code(self, asked: dict[str, str]) -> str:
        now = datetime.now(UTC).timestamp()
        claims = {"iss": self.url, "aud": CLIENT, "sub": "user-7", "iat": now, "exp": now + 3600}
        ours = {"nonce": asked["nonce"], "org": ORG, "role": "reader"}
        self._given += 1
        code = f"code-{self._given}"
        self.codes[code] = GivenCode(
            redirect_uri=asked["redirect_uri"],
            challenge=asked["code_challenge"],
            client=_BASIC,
            id_token=signed(claims | ours, kid="k", key=self.key, algorithm="RS256"),
        )
        return code
