"""Our bearer tokens: HS256 JSON Web Tokens for an organisation, or for one application of an organisation."""

import hashlib
from datetime import datetime, timedelta
from hmac import compare_digest
from secrets import token_hex
from typing import Any, get_args

import jwt
from jwt.types import Options

from service.adapters.access.remembered import RememberedTokens, Verified
from service.adapters.machine.clock import SystemClock
from service.application.access import Caller, Capability, Credential, Grant
from service.application.ports.machine import Clock
from service.domain import ids
from service.domain.errors import NotAuthenticated
from service.domain.ids import ApplicationId, OrgId
from service.domain.tokens import APPLICATION_LIFETIME, CLOCK_LEEWAY, DIGEST_LENGTH, MAX_LIFETIME, Role, TokenId

DEFAULT_ORGANISATION = OrgId(
    "org_37dGalny40XHSArfSv8SQtVmvyf"
)  # the organisation of `relevo token` without an argument

_ALGORITHM = "HS256"  # the only one accepted, so that a token cannot choose how it is verified
_LEEWAY_S = CLOCK_LEEWAY.total_seconds()
_MAX_TOKEN_CHARACTERS = 8192
_SENT_THE_SIGNING_KEY = (
    "Invalid token: this is the secret that tokens are signed with. `relevo token` makes a token with it."
)
# We check times ourselves, in the same way for cached tokens and new ones.
_OPTIONS: Options = {
    "require": ["sub", "exp"],
    "verify_exp": False,
    "verify_nbf": False,
    "verify_iat": False,
    "verify_aud": False,
    "verify_iss": False,
}
_ROLES: dict[object, Role] = {role: role for role in get_args(Role)}
_CAPABILITIES: dict[object, Capability] = {name: name for name in get_args(Capability)}


class Tokens:
    """Makes and verifies tokens. Verified tokens are cached, since every request carries one."""

    def __init__(self, secret: str, *, clock: Clock | None = None) -> None:
        self._secret = secret.encode()
        self._clock = clock or SystemClock()
        self._remembered = RememberedTokens()

    def mint(self, org_id: OrgId, *, now: datetime, role: Role = "admin", lifetime: timedelta = MAX_LIFETIME) -> str:
        """A token for a whole organisation, valid for ten years by default. It is not listed in the database."""
        # `jti` makes it differ from one made in the same second, so that each can be revoked alone.
        return self._sign({"sub": org_id, "role": role, "jti": token_hex(12)}, now=now, lifetime=lifetime)

    def mint_listed(
        self, token_id: TokenId, org_id: OrgId, *, now: datetime, role: Role, lifetime: timedelta
    ) -> tuple[str, str]:
        """A token for a whole organisation, and its digest, which is stored."""
        text = self._sign({"sub": org_id, "role": role, "jti": token_id}, now=now, lifetime=lifetime)
        return text, digest_of(text)

    def mint_for_application(
        self,
        app_id: ApplicationId,
        org_id: OrgId,
        *,
        now: datetime,
        grant: Grant | None = None,
    ) -> str:
        """A token for one application of an organisation. Without a grant it has all capabilities of an application."""
        grant = grant or Grant()
        claims: dict[str, Any] = {
            "sub": app_id,
            "org": org_id,
            "jti": token_hex(12),
            # To the millisecond, so that a token made after a revocation in the same second is not revoked with it.
            "iat": round(now.timestamp(), 3),
            "capabilities": sorted(grant.capabilities),
        }
        if grant.feature_flags is not None:
            claims["feature_flags"] = sorted(grant.feature_flags)
        if grant.session_id is not None:
            claims["session_id"] = grant.session_id
        left = APPLICATION_LIFETIME
        if grant.granted_at is not None:
            claims["auth_time"] = grant.granted_at
            left -= timedelta(seconds=now.timestamp() - grant.granted_at)
        return self._sign(claims, now=now, lifetime=min(grant.lifetime, left))

    def verify(self, token: str) -> Caller:
        """The caller that the token authenticates. NotAuthenticated when it is invalid now.

        A reason is given only to a caller that knows the secret: for a signed token without `sub`, and for the secret
        itself sent as a token.
        """
        verified = self._remembered.find(token) or self._check(token)
        return self._remembered.caller(token, verified, at=self._clock.now().timestamp())

    def _sign(self, claims: dict[str, Any], *, now: datetime, lifetime: timedelta) -> str:
        issued = int(now.timestamp())
        times = {"iat": issued, "nbf": issued, "exp": issued + int(lifetime.total_seconds())}
        return jwt.encode({"iss": "relevo", **times, **claims}, self._secret, algorithm=_ALGORITHM)

    def _check(self, token: str) -> Verified:
        if len(token) > _MAX_TOKEN_CHARACTERS:
            raise NotAuthenticated
        if compare_digest(token.encode(errors="replace"), self._secret):
            raise NotAuthenticated(_SENT_THE_SIGNING_KEY)
        try:
            claims = jwt.decode(token, self._secret, algorithms=[_ALGORITHM], options=_OPTIONS)
            credential = _credential(claims, digest_of(token))
            return Verified(
                caller=_caller(claims, credential),
                valid_from=_seconds(claims.get("nbf", 0)) - _LEEWAY_S,
                valid_until=credential.expires_at + _LEEWAY_S,
            )
        except jwt.MissingRequiredClaimError as error:
            raise NotAuthenticated("Invalid token (missing `sub`)." if error.claim == "sub" else None) from None
        # RecursionError: a header may be nested a thousand levels deep.
        except (jwt.PyJWTError, KeyError, ValueError, OverflowError, RecursionError):
            raise NotAuthenticated from None


def digest_of(token: str) -> str:
    """The id of a token: a digest of its signed part, since the same signature can be written in several ways."""
    return hashlib.sha256(token.rpartition(".")[0].encode()).hexdigest()[:DIGEST_LENGTH]


def _caller(claims: dict[str, Any], credential: Credential) -> Caller:
    subject = claims["sub"]
    if "org" not in claims:
        return Caller(org_id=_organisation(subject), role=_role(claims.get("role", "admin")), credential=credential)
    return Caller(
        org_id=_organisation(claims["org"]),
        app_id=_application(subject),
        role="writer",
        capabilities=frozenset(_CAPABILITIES[name] for name in _names(claims.get("capabilities", _CAPABILITIES))),
        feature_flags=frozenset(_names(claims["feature_flags"])) if "feature_flags" in claims else None,
        credential=credential,
    )


def _credential(claims: dict[str, Any], digest: str) -> Credential:
    """The token's times and session. An application's token expires a bounded time after it was granted, whatever its
    `exp` says."""
    if "org" not in claims:
        issued_at = _seconds(claims.get("iat", 0))
        return Credential(id=digest, issued_at=issued_at, granted_at=issued_at, expires_at=_seconds(claims["exp"]))
    issued_at, expires_at = _seconds(claims["iat"]), _seconds(claims["exp"])
    granted_at = _seconds(claims.get("auth_time", issued_at))
    session_id = claims.get("session_id")
    if not isinstance(session_id, str | None):
        raise ValueError("not a session")  # noqa: TRY004  # an invalid claim like any other
    return Credential(
        id=digest,
        issued_at=issued_at,
        granted_at=granted_at,
        expires_at=min(expires_at, granted_at + APPLICATION_LIFETIME.total_seconds()),
        session_id=session_id,
    )


def _names(value: object) -> list[str]:
    if isinstance(value, list | dict) and all(isinstance(name, str) for name in value):
        return list(value)
    raise ValueError("not a list of names")


def _organisation(value: object) -> OrgId:
    if not isinstance(value, str) or not ids.is_organisation(value):
        raise ValueError("not the name of an organisation")
    return OrgId(value)


def _application(value: object) -> ApplicationId:
    if not isinstance(value, str) or not ids.is_valid(ids.APPLICATION, value):
        raise ValueError("not an application's identifier")
    return ApplicationId(value)


def _role(value: object) -> Role:
    if isinstance(value, str) and value in _ROLES:
        return _ROLES[value]
    raise ValueError("no such role")


def _seconds(value: object) -> float:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    raise ValueError("not a time")
