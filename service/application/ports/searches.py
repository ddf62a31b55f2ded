"""Search: what is found by an id alone, wherever in an organisation it is."""

from collections.abc import Sequence
from typing import Protocol

from service.domain.ids import ApplicationId, OrgId
from service.domain.searches import Hit


class SearchRepository(Protocol):
    """Finds what is live in an organisation, or with `app_id` in that application of it. Each look-up is by index."""

    async def endpoint(self, org_id: OrgId, endpoint_id: str, *, app_id: ApplicationId | None) -> Hit | None: ...
    async def message(self, org_id: OrgId, message_id: str, *, app_id: ApplicationId | None) -> Hit | None: ...
    async def attempt(self, org_id: OrgId, attempt_id: str, *, app_id: ApplicationId | None) -> Hit | None: ...

    async def named(
        self, org_id: OrgId, name: str, *, app_id: ApplicationId | None, applications: int, hits: int
    ) -> Sequence[Hit]:
        """Messages with this event id and endpoints with this uid, at most `hits` of each, in the newest
        `applications` applications: their names are unique in an application only, and so are the indexes."""
        ...
