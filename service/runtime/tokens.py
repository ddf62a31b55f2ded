"""Tokens that are made on the command line and kept in the list: what `relevo token --name` does."""

from uuid import uuid4

from service.adapters.access.tokens import Tokens
from service.adapters.machine.clock import SystemClock, new_id
from service.adapters.machine.vault import Vault
from service.adapters.postgres.repositories.unit_of_work import open_unit_of_work
from service.adapters.postgres.server.database import open_database
from service.application.access import Caller
from service.application.audit import AuditTrail
from service.application.revocations import Revocations
from service.application.tokens import NewToken, OrganisationTokens
from service.domain.ids import OrgId
from service.settings import Settings

ACTION = "organisation_token.created"


async def make_listed_token(settings: Settings, url: str, org_id: OrgId, new: NewToken) -> str:
    """The text of a token that is in the list and in the audit trail by then. LimitReached."""
    clock = SystemClock()
    async with (
        open_database(url) as database,
        open_unit_of_work(database.sessions, Vault(settings.secret_keys())) as work,
    ):
        tokens = OrganisationTokens(
            org_id,
            work.tokens,
            issuer=Tokens(settings.jwt_secret()),
            revocations=Revocations(org_id, work.revocations, clock=clock, new_id=new_id),
            clock=clock,
            new_id=new_id,
        )
        made = await tokens.create(new)
        trail = AuditTrail(Caller(org_id=org_id), work.audit, new_id=new_id, correlation_id=uuid4().hex)
        await trail.add(ACTION, app_id=None, target=made.token.id)
        return made.text
