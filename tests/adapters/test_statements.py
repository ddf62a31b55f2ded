"""Statements that are kept as SQL: how a file is read, and that PostgreSQL takes what is in them, and psql too."""

import asyncio
import re
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import asyncpg
import pytest
from hatchling.builders.wheel import WheelBuilder

import service
from service.adapters.machine.embedded import EmbeddedServer
from service.adapters.postgres.queue.claims import CLAIM, CLAIM_BY_TURNS, CLAIM_THROTTLED
from service.adapters.postgres.queue.intake import ACCEPT, ACCEPT_RESIDENTS
from service.adapters.postgres.server.database import dsn
from service.adapters.postgres.server.statements import Statement, beside, compiled, parsed
from tests.support import postgres

FOUND = Path(service.__file__).parent
FILES = sorted(FOUND.rglob("*.sql"))
STATEMENTS = {
    f"{file.relative_to(FOUND)} {name}": statement
    for file in FILES
    for name, statement in parsed(file.read_text()).items()
}
PREPARED_UP_TO = 15 * 1024  # what is longer asyncpg has planned anew each time

READ = {
    "a parameter": ("SELECT :a", "SELECT $1", ("a",)),
    "one that comes twice": ("SELECT :a, :b, :a", "SELECT $1, $2, $1", ("a", "b")),
    "a cast": ("SELECT :a::text[], b::int", "SELECT $1::text[], b::int", ("a",)),
    "text in quotes": ("SELECT ':a', 'it''s :b'", "SELECT ':a', 'it''s :b'", ()),
    "a comment": ("SELECT 1  -- it's :a\nFROM t", "SELECT 1\nFROM t", ()),
    "a comment of its own": ("-- of :a\n\nSELECT :a;\n", "SELECT $1", ("a",)),
}


@pytest.fixture(scope="module")
async def connection(migrated_server: EmbeddedServer) -> AsyncIterator[asyncpg.Connection]:
    async with postgres.fresh_database(migrated_server) as url:
        connection = await asyncpg.connect(dsn(url))
        yield connection
        await connection.close()


@pytest.mark.parametrize("case", READ)
def test_a_parameter_is_what_is_no_text_no_comment_and_no_cast(case: str) -> None:
    sql, text, parameters = READ[case]

    assert compiled(sql) == Statement(text, parameters)


def test_a_file_holds_statements_by_their_names() -> None:
    file = "-- About both.\n\n-- name: one\n-- Of a.\nSELECT :a;\n\n-- name: other\nSELECT 2;\n"

    assert parsed(file) == {"one": Statement("SELECT $1", ("a",)), "other": Statement("SELECT 2", ())}


def test_a_part_is_altered_where_it_is_once() -> None:
    statement = compiled("SELECT :a FROM t WHERE true")

    assert statement.altered("WHERE true", "WHERE b") == Statement("SELECT $1 FROM t WHERE b", ("a",))
    for nowhere in ("WHERE false", "t"):
        with pytest.raises(ValueError, match="is not there once"):
            statement.altered(nowhere, "b")


def test_the_accept_of_one_database_asks_nobody_where_an_organisation_lives() -> None:
    assert "organisation" not in ACCEPT.text
    assert "organisation" in ACCEPT_RESIDENTS.text
    assert len(ACCEPT_RESIDENTS.text) < PREPARED_UP_TO


def test_values_go_where_their_names_are() -> None:
    assert compiled("SELECT :b, :a")(a=1, b=2) == ("SELECT $1, $2", 2, 1)


@pytest.mark.parametrize("values", [{}, {"a": 1}, {"a": 1, "b": 2, "c": 3}, {"a": 1, "c": 3}])
def test_a_parameter_that_is_missing_or_unknown_is_an_error(values: dict[str, object]) -> None:
    with pytest.raises(TypeError, match="the statement takes"):
        compiled("SELECT :a, :b")(**values)


def test_every_file_is_beside_the_module_that_runs_it() -> None:
    assert FILES
    for file in FILES:
        module = ".".join(("service", *file.relative_to(FOUND).with_suffix("").parts))
        assert file.with_suffix(".py").exists()
        assert beside(module) == parsed(file.read_text())


def test_a_number_of_rows_to_lock_is_looked_for_once() -> None:
    """In FROM, the planner may look for them again for each row of another table, and find others each time."""
    repeated = [
        (file.name, nested)
        for file in FILES
        for nested in nested_selects(file.read_text())
        if re.search(r"\bLIMIT\b.*\bFOR UPDATE\b", nested, re.DOTALL)
    ]

    assert repeated == []


def nested_selects(text: str) -> Iterator[str]:
    """What is within each FROM (SELECT ...)."""
    for found in re.finditer(r"\bFROM\s+\((?=SELECT\b)", text):
        end, depth = found.end(), 1
        while depth:
            depth += {"(": 1, ")": -1}.get(text[end], 0)
            end += 1
        yield text[found.end() : end - 1]


def test_a_wheel_carries_every_file() -> None:
    packed = {file.relative_path for file in WheelBuilder(str(FOUND.parent)).recurse_included_files()}

    assert {str(file.relative_to(FOUND.parent)) for file in FILES} <= packed


@pytest.mark.parametrize("name", STATEMENTS)
async def test_postgresql_prepares_every_statement(connection: asyncpg.Connection, name: str) -> None:
    statement = STATEMENTS[name]

    prepared = await connection.prepare(statement.text)

    assert len(prepared.get_parameters()) == len(statement.parameters)
    assert len(statement.text) < PREPARED_UP_TO


async def test_a_file_can_be_given_to_psql(connection: asyncpg.Connection) -> None:
    psql = Path(await connection.fetchval("SELECT setting FROM pg_config WHERE name = 'BINDIR'")) / "psql"
    address = {
        "-h": await connection.fetchval("SHOW unix_socket_directories"),
        "-p": await connection.fetchval("SHOW port"),
        "-U": await connection.fetchval("SELECT current_user"),
        "-d": await connection.fetchval("SELECT current_database()"),
    }
    names = {name for statement in STATEMENTS.values() for name in statement.parameters}
    variables = dict.fromkeys(names, "NULL") | {"before": "'infinity'", "ON_ERROR_STOP": "1"}

    done = await asyncio.to_thread(
        subprocess.run,
        [
            *(psql, "--no-psqlrc", "--quiet", "--single-transaction"),
            *(part for option in address.items() for part in option),
            *(f"--variable={name}={value}" for name, value in variables.items()),
            *(f"--file={file}" for file in FILES),
        ],
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.returncode, done.stderr) == (0, "")


async def test_every_claim_reads_the_same_of_what_it_takes(connection: asyncpg.Connection) -> None:
    of_its_own = {"more", "next_due", "throttled_wait", "put_aside", "rests_for", "cursor", "next_turn"}
    read = []
    for statement in (CLAIM, CLAIM_BY_TURNS, CLAIM_THROTTLED):
        attributes = (await connection.prepare(statement.text)).get_attributes()
        read.append([(column.name, column.type.name) for column in attributes if column.name not in of_its_own])

    assert read[0] == read[1] == read[2]
    assert {name for name, _ in read[0]} >= {"lease", "payload", "secrets", "active"}
