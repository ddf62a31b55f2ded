"""A form that is sent twice, by a double click or a reload, acts once: pages make idempotency keys for the API."""

import json
from secrets import token_hex
from typing import Annotated

from fastapi import Depends, Request, Response

from service.api.dependencies import UnitOfWorkDep
from service.api.idempotency import Once, key_of_request
from service.console.forms import FormDep
from service.console.signing_in import ViewerDep
from service.domain.idempotency import IdempotencyKey, fingerprint_of

FIELD = "once"


def fresh() -> str:
    """The value of that field in a page that was just made."""
    return token_hex(16)


async def form_key(request: Request, viewer: ViewerDep, form: FormDep) -> IdempotencyKey | None:
    """The idempotency key of this form. What was typed is a part of it: a form that was changed acts again."""
    body, shown = await request.body(), form.get(FIELD)
    key = f"{shown}.{fingerprint_of(body).hex()}" if shown else None
    return key_of_request(request, viewer.caller, body=body, key=key)


FormKeyDep = Annotated[IdempotencyKey | None, Depends(form_key)]


async def once(request: Request, work: UnitOfWorkDep, key: FormKeyDep) -> Once:
    """The idempotency of this form."""
    return Once(key=key, answers=work.idempotency, state=request.state)


FormOnceDep = Annotated[Once, Depends(once)]


def made_by(answer: Response) -> str:
    """The id of what a route of the API made or began."""
    return str(json.loads(bytes(answer.body))["id"])
