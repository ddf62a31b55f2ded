"""Signing in at an identity provider: sends the browser there, and takes it back with the provider's answer."""

from hmac import compare_digest
from secrets import token_bytes
from typing import Annotated
from urllib.parse import quote, unquote

from fastapi import Depends, Request, Response
from fastapi.responses import RedirectResponse

from service.api.addresses import base_url
from service.api.dependencies import ProcessServicesDep
from service.api.services import Services
from service.application.ports.identity_provider import IdentityProvider, SignInBinding
from service.console.pages import BASE, SIGN_IN, public_pages
from service.console.routes.sessions import opened, own_path, ways_in
from service.console.signing_in import is_secure, may_sign_in
from service.console.words import REFUSED_SIGN_INS
from service.domain.errors import NotAuthenticated, NotFound, Unavailable

BEGIN = f"{SIGN_IN}/openid"
CALLBACK = f"{BEGIN}/callback"
SECURE_COOKIE = "__Host-relevo-sign-in"
PLAIN_COOKIE = "relevo-sign-in"
LASTS_S = 600  # a person types a password in between
MAX_PATH_CHARACTERS = 1_000

router = public_pages()
routers = (router,)


async def identity_provider(services: ProcessServicesDep) -> IdentityProvider:
    """Who signs people in. NotFound when nobody does."""
    if services.identity_provider is None:
        raise NotFound
    return services.identity_provider


IdentityProviderDep = Annotated[IdentityProvider, Depends(identity_provider)]


@router.get(BEGIN.removeprefix(BASE), operation_id="console.sign-in.openid")
async def begin(request: Request, services: ProcessServicesDep, provider: IdentityProviderDep) -> Response:
    """Send the browser to the provider, with a cookie to which its answer is bound."""
    # A link and no form, since browsers check a form's redirections against `form-action` too.
    then = own_path(request.query_params.get("next"))
    if not may_sign_in(request):
        return ways_in(request, services, then=then)
    binding = SignInBinding.new(token_bytes)
    try:
        address = await provider.address(binding, redirect_uri=_redirect_uri(request))
    except Unavailable as error:
        return ways_in(request, services, then=then, status=503, problem=error.detail)
    response = RedirectResponse(address, status_code=303, headers={"cache-control": "no-store"})
    kept = quote(then, safe="")
    value = f"{binding.secret}.{kept if len(kept) <= MAX_PATH_CHARACTERS else ''}"
    secure = is_secure(request)
    # Lax, since the answer comes by a navigation from the provider's site.
    response.set_cookie(
        _cookie(request), value, max_age=LASTS_S, path="/", secure=secure, httponly=True, samesite="lax"
    )
    return response


@router.get(CALLBACK.removeprefix(BASE), operation_id="console.sign-in.openid.callback")
async def take_back(request: Request, services: ProcessServicesDep, provider: IdentityProviderDep) -> Response:
    """Open a session for whom the provider's answer stands. The cookie is worth nothing after any answer."""
    secret, _, kept = request.cookies.get(_cookie(request), "").partition(".")
    then = own_path(unquote(kept))
    binding = SignInBinding.parse(secret)
    response = await _answered(request, services, provider, binding=binding, then=then)
    response.delete_cookie(_cookie(request), path="/", secure=is_secure(request), httponly=True, samesite="lax")
    return response


async def _answered(
    request: Request,
    services: Services,
    provider: IdentityProvider,
    *,
    binding: SignInBinding | None,
    then: str,
) -> Response:
    def refused(why: str, status: int = 401) -> Response:
        return ways_in(request, services, then=then, status=status, problem=REFUSED_SIGN_INS[why])

    answer = request.query_params
    if binding is None or not compare_digest(answer.get("state", "").encode(), binding.state.encode()):
        return refused("elsewhere", 403)
    try:
        await provider.check_answer(answer.get("iss"))
        if "code" not in answer:
            return refused("declined")
        caller = await provider.redeem(answer["code"], binding, redirect_uri=_redirect_uri(request))
        services.access.refuse_revoked(caller)
    except NotAuthenticated:
        return refused("unknown")
    except Unavailable as error:
        return ways_in(request, services, then=then, status=503, problem=error.detail)
    return await opened(request, services, caller, then=then.removeprefix(BASE))


def _redirect_uri(request: Request) -> str:
    return f"{base_url(request)}{CALLBACK}"


def _cookie(request: Request) -> str:
    return SECURE_COOKIE if is_secure(request) else PLAIN_COOKIE
