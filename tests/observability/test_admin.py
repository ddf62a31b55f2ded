"""What operators may do to a running process: whom it obeys, for how long, and that it is written down."""

import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest
import structlog
from starlette.applications import Starlette

from service.observability.admin import Admin
from service.observability.health import Health
from service.observability.logging import Logging, configure_logging
from service.observability.profiling import Profiling
from service.observability.telemetry import Telemetry
from service.runtime.database import DatabaseUrls
from service.runtime.roles import assemble
from service.settings import Settings
from tests.observability.conftest import Lines
from tests.support.patience import patient
from tests.support.processes import settings

TOKEN = "a token of thirty-two characters and more"
LEVEL = "/admin/log-level"
PATIENCE = patient(10)


@pytest.fixture
def written() -> Lines:
    """What the process logs."""
    return Lines()


@pytest.fixture
def logging(written: Lines) -> Logging:
    """At its usual level, which lets little through."""
    return configure_logging(level="error", stream=written)


@pytest.fixture
async def operator(logging: Logging) -> AsyncIterator[httpx.AsyncClient]:
    """Somebody who has the token."""
    app = Starlette(routes=Admin(token=TOKEN, logging=logging, profiling=Profiling(asyncio.to_thread)).routes())
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app),
        base_url="http://relevo.test",
        headers={"authorization": f"Bearer {TOKEN}"},
        timeout=patient(60),
    ) as client:
        yield client


async def test_a_level_that_was_set_lets_lines_through_and_ends_by_itself(
    operator: httpx.AsyncClient, logging: Logging, written: Lines
) -> None:
    set_for_a_while = await operator.put(LEVEL, json={"level": "debug", "seconds": 0.5})
    structlog.get_logger("relevo.test").debug("during")
    async with asyncio.timeout(PATIENCE):
        while logging.level != "error":  # noqa: ASYNC110 - a timer ends it and tells nobody
            await asyncio.sleep(0.01)
    structlog.get_logger("relevo.test").debug("afterwards")

    assert set_for_a_while.json()["level"] == "debug"
    assert 0 < set_for_a_while.json()["secondsLeft"] <= 0.5
    assert [line["event"] for line in written.all] == ["admin.log_level", "during", "admin.log_level_ended"]
    assert (await operator.get(LEVEL)).json() == {"level": "error", "secondsLeft": None}


async def test_a_level_that_is_set_again_lasts_as_long_as_was_said_last(
    operator: httpx.AsyncClient, logging: Logging
) -> None:
    await operator.put(LEVEL, json={"level": "debug", "seconds": 0.01})
    await operator.put(LEVEL, json={"level": "info", "seconds": 60})
    await asyncio.sleep(0.05)

    assert logging.level == "info"


async def test_what_was_done_is_written_down_whatever_the_level(operator: httpx.AsyncClient, written: Lines) -> None:
    await operator.put(LEVEL, json={"level": "error", "seconds": 60})
    await operator.post("/admin/profile?seconds=0.01&format=text")
    await operator.get(LEVEL, headers={"authorization": "Bearer guess"})

    assert [line["event"] for line in written.all] == ["admin.log_level", "admin.profile", "admin.refused"]
    assert TOKEN not in written.getvalue()
    assert "guess" not in written.getvalue()


@pytest.mark.parametrize("authorization", ["", "Bearer", "Bearer wrong", f"Basic {TOKEN}", f"Bearer {TOKEN}x"])
@pytest.mark.parametrize(("method", "path"), [("GET", LEVEL), ("PUT", LEVEL), ("POST", "/admin/profile")])
async def test_nobody_is_obeyed_without_the_token(
    operator: httpx.AsyncClient, logging: Logging, method: str, path: str, authorization: str
) -> None:
    body = {"level": "debug"} if method == "PUT" else None
    answer = await operator.request(method, path, json=body, headers={"authorization": authorization})

    assert answer.status_code == 401
    assert logging.level == "error"


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"{}", 400),
        (b"debug", 400),
        (b'["debug"]', 400),
        (b'{"level": "loud"}', 422),
        (b'{"level": "debug", "seconds": 0}', 422),
        (b'{"level": "debug", "seconds": 3601}', 422),
        (b'{"level": "debug", "seconds": "soon"}', 422),
        (b'{"level": "debug", "seconds": "nan"}', 422),
        (b'{"level": "debug"' + b" " * 1000 + b"}", 413),
    ],
)
async def test_a_request_that_makes_no_sense_changes_nothing(
    operator: httpx.AsyncClient, logging: Logging, body: bytes, status: int
) -> None:
    answer = await operator.put(LEVEL, content=body)

    assert answer.status_code == status
    assert logging.level == "error"


async def test_a_profile_shows_what_kept_the_loop_busy_whichever_task_it_was(operator: httpx.AsyncClient) -> None:
    busy = asyncio.create_task(keep_the_loop_busy())

    text = await operator.post("/admin/profile?seconds=0.2&format=text")
    page = await operator.post("/admin/profile?seconds=0.05")
    busy.cancel()

    assert "keep_the_loop_busy" in text.text
    assert page.headers["content-type"].startswith("text/html")
    assert "keep_the_loop_busy" in page.text


async def test_one_profile_is_taken_at_a_time(operator: httpx.AsyncClient) -> None:
    profiling = Profiling(asyncio.to_thread)
    first = asyncio.create_task(profiling.profile(60, as_text=True))
    await asyncio.sleep(0)

    app = Starlette(routes=Admin(token=TOKEN, logging=configure_logging(), profiling=profiling).routes())
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), headers=operator.headers) as client:
        second = await client.post("http://relevo.test/admin/profile?seconds=0.01")
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)

    assert second.status_code == 409
    assert await profiling.profile(0.01, as_text=True), "it is free again"


@pytest.mark.parametrize("seconds", ["0", "-1", "61", "inf", "nan", "long"])
async def test_a_profile_is_bounded(operator: httpx.AsyncClient, seconds: str) -> None:
    assert (await operator.post(f"/admin/profile?seconds={seconds}")).status_code == 422


async def keep_the_loop_busy() -> None:
    """Something for a profile to find."""
    while True:
        sum(range(10_000))
        await asyncio.sleep(0)


@pytest.mark.parametrize(("own_port", "status"), [({}, 401), ({"RELEVO_OPS_PORT": "0"}, 404)])
async def test_where_operators_have_a_port_of_their_own_the_api_serves_them_nothing(
    telemetry: Telemetry, logging: Logging, own_port: dict[str, str], status: int
) -> None:
    configured = Settings.from_environment(settings(**own_port))
    admin = Admin(token=TOKEN, logging=logging, profiling=Profiling(asyncio.to_thread))
    health = Health(registry=telemetry.registry)
    app = assemble(configured, DatabaseUrls.without_pooler(""), telemetry, health, admin.routes())
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://relevo.test") as anybody:
        answers = [(await anybody.get(path)).status_code for path in (LEVEL, "/metrics", "/livez")]

    assert answers == [status, 404 if own_port else 200, 200]
