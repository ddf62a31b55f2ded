"""An OpenID Connect issuer's keys: fetched, replaced, withdrawn, and kept while it does not answer."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from service.adapters.access.documents import MAX_DOCUMENT_BYTES
from service.adapters.access.issuers import KEYS_LIFETIME, MIN_FETCH_INTERVAL, Issuer
from service.application.access import Caller
from service.domain.errors import NotAuthenticated, Unavailable
from tests.support.factories import ORG
from tests.support.issuer import NOW, IssuerSite, new_rsa_key, open_site
from tests.support.patience import patient

WITHIN = patient(10)  # seconds


@pytest.fixture(scope="module")
def key() -> rsa.RSAPrivateKey:
    return new_rsa_key()


@pytest.fixture
async def site(key: rsa.RSAPrivateKey) -> AsyncIterator[IssuerSite]:
    async with open_site(key) as opened:
        yield opened


async def test_a_token_speaks_for_the_organisation_and_the_role_that_its_claims_name(site: IssuerSite) -> None:
    assert await site.issuer.verify(site.token()) == Caller(org_id=ORG, role="writer")
    assert (await site.issuer.verify(site.token(roles=["user", "reader", "admin"]))).role == "admin"


async def test_keys_are_fetched_once_for_any_number_of_tokens(site: IssuerSite) -> None:
    for second in range(20):
        await site.issuer.verify(site.token(nbf=NOW.timestamp() - second))

    assert site.stub.asked == 1


async def test_a_token_that_comes_while_the_first_keys_are_fetched_waits_for_them(site: IssuerSite) -> None:
    _, caller = await asyncio.gather(site.issuer.refresh(), site.issuer.verify(site.token()))

    assert (caller.org_id, site.stub.asked) == (ORG, 1)


async def test_a_new_key_is_found_when_a_token_names_it(site: IssuerSite) -> None:
    await site.issuer.verify(site.token())
    second = new_rsa_key()
    site.stub.publish("second", second)
    site.clock.time += MIN_FETCH_INTERVAL

    assert (await site.issuer.verify(site.token(kid="second", key=second))).org_id == ORG


async def test_a_key_may_be_replaced_under_its_own_name(site: IssuerSite) -> None:
    old = site.token()
    await site.issuer.verify(old)
    second = new_rsa_key()
    site.stub.withdraw("first")
    site.stub.publish("first", second)

    await site.issuer.refresh()

    assert (await site.issuer.verify(site.token(key=second))).org_id == ORG
    with pytest.raises(NotAuthenticated):
        await site.issuer.verify(old)


async def test_unknown_keys_do_not_make_us_ask_again_and_again(site: IssuerSite) -> None:
    for number in range(20):
        with pytest.raises(NotAuthenticated):
            await site.issuer.verify(site.token(kid=f"unknown {number}"))
    assert site.stub.asked == 1

    site.clock.time += MIN_FETCH_INTERVAL
    with pytest.raises(NotAuthenticated):
        await site.issuer.verify(site.token(kid="unknown"))

    assert site.stub.asked == 2


async def test_a_key_that_was_withdrawn_ends_its_tokens_also_those_that_are_remembered(site: IssuerSite) -> None:
    token = site.token()
    await site.issuer.verify(token)
    site.stub.withdraw("first")

    await site.issuer.refresh()

    with pytest.raises(NotAuthenticated):
        await site.issuer.verify(token)


async def test_an_issuer_that_does_not_answer_is_trusted_for_a_day_and_no_longer(site: IssuerSite) -> None:
    token = site.token(exp=(NOW + 2 * KEYS_LIFETIME).timestamp())
    await site.issuer.verify(token)
    site.stub.broken = True

    await site.issuer.refresh()
    assert (await site.issuer.verify(token)).org_id == ORG

    site.clock.time += KEYS_LIFETIME
    await site.issuer.refresh()
    with pytest.raises(Unavailable):
        await site.issuer.verify(token)


async def test_an_issuer_that_comes_up_after_us_is_asked_again(site: IssuerSite) -> None:
    site.stub.broken = True
    await site.issuer.refresh()
    with pytest.raises(Unavailable):
        await site.issuer.verify(site.token())

    site.stub.broken = False
    site.clock.time += MIN_FETCH_INTERVAL

    assert (await site.issuer.verify(site.token())).org_id == ORG


@pytest.mark.parametrize("issuer", [None, "", "https://somebody.else"])
async def test_while_an_issuer_is_down_only_what_claims_to_be_its_own_may_be_tried_again(
    site: IssuerSite, issuer: str | None
) -> None:
    site.stub.broken = True

    with pytest.raises(Unavailable):
        await site.issuer.verify(site.token())
    with pytest.raises(NotAuthenticated):
        await site.issuer.verify(site.token(iss=issuer))


async def test_for_a_token_of_another_issuer_nobody_is_asked(site: IssuerSite) -> None:
    with pytest.raises(NotAuthenticated):
        await site.issuer.verify(site.token(iss="https://somebody.else"))

    assert site.stub.asked == 0


async def test_while_an_issuer_keeps_us_waiting_the_keys_that_are_known_hold(site: IssuerSite) -> None:
    await site.issuer.refresh()
    site.clock.time += MIN_FETCH_INTERVAL
    site.stub.silent = True

    unknown = asyncio.create_task(site.issuer.verify(site.token(kid="unknown")))
    await site.stub.kept_waiting.wait()
    known = await site.issuer.verify(site.token())

    assert (known.org_id, unknown.done()) == (ORG, False)
    unknown.cancel()


async def test_an_issuer_that_does_not_answer_is_waited_for_once_and_not_for_long(site: IssuerSite) -> None:
    impatient = Issuer(site.client, site.trust, clock=site.clock, timeout=0.05)
    site.stub.silent = True

    async with asyncio.timeout(WITHIN):
        answers = await asyncio.gather(
            *[impatient.verify(site.token(kid=f"{number}")) for number in range(20)], return_exceptions=True
        )
    site.stub.silent = False
    with pytest.raises(Unavailable):
        await impatient.verify(site.token())

    assert {type(answer) for answer in answers} == {Unavailable}
    assert site.stub.asked == 0


@pytest.mark.parametrize(
    "says",
    [
        b"",
        b"<html>",
        b"[]",
        b'{"issuer": 1}',
        b"x" * (MAX_DOCUMENT_BYTES + 1),
    ],
    ids=lambda says: str(says[:15]),
)
async def test_what_is_no_configuration_gives_no_keys_and_takes_none_away(site: IssuerSite, says: bytes) -> None:
    await site.issuer.refresh()
    site.stub.says = says

    await site.issuer.refresh()

    assert (await site.issuer.verify(site.token())).org_id == ORG


async def test_keys_that_cannot_be_read_do_not_spoil_the_others(site: IssuerSite) -> None:
    (good,) = site.stub.published
    unreadable: list[Any] = [
        None,
        [],
        {"kty": "RSA", "kid": "no numbers"},
        {**good, "n": "!", "kid": "no base64"},
        {**good, "kid": ["a", "list"]},
        {**good, "kty": {}},
        {"kty": "EC", "crv": "P-256", "kid": "no point", "x": "AA", "y": "AA"},
        {"kty": "OKP", "crv": "Ed25519", "kid": "too short", "x": "AA"},
    ]
    site.stub.published[:0] = unreadable

    assert (await site.issuer.verify(site.token())).org_id == ORG


async def test_a_token_ends_when_it_says_also_when_it_is_remembered(site: IssuerSite) -> None:
    token = site.token()
    await site.issuer.verify(token)

    site.clock.time += timedelta(seconds=3661)

    with pytest.raises(NotAuthenticated):
        await site.issuer.verify(token)


async def test_a_configuration_that_names_another_issuer_gives_no_keys(site: IssuerSite) -> None:
    site.stub.says_it_is = "https://somebody.else"

    with pytest.raises(Unavailable):
        await site.issuer.verify(site.token())

    assert site.stub.asked == 0
