"""Signs people in at the OpenID Connect issuer: authorization code flow with PKCE, for the browser that began it."""

import asyncio
from base64 import b64encode, urlsafe_b64encode
from hashlib import sha256
from hmac import compare_digest
from http import HTTPStatus
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

import httpx
import jwt
import structlog

from service.adapters.access.documents import IssuerUnreachable, document
from service.adapters.access.issuers import ISSUER_TIMEOUT_S, Issuer
from service.application.access import Caller
from service.application.ports.identity_provider import SignInBinding
from service.domain.errors import NotAuthenticated, Unavailable

AWAY = "The provider does not answer. Try again in a moment."
MISCONFIGURED = "The provider does not sign in people for Relevo as it is set up. Its log says why."
_WANTED_SCOPES = ("openid", "profile", "email", "groups")  # where providers keep what may name organisation and role
_MAX_REASON_CHARACTERS = 100

_log = structlog.stdlib.get_logger("relevo.access")


class OpenIdProvider:
    """Fulfils `ports.IdentityProvider`. ID tokens are verified by `issuer`, whose audience is the client id."""

    def __init__(
        self,
        client: httpx.AsyncClient,
        issuer: Issuer,
        *,
        client_id: str,
        client_secret: str | None = None,
        timeout: float = ISSUER_TIMEOUT_S,
    ) -> None:
        """`timeout` is in seconds, for redeeming a code."""
        self._client = client
        self._issuer = issuer
        self._client_id = client_id
        self._client_secret = client_secret
        self._timeout = timeout

    @property
    def name(self) -> str:
        """The issuer's host."""
        return urlsplit(self._issuer.url).netloc

    async def address(self, binding: SignInBinding, *, redirect_uri: str) -> str:
        """Where the browser is sent to. Unavailable."""
        metadata = await self._issuer.metadata()
        asked = {
            "response_type": "code",
            "client_id": self._client_id,
            "redirect_uri": redirect_uri,
            "scope": " ".join(_scopes(metadata)),
            "state": binding.state,
            "nonce": binding.nonce,
            "code_challenge": _challenge(binding.verifier),
            "code_challenge_method": "S256",
        }
        endpoint = self._endpoint(metadata, "authorization_endpoint")
        return f"{endpoint}{'&' if urlsplit(endpoint).query else '?'}{urlencode(asked)}"

    async def check_answer(self, answered_by: str | None) -> None:
        """Refuse an answer of another issuer (RFC 9207). NotAuthenticated, Unavailable."""
        metadata = await self._issuer.metadata()
        always_told = metadata.get("authorization_response_iss_parameter_supported") is True
        if answered_by != self._issuer.url and (always_told or answered_by is not None):
            raise _refused("answer of another issuer")

    async def redeem(self, code: str, binding: SignInBinding, *, redirect_uri: str) -> Caller:
        """Whom the code stands for, which it does once. NotAuthenticated, Unavailable."""
        metadata = await self._issuer.metadata()
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": redirect_uri,
            "code_verifier": binding.verifier,
        }
        token = await self._exchanged(self._endpoint(metadata, "token_endpoint"), form, metadata)
        try:
            caller = await self._issuer.verify(token)
        except NotAuthenticated:
            raise _refused("ID token that does not hold, or names no organisation and role of ours") from None
        self._check_claims(token, binding)
        return caller

    async def _exchanged(self, endpoint: str, form: dict[str, str], metadata: dict[str, Any]) -> str:
        """The ID token for a code. NotAuthenticated, Unavailable."""
        headers, proof = self._authentication(metadata)
        try:
            async with asyncio.timeout(self._timeout):
                status, answer = await document(self._client, endpoint, form=form | proof, headers=headers)
        except (IssuerUnreachable, TimeoutError) as error:
            _log.warning("issuer.unreachable", reason=str(error) or type(error).__name__)
            raise Unavailable(AWAY) from None
        token = answer.get("id_token")
        if status == HTTPStatus.OK and isinstance(token, str):
            return token
        if answer.get("error") == "invalid_grant":
            raise _refused("code that does not hold")
        _log.warning("issuer.redeems_no_code", status=status, reason=str(answer.get("error"))[:_MAX_REASON_CHARACTERS])
        raise Unavailable(AWAY if status >= HTTPStatus.INTERNAL_SERVER_ERROR else MISCONFIGURED)

    def _authentication(self, metadata: dict[str, Any]) -> tuple[dict[str, str], dict[str, str]]:
        """The headers and fields by which we say who we are (RFC 6749, 2.3.1); without a secret, by name alone."""
        if self._client_secret is None:
            return {}, {"client_id": self._client_id}
        offered = _offered(metadata, "token_endpoint_auth_methods_supported")
        if "client_secret_basic" not in offered and "client_secret_post" in offered:
            return {}, {"client_id": self._client_id, "client_secret": self._client_secret}
        pair = f"{quote(self._client_id, safe='')}:{quote(self._client_secret, safe='')}"
        return {"authorization": f"Basic {b64encode(pair.encode()).decode()}"}, {}

    def _check_claims(self, token: str, binding: SignInBinding) -> None:
        """What only an ID token has to say; its signature is verified. NotAuthenticated."""
        claims = jwt.decode(token, options={"verify_signature": False})
        if not compare_digest(str(claims.get("nonce")).encode(), binding.nonce.encode()):
            raise _refused("nonce of another sign-in")
        audience = claims["aud"]
        # Whoever is named beside us might have got the token first.
        if claims.get("azp", self._client_id if _is_one(audience) else None) != self._client_id:
            raise _refused("token that another party was given")

    def _endpoint(self, metadata: dict[str, Any], name: str) -> str:
        """An address that the issuer names: over TLS, if it is so itself. Unavailable."""
        url = metadata.get(name)
        schemes = ("https://",) if self._issuer.url.startswith("https://") else ("https://", "http://")
        if not isinstance(url, str) or not url.startswith(schemes):
            _log.warning("issuer.no_endpoint", name=name)
            raise Unavailable(MISCONFIGURED)
        return url


def _refused(reason: str) -> NotAuthenticated:
    _log.warning("sign_in.refused", reason=reason)
    return NotAuthenticated()


def _scopes(metadata: dict[str, Any]) -> list[str]:
    offered = _offered(metadata, "scopes_supported")
    return [scope for scope in _WANTED_SCOPES if scope == "openid" or scope in offered]


def _offered(metadata: dict[str, Any], name: str) -> list[object]:
    found = metadata.get(name)
    return found if isinstance(found, list) else []


def _challenge(verifier: str) -> str:
    return urlsafe_b64encode(sha256(verifier.encode()).digest()).rstrip(b"=").decode()


def _is_one(audience: object) -> bool:
    return isinstance(audience, str) or (isinstance(audience, list) and len(audience) == 1)
