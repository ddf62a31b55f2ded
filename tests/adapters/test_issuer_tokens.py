"""Tokens of an OpenID Connect issuer: which hold, and every way not to be one."""

import hmac
from base64 import urlsafe_b64encode
from collections.abc import AsyncIterator
from itertools import product
from typing import Any

import orjson
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from service.domain.errors import NotAuthenticated
from service.domain.operational_webhooks import OPERATIONS
from tests.support.factories import ORG
from tests.support.issuer import NOW, IssuerSite, new_rsa_key, open_site, running_issuer, signed, unsigned


@pytest.fixture(scope="module")
def key() -> rsa.RSAPrivateKey:
    return new_rsa_key()


@pytest.fixture
async def site(key: rsa.RSAPrivateKey) -> AsyncIterator[IssuerSite]:
    async with open_site(key) as opened:
        yield opened


@pytest.mark.parametrize(
    ("algorithm", "other"),
    [("ES256", ec.generate_private_key(ec.SECP256R1())), ("EdDSA", ed25519.Ed25519PrivateKey.generate())],
    ids=["ES256", "EdDSA"],
)
async def test_elliptic_keys_are_taken_as_well(site: IssuerSite, algorithm: str, other: Any) -> None:
    site.stub.publish("other", other)

    assert (await site.issuer.verify(site.token(kid="other", key=other, algorithm=algorithm))).org_id == ORG


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
async def test_claims_that_do_not_hold_are_refused_without_a_reason(site: IssuerSite, changed: dict[str, Any]) -> None:
    with pytest.raises(NotAuthenticated, match=r"^Invalid token$"):
        await site.issuer.verify(site.token(**changed))


async def test_the_algorithm_is_the_keys_own_whatever_the_token_says(site: IssuerSite) -> None:
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


async def test_a_key_of_one_kind_checks_no_token_of_another(site: IssuerSite) -> None:
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


async def test_a_key_that_the_token_brings_along_is_not_looked_at(site: IssuerSite) -> None:
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


async def test_what_a_token_declares_critical_must_be_understood(site: IssuerSite) -> None:
    assert not await takes(site, signed(site.claims(), kid="first", key=site.key, algorithm="RS256", crit=["exp"]))


async def test_a_published_secret_is_no_key(site: IssuerSite) -> None:
    site.stub.published.append({"kty": "oct", "kid": "shared", "k": "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LXNlY3JldA"})
    secret = b"secret-secret-secret-secret-secret"

    with pytest.raises(NotAuthenticated):
        await site.issuer.verify(site.token(kid="shared", key=secret, algorithm="HS256"))


async def test_a_key_for_encryption_or_of_another_algorithm_signs_nothing(site: IssuerSite) -> None:
    other = new_rsa_key()
    site.stub.publish("encrypts", other, use="enc")
    site.stub.publish("other", other, alg="PS256")

    for kid in ("encrypts", "other"):
        with pytest.raises(NotAuthenticated):
            await site.issuer.verify(site.token(kid=kid, key=other))


@pytest.mark.parametrize("token", ["", "garbage", "a.b.c", "x" * 100_000], ids=lambda token: token[:8])
async def test_what_is_no_token_is_refused(site: IssuerSite, token: str) -> None:
    with pytest.raises(NotAuthenticated):
        await site.issuer.verify(token)


async def takes(site: IssuerSite, token: str) -> bool:
    """Whether the token holds."""
    try:
        await site.issuer.verify(token)
    except NotAuthenticated:
        return False
    return True


def _by_public_key_as_secret(site: IssuerSite, public: bytes) -> str:
    return _signed_by_hand(site.claims(), {"alg": "HS256", "typ": "JWT", "kid": "first"}, secret=public)


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
async def test_no_head_chooses_or_brings_the_key_that_it_is_checked_by(site: IssuerSite, head: dict[str, Any]) -> None:
    brought = b"secret-secret-secret-secret-secret"

    with pytest.raises(NotAuthenticated, match=r"^Invalid token$"):
        await site.issuer.verify(_signed_by_hand(site.claims(), {"alg": "HS256", **head}, secret=brought))
    with pytest.raises(NotAuthenticated, match=r"^Invalid token$"):
        await site.issuer.verify(_signed_by_hand(site.claims(), {"alg": "HS256", **head}, secret=b""))


def _signed_by_hand(claims: dict[str, Any], head: dict[str, Any], *, secret: bytes) -> str:
    text = b".".join(urlsafe_b64encode(orjson.dumps(part)).rstrip(b"=") for part in (head, claims))
    return (text + b"." + urlsafe_b64encode(hmac.digest(secret, text, "sha256")).rstrip(b"=")).decode()
