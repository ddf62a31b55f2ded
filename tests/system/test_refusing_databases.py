"""Databases that let a command in and then refuse it, and poolers that lead nowhere: told in a sentence."""

import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from secrets import token_hex

import asyncpg
import pytest
from sqlalchemy import make_url

from service.adapters.machine.embedded import EmbeddedServer
from tests.support.postgres import asyncpg_dsn, fresh_database
from tests.support.processes import run, settings

pytestmark = pytest.mark.timeout(120)


@pytest.mark.parametrize("command", ["serve", "worker", "reencrypt", "token --name ci"])
async def test_a_role_that_may_not_read_the_tables_is_told_what_it_lacks(command: str, database: str) -> None:
    async with role_without_rights(database) as address:
        status, out, err = await run(*command.split(), environ=settings(RELEVO_DATABASE_URL=address))

    assert (status, out) == (2, "")
    assert re.fullmatch(
        r"relevo: The database refuses a statement: permission denied for table \w+ \(SQLSTATE 42501\)\. "
        r"Grant that to its role, or set RELEVO_DATABASE_URL to [^\n]+\.\n",
        err,
    )


@pytest.mark.parametrize("processes", ["1", "2"])
@pytest.mark.parametrize("command", ["serve", "worker"])
async def test_what_is_refused_while_a_role_starts_is_told_in_one_sentence(
    command: str, processes: str, database: str
) -> None:
    async with role_without_rights(database) as address:
        await execute(database, "GRANT SELECT ON alembic_version, needed_revision TO PUBLIC")

        said = settings(RELEVO_DATABASE_URL=address, RELEVO_PROCESSES=processes)
        status, _, err = await run(command, environ=said)

    told = {line for line in err.splitlines() if line.startswith("relevo: ")}
    assert status == 2
    assert [line for line in told if "SQLSTATE 42501" in line and "set RELEVO_DATABASE_URL to" in line] == [*told]
    assert told
    assert "Traceback" not in err


@pytest.mark.parametrize(
    ("options", "status", "said", "advice"),
    [
        ("", 2, "permission denied for schema public (SQLSTATE 42501)", "Grant that to its role"),
        ("default_transaction_read_only=on", 2, "(SQLSTATE 25006)", "Set RELEVO_DATABASE_URL to a server that takes"),
        ("statement_timeout=1", 1, "(SQLSTATE 57014)", "Raise the statement_timeout"),
        ("search_path=nowhere", 2, "(SQLSTATE 3F000)", "Let its search_path name a schema"),
    ],
)
async def test_a_migration_that_the_database_refuses_is_told(
    options: str, status: int, said: str, advice: str, empty_database: str
) -> None:
    async with role_without_rights(empty_database) as address:
        as_owner = f"{empty_database}&options=-c%20{options}" if options else address

        ended = await run("migrate", environ=settings(RELEVO_DATABASE_URL=as_owner))

    assert ended[:2] == (status, "")
    assert re.fullmatch(r"relevo: The database refuses a statement: [^\n]+\n", ended[2])
    assert said in ended[2]
    assert advice in ended[2]


async def test_a_new_database_of_another_encoding_is_refused(postgres_server: EmbeddedServer) -> None:
    latin = "ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C'"
    async with fresh_database(postgres_server, template="template0", options=latin) as url:
        status, out, err = await run("migrate", environ=settings(RELEVO_DATABASE_URL=url))

    assert (status, out) == (2, "")
    assert re.fullmatch(r"relevo: The database has the encoding LATIN1, [^\n]+ run `relevo migrate`\.\n", err)


@pytest.mark.parametrize("command", ["migrate", "tenants list", "tenants place org_x home", "token --name ci"])
async def test_of_several_databases_the_one_that_refuses_is_named(
    command: str, database: str, empty_database: str
) -> None:
    at = empty_database if command == "migrate" else database
    async with role_without_rights(at) as address:
        several = json.dumps({"home": address, "away": "postgresql://127.0.0.1:1/relevo"})

        status, out, err = await run(*command.split(), environ=settings(RELEVO_DATABASES=several))

    assert (status, out) == (2, "")
    assert re.fullmatch(r"relevo: home: The database refuses [^\n]+ set RELEVO_DATABASES to [^\n]+\n", err)


@pytest.mark.parametrize("command", ["serve", "worker"])
@pytest.mark.parametrize(
    ("pooler", "told"),
    [
        ("postgresql://127.0.0.1:1/relevo", (1, "cannot be reached: .* Is RELEVO_DATABASE_URL right")),
        ("as nobody", (1, 'cannot be reached: role "nobody" does not exist. Is RELEVO_DATABASE_URL right')),
        ("not migrated", (2, "RELEVO_DATABASE_URL does not lead to the same database as RELEVO_DATABASE_DIRECT_URL")),
    ],
)
async def test_a_pooler_that_does_not_lead_to_the_database_is_told_before_anything_is_started(
    command: str, pooler: str, told: tuple[int, str], database: str, empty_database: str
) -> None:
    url = {"as nobody": as_role(database, "nobody"), "not migrated": empty_database}.get(pooler, pooler)
    given = {"RELEVO_DATABASE_URL": url, "RELEVO_DATABASE_DIRECT_URL": database, "RELEVO_PROCESSES": "2"}

    status, out, err = await run(command, environ=settings(**given))

    assert (status, out) == (told[0], "")
    assert re.fullmatch(rf"relevo: [^\n]*{told[1]}[^\n]*\n", err)


@pytest.mark.parametrize("command", ["serve", "worker", "migrate"])
async def test_a_way_past_the_pooler_that_leads_nowhere_is_told_by_its_variable(command: str, database: str) -> None:
    nowhere = "postgresql://127.0.0.1:1/relevo"
    environ = settings(RELEVO_DATABASE_URL=database, RELEVO_DATABASE_DIRECT_URL=nowhere)

    status, out, err = await run(command, environ=environ)

    assert (status, out) == (1, "")
    assert re.fullmatch(r"relevo: [^\n]+ Is RELEVO_DATABASE_DIRECT_URL right, and is it running\?\n", err)


@asynccontextmanager
async def role_without_rights(database: str) -> AsyncIterator[str]:
    """The address of the database for a role that may connect to it and do nothing there."""
    name = f"role_{token_hex(6)}"
    await execute(database, f"CREATE ROLE {name} LOGIN")
    try:
        yield as_role(database, name)
    finally:
        await execute(database, f"DROP ROLE {name}")


def as_role(database: str, name: str) -> str:
    return make_url(database).set(username=name).render_as_string()


async def execute(database: str, statement: str) -> None:
    connection = await asyncpg.connect(asyncpg_dsn(database))
    try:
        await connection.execute(statement)
    finally:
        await connection.close()
