"""Messages for an endpoint once more: what failed, what it missed, or what it was sent. Each is counted before it
begins, and goes on as a background task."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated

from fastapi import Depends, Request, Response

from service.api.dependencies import ApplicationDep, EndpointsDep, ReplaysDep, ServicesDep
from service.api.parameters import EndpointRef
from service.api.routes import replays as api
from service.api.schemas.replays import BulkReplayIn, RecoverIn, ReplayIn
from service.application.replays import Replays
from service.console.forms import Form, FormDep
from service.console.pages import go, page, pages
from service.console.problems import refused_with
from service.console.repetitions import FormOnceDep, fresh, made_by
from service.domain.applications import Application
from service.domain.endpoints import Endpoint
from service.domain.replays import ReplayPreview

TEMPLATE = "replay.html"
USUAL_SPAN = timedelta(days=1)

router = pages("/app/{app_id}/endpoint/{endpoint_id}")
routers = (router,)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayTarget:
    """The endpoint of a replay. A time span without an end ends `now`."""

    application: Application
    endpoint: Endpoint
    replays: Replays
    now: datetime


async def target(
    *,
    application: ApplicationDep,
    endpoint_id: EndpointRef,
    endpoints: EndpointsDep,
    replays: ReplaysDep,
    services: ServicesDep,
) -> ReplayTarget:
    """The target that the path names. NotFound."""
    endpoint = await endpoints.get(endpoint_id)
    return ReplayTarget(application=application, endpoint=endpoint, replays=replays, now=services.clock.now())


TargetDep = Annotated[ReplayTarget, Depends(target)]


@router.get("/recover", operation_id="v1.endpoint.recover")
async def preview_recovery(request: Request, target: TargetDep) -> Response:
    """Show the form for a recovery, and for a time span how many messages it would send."""

    async def count(form: Form) -> ReplayPreview:
        body = RecoverIn.model_validate(_span(form))
        until = body.end(target.now)
        return await target.replays.preview_recovery(target.endpoint.id, since=body.since, until=until)

    return await _previewed(request, target, "recover", count)


@router.post("/recover", operation_id="v1.endpoint.recover")
async def recover(target: TargetDep, services: ServicesDep, once: FormOnceDep, form: FormDep) -> Response:
    """Send again what was not delivered."""
    with refused_with(TEMPLATE, form, preview=None, target=target, way="recover"):
        body = RecoverIn.model_validate(_span(form))
        answer = await api.recover_endpoint(target.endpoint.id, body, target.replays, services, once)
    return _started(answer)


@router.get("/replay-missing", operation_id="v1.endpoint.replay-missing")
async def preview_missing(request: Request, target: TargetDep) -> Response:
    """Show the form for what the endpoint missed, and for a time span how many messages these are."""

    async def count(form: Form) -> ReplayPreview:
        body = ReplayIn.model_validate(_span(form))
        until = body.end(target.now)
        return await target.replays.preview_missing(target.endpoint.id, since=body.since, until=until)

    return await _previewed(request, target, "replay-missing", count)


@router.post("/replay-missing", operation_id="v1.endpoint.replay-missing")
async def replay_missing(target: TargetDep, services: ServicesDep, once: FormOnceDep, form: FormDep) -> Response:
    """Send what the endpoint wants and was never sent."""
    with refused_with(TEMPLATE, form, preview=None, target=target, way="replay-missing"):
        body = ReplayIn.model_validate(_span(form))
        answer = await api.replay_missing(target.endpoint.id, body, target.replays, services, once)
    return _started(answer)


@router.get("/bulk-replay", operation_id="v1.endpoint.bulk-replay")
async def preview_bulk(request: Request, target: TargetDep) -> Response:
    """Show the form for a replay by filters, and how many messages fit them."""

    async def count(form: Form) -> ReplayPreview:
        body = BulkReplayIn.model_validate(_filters(form))
        until = body.end(target.now)
        return await target.replays.preview_bulk(target.endpoint.id, body.wanted(), since=body.since, until=until)

    return await _previewed(request, target, "bulk-replay", count)


@router.post("/bulk-replay", operation_id="v1.endpoint.bulk-replay")
async def bulk_replay(target: TargetDep, services: ServicesDep, once: FormOnceDep, form: FormDep) -> Response:
    """Send again what the endpoint was sent, delivered or not."""
    with refused_with(TEMPLATE, form, preview=None, target=target, way="bulk-replay"):
        body = BulkReplayIn.model_validate(_filters(form))
        answer = await api.bulk_replay(target.endpoint.id, body, target.replays, services, once)
    return _started(answer)


async def _previewed(
    request: Request, target: ReplayTarget, way: str, count: Callable[[Form], Awaitable[ReplayPreview]]
) -> Response:
    """The form alone, or with the count where its address has a time span."""
    form = Form(request.query_params.multi_items())
    if not form.has("since"):
        since = (target.now - USUAL_SPAN).strftime("%Y-%m-%dT%H:%M")
        return page(request, TEMPLATE, form=Form([("since", since)]), preview=None, problems={}, target=target, way=way)
    with refused_with(TEMPLATE, form, preview=None, target=target, way=way):
        preview = await count(form)
    return page(request, TEMPLATE, form=form, preview=preview, problems={}, target=target, way=way, once=fresh())


def _started(answer: Response) -> Response:
    return go(f"/tasks/{made_by(answer)}", done="started")


def _span(form: Form) -> dict[str, object]:
    return {"since": form.get("since"), "until": form.get("until") or None}


def _filters(form: Form) -> dict[str, object]:
    filters = {name: form.get(name) or None for name in ("channel", "tag", "status", "statusCodeClass")}
    return _span(form) | filters | {"eventTypes": list(form.words("eventTypes") or ()) or None}
