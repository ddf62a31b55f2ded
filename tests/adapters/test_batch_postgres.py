"""Batches into a PostgreSQL of a customer: whole or not at all, once, with the TLS that the URL asks for."""

from collections.abc import AsyncIterator, Iterator
from dataclasses import replace

import asyncpg
import pytest

from service.adapters.destinations.postgresql.sender import quoted
from service.adapters.destinations.results import Told
from service.adapters.postgres.server.database import dsn
from service.domain.outcomes import ErrorType, Taken
from service.domain.sinks import PostgresSink
from tests.adapters.test_connections import end_connections, over, wire
from tests.contracts.test_batch_senders import failed, sent
from tests.faults.wire import Wire
from tests.support.batch_programs import PostgresStand, postgres_stand
from tests.support.batch_stands import a_batch, local_senders
from tests.support.networked_postgres import Front, Networked, networked_postgres, tls_front
from tests.support.patience import patient

__all__ = ["wire"]

TABLE = "CREATE TABLE events (id text PRIMARY KEY, app_id text, event_type text, payload json, created_at timestamptz)"


@pytest.fixture(scope="module")
def servers() -> Iterator[Networked]:
    with networked_postgres() as running:
        yield running


@pytest.fixture
async def stand(servers: Networked) -> AsyncIterator[PostgresStand]:
    async with postgres_stand(servers, payload="jsonb") as opened:
        yield opened


@pytest.fixture
async def front(servers: Networked) -> AsyncIterator[Front]:
    async with tls_front(servers) as running:
        yield running


def through(front: Front, sink: PostgresSink, mode: str, *, authority: str | None = None) -> PostgresSink:
    url = f"postgresql://secretive@localhost:{front.port}/postgres?sslmode={mode}"
    return replace(sink, url=url, ssl_root_cert=authority)


async def test_a_repeated_batch_adds_nothing(stand: PostgresStand) -> None:
    for _ in range(2):
        assert (await sent(stand.taking(), b"1", b"2")).taken == 2

    assert await stand.arrived() == [("msg_1", b"1"), ("msg_2", b"2")]


async def test_a_batch_with_a_row_that_is_refused_adds_none(stand: PostgresStand) -> None:
    result = await sent(stand.taking(), b"1", b'"\\u0000"')

    assert failed(result) is ErrorType.REFUSED
    assert await stand.arrived() == []


async def test_a_payload_that_is_no_json_is_kept_as_a_string(stand: PostgresStand) -> None:
    assert (await sent(stand.taking(), b"<a/>", content_type="application/xml")).taken == 1

    assert await stand.arrived() == [("msg_1", b'"<a/>"')]


@pytest.mark.parametrize("mode", ["require", "verify-ca", "verify-full"])
async def test_tls_is_as_sslmode_says(servers: Networked, front: Front, stand: PostgresStand, mode: str) -> None:
    authority = servers.authority.read_text()

    result = await sent(through(front, stand.taking(), mode, authority=authority), b"1")

    assert isinstance(result.outcome, Taken)
    assert front.versions == ["TLSv1.3"]


@pytest.mark.parametrize("mode", ["require", "verify-ca", "verify-full"])
async def test_a_server_that_another_authority_vouches_for_gets_nothing(
    servers: Networked, front: Front, stand: PostgresStand, mode: str
) -> None:
    stranger = servers.stranger.read_text()

    result = await sent(through(front, stand.taking(), mode, authority=stranger), b"1")

    assert failed(result) is ErrorType.TLS


async def test_a_server_without_tls_gets_nothing_where_it_is_demanded(stand: PostgresStand) -> None:
    demanding = replace(stand.taking(), url=stand.taking().url.replace("disable", "require"))

    assert failed(await sent(demanding, b"1")) is ErrorType.TLS


async def test_without_sslmode_a_server_without_tls_will_do(stand: PostgresStand) -> None:
    willing = replace(stand.taking(), url=stand.taking().url.partition("?")[0])

    assert (await sent(willing, b"1")).taken == 1


def test_a_table_s_name_is_quoted_part_by_part() -> None:
    assert quoted("public.Events") == '"public"."Events"'


@pytest.mark.parametrize("name", ["", "a..b", 'a"b', "."])
def test_a_table_s_name_with_an_empty_part_or_quotes_is_refused(name: str) -> None:
    with pytest.raises(Told):
        quoted(name)


async def test_a_kept_connection_that_the_server_has_ended_counts_as_lost_though_its_end_has_not_come(
    database: str, wire: Wire
) -> None:
    there = await asyncpg.connect(dsn(database))
    await there.execute(TABLE)
    await there.close()
    sink = PostgresSink(url=over(wire, database), table_name="events")
    async with local_senders(seconds=patient(20)) as senders:
        before = await senders[PostgresSink].send(sink, a_batch(b"1"))
        wire.lingering = True
        await end_connections(database, said_over=wire)
        lost = await senders[PostgresSink].send(sink, a_batch(b"2", first=2))
        wire.lingering = False
        again = await senders[PostgresSink].send(sink, a_batch(b"2", first=2))

    assert failed(lost) is ErrorType.RESET
    assert (before.taken, again.taken) == (1, 1)
