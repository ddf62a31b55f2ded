"""What is told of an import: its lines are parsed in threads, with the ids of the request that brought them."""

import asyncpg
import pytest

from service.observability.logging import configure_logging
from service.observability.telemetry import Telemetry
from tests.observability.conftest import Lines
from tests.observability.whole import running_whole
from tests.support.message_files import lines
from tests.support.postgres import asyncpg_dsn


@pytest.fixture
def talkative(telemetry: Telemetry) -> Lines:
    """Every line, also those that tell of begin and end of work in threads."""
    told = Lines()
    configure_logging(level="debug", logger_provider=telemetry.logger_provider, stream=told)
    return told


async def test_the_lines_of_a_file_are_parsed_in_threads_with_the_request_id_and_the_trace(
    database: str, telemetry: Telemetry, talkative: Lines
) -> None:
    async with running_whole(telemetry, database=database) as whole:
        app_id = await whole.application("a")

        answer = await whole.api.post(
            f"/api/v1/app/{app_id}/msg/import", content=lines(20), headers={"x-request-id": "january"}
        )

        connection = await asyncpg.connect(asyncpg_dsn(database))
        messages = await connection.fetch("SELECT correlation_id, traceparent FROM message")
        await connection.close()
    trace_id = answer.headers["traceresponse"].split("-")[1]
    assert {(message["correlation_id"], message["traceparent"].split("-")[1]) for message in messages} == {
        ("january", trace_id)
    }
    work = [line for line in talkative.of("thread.finished") if line["pool"] == "imports"]
    assert {(line["correlation_id"], line["trace_id"]) for line in work} == {("january", trace_id)}
    ended = talkative.one("import.ended")
    assert (ended["correlation_id"], ended["accepted"], ended["status"]) == ("january", 20, "finished")
