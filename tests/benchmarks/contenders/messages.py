"""A route that takes a message, in two variants: with one ORM transaction per request doing what Relevo's accept does,
and without any database.
"""

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Annotated

from fastapi import Depends, FastAPI, HTTPException, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from sqlalchemy import or_, select
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine

from service.adapters.access.tokens import Tokens
from service.adapters.machine.clock import new_id
from service.api.schemas.messages import MessageIn, MessageOut
from service.application.access import Caller
from service.domain import ids
from tests.benchmarks.contenders.rows import Application, Endpoint, Message, PendingDelivery

PATH = "/api/v1/app/{app_id}/msg"
FindCaller = Callable[[HTTPAuthorizationCredentials], Awaitable[Caller]]
_bearer = HTTPBearer()


@asynccontextmanager
async def opened(environ: Mapping[str, str]) -> AsyncIterator[FastAPI]:
    """`VARIANT` is `orm` or `noop`."""
    tokens = Tokens(environ["RELEVO_JWT_SECRET"])

    async def caller(credentials: Annotated[HTTPAuthorizationCredentials, Security(_bearer)]) -> Caller:
        return tokens.verify(credentials.credentials)

    app = FastAPI()
    app.add_api_route("/readyz", _ready, methods=["GET"])
    if environ["VARIANT"] == "noop":
        _add_noop_route(app, caller)
        yield app
        return
    engine = create_async_engine(environ["RELEVO_DATABASE_URL"], pool_size=20, max_overflow=20)
    _add_orm_route(app, caller, async_sessionmaker(engine, expire_on_commit=False))
    yield app
    await engine.dispose()


def _add_noop_route(app: FastAPI, caller: FindCaller) -> None:
    @app.post(PATH, status_code=202)
    async def create_message(app_id: str, body: MessageIn, _: Annotated[Caller, Depends(caller)]) -> MessageOut:
        return _shown(new_id(ids.MESSAGE), body)


def _add_orm_route(app: FastAPI, caller: FindCaller, sessions: async_sessionmaker[AsyncSession]) -> None:
    async def session() -> AsyncIterator[AsyncSession]:
        async with sessions() as opened, opened.begin():
            yield opened

    @app.post(PATH, status_code=202)
    async def create_message(
        app_id: str,
        body: MessageIn,
        who: Annotated[Caller, Depends(caller)],
        session: Annotated[AsyncSession, Depends(session, scope="function")],
    ) -> MessageOut:
        application = await session.scalar(
            select(Application)
            .where(or_(Application.id == app_id, Application.uid == app_id))
            .where(Application.org_id == who.org_id, Application.deleted_at.is_(None))
        )
        if application is None:
            raise HTTPException(404)
        endpoints = await session.scalars(
            select(Endpoint).where(
                Endpoint.app_id == application.id, Endpoint.deleted_at.is_(None), Endpoint.disabled.is_(False)
            )
        )
        message = _message(application, body)
        session.add(message)
        session.add_all(_owed(message, endpoint) for endpoint in endpoints if _wants(endpoint, body))
        return _shown(message.id, body)


def _message(application: Application, body: MessageIn) -> Message:
    now = datetime.now(UTC)
    return Message(
        id=new_id(ids.MESSAGE),
        org_id=application.org_id,
        app_id=application.id,
        event_id=body.event_id,
        event_type=body.event_type,
        payload=json.dumps(body.payload).encode(),
        channels=body.channels,
        tags=body.tags,
        deliver_at=body.deliver_at,
        expires_at=now + body.retention,
        correlation_id="",
    )


def _owed(message: Message, endpoint: Endpoint) -> PendingDelivery:
    return PendingDelivery(
        endpoint_id=endpoint.id,
        message_id=message.id,
        resend="",
        org_id=message.org_id,
        app_id=message.app_id,
        attempts=0,
        due_at=message.deliver_at or datetime.now(UTC),
    )


def _wants(endpoint: Endpoint, body: MessageIn) -> bool:
    return (endpoint.event_types is None or body.event_type in endpoint.event_types) and (
        endpoint.channels is None or bool(set(endpoint.channels) & set(body.channels or ()))
    )


def _shown(message_id: str, body: MessageIn) -> MessageOut:
    return MessageOut(
        id=message_id,
        event_id=body.event_id,
        event_type=body.event_type,
        payload=body.payload,
        channels=body.channels,
        tags=body.tags,
        deliver_at=body.deliver_at,
        timestamp=ids.time_of(message_id),
    )


async def _ready() -> dict[str, str]:
    return {}
