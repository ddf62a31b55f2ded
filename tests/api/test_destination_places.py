"""Where ordered destinations stand in their application's stream, and what of it is shown."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from httpx import AsyncClient

from service.adapters.postgres.server.database import Database
from service.domain.positions import position_of
from tests.api.test_destinations import PATH, app_id, create

pytestmark = pytest.mark.usefixtures("application")


async def send(api: AsyncClient, **message: Any) -> str:
    answer = await api.post("/app/u/msg", json={"eventType": "invoice.paid", "payload": {}} | message)
    return str(answer.raise_for_status().json()["id"])


async def test_a_new_destination_begins_now_and_may_be_set_to_a_time(api: AsyncClient) -> None:
    made = await create(api, uid="first")
    began = datetime.now(UTC) - timedelta(minutes=1)
    messages = [await send(api) for _ in range(3)]

    waits = (await api.get(f"{PATH}/first")).json()
    now = await create(api, uid="second")
    back = await create(api, uid="third", startAt=began.isoformat())
    moved = (await api.patch(f"{PATH}/second", json={"startAt": began.isoformat()})).json()
    stays = (await api.patch(f"{PATH}/second", json={"batchSize": 2})).json()

    assert len(messages) == waits["waiting"] == back["waiting"] == moved["waiting"] == stays["waiting"] == 3
    assert now["waiting"] == 0
    assert made["currentIterator"] == back["currentIterator"] == moved["currentIterator"] != now["currentIterator"]
    assert position_of(await app_id(api), made["currentIterator"]) == 0


async def test_who_fails_is_retrying_and_says_why_and_enabling_goes_on_where_it_stood(
    api: AsyncClient, postgres: Database
) -> None:
    made = await create(api)
    await send(api)
    fails = "UPDATE destination SET attempts = 3, first_failed_at = now(), failure_reason = 'It answered 500.'"
    await postgres.pool.execute(f"{fails}, due_at = now() + interval '1 hour'")

    retrying = (await api.get(f"{PATH}/d")).json()
    await postgres.pool.execute("UPDATE destination SET status = 'disabled'")
    disabled = (await api.get(f"{PATH}/d")).json()
    enabled = (await api.patch(f"{PATH}/d", json={"status": "enabled"})).json()

    assert (retrying["status"], retrying["failureReason"]) == ("retrying", "It answered 500.")
    assert retrying["nextRetryAt"] > retrying["updatedAt"]
    assert (disabled["status"], disabled["failureReason"]) == ("disabled", "It answered 500.")
    assert disabled["nextRetryAt"] is None
    assert (enabled["status"], enabled["failureReason"], enabled["nextRetryAt"]) == ("enabled", None, None)
    assert (enabled["currentIterator"], enabled["waiting"]) == (made["currentIterator"], 1)
