"""Signing in at an OpenID Connect issuer, and every answer that opens no session."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from ipaddress import ip_network
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from fastapi import FastAPI
from httpx import AsyncClient, Response

from service.adapters.access.issuers import Issuer, Trust
from service.adapters.access.openid import OpenIdProvider
from service.adapters.destinations.http.client import open_http_client
from service.adapters.destinations.http.egress import Egress
from service.api.services import Services
from tests.console.conftest import SITE, Browser, token_of
from tests.support.certificates import NO_AUTHORITIES
from tests.support.clock import HandClock
from tests.support.factories import ORG
from tests.support.issuer import GivenCode, IssuerStub, new_rsa_key, running_issuer, signed

COOKIE = "relevo-sign-in"
CALLBACK = f"{SITE}/console/sign-in/openid/callback"
CLIENT = "console of relevo"
SECRET = "a secret/with: marks"
BASIC = "Basic Y29uc29sZSUyMG9mJTIwcmVsZXZvOmElMjBzZWNyZXQlMkZ3aXRoJTNBJTIwbWFya3M="


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """An issuer, and who signs people in there."""

    stub: IssuerStub
    key: rsa.RSAPrivateKey
    client: AsyncClient
    issuer: Issuer
    clock: HandClock

    def provider(self, *, secret: str | None = SECRET) -> OpenIdProvider:
        return OpenIdProvider(self.client, self.issuer, client_id=CLIENT, client_secret=secret, timeout=2)

    def claims(self, asked: dict[str, str], **changed: Any) -> dict[str, Any]:
        """What an ID token says in answer to what was asked."""
        now = datetime.now(UTC).timestamp()
        given = {"iss": self.stub.url, "aud": CLIENT, "sub": "user-7", "iat": now, "exp": now + 3600}
        ours = {"nonce": asked["nonce"], "org": ORG, "role": "admin"}
        return {name: value for name, value in (given | ours | changed).items() if value is not None}

    def sign_in(
        self, address: str, *, client: str = BASIC, key: rsa.RSAPrivateKey | None = None, **changed: Any
    ) -> str:
        """A person signs in at the address where the browser was sent; returns where it is sent back to."""
        asked = dict(parse_qsl(urlsplit(address).query))
        code = f"code-{len(self.stub.codes)}"
        self.stub.codes[code] = GivenCode(
            redirect_uri=asked["redirect_uri"],
            challenge=asked["code_challenge"],
            client=client,
            id_token=signed(self.claims(asked, **changed), kid="k", key=key or self.key, algorithm="RS256"),
        )
        return f"{asked['redirect_uri']}?{urlencode({'code': code, 'state': asked['state']})}"


@pytest.fixture(scope="module")
def key() -> rsa.RSAPrivateKey:
    return new_rsa_key()


@pytest.fixture
async def site(key: rsa.RSAPrivateKey) -> AsyncIterator[Site]:
    """An issuer over real sockets, asked by the client that a server has for it."""
    everywhere = Egress([ip_network("0.0.0.0/0"), ip_network("::/0")])
    async with (
        running_issuer() as stub,
        open_http_client(everywhere, concurrency=1, ssl_context=NO_AUTHORITIES) as client,
    ):
        stub.publish("k", key)
        trust = Trust(issuer=stub.url, audience=CLIENT, org_claim="org", role_claim="role")
        clock = HandClock(datetime.now(UTC))
        yield Site(stub=stub, key=key, client=client, issuer=Issuer(client, trust, clock=clock, timeout=2), clock=clock)


@pytest.fixture
async def services(services: Services, site: Site) -> Services:
    """The API's services, with the issuer as who signs people in."""
    return replace(services, identity_provider=site.provider())


async def begun(browser: Browser, **query: str) -> str:
    """Where a browser is sent to that begins to sign in."""
    answer = await browser.client.get("/console/sign-in/openid", params=query)
    assert answer.status_code == 303
    return answer.headers["location"]


def opened_nothing(answer: Response) -> bool:
    """Whether there is no session, and the cookie of the sign-in is gone."""
    cookies = answer.headers.get_list("set-cookie")
    return [cookie.partition("=")[0] for cookie in cookies] == [COOKIE] and "Max-Age=0" in cookies[0]


async def test_a_person_signs_in_at_the_issuer_and_is_back_where_they_wanted_to_go(
    stranger: Browser, site: Site
) -> None:
    page = await stranger.get("/sign-in?next=/console/apps%3Flimit%3D3")
    address = await begun(stranger, next="/console/apps?limit=3")
    answer = await stranger.client.get(site.sign_in(address))
    apps = await stranger.get("/apps?limit=3")

    asked = dict(parse_qsl(urlsplit(address).query))
    assert f"Sign in with {urlsplit(site.stub.url).netloc}" in page.text
    assert "next=/console/apps%3Flimit%3D3" in page.text
    assert address.startswith(f"{site.stub.url}/authorize?")
    assert {name: asked[name] for name in ("response_type", "client_id", "redirect_uri", "code_challenge_method")} == {
        "response_type": "code",
        "client_id": CLIENT,
        "redirect_uri": CALLBACK,
        "code_challenge_method": "S256",
    }
    assert (answer.status_code, answer.headers["location"]) == (303, "/console/apps?limit=3")
    assert apps.status_code == 200
    assert "HttpOnly" in answer.headers["set-cookie"]


async def test_a_session_has_the_role_of_the_claims_and_ends_with_the_id_token(stranger: Browser, site: Site) -> None:
    soon = (datetime.now(UTC) + timedelta(minutes=10)).timestamp()
    answer = await stranger.client.get(site.sign_in(await begun(stranger), role=["user", "reader"], exp=soon))

    form = await stranger.get("/apps/new")

    (cookie,) = [one for one in answer.headers.get_list("set-cookie") if one.startswith("relevo=")]
    assert 500 < int(cookie.partition("Max-Age=")[2].partition(";")[0]) <= 600
    assert form.status_code == 403


async def test_the_cookie_of_a_sign_in_is_short_lived_and_tells_nothing_that_the_address_does(
    stranger: Browser, site: Site
) -> None:
    answer = await stranger.client.get("/console/sign-in/openid")

    cookie, asked = answer.headers["set-cookie"], dict(parse_qsl(urlsplit(answer.headers["location"]).query))
    secret = stranger.client.cookies[COOKIE].partition(".")[0]
    assert all(part in cookie for part in ("HttpOnly", "SameSite=lax", "Max-Age=600", "Path=/"))
    assert len({secret, asked["state"], asked["nonce"], asked["code_challenge"]}) == 4
    assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize("supported", [["client_secret_basic", "client_secret_post"], ["client_secret_post"], None])
async def test_the_client_proves_itself_as_the_issuer_offers(
    stranger: Browser, site: Site, supported: list[str] | None
) -> None:
    if supported:
        site.stub.metadata["token_endpoint_auth_methods_supported"] = supported
    by_form = supported == ["client_secret_post"]

    answer = await stranger.client.get(site.sign_in(await begun(stranger), client=SECRET if by_form else BASIC))

    (sent,) = site.stub.redeemed
    assert answer.status_code == 303
    assert (sent["authorization"] == BASIC, sent.get("client_secret") == SECRET) == (not by_form, by_form)


async def test_a_public_client_is_protected_by_pkce_alone(
    app: FastAPI, site: Site, stranger: Browser, services: Services
) -> None:
    app.state.services = replace(services, identity_provider=site.provider(secret=None))

    answer = await stranger.client.get(site.sign_in(await begun(stranger), client=CLIENT))

    (sent,) = site.stub.redeemed
    assert answer.status_code == 303
    assert (sent["client_id"], sent["authorization"]) == (CLIENT, "")


async def test_scopes_are_those_that_may_name_organisation_and_role_and_are_offered(
    stranger: Browser, site: Site
) -> None:
    site.stub.metadata["scopes_supported"] = ["openid", "groups", "offline_access"]

    asked = dict(parse_qsl(urlsplit(await begun(stranger)).query))

    assert asked["scope"] == "openid groups"


async def test_an_answer_that_another_browser_began_opens_nothing(stranger: Browser, site: Site) -> None:
    callback = site.sign_in(await begun(stranger))
    stranger.client.cookies.clear()

    answer = await stranger.client.get(callback)

    assert answer.status_code == 403
    assert opened_nothing(answer)
    assert site.stub.redeemed == []
    assert "another browser" in answer.text


@pytest.mark.parametrize("state", ["", "0" * 64, "other", None])
async def test_an_answer_with_another_state_opens_nothing(stranger: Browser, site: Site, state: str | None) -> None:
    callback = urlsplit(site.sign_in(await begun(stranger)))
    query = dict(parse_qsl(callback.query)) | {"state": state}
    if state == "other":
        query["state"] = dict(parse_qsl(urlsplit(await begun(stranger)).query))["state"]
        stranger.client.cookies.set(COOKIE, "0" * 64 + ".")

    answer = await stranger.client.get(
        callback.path, params={name: text for name, text in query.items() if text is not None}
    )

    assert answer.status_code == 403
    assert opened_nothing(answer)
    assert site.stub.redeemed == []


async def test_a_code_is_worth_one_session(stranger: Browser, site: Site) -> None:
    address = await begun(stranger)
    cookie = stranger.client.cookies[COOKIE]
    callback = site.sign_in(address)
    first = await stranger.client.get(callback)

    again = await stranger.client.get(callback)
    stranger.client.cookies.set(COOKIE, cookie)
    with_the_cookie = await stranger.client.get(callback)

    assert [first.status_code, again.status_code, with_the_cookie.status_code] == [303, 403, 401]
    assert opened_nothing(with_the_cookie)


async def test_a_code_that_somebody_else_was_given_is_worth_nothing_here(stranger: Browser, site: Site) -> None:
    other = site.sign_in(await begun(stranger))
    stolen = dict(parse_qsl(urlsplit(other).query))["code"]
    own = dict(parse_qsl(urlsplit(await begun(stranger)).query))["state"]

    answer = await stranger.client.get(CALLBACK, params={"code": stolen, "state": own})

    assert answer.status_code == 401
    assert opened_nothing(answer)


@pytest.mark.parametrize(
    "changed",
    [
        {"nonce": "another"},
        {"nonce": None},
        {"aud": "relevo"},
        {"aud": None},
        {"aud": [CLIENT, "another"]},
        {"aud": [CLIENT, "another"], "azp": "another"},
        {"azp": "another"},
        {"iss": "https://elsewhere.example.com"},
        {"exp": 1_700_000_000},
        {"exp": None},
        {"org": "someone"},
        {"org": None},
        {"role": "root"},
        {"role": None},
    ],
    ids=str,
)
async def test_an_id_token_that_does_not_hold_opens_nothing(
    stranger: Browser, site: Site, changed: dict[str, Any]
) -> None:
    answer = await stranger.client.get(site.sign_in(await begun(stranger), **changed))

    assert answer.status_code == 401
    assert opened_nothing(answer)
    assert "does not hold" in answer.text


async def test_an_id_token_that_somebody_else_signed_opens_nothing(stranger: Browser, site: Site) -> None:
    answer = await stranger.client.get(site.sign_in(await begun(stranger), key=new_rsa_key()))

    assert answer.status_code == 401
    assert opened_nothing(answer)


async def test_an_id_token_is_no_token_of_the_api(stranger: Browser, site: Site, api: AsyncClient) -> None:
    callback = site.sign_in(await begun(stranger))
    (code,) = site.stub.codes.values()
    await stranger.client.get(callback)

    answer = await api.get("/app", headers={"authorization": f"Bearer {code.id_token}"})

    assert answer.status_code == 401


@pytest.mark.parametrize("error", ["access_denied", "server_error", "<script>alert(1)</script>"])
async def test_an_answer_with_an_error_opens_nothing_and_its_text_is_not_shown(
    stranger: Browser, site: Site, error: str
) -> None:
    state = dict(parse_qsl(urlsplit(await begun(stranger)).query))["state"]

    answer = await stranger.client.get(CALLBACK, params={"error": error, "error_description": error, "state": state})

    assert answer.status_code == 401
    assert opened_nothing(answer)
    assert "did not sign you in" in answer.text
    assert error not in answer.text


@pytest.mark.parametrize(
    ("always", "answered_by", "status"),
    [
        (False, None, 303),
        (False, "own", 303),
        (False, "https://elsewhere.example.com", 401),
        (True, None, 401),
        (True, "own", 303),
    ],
)
async def test_an_answer_that_names_another_issuer_opens_nothing(
    *, stranger: Browser, site: Site, always: bool, answered_by: str | None, status: int
) -> None:
    site.stub.metadata["authorization_response_iss_parameter_supported"] = always
    callback = site.sign_in(await begun(stranger))
    named = site.stub.url if answered_by == "own" else answered_by

    answer = await stranger.client.get(callback if named is None else f"{callback}&{urlencode({'iss': named})}")

    assert answer.status_code == status
    assert (site.stub.redeemed == []) == (status == 401)


async def test_while_the_issuer_is_away_a_sentence_says_so(stranger: Browser, site: Site) -> None:
    callback = site.sign_in(await begun(stranger))
    site.stub.broken = True
    unredeemed = await stranger.client.get(callback)
    await site.issuer.refresh()
    not_begun = await stranger.client.get("/console/sign-in/openid")

    assert (unredeemed.status_code, not_begun.status_code) == (503, 503)
    assert opened_nothing(unredeemed)
    assert "set-cookie" not in not_begun.headers
    assert "Try again in a moment" in unredeemed.text
    assert "Try again in a moment" in not_begun.text
    assert 'name="token"' in not_begun.text, "who has a token still gets in"


async def test_an_issuer_that_keeps_us_waiting_is_waited_for_no_longer_than_it_may(
    stranger: Browser, site: Site, services: Services
) -> None:
    callback = site.sign_in(await begun(stranger))
    site.stub.silent = True

    answer = await stranger.client.get(callback)

    assert answer.status_code == 503
    assert opened_nothing(answer)


async def test_a_client_that_the_issuer_does_not_know_is_told_from_a_code_that_does_not_hold(
    stranger: Browser, site: Site
) -> None:
    answer = await stranger.client.get(site.sign_in(await begun(stranger), client="Basic other"))

    assert answer.status_code == 503
    assert "as it is set up" in answer.text


@pytest.mark.parametrize("url", [None, 7, "javascript:alert(1)", "/authorize"])
async def test_an_issuer_without_a_usable_address_signs_nobody_in(stranger: Browser, site: Site, url: Any) -> None:
    site.stub.metadata["authorization_endpoint"] = url

    answer = await stranger.client.get("/console/sign-in/openid")

    assert answer.status_code == 503
    assert "location" not in answer.headers


async def test_without_tls_nobody_begins_but_on_this_machine(stranger: Browser) -> None:
    answer = await stranger.client.get("http://relevo.example/console/sign-in/openid")

    assert "location" not in answer.headers
    assert "TLS" in answer.text


@pytest.mark.parametrize("wanted", ["https://evil.example/", "//evil.example/console/x", "/console/" + "x" * 2_000])
async def test_signing_in_there_leads_to_our_own_pages_only(stranger: Browser, site: Site, wanted: str) -> None:
    answer = await stranger.client.get(site.sign_in(await begun(stranger, next=wanted)))

    assert answer.headers["location"] == "/console/overview"


async def test_a_cookie_cannot_lead_elsewhere(stranger: Browser, site: Site) -> None:
    callback = site.sign_in(await begun(stranger))
    secret = stranger.client.cookies[COOKIE].partition(".")[0]
    stranger.client.cookies.clear()
    stranger.client.cookies.set(COOKIE, f"{secret}.https%3A%2F%2Fevil.example%2F")

    answer = await stranger.client.get(callback)

    assert answer.headers["location"] == "/console/overview"


async def test_who_signed_in_there_signs_out_like_everybody(stranger: Browser, site: Site) -> None:
    await stranger.client.get(site.sign_in(await begun(stranger)))
    before = await stranger.get("/overview")

    await stranger.send("/sign-out")

    assert (before.status_code, (await stranger.get("/overview")).status_code) == (200, 303)


async def test_a_token_still_opens_a_session(stranger: Browser) -> None:
    assert (await stranger.sign_in(token_of())).status_code == 303
