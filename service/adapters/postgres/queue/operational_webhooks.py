"""Queues operational webhooks about deliveries, in the transaction that settles them."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import asyncpg
import structlog

from service.adapters.machine.clock import SystemClock, new_id
from service.adapters.postgres.queue.intake import accepting
from service.adapters.postgres.server.statements import beside
from service.application.operational_webhooks import operational_message
from service.domain import ids
from service.domain.deliveries import Settlement, Status
from service.domain.ids import EndpointId, MessageId
from service.domain.operational_webhooks import (
    OPERATIONS,
    AttemptEvent,
    EndpointEvent,
    OperationalEvent,
    attempt_event,
)

FACTS = beside(__name__)["facts"]

_log = structlog.stdlib.get_logger("relevo.operational_webhooks")


@dataclass(frozen=True, slots=True)
class _News:
    event_type: AttemptEvent | EndpointEvent
    settlement: Settlement


def may_be_news(batch: Sequence[Settlement]) -> bool:
    """Whether a settlement of the batch may cause an operational webhook. Any failure may, by disabling its
    endpoint."""
    return any(
        _is_of_a_tenant(settlement) and (_failed(settlement) or _attempt_event(settlement) is not None)
        for settlement in batch
    )


async def tell(
    connection: asyncpg.Connection, settled: Sequence[Settlement], *, switched_off: Collection[EndpointId]
) -> bool:
    """Queue the webhooks that applied settlements cause; returns whether there were any.

    In a savepoint: an error here never rolls back the settlements.
    """
    news = list(_news(settled, switched_off))
    if not news:
        return False
    try:
        async with connection.transaction():
            return await _add_messages(connection, news)
    except asyncpg.PostgresError as error:
        _log.exception("operational_webhooks.not_kept", error_type=type(error).__name__, count=len(news))
        return False


def _news(settled: Sequence[Settlement], switched_off: Collection[EndpointId]) -> Iterator[_News]:
    told_of: set[EndpointId] = set()
    for settlement in filter(_is_of_a_tenant, settled):
        event_type = _attempt_event(settlement)
        if event_type is not None:
            yield _News(event_type, settlement)
        endpoint_id = settlement.claim.endpoint_id
        if endpoint_id in switched_off and endpoint_id not in told_of:
            told_of.add(endpoint_id)
            yield _News("endpoint.disabled", settlement)


async def _add_messages(connection: asyncpg.Connection, news: Sequence[_News]) -> bool:
    claims = [item.settlement.claim for item in news]
    facts = await connection.fetch(
        *FACTS(
            app_ids=[claim.app_id for claim in claims],
            endpoint_ids=[claim.endpoint_id for claim in claims],
            message_ids=[claim.message_id for claim in claims],
            operations=OPERATIONS,
        )
    )
    now = SystemClock().now()
    messages = [
        operational_message(
            _event(news[row["nth"]], row),
            message_id=MessageId(new_id(ids.MESSAGE, at=now)),
            correlation_id=news[row["nth"]].settlement.claim.correlation_id,
            now=now,
        )
        for row in facts
    ]
    if messages:
        await connection.fetch(*accepting(messages))
    return bool(messages)


def _event(item: _News, facts: asyncpg.Record) -> OperationalEvent:
    claim = item.settlement.claim
    data: dict[str, Any] = {"appId": claim.app_id, "appUid": facts["app_uid"], "endpointId": claim.endpoint_id}
    if item.event_type == "endpoint.disabled":
        since = facts["first_failure_at"]
        data |= {"endpointUid": facts["endpoint_uid"], "failSince": since and since.isoformat()}
    else:
        data |= {"msgId": claim.message_id, "msgEventId": facts["event_id"], "lastAttempt": _attempt(item.settlement)}
    return OperationalEvent(org_id=claim.org_id, event_type=item.event_type, data=data)


def _attempt(settlement: Settlement) -> dict[str, Any] | None:
    attempt = settlement.attempt
    if attempt is None:
        return None
    return {
        "id": attempt.id,
        "responseStatusCode": attempt.response_status_code,
        "timestamp": attempt.started_at.isoformat(),
    }


def _attempt_event(settlement: Settlement) -> AttemptEvent | None:
    return attempt_event(settlement.claim, settlement.verdict, settlement.attempt)


def _is_of_a_tenant(settlement: Settlement) -> bool:
    return settlement.claim.org_id != OPERATIONS


def _failed(settlement: Settlement) -> bool:
    return settlement.attempt is not None and settlement.attempt.status is Status.FAIL
