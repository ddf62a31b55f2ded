"""Use cases of an application's endpoints, with their secrets and headers."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import fields, replace
from datetime import timedelta
from typing import Any, assert_never

from service.application.ports.machine import Clock, KeyPairs
from service.application.ports.pages import Page, PageRequest
from service.application.ports.repositories import EndpointRepository, EventTypeRepository
from service.application.upserts import upserted
from service.domain import headers as rules
from service.domain import ids
from service.domain.applications import Application
from service.domain.destinations import Destination, HttpDestination
from service.domain.endpoints import Endpoint, NewEndpoint, explained
from service.domain.errors import Invalid, NotFound
from service.domain.ids import EndpointId
from service.domain.operational_webhooks import EndpointEvent
from service.domain.signatures import Kind, Secret, aged

Announce = Callable[[EndpointEvent, Application, Endpoint], Awaitable[None]]


class Endpoints:
    """The endpoints of one application. `new_key` makes an HMAC key, `key_pairs` makes ed25519 keys.

    `refuses_url` returns why a URL can never be called, or None.
    """

    def __init__(
        self,
        application: Application,
        endpoints: EndpointRepository,
        event_types: EventTypeRepository,
        *,
        clock: Clock,
        new_id: Callable[[str], str],
        new_key: Callable[[], bytes],
        key_pairs: KeyPairs,
        https_only: bool,
        refuses_url: Callable[[str], str | None],
        announce: Announce,
    ) -> None:
        self._application = application
        self._endpoints = endpoints
        self._event_types = event_types
        self._clock = clock
        self._new_id = new_id
        self._new_key = new_key
        self._key_pairs = key_pairs
        self._https_only = https_only
        self._refuses_url = refuses_url
        self._announce = announce

    async def page(self, page: PageRequest) -> Page[Endpoint]:
        """One page of them, by id."""
        return await self._endpoints.page(self._application.id, page)

    async def get(self, ref: str) -> Endpoint:
        """NotFound when there is none with this id or uid."""
        return await self._found(ref)

    async def create(self, new: NewEndpoint, *, secret: Secret | None = None, headers: dict[str, str]) -> Endpoint:
        """Create an endpoint; without a `secret` one is generated. Raises Conflict when the uid is taken, Invalid."""
        await self._check(new.destination, event_types=new.event_types)
        if secret is not None:
            self._check_pair(secret, field="secret")
        endpoint = explained(self._made(new), before=None)
        await self._endpoints.add(endpoint, [secret or self._new_secret(Kind.HMAC)], headers)
        await self._announce("endpoint.created", self._application, endpoint)
        return endpoint

    async def upsert(self, ref: str, new: NewEndpoint) -> tuple[Endpoint, bool]:
        """Replace an endpoint's fields, or create one; returns whether it was created.

        Conflict when the uid is another endpoint's.
        """
        return await upserted(
            lambda: self._endpoints.get(self._application.id, ref, lock=True),
            change=lambda known: self._change(
                known, replace(self._made(new), id=known.id, created_at=known.created_at)
            ),
            create=lambda: self.create(new, headers={}),
            is_the_same=ref == new.uid,
        )

    async def patch(self, ref: str, changes: Mapping[str, Any]) -> Endpoint:
        """Change only these fields of `NewEndpoint`."""
        known = await self._found(ref, lock=True)
        return await self._change(known, replace(known, **changes, updated_at=self._clock.now()))

    async def delete(self, ref: str) -> None:
        """Delete it; its uid can be used again."""
        endpoint = await self._found(ref, lock=True)
        await self._endpoints.delete(endpoint, at=self._clock.now())
        await self._announce("endpoint.deleted", self._application, endpoint)

    async def secret(self, ref: str) -> Secret:
        """The current secret."""
        secrets = await self._endpoints.secrets((await self._found(ref)).id)
        return secrets[0]

    async def rotate(self, ref: str, *, secret: Secret | None, grace: timedelta) -> Secret:
        """Sign with a new key from now on, and also with the old one until `grace` is over.

        A generated key has the old key's kind, which the receiver can verify. Raises LimitReached, Invalid.
        """
        if secret is not None:
            self._check_pair(secret, field="key")
        endpoint = await self._found(ref, lock=True)
        secrets = await self._endpoints.secrets(endpoint.id)
        newest = secret or self._new_secret(secrets[0].kind)
        await self._endpoints.keep_secrets(endpoint.id, [newest, *aged(secrets, at=self._clock.now(), grace=grace)])
        await self._touch(endpoint)
        return newest

    async def end_old_secrets(self, ref: str) -> None:
        """Sign with the current secret only, from now on."""
        endpoint = await self._found(ref, lock=True)
        current, *_old = await self._endpoints.secrets(endpoint.id)
        await self._endpoints.keep_secrets(endpoint.id, [current])
        await self._touch(endpoint)

    async def headers(self, ref: str) -> dict[str, str]:
        """The endpoint's own headers, including credentials."""
        return await self._endpoints.headers((await self._found(ref)).id)

    async def set_headers(self, ref: str, change: Callable[[dict[str, str]], dict[str, str]]) -> None:
        """Replace the headers by `change(headers)`. Raises Invalid when they are refused as a whole."""
        endpoint = await self._found(ref, lock=True)
        changed = change(await self._endpoints.headers(endpoint.id))
        if reason := rules.why_refused(changed):
            raise Invalid(reason, field=("headers",))
        await self._endpoints.keep_headers(endpoint.id, changed)
        await self._touch(endpoint)

    async def _found(self, ref: str, *, lock: bool = False) -> Endpoint:
        endpoint = await self._endpoints.get(self._application.id, ref, lock=lock)
        if endpoint is None:
            raise NotFound
        return endpoint

    async def _touch(self, endpoint: Endpoint) -> None:
        """Record that the endpoint's secrets or headers have changed. `endpoint` is locked."""
        await self._endpoints.replace(replace(endpoint, updated_at=self._clock.now()))
        await self._announce("endpoint.updated", self._application, endpoint)

    async def _change(self, known: Endpoint, changed: Endpoint) -> Endpoint:
        changed = explained(changed, before=known)
        fresh_types = changed.event_types if changed.event_types != known.event_types else None
        # Values accepted under earlier settings do not block changes of other fields.
        fresh_place = changed.destination if changed.destination != known.destination else None
        await self._check(fresh_place, event_types=fresh_types)
        await self._endpoints.replace(changed)
        if known.disabled and not changed.disabled:
            await self._endpoints.forget_failures(changed)
        await self._announce("endpoint.updated", self._application, changed)
        return changed

    def _new_secret(self, kind: Kind) -> Secret:
        return Secret(key=self._new_key() if kind is Kind.HMAC else self._key_pairs.new(), kind=kind)

    def _check_pair(self, secret: Secret, *, field: str) -> None:
        if secret.kind is Kind.ED25519 and not self._key_pairs.holds(secret.key):
            raise Invalid("The public key of this ed25519 secret does not belong to its seed.", field=(field,))

    async def _check(self, destination: Destination | None, *, event_types: Sequence[str] | None) -> None:
        if destination is not None:
            self._check_destination(destination)
        missing = await self._event_types.unknown(self._application.org_id, event_types) if event_types else []
        if missing:
            raise Invalid(f"The following event types don't exist: {', '.join(missing)}", field=("event_types",))

    def _check_destination(self, destination: Destination) -> None:
        match destination:
            case HttpDestination(url=url):
                self._check_url(url)
            case _:
                assert_never(destination)

    def _check_url(self, url: str) -> None:
        if self._https_only and not url.startswith("https://"):
            raise Invalid("Endpoint URL schemes must be https.", field=("url",))
        if reason := self._refuses_url(url):
            raise Invalid(reason, field=("url",))

    def _made(self, new: NewEndpoint) -> Endpoint:
        now = self._clock.now()
        said = {field.name: getattr(new, field.name) for field in fields(NewEndpoint)}
        return Endpoint(
            **said,
            id=EndpointId(self._new_id(ids.ENDPOINT)),
            app_id=self._application.id,
            org_id=self._application.org_id,
            created_at=now,
            updated_at=now,
        )
