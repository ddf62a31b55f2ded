"""Each setting where it is wired: a server is started with another value than the default, and does otherwise.

Most run in the test's own process, by the same composition root as the command's; `test_promises` says which is which.
"""

import asyncio
import re
from base64 import b64encode
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import asyncpg
import httpx
import pytest

from service.adapters.access.tokens import Tokens
from service.adapters.machine.clock import new_id
from service.adapters.machine.embedded import EmbeddedServer
from service.adapters.machine.vault import AesVault
from service.domain import ids
from service.observability.telemetry import open_telemetry
from tests.observability.whole import Whole, running_whole
from tests.support import postgres
from tests.support.factories import ORG
from tests.support.issuer import GivenCode, new_rsa_key, running_issuer, signed
from tests.support.otlp import Collector, running_collector
from tests.support.patience import patient, unhurried
from tests.support.postgres import asyncpg_dsn
from tests.support.processes import SECRET, asking, command, environment, free_port, settings
from tests.support.receiver import Receiver

Start = Callable[..., AbstractAsyncContextManager[Whole]]
ENDED = {0, 2}  # success and fail

pytestmark = pytest.mark.timeout(300)


@pytest.fixture
def collector() -> Iterator[Collector]:
    with running_collector() as collector:
        yield collector


@pytest.fixture
def start(database: str, collector: Collector) -> Start:
    """Starts all of Relevo with these settings; receivers on this machine may be called, failures are not retried."""
    usual = {"RELEVO_RETRY_SCHEDULE": "[]", "RELEVO_DATABASE_URL": database}
    return partial(_started, collector, usual)


@asynccontextmanager
async def _started(collector: Collector, usual: Mapping[str, str], **others: str) -> AsyncIterator[Whole]:
    given = {**usual, **others}
    url = given.pop("RELEVO_DATABASE_URL")
    async with (
        open_telemetry(role="test", version="0", environ=collector.environ()) as telemetry,
        running_whole(telemetry, database=url, **given) as whole,
    ):
        yield whole


@pytest.fixture
async def rows(database: str) -> AsyncIterator[asyncpg.Connection]:
    """What is in the database."""
    connection = await asyncpg.connect(asyncpg_dsn(database))
    yield connection
    await connection.close()


async def until(holds: Callable[[], Awaitable[Any]]) -> Any:
    """What it says, once that is something."""
    async with asyncio.timeout(patient(30)):
        while not (found := await holds()):  # noqa: ASYNC110  # a server is asked, which sets no event of ours
            await asyncio.sleep(0.02)
    return found


async def attempts(whole: Whole, app_id: str, count: int = 1) -> list[dict[str, Any]]:
    """The application's attempts that have ended, once there are so many, in the order in which they began."""

    async def ended() -> list[dict[str, Any]]:
        (endpoint, *_) = (await whole.api.get(f"/api/v1/app/{app_id}/endpoint")).json()["data"]
        path = f"/api/v1/app/{app_id}/attempt/endpoint/{endpoint['id']}"
        found = [one for one in (await whole.api.get(path)).json()["data"] if one["status"] in ENDED]
        return found if len(found) >= count else []

    found: list[dict[str, Any]] = await until(ended)
    return sorted(found, key=lambda attempt: str(attempt["timestamp"]))


async def example(whole: Whole, app_id: str) -> dict[str, Any]:
    """What became of an example to the application's endpoint."""
    (endpoint,) = (await whole.api.get(f"/api/v1/app/{app_id}/endpoint")).json()["data"]
    path = f"/app/{app_id}/endpoint/{endpoint['id']}/send-example"
    await whole.made(path, {"eventType": "svix.ping"})
    found = (await whole.api.get(f"/api/v1/app/{app_id}/attempt/endpoint/{endpoint['id']}")).json()["data"]
    return dict(found[0])


async def test_audit_days_is_how_long_the_trail_is_kept(start: Start, rows: asyncpg.Connection) -> None:
    now = datetime.now(UTC)
    old, young = (new_id(ids.AUDIT_EVENT, at=now - timedelta(days=days)) for days in (6, 4))
    await rows.executemany(
        "INSERT INTO audit_event (id, org_id, action, actor, role, correlation_id) VALUES ($1, '', '', '', '', '')",
        [(old,), (young,)],
    )

    async def without_the_old() -> bool:
        return not await rows.fetchval("SELECT EXISTS (SELECT FROM audit_event WHERE id = $1)", old)

    async with start(RELEVO_AUDIT_DAYS="5"):
        await until(without_the_old)

    assert await rows.fetchval("SELECT EXISTS (SELECT FROM audit_event WHERE id = $1)", young)


@pytest.mark.parametrize(("https_only", "status"), [("true", 422), ("false", 201)])
async def test_https_only_refuses_other_endpoints(start: Start, https_only: str, status: int) -> None:
    async with start(RELEVO_ENDPOINT_HTTPS_ONLY=https_only) as whole:
        app_id = await whole.application("a")
        secure = {"url": "https://receiver.example.com/"}
        made = [await whole.made(path, secure) for path in (f"/app/{app_id}/endpoint", "/operational-webhook/endpoint")]

        answers = [
            await whole.api.post(f"/api/v1{path}", json={"url": "http://receiver.example.com/"})
            for path in (f"/app/{app_id}/endpoint", "/operational-webhook/endpoint")
        ]
        patched = await whole.api.patch(
            f"/api/v1/app/{app_id}/endpoint/{made[0]['id']}", json={"url": "http://receiver.example.com/"}
        )

    assert [answer.status_code for answer in answers] == [status, status]
    assert patched.status_code == (422 if status == 422 else 200)


@pytest.mark.parametrize(
    ("families", "sent"),
    [("svix", ["svix"]), ("webhook", ["webhook"]), ("webhook,svix", ["webhook", "svix"])],
)
async def test_signature_headers_are_of_the_families_that_were_named(
    start: Start, receiver: Receiver, families: str, sent: list[str]
) -> None:
    async with start(RELEVO_SIGNATURE_HEADERS=families) as whole:
        app_id = await whole.application("a", f"{receiver.url}/ok")
        await whole.message(app_id)
        await receiver.wait_for(1)
        await example(whole, app_id)

    for call in receiver.calls:
        for part in ("id", "timestamp", "signature"):
            assert [name for name in ("webhook", "svix") if call.header(f"{name}-{part}")] == sent
    assert len(receiver.calls) == 2


async def test_the_retry_schedule_says_how_often_and_when(start: Start, receiver: Receiver) -> None:
    async with start(RELEVO_RETRY_SCHEDULE="[0.05, 0.1]") as whole:
        app_id = await whole.application("a", f"{receiver.url}/status/500")
        await whole.message(app_id)
        made = await attempts(whole, app_id, 3)
        (message,) = (await whole.api.get(f"/api/v1/app/{app_id}/msg")).json()["data"]
        (delivery,) = (await whole.api.get(f"/api/v1/app/{app_id}/msg/{message['id']}/endpoint")).json()["data"]

    began = [datetime.fromisoformat(attempt["timestamp"]) for attempt in made]
    assert len(made) == len(receiver.calls) == 3
    assert began[-1] - began[0] < timedelta(seconds=unhurried(5)), "the default waits for 5 s and for 5 minutes"
    assert (delivery["status"], delivery.get("nextAttempt")) == (2, None)


async def test_the_attempt_timeout_ends_attempts_and_examples(start: Start, receiver: Receiver) -> None:
    async with start(RELEVO_ATTEMPT_TIMEOUT="0.2") as whole:
        app_id = await whole.application("a", f"{receiver.url}/silence")
        await whole.message(app_id)
        (attempt,) = await attempts(whole, app_id)
        tried = await example(whole, app_id)

    assert [one["status"] for one in (attempt, tried)] == [2, 2]
    # The default is 15 s, and what tests set otherwise 2 s.
    assert max(one["responseDurationMs"] for one in (attempt, tried)) < 1000 * min(unhurried(1.9), 14)


@pytest.mark.parametrize(("allowed", "calls"), [("127.0.0.0/8", 2), ("10.0.0.0/8", 0)])
async def test_private_networks_are_called_only_when_that_is_allowed(
    start: Start, receiver: Receiver, allowed: str, calls: int
) -> None:
    async with start(RELEVO_EGRESS_ALLOW=allowed) as whole:
        app_id = await whole.application("a", f"http://localhost:{receiver.port}/ok")
        await whole.message(app_id)
        (attempt,) = await attempts(whole, app_id)
        tried = await example(whole, app_id)

    assert [one["status"] for one in (attempt, tried)] == ([0, 0] if calls else [2, 2])
    assert len(receiver.calls) == calls


@pytest.mark.parametrize("setting", ["RELEVO_CONCURRENCY", "RELEVO_PER_ENDPOINT"])
async def test_attempts_at_once_are_bounded(start: Start, receiver: Receiver, setting: str) -> None:
    async with start(**{setting: "1", "RELEVO_ATTEMPT_TIMEOUT": "1"}) as whole:
        app_id = await whole.application("a", f"{receiver.url}/silence")
        await asyncio.gather(*(whole.message(app_id) for _ in range(3)))
        made = await attempts(whole, app_id, 3)

    began = [datetime.fromisoformat(attempt["timestamp"]) for attempt in made]
    # Each is kept waiting for a second by the one before, which ends first.
    assert min(later - earlier for earlier, later in pairwise(began)) > timedelta(seconds=0.9)


@pytest.mark.parametrize(("drain", "owed"), [("0", [{"attempts": 0, "lease": None}]), ("120", [])])
async def test_the_drain_is_how_long_attempts_may_take_to_finish(
    start: Start, receiver: Receiver, rows: asyncpg.Connection, drain: str, owed: list[dict[str, Any]]
) -> None:
    async with start(RELEVO_DRAIN=drain, RELEVO_ATTEMPT_TIMEOUT="60") as whole:
        # The default would have let it finish, and none at all would not.
        await whole.message(await whole.application("a", f"{receiver.url}/slow/{1 if owed == [] else 3}"))
        await receiver.wait_for(1)

    assert [dict(row) for row in await rows.fetch("SELECT attempts, lease FROM pending_delivery")] == owed


async def test_a_lease_outlasts_the_attempt_by_its_margin(
    start: Start, receiver: Receiver, rows: asyncpg.Connection
) -> None:
    async with start(RELEVO_LEASE_MARGIN="200", RELEVO_ATTEMPT_TIMEOUT="60", RELEVO_DRAIN="0") as whole:
        await whole.message(await whole.application("a", f"{receiver.url}/silence"))
        await receiver.wait_for(1)
        left = await rows.fetchval("SELECT due_at - now() FROM pending_delivery WHERE lease IS NOT NULL")

    assert timedelta(seconds=100) < left <= timedelta(seconds=261)


@pytest.mark.parametrize(("seconds", "disabled"), [("0.05", True), ("3600", False)])
async def test_an_endpoint_is_disabled_after_that_long(
    *, start: Start, receiver: Receiver, rows: asyncpg.Connection, seconds: str, disabled: bool
) -> None:
    async def nothing_is_owed() -> bool:
        return not await rows.fetchval("SELECT EXISTS (SELECT FROM pending_delivery)")

    async with start(RELEVO_DISABLE_AFTER=seconds, RELEVO_RETRY_SCHEDULE="[0.2, 0.2]") as whole:
        app_id = await whole.application("a", f"{receiver.url}/status/500")
        await whole.message(app_id)
        await until(nothing_is_owed)
        (endpoint,) = (await whole.api.get(f"/api/v1/app/{app_id}/endpoint")).json()["data"]

    assert endpoint["disabled"] is disabled


async def test_the_trace_url_shows_an_attempts_trace(start: Start, receiver: Receiver) -> None:
    async with start(RELEVO_TRACE_URL="https://traces.example.com/{trace_id}/it") as whole:
        app_id = await whole.application("a", f"{receiver.url}/ok")
        await whole.message(app_id)
        (attempt,) = await attempts(whole, app_id)

    assert re.fullmatch(r"https://traces\.example\.com/[0-9a-f]{32}/it", attempt["traceUrl"])


async def test_the_logs_url_leads_from_an_attempt_to_its_lines(start: Start, receiver: Receiver) -> None:
    async with start(RELEVO_LOGS_URL="https://logs.example.com/?q={trace_id}") as whole:
        app_id = await whole.application("a", f"{receiver.url}/ok")
        msg_id = await whole.message(app_id)
        await attempts(whole, app_id)
        token = whole.api.headers["authorization"].removeprefix("Bearer ")
        await whole.api.post("http://localhost/console/sign-in", data={"token": token})
        page = await whole.api.get(f"http://localhost/console/app/{app_id}/msg/{msg_id}")

    assert re.search(r'href="https://logs\.example\.com/\?q=[0-9a-f]{32}"', page.text)


async def test_pages_of_the_origins_that_were_named_may_call(start: Start) -> None:
    asked = {"access-control-request-method": "POST"}
    async with start(RELEVO_CORS_ORIGINS="https://one.example.com, https://two.example.com") as whole:
        allowed = [
            (await whole.api.options("/api/v1/app", headers={"origin": origin, **asked})).headers.get(
                "access-control-allow-origin"
            )
            for origin in ("https://one.example.com", "https://two.example.com", "https://three.example.com")
        ]

    assert allowed == ["https://one.example.com", "https://two.example.com", None]


async def test_links_begin_with_the_public_url(start: Start) -> None:
    async with start(RELEVO_PUBLIC_URL="https://relevo.example.com/hooks/") as whole:
        app_id = await whole.application("a")
        granted = await whole.made(f"/auth/app-portal-access/{app_id}", {})

    assert granted["url"] == f"https://relevo.example.com/hooks/console/portal#token={granted['token']}"


async def test_the_portal_may_be_embedded_by_pages_of_the_origins_that_were_named(start: Start) -> None:
    async with start(RELEVO_PORTAL_ANCESTORS="https://app.example.com") as whole:
        portal, sign_in = [
            (await whole.api.get(f"https://relevo.test/console/{name}")).headers["content-security-policy"]
            for name in ("portal", "sign-in")
        ]

    assert portal.endswith("frame-ancestors https://app.example.com")
    assert sign_in.endswith("frame-ancestors 'none'")


async def test_tokens_of_the_issuer_are_read_by_the_claims_that_were_named(start: Start) -> None:
    key = new_rsa_key()
    async with running_issuer() as stub:
        stub.publish("k", key)
        claims = {"iss": stub.url, "exp": datetime.now(UTC).timestamp() + 600, "tenant": ORG, "part": "reader"}
        async with start(
            RELEVO_OIDC_ISSUER=stub.url,
            RELEVO_OIDC_AUDIENCE="hooks",
            RELEVO_OIDC_ORG_CLAIM="tenant",
            RELEVO_OIDC_ROLE_CLAIM="part",
        ) as whole:
            await whole.application("a")

            async def asked(method: str, **changed: str) -> httpx.Response:
                token = signed({"aud": "hooks", **claims, **changed}, kid="k", key=key, algorithm="RS256")
                headers = {"authorization": f"Bearer {token}"}
                body = {"name": "b"} if method == "POST" else None
                return await whole.api.request(method, "/api/v1/app", json=body, headers=headers)

            read = await asked("GET")
            statuses = {
                "a reader writes": (await asked("POST")).status_code,
                "a writer writes": (await asked("POST", part="writer")).status_code,
                "meant for another": (await asked("GET", aud="relevo")).status_code,
                "of another issuer": (await asked("GET", iss="https://elsewhere.example.com")).status_code,
            }

    assert [application["name"] for application in read.json()["data"]] == ["a"]
    assert statuses == {
        "a reader writes": 403,
        "a writer writes": 201,
        "meant for another": 401,
        "of another issuer": 401,
    }


async def test_people_sign_in_at_the_issuer_whose_client_relevo_is(start: Start) -> None:
    key = new_rsa_key()
    async with running_issuer() as stub:
        stub.publish("k", key)
        async with start(
            RELEVO_PUBLIC_URL="https://relevo.test",
            RELEVO_OIDC_ISSUER=stub.url,
            RELEVO_OIDC_AUDIENCE="hooks",
            RELEVO_OIDC_CLIENT_ID="console",
            RELEVO_OIDC_CLIENT_SECRET="a secret",
        ) as whole:
            begun = await whole.api.get("https://relevo.test/console/sign-in/openid")
            asked = dict(parse_qsl(urlsplit(begun.headers["location"]).query))
            claims = {"iss": stub.url, "aud": "console", "exp": datetime.now(UTC).timestamp() + 600, "org": ORG}
            token = signed({**claims, "role": "reader", "nonce": asked["nonce"]}, kid="k", key=key, algorithm="RS256")
            stub.codes["code"] = GivenCode(
                redirect_uri="https://relevo.test/console/sign-in/openid/callback",
                challenge=asked["code_challenge"],
                client=f"Basic {b64encode(b'console:a%20secret').decode()}",
                id_token=token,
            )
            answer = await whole.api.get(asked["redirect_uri"], params={"code": "code", "state": asked["state"]})
            page = await whole.api.get("https://relevo.test/console/overview")

    assert asked["client_id"] == "console"
    assert (answer.status_code, page.status_code) == (303, 200)


async def test_the_jwt_secret_decides_whose_tokens_hold(start: Start) -> None:
    async with start(RELEVO_JWT_SECRET=f"{SECRET}, another") as whole:
        answers = []
        for secret in (f"{SECRET}, another", SECRET):
            token = Tokens(secret).mint(ORG, now=datetime.now(UTC))
            answers.append(await whole.api.get("/api/v1/app", headers={"authorization": f"Bearer {token}"}))

    assert [answer.status_code for answer in answers] == [200, 401]


async def test_the_first_of_the_secret_keys_encrypts_and_all_decrypt(start: Start, rows: asyncpg.Connection) -> None:
    old, new = f"{SECRET} (old)", f"{SECRET} (new)"
    async with start(RELEVO_SECRET_KEY=old) as whole:
        app_id = await whole.application("a", "https://receiver.example.com/")
        before = await _secret(whole, app_id)
    sealed = await rows.fetchval("SELECT secrets FROM endpoint")
    async with start(RELEVO_SECRET_KEY="", RELEVO_SECRET_KEYS=f"{new},{old}") as whole:
        after = await _secret(whole, app_id)
        await whole.made(f"/app/{app_id}/endpoint", {"url": "https://another.example.com/"})
    latest = await rows.fetchval("SELECT secrets FROM endpoint ORDER BY id DESC LIMIT 1")

    assert after == before
    assert AesVault([old]).open(sealed)
    assert AesVault([new]).open(latest)


async def test_what_a_pooler_cannot_carry_goes_to_the_direct_address(
    start: Start, migrated_server: EmbeddedServer, rows: asyncpg.Connection
) -> None:
    # The connection that listens holds the lock that tells which processes are at work; another one's last words are
    # LISTEN still.
    listening = """SELECT count(*) FROM pg_stat_activity a WHERE datname = $1
        AND (query LIKE 'LISTEN%' OR EXISTS (SELECT FROM pg_locks l WHERE l.pid = a.pid AND locktype = 'advisory'))"""
    async with (
        postgres.fresh_database(migrated_server) as direct,
        start(RELEVO_DATABASE_DIRECT_URL=direct),
    ):
        name = direct.partition("?")[0].rpartition("/")[2]
        await until(partial(rows.fetchval, listening, name))
        through_the_pooler = await rows.fetchval(listening, await rows.fetchval("SELECT current_database()"))

    assert through_the_pooler == 0


async def test_a_server_of_its_own_is_where_it_was_told_and_as_quiet(database: str, directory: Path) -> None:
    operator = "a token of thirty-two characters and more"
    port, ops_port = free_port(), free_port()
    environ = settings(
        RELEVO_DATABASE_URL=database,
        RELEVO_HOST="127.0.0.2",
        RELEVO_PORT=str(port),
        RELEVO_OPS_PORT=str(ops_port),
        RELEVO_ADMIN_TOKEN=operator,
        RELEVO_LOG_LEVEL="error",
    )
    log = directory / "log"
    with log.open("wb") as output:
        server = await asyncio.create_subprocess_exec(
            *command("serve"), env=environment(environ), stdout=output, stderr=output
        )
        try:
            async with asking() as anybody:
                await until(partial(_answers, anybody, f"http://127.0.0.2:{port}/readyz"))
                elsewhere = await _answers(anybody, f"http://127.0.0.1:{port}/readyz")
                metrics = [(await anybody.get(f"http://127.0.0.2:{at}/metrics")).status_code for at in (port, ops_port)]
                level = {"level": "error", "seconds": 60}
                obeyed = [
                    (
                        await anybody.put(
                            f"http://127.0.0.2:{ops_port}/admin/log-level",
                            json=level,
                            headers={"authorization": f"Bearer {token}"},
                        )
                    ).status_code
                    for token in (operator, "another token of thirty-two characters")
                ]
        finally:
            server.terminate()
            await server.wait()

    assert not elsewhere
    assert metrics == [404, 200]
    assert (obeyed[0] < 300, obeyed[1]) == (True, 401)
    assert [line for line in log.read_text().splitlines() if '"level":"info"' in line.replace(" ", "")] == []


async def _secret(whole: Whole, app_id: str) -> str:
    (endpoint,) = (await whole.api.get(f"/api/v1/app/{app_id}/endpoint")).json()["data"]
    answer = await whole.api.get(f"/api/v1/app/{app_id}/endpoint/{endpoint['id']}/secret")
    answer.raise_for_status()
    return str(answer.json()["key"])


async def _answers(anybody: httpx.AsyncClient, url: str) -> bool:
    try:
        return (await anybody.get(url)).status_code == 200
    except httpx.TransportError:
        return False
