"""What can be asked of endpoints, over memory."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import timedelta

import pytest

from service.adapters.machine.clock import new_id
from service.adapters.machine.ed25519 import Ed25519
from service.application.endpoints import Endpoints
from service.domain.applications import Application
from service.domain.destinations import HttpDestination
from service.domain.endpoints import Endpoint, NewEndpoint
from service.domain.errors import Invalid, LimitReached, NotFound
from service.domain.operational_webhooks import EndpointEvent
from service.domain.signatures import MAX_OLD_SECRETS, Kind, Secret
from tests.support.clock import HandClock
from tests.support.kept import NOW, an_application, an_event_type
from tests.support.memory import MemoryStore, MemoryUnitOfWork

A_DAY = timedelta(days=1)
NEW = NewEndpoint(destination=HttpDestination(url="http://example.com/"), uid="e")


@dataclass(slots=True, kw_only=True)
class Site:
    """An application's endpoints, and what was told of them."""

    work: MemoryUnitOfWork
    clock: HandClock = field(default_factory=lambda: HandClock(NOW))
    application: Application = field(default_factory=an_application)
    told: list[EndpointEvent] = field(default_factory=list)

    def endpoints(self, *, https_only: bool = False) -> Endpoints:
        async def announce(event: EndpointEvent, _application: Application, _endpoint: Endpoint) -> None:
            self.told.append(event)

        return Endpoints(
            self.application,
            self.work.endpoints,
            self.work.event_types,
            clock=self.clock,
            new_id=new_id,
            new_key=lambda: b"a key of twenty-four bytes",
            key_pairs=Ed25519(),
            https_only=https_only,
            refuses_url=lambda url: "Not there." if "not-there" in url else None,
            announce=announce,
        )

    async def secrets(self) -> list[tuple[Kind, timedelta | None]]:
        """Of each secret of `e` its kind, and how long it still lasts; None for ever."""
        found = await self.endpoints().get("e")
        kept = await self.work.endpoints.secrets(found.id)
        return [(secret.kind, self._left(secret)) for secret in kept]

    def _left(self, secret: Secret) -> timedelta | None:
        return None if secret.expires_at is None else secret.expires_at - self.clock.now()


@pytest.fixture
def site() -> Site:
    return Site(work=MemoryStore().begin())


async def test_the_current_secret_never_expires_and_a_replaced_one_lasts_its_grace(site: Site) -> None:
    endpoints = site.endpoints()
    await endpoints.create(NEW, headers={})

    await endpoints.rotate("e", secret=None, grace=2 * A_DAY)
    site.clock.time += A_DAY
    await endpoints.rotate("e", secret=None, grace=A_DAY * 3)

    assert await site.secrets() == [(Kind.HMAC, None), (Kind.HMAC, 3 * A_DAY), (Kind.HMAC, A_DAY)]


async def test_a_secret_whose_grace_is_over_is_forgotten_at_the_next_rotation(site: Site) -> None:
    endpoints = site.endpoints()
    await endpoints.create(NEW, headers={})

    await endpoints.rotate("e", secret=None, grace=A_DAY)
    site.clock.time += A_DAY
    await endpoints.rotate("e", secret=None, grace=timedelta())

    assert await site.secrets() == [(Kind.HMAC, None)]


async def test_a_generated_secret_is_of_the_kind_that_the_receiver_knows(site: Site) -> None:
    endpoints, pairs = site.endpoints(), Ed25519()
    await endpoints.create(NEW, secret=Secret(key=pairs.new(), kind=Kind.ED25519), headers={})

    generated = await endpoints.rotate("e", secret=None, grace=timedelta())

    assert generated.kind is Kind.ED25519
    assert pairs.holds(generated.key)


async def test_too_many_old_secrets_are_refused_until_one_has_ended(site: Site) -> None:
    endpoints = site.endpoints()
    await endpoints.create(NEW, headers={})
    for _ in range(MAX_OLD_SECRETS):
        await endpoints.rotate("e", secret=None, grace=A_DAY)
    before = await site.secrets()

    with pytest.raises(LimitReached, match="the next key expires at 2026-03-02T12:00:00"):
        await endpoints.rotate("e", secret=None, grace=A_DAY)

    assert await site.secrets() == before
    site.clock.time += A_DAY
    await endpoints.rotate("e", secret=None, grace=A_DAY)
    assert len(await site.secrets()) == 2


async def test_enabling_forgets_the_failures_and_no_other_change_does(site: Site) -> None:
    endpoints = site.endpoints()
    created = await endpoints.create(NEW, headers={})

    await endpoints.patch("e", {"disabled": True})
    await endpoints.patch("e", {"description": "still disabled"})
    assert site.work.endpoints.forgiven == []
    await endpoints.patch("e", {"disabled": False})

    assert site.work.endpoints.forgiven == [created.id]


async def test_event_types_that_are_unknown_are_named(site: Site) -> None:
    await site.work.event_types.add(an_event_type(name="known", org_id=site.application.org_id))

    with pytest.raises(Invalid, match="don't exist: a, b"):
        await site.endpoints().create(
            NewEndpoint(destination=NEW.destination, event_types=("a", "known", "b")), headers={}
        )

    assert site.told == []


async def test_where_only_https_will_do_nothing_else_is_taken(site: Site) -> None:
    endpoints = site.endpoints(https_only=True)

    with pytest.raises(Invalid, match="https"):
        await endpoints.create(NEW, headers={})

    safe = HttpDestination(url="https://example.com/")
    assert (await endpoints.create(NewEndpoint(destination=safe), headers={})).destination == safe


CHANGES: dict[str, Callable[[Endpoints], Awaitable[object]]] = {
    "a field": lambda endpoints: endpoints.patch("e", {"description": "d"}),
    "all fields": lambda endpoints: endpoints.upsert("e", NEW),
    "disabled": lambda endpoints: endpoints.patch("e", {"disabled": True}),
    "its secret": lambda endpoints: endpoints.rotate("e", secret=None, grace=A_DAY),
    "its headers": lambda endpoints: endpoints.set_headers("e", lambda _: {"X-Token": "one"}),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
async def test_whatever_changes_moves_the_time_of_the_last_change(
    site: Site, change: Callable[[Endpoints], Awaitable[object]]
) -> None:
    endpoints = site.endpoints()
    await endpoints.create(NEW, headers={})
    site.clock.time += A_DAY

    await change(endpoints)

    changed = await endpoints.get("e")
    assert (changed.created_at, changed.updated_at) == (NOW, NOW + A_DAY)


async def test_every_change_is_told(site: Site) -> None:
    endpoints = site.endpoints()

    await endpoints.create(NEW, headers={})
    await endpoints.patch("e", {"description": "d"})
    await endpoints.rotate("e", secret=None, grace=A_DAY)
    await endpoints.set_headers("e", lambda _: {"X-Token": "one"})
    await endpoints.delete("e")

    assert site.told == ["endpoint.created", *["endpoint.updated"] * 3, "endpoint.deleted"]
    with pytest.raises(NotFound):
        await endpoints.get("e")
