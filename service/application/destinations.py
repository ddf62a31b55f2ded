"""Use cases of an application's ordered destinations."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from service.application.ports.machine import Clock, KeyPairs
from service.application.ports.ordered import DestinationRepository
from service.application.ports.pages import Page, PageRequest
from service.application.ports.repositories import EventTypeRepository
from service.application.upserts import upserted
from service.domain import ids
from service.domain.applications import Application
from service.domain.errors import Invalid, NotAllowed, NotFound, Refused
from service.domain.ids import DestinationId
from service.domain.limits import CLOCK_TOLERANCE
from service.domain.ordered import NewOrderedDestination, OrderedDestination, OrderedStatus, changed, usual_batch_size
from service.domain.signatures import Kind, Secret, aged
from service.domain.sink_addresses import ADDRESS, addresses, is_encrypted
from service.domain.sink_configs import Config, sink_of
from service.domain.sink_configs import changed as changed_sink
from service.domain.sink_configs import replaced as replaced_sink
from service.domain.sinks import FifoSink, PushedSink, Sink, SinkKind


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What a request says of a destination: its kind and configuration, and `values` by the names of
    NewOrderedDestination. With `start_at` it reads on with what was accepted then."""

    kind: SinkKind | None = None
    config: Config = field(default_factory=dict)
    values: Mapping[str, Any] = field(default_factory=dict)
    start_at: datetime | None = None


class Destinations:
    """The ordered destinations of one application.

    `refuses_url` returns why an address can never be called, `lacks_client` why a kind cannot be sent to here, both
    None if they can. Only who `may_pause` pauses a destination and ends its pause. `new_key` makes an HMAC key.
    """

    def __init__(
        self,
        application: Application,
        destinations: DestinationRepository,
        event_types: EventTypeRepository,
        *,
        clock: Clock,
        new_id: Callable[[str], str],
        new_key: Callable[[], bytes],
        key_pairs: KeyPairs,
        https_only: bool,
        refuses_url: Callable[[str], str | None],
        lacks_client: Callable[[SinkKind], str | None],
        may_pause: bool,
    ) -> None:
        self._application = application
        self._destinations = destinations
        self._event_types = event_types
        self._clock = clock
        self._new_id = new_id
        self._new_key = new_key
        self._key_pairs = key_pairs
        self._https_only = https_only
        self._refuses_url = refuses_url
        self._lacks_client = lacks_client
        self._may_pause = may_pause

    async def page(self, page: PageRequest, *, kinds: Collection[SinkKind]) -> Page[OrderedDestination]:
        """One page of those of these kinds, by id."""
        return await self._destinations.page(self._application.id, page, kinds=kinds)

    async def head(self) -> int:
        """The position of the application's last message: what lies between it and a destination's waits."""
        return await self._destinations.position_at(self._application.id)

    async def get(self, ref: str) -> OrderedDestination:
        """NotFound when there is none with this id or uid."""
        return await self._found(ref)

    async def create(self, wanted: Wanted) -> OrderedDestination:
        """Create a destination. It is sent what is accepted from now on, or from `start_at` on. Conflict, Invalid."""
        if wanted.kind is None:
            raise Invalid("A destination needs a type.", field=("type",))
        new = NewOrderedDestination(sink=sink_of(wanted.kind, wanted.config), **_values(wanted.kind, wanted.values))
        await self._check(new, known=None)
        destination = await self._made(new, start_at=wanted.start_at)
        await self._destinations.add(destination, self._first_secrets(new.sink))
        return destination

    async def upsert(self, ref: str, wanted: Wanted) -> tuple[OrderedDestination, bool]:
        """Replace a destination's fields, or create one; returns whether it was created. Conflict, Invalid.

        Its position, its credentials and its status stay where the request says nothing of them.
        """
        return await upserted(
            lambda: self._destinations.get(self._application.id, ref, lock=True),
            change=lambda known: self._replace(known, wanted),
            create=lambda: self.create(wanted),
            is_the_same=ref == wanted.values.get("uid"),
        )

    async def patch(self, ref: str, wanted: Wanted) -> OrderedDestination:
        """Change only what the request says. NotFound, Conflict, Invalid."""
        known = await self._found(ref, lock=True)
        _check_kind(known, wanted)
        said = _values(known.sink.kind, wanted.values, only=wanted.values)
        sink = changed_sink(known.sink, wanted.config) if wanted.config else known.sink
        return await self._change(known, replace(known, sink=sink, **said), start_at=wanted.start_at)

    async def delete(self, ref: str) -> None:
        """Delete it; its uid can be used again."""
        await self._destinations.delete(await self._found(ref, lock=True))

    async def secret(self, ref: str) -> Secret:
        """The current signing secret. Refused for kinds without one."""
        current, *_old = await self._secrets(await self._found(ref))
        return current

    async def rotate(self, ref: str, *, secret: Secret | None, grace: timedelta) -> Secret:
        """Sign with a new key from now on, and also with the old one until `grace` is over. LimitReached, Invalid,
        Refused."""
        if secret is not None and secret.kind is Kind.ED25519 and not self._key_pairs.holds(secret.key):
            raise Invalid("The public key of this ed25519 secret does not belong to its seed.", field=("key",))
        destination = await self._found(ref, lock=True)
        secrets = await self._secrets(destination)
        newest = secret or self._new_secret(secrets[0].kind)
        old = aged(secrets, at=self._clock.now(), grace=grace)
        await self._destinations.keep_secrets(destination.id, [newest, *old])
        await self._destinations.replace(replace(destination, updated_at=self._clock.now()))
        return newest

    async def _found(self, ref: str, *, lock: bool = False) -> OrderedDestination:
        destination = await self._destinations.get(self._application.id, ref, lock=lock)
        if destination is None:
            raise NotFound("Destination not found")
        return destination

    async def _replace(self, known: OrderedDestination, wanted: Wanted) -> OrderedDestination:
        _check_kind(known, wanted)
        said = {"status": known.status, **_values(known.sink.kind, wanted.values)}
        sink = replaced_sink(known.sink, wanted.config)
        return await self._change(known, replace(known, sink=sink, **said), start_at=wanted.start_at)

    async def _change(
        self, known: OrderedDestination, wanted: OrderedDestination, *, start_at: datetime | None
    ) -> OrderedDestination:
        await self._check(wanted, known=known)
        wanted = changed(known, wanted, at=self._clock.now())
        await self._destinations.replace(wanted)
        if start_at is None:
            return wanted
        position = await self._position(start_at)
        await self._destinations.move(wanted, position=position)
        return replace(wanted, position=position)

    async def _made(self, new: NewOrderedDestination, *, start_at: datetime | None) -> OrderedDestination:
        now = self._clock.now()
        said = {name: getattr(new, name) for name in NewOrderedDestination.__dataclass_fields__}
        return OrderedDestination(
            **said,
            id=DestinationId(self._new_id(ids.DESTINATION)),
            app_id=self._application.id,
            org_id=self._application.org_id,
            created_at=now,
            updated_at=now,
            position=await self._position(start_at),
            due_at=now,
        )

    async def _position(self, start_at: datetime | None) -> int:
        if start_at is not None and start_at > self._clock.now() + CLOCK_TOLERANCE:
            raise Invalid("This time is still to come.", field=("start_at",))
        return await self._destinations.position_at(self._application.id, start_at)

    async def _secrets(self, destination: OrderedDestination) -> tuple[Secret, ...]:
        secrets = await self._destinations.secrets(destination.id)
        if not secrets:
            raise Refused(f"Only destinations of the type {SinkKind.FIFO.value} are signed.")
        return secrets

    def _first_secrets(self, sink: Sink) -> Sequence[Secret]:
        return [self._new_secret(Kind.HMAC)] if isinstance(sink, FifoSink) else []

    def _new_secret(self, kind: Kind) -> Secret:
        return Secret(key=self._new_key() if kind is Kind.HMAC else self._key_pairs.new(), kind=kind)

    async def _check(self, wanted: NewOrderedDestination, *, known: OrderedDestination | None) -> None:
        """Raises Invalid or NotAllowed. What was accepted under earlier settings does not block changes of the rest."""
        if known is None or wanted.sink != known.sink:
            self._check_sink(wanted.sink)
        if known is None or wanted.event_types != known.event_types:
            await self._check_event_types(wanted.event_types or ())
        was = OrderedStatus.ENABLED if known is None else known.status
        if was is not wanted.status and OrderedStatus.PAUSED in {was, wanted.status} and not self._may_pause:
            raise NotAllowed("Only the organisation pauses a destination, and ends its pause.")

    def _check_sink(self, sink: Sink) -> None:
        if reason := self._lacks_client(sink.kind):
            raise Invalid(reason, field=("type",))
        if not isinstance(sink, PushedSink):
            return
        place = ("config", ADDRESS[sink.kind])
        if self._https_only and not is_encrypted(sink):
            raise Invalid("Destinations have to be called by https, or with TLS that is required.", field=place)
        for reason in filter(None, map(self._refuses_url, addresses(sink))):
            raise Invalid(reason, field=place)

    async def _check_event_types(self, names: Sequence[str]) -> None:
        missing = await self._event_types.unknown(self._application.org_id, names) if names else []
        if missing:
            raise Invalid(f"The following event types don't exist: {', '.join(missing)}", field=("event_types",))


def _check_kind(known: OrderedDestination, wanted: Wanted) -> None:
    if wanted.kind not in {None, known.sink.kind}:
        raise Invalid(
            f"This destination is of the type {known.sink.kind.value}. Make another one for another type.",
            field=("type",),
        )


def _values(kind: SinkKind, said: Mapping[str, Any], *, only: Collection[str] | None = None) -> dict[str, Any]:
    """What was said, and without `only` the usual values of the rest; null stands for the usual value."""
    usual = {"batch_size": usual_batch_size(kind), "max_wait_secs": 0, "metadata": {}}
    empty = {"uid": None, "event_types": None, "channels": None}
    given = {name: value for name, value in said.items() if value is not None}
    values = usual | empty | given
    return values if only is None else {name: values[name] for name in only if name in values}
