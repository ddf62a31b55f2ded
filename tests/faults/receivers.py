"""Receivers as faults: an application whose endpoint misbehaves, beside a healthy one on the same processes."""

from collections.abc import Mapping

from svix.api import ApplicationIn, EndpointIn

from tests.faults.named import shown
from tests.faults.site import Fault, Hit, Site
from tests.system import senders

MESSAGES = 16
NUMBERS = 1_000_000  # those of the healthy customer's messages are smaller
GIGABYTE = 1_000_000_000

# The path at the receiver, by what it does.
PATHS: Mapping[str, tuple[str, str]] = {
    "receiver-slow": ("slow/0.9", "A receiver that answers just before the deadline"),
    "receiver-drips": ("drip", "A receiver that sends one byte a second"),
    "receiver-silent": ("silence", "A receiver that never answers"),
    "receiver-resets": ("reset-midway", "A receiver that resets the connection in the middle of its answer"),
    "receiver-huge": (f"huge/{GIGABYTE}", "A receiver that answers with 1 GB"),
    "receiver-headers": ("endless-headers", "A receiver whose headers never end"),
    "receiver-bomb": ("bomb", "A receiver that answers with a gzip bomb"),
}


def _misbehaving(path: str, name: str) -> Fault:
    async def misbehave(site: Site) -> Hit:
        return await call(site, f"/{path}")

    misbehave.__doc__ = name
    return misbehave


async def call(site: Site, path: str) -> Hit:
    """Messages for an endpoint at that path of the receiver, accepted, and the first of them sent."""
    before = len(site.receiver.at(path))
    async with senders.opened(site.customer.url, site.customer.token) as sdk:
        application = await sdk.application.create(ApplicationIn(name=path))
        await sdk.endpoint.create(application.id, EndpointIn(url=f"{site.receiver.url}{path}"))
        for number in range(NUMBERS, NUMBERS + MESSAGES):
            await senders.send(sdk, application.id, number, site.promises)

    async def called() -> int:
        return len(site.receiver.at(path)) - before

    await shown(called)
    return Hit(what="calls answered so", count=await called())


FAULTS: Mapping[str, Fault] = {fault: _misbehaving(path, name) for fault, (path, name) in PATHS.items()}
