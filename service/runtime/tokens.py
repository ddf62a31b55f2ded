"""Makes tokens for `relevo token`.

The database is imported only for a listed token, so that `relevo token` without a name answers at once.
"""

from datetime import datetime, timedelta
from typing import TYPE_CHECKING
from uuid import uuid4

from service.adapters.access.tokens import DEFAULT_ORGANISATION, Tokens, digest_of
from service.domain.ids import OrgId
from service.domain.tokens import Role
from service.settings import Settings

if TYPE_CHECKING:
    from service.application.tokens import NewToken
    from service.runtime.database import DatabaseUrls

__all__ = ["DEFAULT_ORGANISATION", "digest_of", "make_listed_token", "mint"]

AUDITED_ACTION = "organisation_token.created"


def mint(settings: Settings, org_id: OrgId, *, now: datetime, role: Role, lifetime: timedelta) -> str:
    """The text of a token that is not listed in the database."""
    return Tokens(settings.jwt_secret()).mint(org_id, now=now, role=role, lifetime=lifetime)


async def make_listed_token(settings: Settings, database: "DatabaseUrls", org_id: OrgId, new: "NewToken") -> str:
    """Make a token and store it in the list and the audit trail, in the organisation's database; returns its text.
    Raises LimitReached, DATABASE_UNUSABLE, DATABASE_UNAVAILABLE."""
    from service.adapters.machine.clock import SystemClock, new_id
    from service.adapters.machine.vault import AesVault
    from service.adapters.postgres.repositories.unit_of_work import open_unit_of_work
    from service.adapters.postgres.server.database import open_database
    from service.application.access import Caller
    from service.application.audit import AuditTrail
    from service.application.revocations import Revocations
    from service.application.tokens import OrganisationTokens

    if settings.several:
        from service.runtime.homes import database_of

        database = await database_of(settings, org_id)
    clock = SystemClock()
    async with (
        open_database(database.direct) as opened,
        open_unit_of_work(opened.sessions, AesVault(settings.secret_keys())) as work,
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
        await trail.add(AUDITED_ACTION, app_id=None, target=made.token.id)
        return made.text
