"""Tokens of an OpenID Connect issuer, with an issuer of our own on a real socket."""

import asyncio
import hmac
from base64 import urlsafe_b64encode
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import product
from typing import Any

import orjson
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from httpx import AsyncClient

from service.adapters.issuers import LARGEST_DOCUMENT, NOT_MORE_OFTEN_THAN, TRUSTED_FOR, Issuer, Trust
from service.application.access import Caller
from service.domain.errors import NotAuthenticated
from service.domain.operational_webhooks import OPERATIONS
from tests.support.clock import HandClock
from tests.support.factories import ORG
from tests.support.issuer import IssuerStub, new_rsa_key, running_issuer, signed, unsigned

NOW = datetime(2026, 3, 1, tzinfo=UTC)
WITHIN = 10.0  # seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """An issuer, ours of it, and the key `first` that it publishes."""

    stub: IssuerStub
    client: AsyncClient
    trust: Trust
    issuer: Issuer
    clock: HandClock
    key: rsa.RSAPrivateKey

    def claims(self, **changed: Any) -> dict[str, Any]:
        given = {
            "iss": self.stub.url,
            "aud": "relevo",
            "exp": NOW.timestamp() + 3600,
            "org_id": ORG,
            "roles": "writer",
        }
        return {name: value for name, value in (given | changed).items() if value is not None}

    def token(self, *, kid: str | None = "first", key: Any = None, algorithm: str = "RS256", **changed: Any) -> str:
        return signed(self.claims(**changed), kid=kid, key=key or self.key, algorithm=algorithm)


@pytest.fixture(scope="module")
def key() -> rsa.RSAPrivateKey:
    return new_rsa_key()


@pytest.fixture
async def site(key: rsa.RSAPrivateKey) -> AsyncIterator[Site]:
    async with running_issuer() as stub, AsyncClient(trust_env=False) as client:
        stub.publish("first", key)
        clock = HandClock(NOW)
        trust = Trust(issuer=stub.url, audience="relevo", org_claim="org_id", role_claim="roles")
        issuer = Issuer(client, trust, clock=clock)
        yield Site(stub=stub, client=client, trust=trust, issuer=issuer, clock=clock, key=key)


async def test_a_token_speaks_for_the_organisation_and_the_role_that_its_claims_name(site: Site) -> None:
    assert await site.issuer.verify(site.token()) == Caller(org_id=ORG, role="writer")
    assert (await site.issuer.verify(site.token(roles=["user", "reader", "admin"]))).role == "admin"


@pytest.mark.parametrize(
    ("algorithm", "other"),
    [("ES256", ec.generate_private_key(ec.SECP256R1())), ("EdDSA", ed25519.Ed25519PrivateKey.generate())],
    ids=["ES256", "EdDSA"],
)
async def test_elliptic_keys_are_taken_as_well(site: Site, algorithm: str, other: Any) -> None:
    site.stub.publish("other", other)

    assert (await site.issuer.verify(site.token(kid="other", key=other, algorithm=algorithm))).org_id == ORG


async def test_keys_are_fetched_once_for_any_number_of_tokens(site: Site) -> None:
    for second in range(20):
        await site.issuer.verify(site.token(nbf=NOW.timestamp() - second))

    assert site.stub.asked == 1


async def test_a_new_key_is_found_when_a_token_names_it(site: Site) -> None:
    await site.issuer.verify(site.token())
    second = new_rsa_key()
    site.stub.publish("second", second)
    site.clock.time += NOT_MORE_OFTEN_THAN

    assert (await site.issuer.verify(site.token(kid="second", key=second))).org_id == ORG


async def test_a_key_may_be_replaced_under_its_own_name(site: Site) -> None:
    old = site.token()
    await site.issuer.verify(old)
    second = new_rsa_key()
    site.stub.withdraw("first")
    site.stub.publish("first", second)

    await site.issuer.refresh()

    assert (await site.issuer.verify(site.token(key=second))).org_id == ORG
    with pytest.raises(NotAuthenticated):
        await site.issuer.verify(old)


async def test_unknown_keys_do_not_make_us_ask_again_and_again(site: Site) -> None:
    for number in range(20):
        with pytest.raises(NotAuthenticated):
            await site.issuer.verify(site.token(kid=f"unknown {number}"))
    assert site.stub.asked == 1

    site.clock.time += NOT_MORE_OFTEN_THAN
    with pytest.raises(NotAuthenticated):
        await site.issuer.verify(site.token(kid="unknown"))

    assert site.stub.asked == 2


async def test_a_key_that_was_withdrawn_ends_its_tokens_also_those_that_are_remembered(site: Site) -> None:
    token = site.token()
    await site.issuer.verify(token)
    site.stub.withdraw("first")

    await site.issuer.refresh()

    with pytest.raises(NotAuthenticated):
        await site.issuer.verify(token)


async def test_an_issuer_that_does_not_answer_is_trusted_for_a_day_and_no_longer(site: Site) -> None:
    token = site.token(exp=(NOW + 2 * TRUSTED_FOR).timestamp())
    await site.issuer.verify(token)
    site.stub.broken = True

    await site.issuer.refresh()
    assert (await site.issuer.verify(token)).org_id == ORG

    site.clock.time += TRUSTED_FOR
    await site.issuer.refresh()
    with pytest.raises(NotAuthenticated):
        await site.issuer.verify(token)


async def test_an_issuer_that_comes_up_after_us_is_asked_again(site: Site) -> None:
    site.stub.broken = True
    await site.issuer.refresh()
    with pytest.raises(NotAuthenticated):
        await site.issuer.verify(site.token())

    site.stub.broken = False
    site.clock.time += NOT_MORE_OFTEN_THAN

    assert (await site.issuer.verify(site.token())).org_id == ORG


async def test_while_an_issuer_keeps_us_waiting_the_keys_that_are_known_hold(site: Site) -> None:
    await site.issuer.refresh()
    site.clock.time += NOT_MORE_OFTEN_THAN
    site.stub.silent = True

    unknown = asyncio.create_task(site.issuer.verify(site.token(kid="unknown")))
    await site.stub.kept_waiting.wait()
    known = await site.issuer.verify(site.token())

    assert (known.org_id, unknown.done()) == (ORG, False)
    unknown.cancel()


async def test_an_issuer_that_does_not_answer_is_waited_for_once_and_not_for_long(site: Site) -> None:
    impatient = Issuer(site.client, site.trust, clock=site.clock, patience=0.05)
    site.stub.silent = True

    async with asyncio.timeout(WITHIN):
        answers = await asyncio.gather(
            *[impatient.verify(site.token(kid=f"{number}")) for number in range(20)], return_exceptions=True
        )
    site.stub.silent = False
    with pytest.raises(NotAuthenticated):
        await impatient.verify(site.token())

    assert {type(answer) for answer in answers} == {NotAuthenticated}
    assert site.stub.asked == 0


@pytest.mark.parametrize(
    "says",
    [
        b"",
        b"<html>",
        b"[]",
        b'{"issuer": 1}',
        b"x" * (LARGEST_DOCUMENT + 1),
    ],
    ids=lambda says: str(says[:15]),
)
async def test_what_is_no_configuration_gives_no_keys_and_takes_none_away(site: Site, says: bytes) -> None:
    await site.issuer.refresh()
    site.stub.says = says

    await site.issuer.refresh()

    assert (await site.issuer.verify(site.token())).org_id == ORG


async def test_keys_that_cannot_be_read_do_not_spoil_the_others(site: Site) -> None:
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


async def test_a_token_ends_when_it_says_also_when_it_is_remembered(site: Site) -> None:
    token = site.token()
    await site.issuer.verify(token)

    site.clock.time += timedelta(seconds=3661)

    with pytest.raises(NotAuthenticated):
        await site.issuer.verify(token)


async def test_a_configuration_that_names_another_issuer_gives_no_keys(site: Site) -> None:
    site.stub.says_it_is = "https://somebody.else"

    with pytest.raises(NotAuthenticated):
        await site.issuer.verify(site.token())

    assert site.stub.asked == 0


@pytest.mark.parametrize(
    "changed",
    [
        {"aud": "another"},
        {"aud": ["another", "relevo.example.com"]},
        {"aud": "relevo "},
        {"aud": None},
        {"iss": "https://another.issuer"},
        {"iss": None},
        {"exp": NOW.timestamp() - 61},
        {"exp": None},
        {"nbf": NOW.timestamp() + 61},
        {"org_id": None},
        {"org_id": "short"},
        {"org_id": OPERATIONS},
        {"org_id": [ORG]},
        {"roles": None},
        {"roles": "root"},
        {"roles": []},
        {"roles": [["admin"]]},
    ],
    ids=str,
)
async def test_claims_that_do_not_hold_are_refused_without_a_reason(site: Site, changed: dict[str, Any]) -> None:
    with pytest.raises(NotAuthenticated, match=r"^Invalid token$"):
        await site.issuer.verify(site.token(**changed))


async def test_the_algorithm_is_the_keys_own_whatever_the_token_says(site: Site) -> None:
    public = site.key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    with pytest.raises(NotAuthenticated):
        await site.issuer.verify(_by_public_key_as_secret(site, public))
    with pytest.raises(NotAuthenticated):
        await site.issuer.verify(unsigned(site.claims(), kid="first"))
    with pytest.raises(NotAuthenticated):
        await site.issuer.verify(site.token(algorithm="RS512"))
    with pytest.raises(NotAuthenticated):
        await site.issuer.verify(site.token(algorithm="PS256"))


async def test_a_key_of_one_kind_checks_no_token_of_another(site: Site) -> None:
    curve, edwards = ec.generate_private_key(ec.SECP256R1()), ed25519.Ed25519PrivateKey.generate()
    site.stub.publish("curve", curve)
    site.stub.publish("edwards", edwards)
    keys: dict[str, tuple[Any, str]] = {
        "first": (site.key, "RS256"),
        "curve": (curve, "ES256"),
        "edwards": (edwards, "EdDSA"),
    }

    taken = {
        (kid, signer)
        for kid, (signer, (key, algorithm)) in product(keys, keys.items())
        if await takes(site, site.token(kid=kid, key=key, algorithm=algorithm))
    }

    assert taken == {(kid, kid) for kid in keys}


async def test_a_key_that_the_token_brings_along_is_not_looked_at(site: Site) -> None:
    own = new_rsa_key()
    async with running_issuer() as elsewhere:
        elsewhere.publish("first", own)
        brought = {
            "jwk": elsewhere.published[0],
            "jku": f"{elsewhere.url}/jwks",
            "x5u": f"{elsewhere.url}/certificate",
            "x5c": ["MIIB"],
        }
        for name, value in brought.items():
            token = signed(site.claims(), kid="first", key=own, algorithm="RS256", **{name: value})
            assert not await takes(site, token), name

    assert elsewhere.asked == 0
    assert await takes(site, site.token())


async def test_what_a_token_declares_critical_must_be_understood(site: Site) -> None:
    assert not await takes(site, signed(site.claims(), kid="first", key=site.key, algorithm="RS256", crit=["exp"]))


async def test_a_published_secret_is_no_key(site: Site) -> None:
    site.stub.published.append({"kty": "oct", "kid": "shared", "k": "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LXNlY3JldA"})
    secret = b"secret-secret-secret-secret-secret"

    with pytest.raises(NotAuthenticated):
        await site.issuer.verify(site.token(kid="shared", key=secret, algorithm="HS256"))


async def test_a_key_for_encryption_or_of_another_algorithm_signs_nothing(site: Site) -> None:
    other = new_rsa_key()
    site.stub.publish("encrypts", other, use="enc")
    site.stub.publish("other", other, alg="PS256")

    for kid in ("encrypts", "other"):
        with pytest.raises(NotAuthenticated):
            await site.issuer.verify(site.token(kid=kid, key=other))


@pytest.mark.parametrize("token", ["", "garbage", "a.b.c", "x" * 100_000], ids=lambda token: token[:8])
async def test_what_is_no_token_is_refused(site: Site, token: str) -> None:
    with pytest.raises(NotAuthenticated):
        await site.issuer.verify(token)


@pytest.mark.parametrize(
    "head",
    [
        {"kid": "../../../../dev/null"},
        {"kid": "' UNION SELECT 'secret' --"},
        {"kid": "first\x00"},
        {"kid": ["first"]},
        {"kid": {"first": 1}},
        {"kid": 0},
        {"kid": "x" * 4000},
        {"kid": "gone", "jku": "http://127.0.0.1:9/keys"},
        {"kid": "gone", "x5u": "http://127.0.0.1:9/keys"},
        {"kid": "gone", "jwk": {"kty": "oct", "k": "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LXNlY3JldA"}},
        {"kid": "first", "crit": ["exp"]},
    ],
    ids=str,
)
async def test_no_head_chooses_or_brings_the_key_that_it_is_checked_by(site: Site, head: dict[str, Any]) -> None:
    brought = b"secret-secret-secret-secret-secret"

    with pytest.raises(NotAuthenticated, match=r"^Invalid token$"):
        await site.issuer.verify(_signed_by_hand(site.claims(), {"alg": "HS256", **head}, secret=brought))
    with pytest.raises(NotAuthenticated, match=r"^Invalid token$"):
        await site.issuer.verify(_signed_by_hand(site.claims(), {"alg": "HS256", **head}, secret=b""))


def _signed_by_hand(claims: dict[str, Any], head: dict[str, Any], *, secret: bytes) -> str:
    text = b".".join(urlsafe_b64encode(orjson.dumps(part)).rstrip(b"=") for part in (head, claims))
    return (text + b"." + urlsafe_b64encode(hmac.digest(secret, text, "sha256")).rstrip(b"=")).decode()


async def takes(site: Site, token: str) -> bool:
    """Whether the token holds."""
    try:
        await site.issuer.verify(token)
    except NotAuthenticated:
        return False
    return True


def _by_public_key_as_secret(site: Site, public: bytes) -> str:
    return _signed_by_hand(site.claims(), {"alg": "HS256", "typ": "JWT", "kid": "first"}, secret=public)
