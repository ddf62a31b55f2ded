"""Verifies tokens of an OpenID Connect issuer with the keys that it publishes.

The algorithm is chosen by the key, never by the token: RS256, ES256 or EdDSA. Keys are refreshed every five minutes,
and when a token names an unknown key, but at most once in ten seconds.
"""

import asyncio
from dataclasses import dataclass
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Any

import httpx
import jwt
import structlog
from jwt.types import Options

from service.adapters.access.documents import IssuerUnreachable, document
from service.adapters.access.remembered import RememberedTokens, Verified
from service.adapters.access.tokens import digest_of
from service.application.access import Caller, Credential
from service.application.ports.machine import Clock
from service.domain import ids
from service.domain.errors import NotAuthenticated, Unavailable
from service.domain.ids import OrgId
from service.domain.operational_webhooks import OPERATIONS
from service.domain.tokens import CLOCK_LEEWAY, ROLES, Role

KEYS_REFRESH_INTERVAL = timedelta(minutes=5)
MIN_FETCH_INTERVAL = timedelta(seconds=10)
KEYS_LIFETIME = timedelta(hours=24)  # how long fetched keys are used while the issuer does not answer
ISSUER_TIMEOUT_S = 5.0
KEYS_NOT_TOLD = "The issuer of this token does not tell us its keys. Try again in a moment."

_LEEWAY_S = CLOCK_LEEWAY.total_seconds()
_MAX_TOKEN_CHARACTERS = 8192
_ALGORITHMS: dict[tuple[object, object], str] = {
    ("RSA", None): "RS256",
    ("EC", "P-256"): "ES256",
    ("OKP", "Ed25519"): "EdDSA",
}
_OPTIONS: Options = {"require": ["exp", "iss", "aud"], "verify_exp": False, "verify_nbf": False, "verify_iat": False}

_log = structlog.stdlib.get_logger("relevo.access")


@dataclass(frozen=True, slots=True, kw_only=True)
class Trust:
    """The trusted issuer and audience, and the claims that name organisation and role."""

    issuer: str
    audience: str
    org_claim: str
    role_claim: str


class Issuer:
    """One trusted issuer. Verified tokens are cached until they expire or the keys change."""

    def __init__(
        self, client: httpx.AsyncClient, trust: Trust, *, clock: Clock, timeout: float = ISSUER_TIMEOUT_S
    ) -> None:
        """`timeout` is in seconds, for fetching the keys."""
        self._client = client
        self._timeout = timeout
        self._trust = trust
        self._clock = clock
        self._keys: dict[str | None, jwt.PyJWK] = {}
        self._metadata: dict[str, Any] = {}
        self._fetched_at: datetime | None = None
        self._tried_at: datetime | None = None
        self._answers = True
        self._fetching = asyncio.Lock()
        self._remembered = RememberedTokens()

    @property
    def url(self) -> str:
        """Its name, which is a URL."""
        return self._trust.issuer

    async def verify(self, token: str) -> Caller:
        """The caller that the token authenticates. NotAuthenticated, without a reason, when it is invalid now;
        Unavailable when the issuer does not tell us the key."""
        verified = self._remembered.find(token) or await self._check(token)
        return self._remembered.caller(token, verified, at=self._clock.now().timestamp())

    async def metadata(self) -> dict[str, Any]:
        """What the issuer says of itself, at most as old as its keys. Unavailable while it does not answer."""
        if not self._metadata or not self._answers:
            await self._fetch_unless_just_tried()
        if not self._metadata or not self._answers:
            raise Unavailable(KEYS_NOT_TOLD)
        return self._metadata

    async def refresh(self) -> None:
        """Fetch metadata and keys. When that fails, the known keys are used for up to a day."""
        async with self._fetching:
            await self._refresh()

    async def _refresh(self) -> None:
        self._tried_at = self._clock.now()
        try:
            metadata, keys = await self._fetch()
        except IssuerUnreachable as error:
            _log.warning("issuer.unreachable", reason=str(error))
            self._answers = False
            self._drop_old_keys()
            return
        self._answers = True
        if keys.keys() != self._keys.keys() or any(keys[k].key != self._keys[k].key for k in keys):
            self._remembered.clear()
            _log.info("issuer.keys_changed", count=len(keys))
        self._metadata, self._keys = metadata, keys
        self._fetched_at = self._tried_at

    async def _check(self, token: str) -> Verified:
        if len(token) > _MAX_TOKEN_CHARACTERS:
            raise NotAuthenticated
        try:
            key = await self._key_of(token)
            claims = jwt.decode(
                token,
                key.key,
                algorithms=[key.algorithm_name],
                audience=self._trust.audience,
                issuer=self._trust.issuer,
                options=_OPTIONS,
            )
            return self._read(claims, token)
        except (jwt.PyJWTError, KeyError, ValueError, TypeError, OverflowError, RecursionError):
            raise NotAuthenticated from None

    async def _key_of(self, token: str) -> jwt.PyJWK:
        kid = jwt.get_unverified_header(token).get("kid")
        if not isinstance(kid, str | None):
            raise ValueError("not the name of a key")  # noqa: TRY004  # an invalid token like any other
        if kid not in self._keys:
            self._refuse_other_issuers(token)
            await self._fetch_unless_just_tried()
        if kid not in self._keys and not self._answers:
            raise Unavailable(KEYS_NOT_TOLD)
        return self._keys[kid]

    def _refuse_other_issuers(self, token: str) -> None:
        """ValueError for a token that does not claim to be of this issuer: its keys are not fetched for that."""
        if jwt.decode(token, options={"verify_signature": False}).get("iss") != self._trust.issuer:
            raise ValueError("of another issuer")

    async def _fetch_unless_just_tried(self) -> None:
        # Within the lock, so that whoever comes while they are fetched waits for them.
        async with self._fetching:
            if self._tried_at is None or self._clock.now() - self._tried_at >= MIN_FETCH_INTERVAL:
                await self._refresh()

    async def _fetch(self) -> tuple[dict[str, Any], dict[str | None, jwt.PyJWK]]:
        try:
            async with asyncio.timeout(self._timeout):
                found = await self._document(f"{self._trust.issuer.rstrip('/')}/.well-known/openid-configuration")
                if found.get("issuer") != self._trust.issuer:
                    raise IssuerUnreachable("its configuration names another issuer")
                published = await self._document(found["jwks_uri"])
        except (TimeoutError, KeyError) as error:
            raise IssuerUnreachable(type(error).__name__) from error
        return found, _usable(published)

    async def _document(self, url: str) -> dict[str, Any]:
        status, found = await document(self._client, url)
        if status != HTTPStatus.OK:
            raise IssuerUnreachable(f"it answered {status}")
        return found

    def _drop_old_keys(self) -> None:
        if self._fetched_at is not None and self._clock.now() - self._fetched_at >= KEYS_LIFETIME:
            self._keys = {}
            self._remembered.clear()

    def _read(self, claims: dict[str, Any], token: str) -> Verified:
        issued_at, expires_at = float(claims.get("iat", 0)), float(claims["exp"])
        caller = Caller(
            org_id=_organisation(claims[self._trust.org_claim]),
            role=_role(claims[self._trust.role_claim]),
            credential=Credential(
                id=digest_of(token), issued_at=issued_at, granted_at=issued_at, expires_at=expires_at
            ),
        )
        valid_from = float(claims.get("nbf", 0)) - _LEEWAY_S
        return Verified(caller=caller, valid_from=valid_from, valid_until=expires_at + _LEEWAY_S)


def _usable(published: dict[str, Any]) -> dict[str | None, jwt.PyJWK]:
    """The signing keys by key id. Keys of other kinds and malformed keys are left out."""
    keys: dict[str | None, jwt.PyJWK] = {}
    described = published.get("keys")
    for key in described if isinstance(described, list) else ():
        try:
            if key.get("use", "sig") != "sig":
                continue
            algorithm = _ALGORITHMS.get((key.get("kty"), key.get("crv")))
            if algorithm is None or key.get("alg", algorithm) != algorithm:
                continue
            keys[key.get("kid")] = jwt.PyJWK(key, algorithm)
        except (jwt.PyJWTError, AttributeError, ValueError, TypeError):
            _log.warning("issuer.key_unusable")
    return keys


def _organisation(value: object) -> OrgId:
    if not isinstance(value, str) or not ids.is_organisation(value) or value == OPERATIONS:
        raise ValueError("not an organisation")
    return OrgId(value)


def _role(value: object) -> Role:
    """The role that the claim names, or the strongest of a list. ValueError when none is one of ours."""
    named = value if isinstance(value, list) else [value]
    for role in reversed(ROLES):
        if role in named:
            return role
    raise ValueError("no role")
