"""Who is let in, asked before a byte of the body is read: what strangers send is not kept."""

from collections.abc import Iterator

from fastapi import Request
from fastapi.dependencies.models import Dependant

from service.api.dependencies import bearer, caller, organisation
from service.api.services import Services


class Admission:
    """What a route asks of its caller, found among its dependencies."""

    def __init__(self, route: Dependant) -> None:
        asked = {dependant.call for dependant in _all(route)}
        self._asks = caller in asked
        self._for_organisations = organisation in asked

    async def admit(self, request: Request) -> None:
        """Refuse as the route's own dependencies would. NotAuthenticated, NotAllowed."""
        if not self._asks or request.app.dependency_overrides:
            return
        services: Services = request.app.state.services
        found = await caller(request, services, await bearer(request))
        if self._for_organisations:
            await organisation(found)


def _all(dependant: Dependant) -> Iterator[Dependant]:
    for inner in dependant.dependencies:
        yield inner
        yield from _all(inner)
