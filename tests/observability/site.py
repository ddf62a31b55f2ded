"""A small application with one route for everything that can happen to a request."""

import asyncio
from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import APIRouter, BackgroundTasks, Depends, FastAPI, HTTPException
from fastapi.responses import StreamingResponse
from starlette.middleware import Middleware
from starlette.responses import Response
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket

from service.observability.health import Health
from service.observability.instrumentation import instrument
from service.observability.middleware import CorrelationMiddleware
from service.observability.telemetry import Telemetry

SLOWLY = 0.5  # seconds
TEXT = "what a driver might repeat: marker"

router = APIRouter(prefix="/api/v1")


async def talk(socket: WebSocket) -> None:
    """Refuses the application `none`, fails for `fault`; for others it says a word and waits for one."""
    app_id = socket.path_params["app_id"]
    if app_id == "none":
        await socket.send_denial_response(Response(status_code=401))
        return
    await socket.accept()
    if app_id == "fault":
        raise RuntimeError(TEXT)
    await socket.send_text("hello")
    if (await socket.receive())["type"] == "websocket.receive":
        await socket.close(1001)


def make_site(telemetry: Telemetry) -> FastAPI:
    """Instrumented as the service is."""
    app = FastAPI(middleware=[Middleware(CorrelationMiddleware, telemetry=telemetry)])
    app.include_router(router)
    app.router.routes.append(WebSocketRoute("/api/v1/app/{app_id}/socket", talk))
    app.router.routes.extend(Health(registry=telemetry.registry).routes())
    instrument(app, telemetry)
    return app


@router.get("/app/{app_id}")
async def read(app_id: str) -> dict[str, str]:
    return {"id": app_id}


@router.get("/refused")
async def refused() -> None:
    raise HTTPException(409)


@router.get("/crash")
async def crash() -> None:
    raise RuntimeError(TEXT)


@router.get("/stream")
async def stream(*, fails: bool = False) -> StreamingResponse:
    async def body() -> AsyncIterator[bytes]:
        yield b"one"
        yield b"two"
        if fails:
            raise RuntimeError(TEXT)

    return StreamingResponse(body())


@router.get("/slow-stream")
async def slow_stream() -> StreamingResponse:
    async def body() -> AsyncIterator[bytes]:
        yield b"one"
        await asyncio.sleep(SLOWLY)
        yield b"two"

    return StreamingResponse(body())


@router.get("/endless")
async def endless() -> StreamingResponse:
    async def body() -> AsyncIterator[bytes]:
        while True:
            yield b"x" * 65536
            await asyncio.sleep(0)

    return StreamingResponse(body())


async def failing_at_the_end() -> AsyncIterator[None]:
    yield
    raise RuntimeError(TEXT)


@router.get("/late")
async def late(_: Annotated[None, Depends(failing_at_the_end, scope="request")]) -> dict[str, str]:
    return {}


@router.get("/background")
async def background(tasks: BackgroundTasks) -> dict[str, str]:
    tasks.add_task(crash)
    return {}
