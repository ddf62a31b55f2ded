"""Receivers that want Relevo to call somebody else, on its own network. `Site.forbidden` is that somebody, and must see
nobody."""

from collections.abc import Mapping

from svix.api import ApplicationIn, EndpointIn

from service.domain.outcomes import ErrorType
from tests.faults import account
from tests.faults.named import by_name, shown
from tests.faults.receivers import MESSAGES, NUMBERS, call
from tests.faults.site import FORBIDDEN, Fault, Hit, Site
from tests.faults.surroundings import may_mount
from tests.system import senders

NAME = "webhooks.customer.test"
REFUSED = "SELECT count(*) FROM attempt WHERE app_id = $1 AND error_type = $2"


async def receiver_redirects(site: Site) -> Hit:
    """A receiver that redirects to another service on its network."""
    return await call(site, f"/redirect-to/{FORBIDDEN}/{site.forbidden.port}")


async def name_rebound(site: Site) -> Hit:
    """A receiver's name, once it has been called by it, gets an address that must not be called, for a while."""
    site.hosts.point(NAME, "127.0.0.1")
    numbers = iter(range(NUMBERS, 2 * NUMBERS))
    async with senders.opened(site.customer.url, site.customer.token) as sdk:
        application = await sdk.application.create(ApplicationIn(name=NAME))
        await sdk.endpoint.create(application.id, EndpointIn(url=f"http://{NAME}:{site.receiver.port}/last"))

        async def send() -> None:
            await senders.send(sdk, application.id, next(numbers), site.promises)

        async def refused() -> int:
            await send()
            return await account.count(site.database.direct, REFUSED, application.id, ErrorType.EGRESS)

        for _ in range(MESSAGES):
            await send()
        await site.receiver.wait_for(1, "/last")
        site.hosts.point(NAME, FORBIDDEN)
        await shown(refused)  # until then, what was looked up before is remembered
        for _ in range(MESSAGES):
            await send()
        count = await shown(refused)
        # An endpoint that cannot be called rests, and what waits for it would be tried for a long while.
        site.hosts.point(NAME, "127.0.0.1")
        return Hit(what="attempts refused", count=count)


FAULTS: Mapping[str, Fault] = by_name(receiver_redirects, *((name_rebound,) if may_mount() else ()))
