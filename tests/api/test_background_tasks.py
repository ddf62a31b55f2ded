"""Background tasks as they are listed and read."""

from httpx import AsyncClient

from service.adapters.postgres.server.database import Database
from tests.support.operations import finished, running_tasks


async def test_tasks_are_listed_newest_first_and_filtered(
    api: AsyncClient, postgres: Database, application: str
) -> None:
    first = (await api.put("/stats/usage/event-types")).json()["id"]
    async with running_tasks(postgres):
        await finished(api, first)
    second = (await api.post(f"/app/{application}/msg/expunge-all-contents")).json()["id"]

    everything = (await api.get("/background-task")).json()
    running = (await api.get("/background-task", params={"status": "running"})).json()
    aggregates = (await api.get("/background-task", params={"task": "event-type.aggregate"})).json()
    page = (await api.get("/background-task", params={"limit": 1, "order": "ascending"})).json()

    assert [task["id"] for task in everything["data"]] == [second, first]
    assert [task["id"] for task in running["data"]] == [second]
    assert [task["id"] for task in aggregates["data"]] == [first]
    assert [task["id"] for task in page["data"]] == [first]
    assert (page["iterator"], page["done"]) == (first, False)


async def test_a_task_that_nobody_started_is_not_found(api: AsyncClient) -> None:
    answer = await api.get("/background-task/qtask_1srOrx2ZWZBpBUvZwXKQmoEYga2")

    assert answer.status_code == 404


async def test_a_portal_token_lists_the_tasks_of_its_application_alone(
    api: AsyncClient, postgres: Database, application: str
) -> None:
    await api.post("/app", json={"name": "next door", "uid": "neighbour"})
    own = (await api.post(f"/app/{application}/msg/expunge-all-contents")).json()["id"]
    others = [
        (await api.post("/app/neighbour/msg/expunge-all-contents")).json()["id"],
        (await api.put("/stats/usage/event-types")).json()["id"],
    ]
    token = (await api.post(f"/auth/app-portal-access/{application}", json={})).json()["token"]
    bearer = {"authorization": f"Bearer {token}"}

    listed = (await api.get("/background-task", headers=bearer)).json()
    pages = [
        (await api.get("/background-task", params={"iterator": f"{way}{own}"}, headers=bearer)).json()["data"]
        for way in ("", "-")
    ]
    read = [(await api.get(f"/background-task/{task}", headers=bearer)).status_code for task in (own, *others)]

    assert [task["id"] for task in listed["data"]] == [own]
    assert pages == [[], []]
    assert read == [200, 404, 404]


async def test_a_task_that_was_canceled_is_not_run_on_and_cannot_be_canceled_again(
    api: AsyncClient, postgres: Database, application: str
) -> None:
    canceled, other = [(await api.post(f"/app/{application}/msg/expunge-all-contents")).json()["id"] for _ in range(2)]

    answer = await api.post(f"/background-task/{canceled}/cancel")
    again = await api.post(f"/background-task/{canceled}/cancel")
    async with running_tasks(postgres):
        await finished(api, other)

    assert (answer.status_code, answer.json()["status"]) == (200, "failed")
    assert answer.json()["data"]["error"] == {"code": "task_canceled", "detail": "It was canceled."}
    assert (again.status_code, again.json()["code"]) == (409, "task_ended")
    assert (await api.get(f"/background-task/{canceled}")).json() == answer.json()
    assert (await api.post(f"/background-task/{other}/cancel")).status_code == 409
