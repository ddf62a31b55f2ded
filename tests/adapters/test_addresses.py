"""What an address of a database promises is kept by every kind of connection, against PostgreSQL on sockets and TLS."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import quote

import pytest
from sqlalchemy import text

from service.adapters.postgres.server import schema
from service.adapters.postgres.server.address import completed
from service.adapters.postgres.server.connections import connect
from service.adapters.postgres.server.database import open_database
from tests.support.networked_postgres import KEY_PASSWORD, Front, Networked, networked_postgres, tls_front
from tests.support.processes import free_port

ODD = "p@:/?#[]%&=+ \\'\"ü\n"  # a password may have any character

Ask = Callable[[str], Awaitable[object]]


@pytest.fixture(scope="module")
def servers() -> Iterator[Networked]:
    """One primary and one standby for all tests, started when the first wants them."""
    with networked_postgres() as servers:
        yield servers


@pytest.fixture
async def front(servers: Networked) -> AsyncIterator[Front]:
    """TLS before the primary."""
    async with tls_front(servers) as front:
        yield front


def at(servers: Networked, query: str = "", *, user: str = "postgres", port: int | None = None) -> str:
    query = query.format(here=servers.directory, password=quote(KEY_PASSWORD))
    return f"postgresql://{user}@127.0.0.1:{port or servers.primary}/postgres?{query}"


@asynccontextmanager
async def in_every_way(url: str) -> AsyncIterator[list[Ask]]:
    """A session's connection, one of the hot path, and one of its own, as lines to other processes have."""
    async with open_database(url) as opened, opened.sessions() as session:
        own = await connect(url)

        async def by_session(query: str) -> object:
            return (await session.execute(text(query))).scalar()

        yield [by_session, opened.pool.fetchval, own.fetchval]
        await own.close()


async def ask(url: str, query: str) -> object:
    connection = await connect(url)
    try:
        return await connection.fetchval(query)
    finally:
        await connection.close()


@pytest.mark.parametrize(
    ("query", "version"),
    [
        ("", "TLSv1.3"),
        ("sslmode=disable", None),
        ("sslmode=allow", None),
        ("sslmode=prefer", "TLSv1.3"),
        ("sslmode=require", "TLSv1.3"),
        ("ssl=true", "TLSv1.3"),
        ("sslmode=require&channel_binding=prefer", "TLSv1.3"),
        ("sslmode=verify-ca&sslrootcert={here}/authority.pem", "TLSv1.3"),
        ("sslmode=verify-full&sslrootcert={here}/authority.pem", "TLSv1.3"),
        ("sslmode=require&sslnegotiation=direct", "TLSv1.3"),
        ("sslmode=require&ssl_max_protocol_version=TLSv1.2", "TLSv1.2"),
        ("sslmode=require&ssl_min_protocol_version=TLSv1.3", "TLSv1.3"),
    ],
)
async def test_tls_is_as_the_address_says_on_every_kind_of_connection(
    servers: Networked, front: Front, query: str, version: str | None
) -> None:
    port = front.direct if "direct" in query else front.port

    async with in_every_way(at(servers, query, port=port)) as ways:
        assert [await ask("SELECT 1") for ask in ways] == [1] * len(ways)

    assert len(front.versions) == len(ways)
    assert set(front.versions) == {version}


@pytest.mark.parametrize("mode", ["require", "verify-ca", "verify-full"])
async def test_a_server_that_another_authority_vouches_for_is_not_talked_to(
    servers: Networked, front: Front, mode: str
) -> None:
    url = at(servers, f"sslmode={mode}&sslrootcert={{here}}/stranger.pem", port=front.port)

    with pytest.raises(ConnectionError, match="certificate verify failed"):
        await connect(url)
    with pytest.raises(schema.DatabaseUnreachable, match=r"127.0.0.1:\d+: .*certificate verify failed"):
        await schema.check(url)


async def test_the_system_s_authorities_are_asked_where_the_address_says_system(
    servers: Networked, front: Front, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = at(servers, "sslrootcert=system", port=front.port)
    with pytest.raises(ConnectionError, match="certificate verify failed"):
        await connect(url)

    monkeypatch.setenv("SSL_CERT_FILE", str(servers.authority))

    async with in_every_way(url) as ways:
        assert [await ask("SELECT 1") for ask in ways] == [1] * len(ways)


@pytest.mark.parametrize("trusted", ["sslmode=require", "sslmode=verify-full&sslrootcert={here}/authority.pem"])
async def test_a_client_s_certificate_is_shown_on_every_kind_of_connection(
    servers: Networked, front: Front, trusted: str
) -> None:
    query = f"{trusted}&sslcert={{here}}/client.pem&sslkey={{here}}/client.key&sslpassword={{password}}"

    async with in_every_way(at(servers, query, port=front.port)) as ways:
        assert [await ask("SELECT 1") for ask in ways] == [1] * len(ways)

    assert front.clients == ["certified"] * len(ways)


@pytest.fixture(autouse=True, scope="module")
async def roles(servers: Networked) -> None:
    """The users that the server's rules of access name."""
    connection = await connect(at(servers))
    quoted = await connection.fetchval("SELECT quote_literal($1::text)", ODD)
    await connection.execute(f"CREATE ROLE secretive LOGIN PASSWORD {quoted}")
    await connection.close()


@pytest.mark.parametrize("query", ["", "sslmode=disable", "user=secretive&password={odd}"])
async def test_a_password_may_have_any_character(servers: Networked, query: str) -> None:
    odd = quote(ODD, safe="")
    user = "nobody" if "password" in query else f"secretive:{odd}"

    async with in_every_way(at(servers, query.replace("{odd}", odd), user=user)) as ways:
        assert [await ask("SELECT current_user::text") for ask in ways] == ["secretive"] * len(ways)


async def test_a_password_may_be_in_a_file(servers: Networked, tmp_path: Path) -> None:
    file = tmp_path / "passwords"
    file.write_text("*:*:*:secretive:unguessed\n")
    file.chmod(0o600)
    connection = await connect(at(servers))
    await connection.execute("CREATE ROLE filed LOGIN PASSWORD 'unguessed'")
    await connection.execute("ALTER ROLE secretive PASSWORD 'unguessed'")

    try:
        assert await ask(at(servers, f"passfile={file}", user="secretive"), "SELECT 1") == 1
    finally:
        await connection.execute(
            f"ALTER ROLE secretive PASSWORD {await connection.fetchval('SELECT quote_literal($1::text)', ODD)}"
        )
        await connection.close()


@pytest.mark.parametrize(
    ("query", "setting", "value"),
    [
        ("", "application_name", "relevo"),
        ("application_name=orders", "application_name", "orders"),
        ("fallback_application_name=orders", "application_name", "orders"),
        ("options=-c%20work_mem%3D7MB", "work_mem", "7MB"),
        ("options=-cwork_mem%3D7MB%20--search_path=private", "search_path", "private"),
        ("options=-c%20statement_timeout%3D7s", "statement_timeout", "7s"),
        ("options=-c%20idle-in-transaction-session-timeout%3D7s", "idle_in_transaction_session_timeout", "7s"),
    ],
)
async def test_settings_of_the_server_are_as_the_address_says(
    servers: Networked, query: str, setting: str, value: str
) -> None:
    async with in_every_way(at(servers, query)) as (by_session, by_hot_path, own):
        asked = [by_session, by_hot_path] if not query else [by_session, by_hot_path, own]
        assert [await ask(f"SHOW {setting}") for ask in asked] == [value] * len(asked)


@pytest.mark.parametrize(
    "written",
    ["postgresql://postgres@{socket}:{port}/postgres", "postgres:///postgres?host={socket}&port={port}&user=postgres"],
)
async def test_a_socket_s_directory_is_a_host(servers: Networked, written: str) -> None:
    socket_directory = quote(str(servers.directory / "primary"), safe="")

    async with in_every_way(written.format(socket=socket_directory, port=servers.primary)) as ways:
        assert [await ask("SELECT inet_server_addr()") for ask in ways] == [None] * len(ways)


async def test_the_next_host_is_asked_where_one_refuses(servers: Networked) -> None:
    url = f"postgresql://postgres@127.0.0.1:{free_port()},127.0.0.1:{servers.primary}/postgres"

    async with in_every_way(url) as ways:
        assert [await ask("SHOW port") for ask in ways] == [str(servers.primary)] * len(ways)


async def test_the_next_host_is_asked_where_one_is_silent(servers: Networked) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = (
            f"postgresql://postgres@/postgres?host=127.0.0.1,127.0.0.1&port={silent.getsockname()[1]},{servers.primary}"
            "&connect_timeout=1"
        )

        assert await ask(url, "SHOW port") == str(servers.primary)


async def test_who_was_asked_and_what_came_of_it_is_told() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port, closed = silent.getsockname()[1], free_port()
        url = f"postgresql://u:hush@127.0.0.1:{port},127.0.0.1:{closed}/d?connect_timeout=1"

        with pytest.raises(schema.DatabaseUnreachable) as unreachable:
            await schema.check(url)

    told = str(unreachable.value)
    assert f"127.0.0.1:{port} did not answer within 1 s; 127.0.0.1:{closed}: " in told
    assert "hush" not in told


@pytest.mark.parametrize(
    ("query", "chosen"),
    [
        ("", "primary"),
        ("&target_session_attrs=read-write", "primary"),
        ("&target_session_attrs=primary", "primary"),
        ("&target_session_attrs=any", "standby"),
    ],
)
async def test_a_standby_is_passed_over_unless_any_will_do(servers: Networked, query: str, chosen: str) -> None:
    ports = {"primary": servers.primary, "standby": servers.standby}
    url = f"postgresql://postgres@/postgres?host=127.0.0.1,127.0.0.1&port={servers.standby},{servers.primary}{query}"

    async with in_every_way(url) as ways:
        assert [await ask("SHOW port") for ask in ways] == [str(ports[chosen])] * len(ways)


async def test_a_standby_alone_is_told(servers: Networked) -> None:
    with pytest.raises(schema.DatabaseUnreachable, match=rf"127.0.0.1:{servers.standby} is not read-write"):
        await schema.check(at(servers, "target_session_attrs=read-write", port=servers.standby))


async def test_keepalives_are_as_the_address_says(servers: Networked) -> None:
    query = "keepalives_idle=33&keepalives_interval=7&keepalives_count=4&tcp_user_timeout=9000"
    connection, without = await connect(at(servers, query)), await connect(at(servers, "keepalives=0"))
    try:
        sock = connection._transport.get_extra_info("socket")
        options = ("TCP_KEEPIDLE", "TCP_KEEPINTVL", "TCP_KEEPCNT", "TCP_USER_TIMEOUT")
        kept = [sock.getsockopt(socket.IPPROTO_TCP, getattr(socket, name)) for name in options]
        other = without._transport.get_extra_info("socket")
        assert kept == [33, 7, 4, 9000]
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        assert other.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 0
    finally:
        await asyncio.gather(connection.close(), without.close())


async def test_libpq_s_variables_stand_in_for_what_an_address_does_not_say(servers: Networked, front: Front) -> None:
    environ = {
        "PGHOST": "127.0.0.1",
        "PGPORT": str(front.port),
        "PGUSER": "secretive",
        "PGPASSWORD": ODD,
        "PGDATABASE": "postgres",
        "PGAPPNAME": "from the environment",
        "PGOPTIONS": "-c work_mem=7MB",
        "PGSSLMODE": "verify-full",
        "PGSSLROOTCERT": str(servers.authority),
    }
    url = completed("postgresql://", environ)

    async with in_every_way(url) as ways:
        asked = "SELECT concat_ws('|', current_user, current_setting('application_name'), current_setting('work_mem'))"
        assert [await ask(asked) for ask in ways] == ["secretive|from the environment|7MB"] * len(ways)

    assert set(front.versions) == {"TLSv1.3"}


async def test_the_embedded_database_does_not_ask_libpq_s_variables(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {
        "PGSSLMODE": "verify-full",
        "PGSSLNEGOTIATION": "direct",
        "PGTARGETSESSIONATTRS": "standby",
        "PGHOST": "nowhere.invalid",
        "PGUSER": "nobody",
        "PGGSSLIB": "none",
    }.items():
        monkeypatch.setenv(name, value)

    async with in_every_way(database) as ways:
        assert [await ask("SELECT current_user::text") for ask in ways] == ["postgres"] * len(ways)
