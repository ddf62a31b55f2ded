"""The command as people meet it: what it prints, how it fails, and with which status."""

import re
from datetime import timedelta
from pathlib import Path

import asyncpg
import pytest

from service.__main__ import main
from service.adapters.access.tokens import Tokens
from service.adapters.machine.vault import AesVault
from tests.support.postgres import asyncpg_dsn
from tests.support.processes import SECRET, RelevoProcess, run, run_anew, running, settings

pytestmark = pytest.mark.timeout(120)


async def test_the_help_names_every_command() -> None:
    status, out, _ = await run_anew("--help", environ={})

    assert status == 0
    assert all(command in out for command in ("serve", "worker", "migrate", "reencrypt", "token", "demo"))


async def test_a_token_is_printed_alone_so_that_a_shell_can_take_it() -> None:
    status, out, err = await run_anew("token", environ={"RELEVO_JWT_SECRET": SECRET, "RELEVO_SECRET_KEY": SECRET})

    assert (status, err) == (0, "")
    assert re.fullmatch(r"[\w-]+\.[\w-]+\.[\w-]+\n", out)
    assert life_of(out) == timedelta(days=3650), "the help says ten years"


async def test_a_token_for_what_is_no_organisation_is_refused() -> None:
    status, out, err = await run("token", "acme", environ=settings())

    assert (status, out) == (2, "")
    assert err == "relevo: 'acme' is not an organisation: it has to be org_ and letters, digits, `-`, `_` or `.`.\n"


async def test_a_token_has_the_role_and_the_end_that_it_was_asked_for() -> None:
    environ = {"RELEVO_JWT_SECRET": SECRET}

    status, out, err = await run("token", "--role", "reader", "--expires", "90d", "org_x", environ=environ)

    assert (status, err) == (0, "")
    caller = Tokens(SECRET).verify(out.strip())
    assert (caller.org_id, caller.role) == ("org_x", "reader")
    assert life_of(out) == timedelta(days=90)


def life_of(token: str) -> timedelta:
    credential = Tokens(SECRET).verify(token.strip()).credential
    assert credential is not None
    return timedelta(seconds=credential.expires_at - credential.issued_at)


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        (["--role", "owner"], "invalid choice: 'owner'"),
        (["--expires", "90"], "'90' is no time: write 90d, 12h or 90m"),
        (["--expires", "d"], "'d' is no time"),
        (["--expires", "-1d"], "expected one argument"),
        (["--expires", "9999999999d"], "is no time"),
        (["--expires", "59m"], "1h at least and for 3650d at most"),
        (["--expires", "3651d"], "1h at least and for 3650d at most"),
        (["--name", ""], "a name has 1 to 256 characters"),
        (["--name", "a\nb"], "a name has 1 to 256 characters"),
    ],
    ids=" ".join,
)
def test_what_cannot_be_a_token_is_told(arguments: list[str], fault: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main(["token", *arguments])

    assert left.value.code == 2
    assert fault in capsys.readouterr().err


async def test_a_token_outside_of_a_data_directory_is_told_and_nothing_is_made(directory: Path) -> None:
    away = directory / "away"

    status, out, err = await run("token", environ={"RELEVO_DATA_DIR": str(away)})

    assert (status, out) == (2, "")
    assert err.startswith(
        f"relevo: No server has kept its secrets in {away}, so no server would know a token from here."
    )
    assert "RELEVO_DATA_DIR" in err
    assert not away.exists()


async def test_a_token_with_a_name_is_listed_and_audited(database: str) -> None:
    environ = settings(RELEVO_DATABASE_URL=database)

    status, out, err = await run("token", "--name", "ci", "--role", "writer", "org_x", environ=environ)

    connection = await asyncpg.connect(asyncpg_dsn(database))
    listed = await connection.fetchrow("SELECT * FROM organisation_token")
    told = await connection.fetchrow("SELECT * FROM audit_event")
    await connection.close()
    assert (status, err) == (0, "")
    caller = Tokens(SECRET).verify(out.strip())
    assert caller.credential is not None
    assert (caller.role, listed["org_id"], listed["name"], listed["role"]) == ("writer", "org_x", "ci", "writer")
    assert caller.credential.id == listed["digest"]
    assert listed["expires_at"] - listed["created_at"] == timedelta(days=90)
    assert (told["action"], told["org_id"], told["target"]) == ("organisation_token.created", "org_x", listed["id"])


async def test_a_bad_setting_is_told_without_a_traceback() -> None:
    status, out, err = await run("serve", environ={"RELEVO_PORT": "web", "RELEVO_PROT": "8000"})

    assert (status, out) == (2, "")
    assert err.splitlines() == [
        "relevo: warning: RELEVO_PROT is not a setting of Relevo and changes nothing. Did you mean RELEVO_PORT?",
        "relevo: RELEVO_PORT: input should be a valid integer, unable to parse string as an integer. Example: 8000",
    ]


@pytest.mark.parametrize("command", ["serve", "worker"])
async def test_a_missing_secret_is_told_with_what_to_set(command: str) -> None:
    status, _, err = await run(command, environ={"RELEVO_DATABASE_URL": "postgresql://127.0.0.1:1/relevo"})

    assert status == 2
    assert err.startswith("relevo: RELEVO_JWT_SECRET is not set")


@pytest.mark.parametrize("command", ["serve", "worker", "migrate"])
async def test_a_database_that_is_not_there_is_told_without_its_password(command: str) -> None:
    environ = settings(RELEVO_DATABASE_URL="postgresql://relevo:hush@127.0.0.1:1/relevo")

    status, out, err = await run(command, environ=environ)

    assert (status, out) == (1, "")
    assert err.startswith("relevo: The database cannot be reached: ")
    assert err.count("\n") == 1
    assert "hush" not in err


async def test_a_server_asks_for_the_migration_that_is_missing(empty_database: str) -> None:
    environ = settings(RELEVO_DATABASE_URL=empty_database)

    before, _, err = await run("serve", environ=environ)
    migrated, out, _ = await run("migrate", environ=environ | past_a_pooler(empty_database))

    assert before == 2
    assert "Run `relevo migrate`." in err
    assert migrated == 0
    assert out.startswith("The database has schema ")


def past_a_pooler(database: str) -> dict[str, str]:
    """Settings for the database at `database`; the pooler before it is not there."""
    return {"RELEVO_DATABASE_URL": "postgresql://127.0.0.1:1/relevo", "RELEVO_DATABASE_DIRECT_URL": database}


async def test_a_new_key_takes_over_and_a_missing_one_is_told(database: str) -> None:
    new, lost = f"{SECRET}-new", f"{SECRET}-lost"
    connection = await asyncpg.connect(asyncpg_dsn(database))
    await connection.execute(
        "INSERT INTO idempotency_key (scope, fingerprint, body) VALUES ('1', '', $1), ('2', '', $2)",
        AesVault([SECRET]).seal(b"kept"),
        AesVault([lost]).seal(b"lost"),
    )
    environ = settings(**past_a_pooler(database), RELEVO_SECRET_KEY="", RELEVO_SECRET_KEYS=f"{new},{SECRET}")

    status, out, err = await run("reencrypt", environ=environ)

    assert (status, out) == (2, "1 values were encrypted anew with the first key.\n")
    assert "1 values are encrypted with a key that is not among RELEVO_SECRET_KEYS" in err
    body = await connection.fetchval("SELECT body FROM idempotency_key WHERE scope = '1'")
    await connection.close()
    assert AesVault([new]).open(body) == b"kept"


async def test_a_release_that_misses_something_in_a_later_ones_database_refuses_to_run(database: str) -> None:
    connection = await asyncpg.connect(asyncpg_dsn(database))
    await connection.execute("UPDATE alembic_version SET version_num = '9999'")
    await connection.execute("INSERT INTO needed_revision VALUES ('9998')")
    await connection.close()

    status, _, err = await run("worker", environ=settings(RELEVO_DATABASE_URL=database))

    assert status == 2
    assert err.startswith("relevo: This release is older than the database")


async def test_with_no_settings_a_server_runs_and_a_second_one_is_told_who_is_first(directory: Path) -> None:
    environ = {"RELEVO_DATA_DIR": str(directory / "data"), "RELEVO_PORT": settings()["RELEVO_PORT"]}
    server = RelevoProcess("serve", environ, directory / "serve.log")
    worker = RelevoProcess("worker", environ, directory / "worker.log")

    async with running(server, worker):
        second, _, err = await run_anew("serve", environ=environ)
        token = (await run_anew("token", environ=environ))[1].strip()
        left = [await process.stop() for process in (server, worker)]

    assert second == 2
    assert re.match(r"relevo: .* is served by process \d+ already\.", err)
    assert left == [0, 0]
    assert token
    assert not (directory / "data" / "postgres" / "postmaster.pid").exists()
