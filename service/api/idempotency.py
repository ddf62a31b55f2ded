"""Idempotency keys: a request that is repeated with the same key gets the first response and acts once."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated

from fastapi import Depends, Header, Request, Response
from pydantic import BaseModel
from starlette.datastructures import State

from service.api.dependencies import CallerDep, UnitOfWorkDep
from service.api.json_routes import as_json
from service.application.access import Caller
from service.application.ports.repositories import IdempotencyRepository, StoredResponse
from service.domain.idempotency import KEYS_KEPT, IdempotencyKey, fingerprint_of, key_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A route's response before serialization; without a body, the status alone."""

    body: BaseModel | None = None
    status: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Once:
    """Runs an action once for each idempotency key, and stores key and response in the action's transaction."""

    key: IdempotencyKey | None
    answers: IdempotencyRepository
    state: State

    async def repeated(self) -> Response | None:
        """The stored response, when the key was used before, else None. KeyReused, StillRunning.

        For actions that call a receiver: the route rolls its transaction back before it calls, and with it the claim
        of the key.
        """
        first = await self.answers.claim(self.key) if self.key is not None else None
        return None if first is None else _response(first)

    async def answer(self, act: Callable[[], Awaitable[Answer]]) -> Response:
        """The response of `act`, or the stored one when the key was used before. KeyReused, StillRunning."""
        if self.key is None:
            return _response(await self._act(act))
        first = await self.answers.claim(self.key)
        if first is not None:
            self.state.repeated = True
            return _response(first)
        response = await self._act(act)
        await self.answers.keep(self.key, response)
        return _response(response)

    async def _act(self, act: Callable[[], Awaitable[Answer]]) -> StoredResponse:
        answer = await act()
        # For the audit trail, which otherwise knows only the ids in the path.
        self.state.made = getattr(answer.body, "id", None) or getattr(answer.body, "name", None)
        return _stored(answer)


def key_of_request(request: Request, caller: Caller, *, body: bytes, key: str | None) -> IdempotencyKey | None:
    """The key, scoped to the caller and to the request's method and path. None when the caller sent none."""
    if not key:
        return None
    asked = (request.method, request.scope["path"])
    return key_of(caller.org_id, caller.app_id, *asked, key=key, fingerprint=fingerprint_of(body))


KEY_HOURS = KEYS_KEPT // timedelta(hours=1)
KeyHeader = Annotated[
    str | None, Header(alias="idempotency-key", description=f"Makes sending it again safe for {KEY_HOURS} h.")
]


async def once(request: Request, caller: CallerDep, work: UnitOfWorkDep, idempotency_key: KeyHeader = None) -> Once:
    """The idempotency of this request."""
    key = key_of_request(request, caller, body=await request.body(), key=idempotency_key)
    return Once(key=key, answers=work.idempotency, state=request.state)


OnceDep = Annotated[Once, Depends(once)]


def _stored(answer: Answer) -> StoredResponse:
    body = b"" if answer.body is None else as_json(answer.body)
    return StoredResponse(status=answer.status, body=body)


def _response(stored: StoredResponse) -> Response:
    return Response(stored.body, status_code=stored.status, media_type="application/json" if stored.body else None)
