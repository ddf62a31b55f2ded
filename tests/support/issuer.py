"""An OpenID Connect issuer on loopback: it publishes the keys that the test gives it, redeems the codes that it is told
to give, and counts who asks."""

import asyncio
import hashlib
from base64 import urlsafe_b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl

import jwt
import orjson
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from httpx import AsyncClient
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

from service.adapters.access.issuers import Issuer, Trust
from tests.support.certificates import NO_AUTHORITIES
from tests.support.clock import HandClock
from tests.support.factories import ORG

NOW = datetime(2026, 3, 1, tzinfo=UTC)

Key = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey


@dataclass(frozen=True, slots=True, kw_only=True)
class GivenCode:
    """What a code was given for, and what it is worth. `client` is how its client has to prove itself: the header, or
    the field's value."""

    redirect_uri: str
    challenge: str
    client: str
    id_token: str


@dataclass(slots=True, kw_only=True)
class IssuerStub:
    """A running issuer. `asked` counts how often its keys were fetched.

    While `broken` it answers 500, while `silent` not at all; `says` is what it answers instead of anything else.
    """

    url: str = ""
    asked: int = 0
    broken: bool = False
    silent: bool = False
    says: bytes | None = None
    says_it_is: str | None = None
    published: list[dict[str, Any]] = field(default_factory=list)
    kept_waiting: asyncio.Event = field(default_factory=asyncio.Event)
    metadata: dict[str, Any] = field(default_factory=dict)
    codes: dict[str, GivenCode] = field(default_factory=dict)
    redeemed: list[dict[str, str]] = field(default_factory=list)

    def publish(self, kid: str, key: Key, **changed: Any) -> None:
        """Add a key to those that are published."""
        self.published.append({**_public(key), "kid": kid, "use": "sig", **changed})

    def withdraw(self, kid: str) -> None:
        """Publish a key no longer."""
        self.published = [key for key in self.published if key["kid"] != kid]

    def answer(self, path: str) -> bytes:
        """What it says at a path."""
        if self.says is not None:
            return self.says
        if path == "/jwks":
            self.asked += 1
            return orjson.dumps({"keys": self.published})
        found = {
            "issuer": self.says_it_is or self.url,
            "jwks_uri": f"{self.url}/jwks",
            "authorization_endpoint": f"{self.url}/authorize",
            "token_endpoint": f"{self.url}/token",
        }
        return orjson.dumps(found | self.metadata)

    def redeem(self, form: dict[str, str], authorization: str) -> tuple[str, bytes]:
        """The status and what is said to whoever sends a code, each of which holds once (RFC 6749, RFC 7636)."""
        self.redeemed.append({**form, "authorization": authorization})
        given = self.codes.pop(form["code"], None)
        if given is None or form["redirect_uri"] != given.redirect_uri or challenge(form) != given.challenge:
            return "400 Bad Request", orjson.dumps({"error": "invalid_grant"})
        said = authorization or form.get("client_secret") or form.get("client_id", "")
        if said != given.client:
            return "401 Unauthorized", orjson.dumps({"error": "invalid_client"})
        return "200 OK", orjson.dumps({"id_token": given.id_token, "access_token": "a", "token_type": "Bearer"})


def challenge(form: dict[str, str]) -> str:
    """PKCE's challenge to which the form's verifier is the answer."""
    digest = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
    return urlsafe_b64encode(digest).rstrip(b"=").decode()


def new_rsa_key() -> rsa.RSAPrivateKey:
    """As small as it may be, since making one takes its time."""
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def signed(claims: dict[str, Any], *, kid: str | None, key: Any, algorithm: str, **headers: Any) -> str:
    """A token, as anybody could make one who has the key."""
    return jwt.encode(claims, key, algorithm=algorithm, headers={**headers, **({"kid": kid} if kid else {})})


def unsigned(claims: dict[str, Any], *, kid: str) -> str:
    """A token that says that it needs no signature."""
    head = {"alg": "none", "kid": kid}
    return ".".join(urlsafe_b64encode(orjson.dumps(part)).rstrip(b"=").decode() for part in (head, claims)) + "."


@asynccontextmanager
async def running_issuer(stub: IssuerStub | None = None) -> AsyncIterator[IssuerStub]:
    """An issuer on 127.0.0.1, on a free port."""
    stub = stub or IssuerStub()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        first = (await reader.readline()).decode()
        if not first.endswith("\n"):
            writer.close()  # whoever came had enough before asking for anything
            return
        method, path, _ = first.split(" ")
        headers = {}
        while (line := await reader.readline()) not in {b"\r\n", b""}:
            name, _, value = line.decode().partition(":")
            headers[name.lower()] = value.strip()
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        if stub.silent:
            stub.kept_waiting.set()
            await reader.read()  # until whoever asked has had enough
            writer.close()
            return
        status, said = ("500 Broken", b"") if stub.broken else ("200 OK", stub.answer(path))
        if method == "POST" and not stub.broken and stub.says is None:
            status, said = stub.redeem(dict(parse_qsl(body.decode())), headers.get("authorization", ""))
        head = f"HTTP/1.1 {status}\r\ncontent-length: {len(said)}\r\nconnection: close\r\n\r\n"
        writer.write(head.encode() + said)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    stub.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield stub
    finally:
        server.close()


@dataclass(frozen=True, slots=True, kw_only=True)
class IssuerSite:
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


@asynccontextmanager
async def open_site(key: rsa.RSAPrivateKey) -> AsyncIterator[IssuerSite]:
    """An issuer with this key, and ours of it, on a clock that stands still."""
    async with running_issuer() as stub, AsyncClient(trust_env=False, verify=NO_AUTHORITIES) as client:
        stub.publish("first", key)
        clock = HandClock(NOW)
        trust = Trust(issuer=stub.url, audience="relevo", org_claim="org_id", role_claim="roles")
        issuer = Issuer(client, trust, clock=clock)
        yield IssuerSite(stub=stub, client=client, trust=trust, issuer=issuer, clock=clock, key=key)


def _public(key: Key) -> dict[str, Any]:
    match key:
        case rsa.RSAPrivateKey():
            return RSAAlgorithm.to_jwk(key.public_key(), as_dict=True)
        case ec.EllipticCurvePrivateKey():
            return ECAlgorithm.to_jwk(key.public_key(), as_dict=True)
        case _:
            return OKPAlgorithm.to_jwk(key.public_key(), as_dict=True)
