"""Tokens of the organisation itself: an admin creates them with a name and a role, lists and revokes them."""

from fastapi import Depends, Response

from service.api.dependencies import OrganisationTokensDep, revoked
from service.api.idempotency import Answer, OnceDep
from service.api.json_routes import JsonRoute
from service.api.operations import Operations
from service.api.parameters import TokenPage, TokenRef
from service.api.problems import documented
from service.api.schemas.pages import ListOut, listed
from service.api.schemas.tokens import OrganisationTokenCreatedOut, OrganisationTokenIn, OrganisationTokenOut

router = Operations(prefix="/auth/token", tags=["Authentication"], route_class=JsonRoute)


@router.get("", operation_id="v1.authentication.token.list", responses=documented())
async def list_tokens(tokens: OrganisationTokensDep, page: TokenPage) -> ListOut[OrganisationTokenOut]:
    """List the organisation's tokens that were made here, newest first. What `relevo token` prints is in no list."""
    return listed(await tokens.page(page), key=lambda token: token.id, show=OrganisationTokenOut.of)


@router.post(
    "",
    status_code=201,
    response_model=OrganisationTokenCreatedOut,
    operation_id="v1.authentication.token.create",
    responses=documented(400, 409),
)
async def create_token(body: OrganisationTokenIn, tokens: OrganisationTokensDep, once: OnceDep) -> Response:
    """Make a token for the organisation, with a role. Its text is in this answer and nowhere else."""

    async def create() -> Answer:
        return Answer(body=OrganisationTokenCreatedOut.issued(await tokens.create(body.new())), status=201)

    return await once.answer(create)


@router.get("/{token_id}", operation_id="v1.authentication.token.get", responses=documented(404))
async def get_token(token_id: TokenRef, tokens: OrganisationTokensDep) -> OrganisationTokenOut:
    """Get what is known of a token."""
    return OrganisationTokenOut.of(await tokens.get(token_id))


@router.delete(
    "/{token_id}",
    status_code=204,
    dependencies=[Depends(revoked, scope="function")],
    operation_id="v1.authentication.token.revoke",
    responses=documented(400, 404),
)
async def revoke_token(token_id: TokenRef, tokens: OrganisationTokensDep) -> None:
    """End a token at once, by its id, or by the `tokenId` that the audit trail shows of each, also of one that is in no
    list. A listed one stays in the list until it would have expired."""
    await tokens.revoke(token_id)
