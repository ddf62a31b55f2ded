"""Statistics of an endpoint, and of the whole organisation as background tasks."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from httpx import AsyncClient

from service.adapters.postgres.server.database import Database
from tests.support.factories import ORG
from tests.support.operations import an_endpoint, finished, running_tasks

pytestmark = pytest.mark.usefixtures("application")

NOW = datetime.now(UTC)


async def counted(postgres: Database, endpoint: str, *, hours_ago: int, part: int = 0) -> None:
    """An hour with three successes, two failures and a cancellation."""
    app = await postgres.pool.fetchval("SELECT app_id FROM endpoint WHERE id = $1", endpoint)
    hour = (NOW - timedelta(hours=hours_ago)).replace(minute=0, second=0, microsecond=0)
    await postgres.pool.execute(
        "INSERT INTO endpoint_hour VALUES ($1, $2, $3, $4, $5, 3, 2, 1)", endpoint, hour, part, ORG, app
    )


async def test_an_endpoints_attempts_are_counted_over_the_last_four_weeks(api: AsyncClient, postgres: Database) -> None:
    endpoint, other = await an_endpoint(api), await an_endpoint(api)
    await counted(postgres, endpoint, hours_ago=0)
    await counted(postgres, endpoint, hours_ago=0, part=7)
    await counted(postgres, endpoint, hours_ago=24 * 20)
    await counted(postgres, endpoint, hours_ago=24 * 40)
    await counted(postgres, other, hours_ago=0)

    stats = (await api.get(f"/app/u/endpoint/{endpoint}/stats")).json()
    attempts = (await api.get(f"/app/u/endpoint/{endpoint}/attempt-stats")).json()

    assert stats == {"success": 9, "pending": 0, "sending": 0, "fail": 6, "canceled": 3}
    assert attempts == {"success": 9, "fail": 6, "canceled": 3}


async def test_a_window_counts_the_hours_that_it_touches(api: AsyncClient, postgres: Database) -> None:
    endpoint = await an_endpoint(api)
    for hours_ago in (1, 2, 3, 4):
        await counted(postgres, endpoint, hours_ago=hours_ago)

    window = {"since": (NOW - timedelta(hours=3)).isoformat(), "until": (NOW - timedelta(hours=2)).isoformat()}
    attempts = (await api.get(f"/app/u/endpoint/{endpoint}/attempt-stats", params=window)).json()

    assert attempts["success"] == 6


async def test_a_window_written_half_an_hour_off_counts_the_same_hours(api: AsyncClient, postgres: Database) -> None:
    endpoint = await an_endpoint(api)
    await counted(postgres, endpoint, hours_ago=3)
    since = (NOW - timedelta(hours=3)).replace(minute=45)
    window = {"since": since, "until": since + timedelta(minutes=1)}

    elsewhere = timezone(timedelta(hours=5, minutes=30))
    answers = [
        await api.get(
            f"/app/u/endpoint/{endpoint}/attempt-stats",
            params={name: at.astimezone(zone).isoformat() for name, at in window.items()},
        )
        for zone in (UTC, elsewhere)
    ]

    assert [answer.json()["success"] for answer in answers] == [3, 3]


async def test_usage_is_counted_to_the_end_of_time(api: AsyncClient, postgres: Database) -> None:
    await counted(postgres, await an_endpoint(api), hours_ago=1)

    started = await api.post(
        "/stats/usage/app", json={"since": "0001-01-01T00:00:00Z", "until": "9999-12-31T23:59:59-14:00"}
    )
    async with running_tasks(postgres):
        task = await finished(api, started.json()["id"])

    assert [app["messageDestinations"] for app in task["data"]["appStats"]] == [5]


@pytest.mark.parametrize(
    "window",
    [
        {"until": (NOW + timedelta(hours=1)).isoformat()},
        {"since": (NOW + timedelta(hours=1)).isoformat()},
        {"since": (NOW - timedelta(days=29)).isoformat()},
        {"since": NOW.isoformat(), "until": (NOW - timedelta(hours=1)).isoformat()},
    ],
)
async def test_a_window_that_cannot_be_answered_for_is_refused(api: AsyncClient, window: dict[str, str]) -> None:
    endpoint = await an_endpoint(api)

    answer = await api.get(f"/app/u/endpoint/{endpoint}/stats", params=window)

    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_range")


async def test_a_caller_whose_clock_is_a_little_ahead_is_answered_up_to_now(
    api: AsyncClient, postgres: Database
) -> None:
    endpoint = await an_endpoint(api)
    await counted(postgres, endpoint, hours_ago=1)

    ahead = datetime.now(UTC) + timedelta(minutes=4)
    window = {"since": (ahead - timedelta(hours=2)).isoformat(), "until": ahead.isoformat()}
    answer = await api.get(f"/app/u/endpoint/{endpoint}/stats", params=window)

    assert (answer.status_code, answer.json().get("success")) == (200, 3)


async def test_usage_counts_attempts_by_application_and_names_those_it_does_not_know(
    api: AsyncClient, postgres: Database
) -> None:
    idle = (await api.post("/app", json={"name": "idle"})).json()["id"]
    endpoint = await an_endpoint(api)
    await counted(postgres, endpoint, hours_ago=1)
    app = (await api.get("/app/u")).json()["id"]
    span = {"since": (NOW - timedelta(days=1)).isoformat(), "until": NOW.isoformat()}

    every = await api.post("/stats/usage/app", json=span)
    named = await api.post("/stats/usage/app", json=span | {"appIds": ["u", "nobody"]})
    async with running_tasks(postgres, size=1):
        of_all, of_one = await finished(api, every.json()["id"]), await finished(api, named.json()["id"])

    busy = {"appId": app, "appUid": "u", "messageDestinations": 5}
    assert (every.json()["unresolvedAppIds"], named.json()["unresolvedAppIds"]) == ([], ["nobody"])
    assert of_all["data"] == {"appStats": [busy, {"appId": idle, "appUid": None, "messageDestinations": 0}]}
    assert of_one["data"] == {"appStats": [busy]}


async def test_usage_of_applications_that_are_all_unknown_is_refused(api: AsyncClient) -> None:
    span = {"since": NOW.isoformat(), "until": NOW.isoformat()}

    answer = await api.post("/stats/usage/app", json=span | {"appIds": ["nobody"]})

    assert answer.status_code == 422


async def test_the_event_types_that_endpoints_want_are_gathered_by_application(
    api: AsyncClient, postgres: Database
) -> None:
    for name in ("a", "b"):
        await api.post("/event-type", json={"name": name, "description": ""})
    await an_endpoint(api, eventTypes=["b", "a"])
    await an_endpoint(api, eventTypes=["a"])
    plain, open_to_all = (
        (await api.get("/app/u")).json()["id"],
        (await api.post("/app", json={"name": "o"})).json()["id"],
    )
    await api.post(f"/app/{open_to_all}/endpoint", json={"url": "http://127.0.0.1:9/"})

    started = await api.put("/stats/usage/event-types")
    async with running_tasks(postgres):
        task = await finished(api, started.json()["id"])

    assert started.status_code == 202
    assert task["data"] == {
        "event_types": [
            {"appId": plain, "explicitlySubscribedEventTypes": ["a", "b"], "hasCatchAllEndpoint": False},
            {"appId": open_to_all, "explicitlySubscribedEventTypes": [], "hasCatchAllEndpoint": True},
        ]
    }


async def test_the_endpoints_that_take_nothing_are_listed_with_their_applications(
    api: AsyncClient, postgres: Database
) -> None:
    endpoint, well = await an_endpoint(api, uid="e"), await an_endpoint(api)
    for each in (endpoint, well):
        await counted(postgres, each, hours_ago=0)
    since = NOW - timedelta(hours=7)
    await postgres.pool.execute("UPDATE endpoint SET first_failure_at = $1 WHERE id = $2", since, endpoint)

    answer = await api.get("/stats/failing-endpoints")

    assert answer.json()["done"]
    (found,) = answer.json()["data"]
    assert (found["appUid"], found["endpointId"], found["endpointUid"], found["failedAttempts"]) == (
        "u",
        endpoint,
        "e",
        2,
    )
    assert datetime.fromisoformat(found["failSince"]) == since


@pytest.mark.parametrize(("limit", "status"), [("1", 200), ("100", 200), ("0", 422), ("101", 422), ("x", 400)])
async def test_no_more_failing_endpoints_are_listed_than_asked_for_and_at_most_a_hundred(
    api: AsyncClient, postgres: Database, limit: str, status: int
) -> None:
    for _ in range(2):
        await counted(postgres, await an_endpoint(api), hours_ago=0)
    await postgres.pool.execute("UPDATE endpoint SET first_failure_at = now() - interval '1 hour'")

    answer = await api.get("/stats/failing-endpoints", params={"limit": limit})

    assert answer.status_code == status
    if limit == "1":
        assert (len(answer.json()["data"]), answer.json()["done"]) == (1, False)
