"""Addresses of databases: each way to write one, and a sentence about each that promises what cannot be kept."""

from pathlib import Path

import pytest

from service.adapters.postgres.server.address import Host, completed, read
from service.adapters.postgres.server.address_parameters import VARIABLES, ParameterRefused

USUAL = [Host(name, 5432) for name in ("/run/postgresql", "/var/run/postgresql", "/tmp", "localhost")]  # noqa: S108  # libpq's own


@pytest.mark.parametrize(
    ("url", "hosts", "user", "database", "password"),
    [
        ("postgresql://u:p@h:6432/d", [Host("h", 6432)], "u", "d", "p"),
        ("postgres://u@h/d", [Host("h", 5432)], "u", "d", None),
        ("postgresql+asyncpg://u@h/d", [Host("h", 5432)], "u", "d", None),
        ("postgresql://u:s%40fe%2F%3A@h/d", [Host("h", 5432)], "u", "d", "s@fe/:"),
        ("postgresql://u:p@ss@h/d", [Host("h", 5432)], "u", "d", "p@ss"),
        ("postgresql://u:a?b#c@h/d", [Host("h", 5432)], "u", "d", "a?b#c"),
        ("postgresql://u:p:q@h/d", [Host("h", 5432)], "u", "d", "p:q"),
        ("postgresql://u:100%25+1@h/d", [Host("h", 5432)], "u", "d", "100%+1"),
        ("postgresql://%C3%BC:%C3%9F@h/d%20d", [Host("h", 5432)], "ü", "d d", "ß"),
        ("postgresql://u@h", [Host("h", 5432)], "u", "u", None),
        ("postgresql://u@h?dbname=d", [Host("h", 5432)], "u", "d", None),
        ("postgresql://u@h/a?database=d", [Host("h", 5432)], "u", "d", None),
        ("postgresql://h/d?user=u&password=p%26q", [Host("h", 5432)], "u", "d", "p&q"),
        ("postgresql://u@[::1]/d", [Host("::1", 5432)], "u", "d", None),
        ("postgresql://u@[fe80::1%25eth0]:6432/d", [Host("fe80::1%eth0", 6432)], "u", "d", None),
        ("postgresql://u@h1:1,[::1]:2,h3/d", [Host("h1", 1), Host("::1", 2), Host("h3", 5432)], "u", "d", None),
        ("postgresql://u@/d?host=h1,h2&port=6432", [Host("h1", 6432), Host("h2", 6432)], "u", "d", None),
        ("postgresql://u@/d?host=h1,h2&port=1,2", [Host("h1", 1), Host("h2", 2)], "u", "d", None),
        ("postgresql://u@h1/d?host=h2", [Host("h2", 5432)], "u", "d", None),
        ("postgresql://u@%2Fvar%2Frun/d", [Host("/var/run", 5432)], "u", "d", None),
        ("postgresql://u@%2Fvar%2Frun:6432/d", [Host("/var/run", 6432)], "u", "d", None),
        ("postgresql://u@/d?host=/var/run", [Host("/var/run", 5432)], "u", "d", None),
        ("postgresql://u@:6432/d?host=%2Fvar%2Frun", [Host("/var/run", 6432)], "u", "d", None),
        ("postgresql://u@/d", USUAL, "u", "d", None),
        ("postgresql://u@db_1.example.com./d", [Host("db_1.example.com.", 5432)], "u", "d", None),
    ],
)
def test_an_address_is_read_as_psql_reads_it(
    url: str, hosts: list[Host], user: str, database: str, password: str | None
) -> None:
    address = read(url)

    assert (list(address.hosts), address.user, address.database, address.password) == (hosts, user, database, password)
    assert read(completed(url, {})) == address


@pytest.mark.parametrize(
    ("rest", "named", "fault"),
    [
        ("u:pass/word@h/d", "database", "is the password percent-encoded?"),
        ("u:123/4@h/d", "database", "is the password percent-encoded?"),
        ("h:web/d", "port", "is the password percent-encoded?"),
        ("h:65536/d", "port", "not one"),
        ("h:0/d", "port", "not one"),
        ("h:-1/d", "port", "not one"),
        ("h/d?port=1,2", "port", "2 ports for 1 hosts"),
        ("[::1/d", "host", "not one"),
        ("::1/d", "host", "not one"),
        ("a b/d", "host", "not one"),
        ("h..example/d", "host", "not one"),
        (f"{'a' * 64}/d", "host", "not one"),
        (f"{'a.' * 130}a/d", "host", "not one"),
        ("/d?host=::g", "host", "not one"),
        ("/d?host=@abstract", "host", "abstract sockets"),
        (f"/d?host=/{'a' * 100}", "host", "at most 107 bytes"),
        ("h%00/d", "host", "%00"),
        ("u:a%00b@h/d", "password", "%00"),
        ("u:a%zz@h/d", "password", "write it as %25"),
        ("u:%FF@h/d", "password", "not UTF-8"),
        ("h/d?sslmode", "sslmode", "write it as name=value"),
        ("h/d?sslmod=require", "sslmod", "did you mean sslmode?"),
        ("h/d?pgbouncer=true", "pgbouncer", "no such parameter"),
        ("h/d?schema=public", "schema", "options=-c%20name%3Dvalue"),
        ("h/d?search_path=public", "search_path", "options=-c%20name%3Dvalue"),
        ("h/d?sslmode=on", "sslmode", "set it to disable or allow or"),
        ("h/d?sslmode=", "sslmode", "set it to disable or allow or"),
        ("h/d?ssl=maybe", "sslmode", "set it to disable or allow or"),
        ("h/d?sslmode=require&channel_binding=require", "channel_binding", "sslmode=verify-full"),
        ("h/d?connect_timeout=soon", "connect_timeout", "whole number"),
        ("h/d?connect_timeout=-1", "connect_timeout", "whole number"),
        ("h/d?connect_timeout=0", "connect_timeout", "from 1 to"),
        ("h/d?connect_timeout=99999999999999999999", "connect_timeout", "whole number"),
        ("h/d?connect_timeout=1.5", "connect_timeout", "whole number"),
        ("h/d?keepalives=2", "keepalives", "from 0 to 1"),
        ("h/d?keepalives_count=1000", "keepalives_count", "to 127"),
        ("h/d?target_session_attrs=standby", "target_session_attrs", "set it to read-write"),
        ("h/d?target_session_attrs=STANDBY", "target_session_attrs", "set it to read-write"),
        ("h/d?target_session_attrs=read-only", "target_session_attrs", "set it to read-write"),
        ("h/d?target_session_attrs=best", "target_session_attrs", "set it to any or read-write"),
        ("h/d?sslrootcert=system&sslmode=require", "sslmode", "has to be verify-full"),
        ("h/d?sslrootcert=/etc/ca.pem", "sslrootcert", "add sslmode=verify-full"),
        ("h/d?sslcert=/etc/c.pem&sslmode=disable", "sslcert", "add sslmode=verify-full"),
        ("h/d?sslnegotiation=direct", "sslnegotiation", "needs sslmode=require"),
        ("h/d?ssl_min_protocol_version=TLSv9", "ssl_min_protocol_version", "TLSv1.2"),
        ("h/d?client_encoding=latin1", "client_encoding", "UTF8"),
        ("h/d?gssencmode=require", "gssencmode", "sslmode=verify-full"),
        ("h/d?require_auth=scram-sha-256", "require_auth", "leave it out"),
        ("h/d?hostaddr=10.0.0.1", "hostaddr", "write the address as the host"),
        ("h/d?service=relevo", "service", "into the address"),
        ("h/d?krbsrvname=postgres", "krbsrvname", "leave it out"),
        ("h/d?load_balance_hosts=random", "load_balance_hosts", "in the order"),
        ("h/d?replication=database", "replication", "leave it out"),
        ("h/d?application_name=a%0Ab", "application_name", "a character"),
    ],
)
def test_what_cannot_be_honoured_is_refused_with_the_parameter_and_what_to_do(
    rest: str, named: str, fault: str
) -> None:
    with pytest.raises(ParameterRefused) as refused:
        completed(f"postgresql://{rest}", {})

    told = str(refused.value)
    assert told.startswith(f"{named}: ")
    assert fault in told
    assert "\n" not in told
    assert "pass/word" not in told


@pytest.mark.parametrize("name", ["sslrootcert", "sslcert", "sslkey", "sslcrl", "passfile"])
@pytest.mark.parametrize("kind", ["missing", "directory", "nonsense"])
def test_a_file_that_is_of_no_use_is_told_at_start_with_its_parameter(tmp_path: Path, name: str, kind: str) -> None:
    file = {"missing": tmp_path / "none", "directory": tmp_path, "nonsense": tmp_path / "nonsense"}[kind]
    (tmp_path / "nonsense").write_text("not PEM")
    (tmp_path / "nonsense").chmod(0o644)
    beside = f"&sslcert={file}" if name == "sslkey" else ""
    query = f"sslmode=verify-full&{name}={file}{beside}"

    with pytest.raises(
        ParameterRefused, match=r"^(sslrootcert|sslcert|sslkey|sslcrl|passfile): '.*'|^passfile: others"
    ):
        completed(f"postgresql://h/d?{query}", {})


@pytest.mark.parametrize("variable", sorted(VARIABLES))
def test_each_of_libpq_s_variables_is_heeded_or_refused_by_its_name(variable: str) -> None:
    try:
        told = completed("postgresql://", {variable: "1"})
    except ParameterRefused as refused:
        told = str(refused)

    assert variable in told or f"{VARIABLES[variable]}=1" in told


def test_what_the_address_says_wins_over_libpq_s_variables_and_an_empty_one_is_none() -> None:
    environ = {"PGUSER": "other", "PGHOST": "other", "PGSSLMODE": "disable", "PGPASSWORD": ""}

    address = read(completed("postgresql://u@h/d?sslmode=require", environ))

    assert (address.user, address.hosts, address.tls["sslmode"]) == ("u", (Host("h", 5432),), "require")
    assert address.password is None


def test_capitals_in_a_word_are_taken_for_the_word_in_the_address_and_in_variables() -> None:
    words = "sslmode=VERIFY-FULL&sslnegotiation=DIRECT&ssl_min_protocol_version=tlsv1.2&target_session_attrs=READ-WRITE"
    spelt = {"sslmode": "verify-full", "sslnegotiation": "direct", "ssl_min_protocol_version": "TLSv1.2"}
    environ = {
        "PGSSLMODE": "Verify-Full",
        "PGSSLNEGOTIATION": "Direct",
        "PGSSLMINPROTOCOLVERSION": "TLSV1.2",
        "PGTARGETSESSIONATTRS": "Read-Write",
    }

    for address in (read(f"postgresql://h/d?{words}"), read(completed("postgresql://h/d", environ))):
        assert (address.tls, address.target_session_attrs) == (spelt, "read-write")


def test_an_address_does_not_show_its_password() -> None:
    assert "hush" not in repr(read("postgresql://u:hush@h/d?sslpassword=hush"))


def test_how_long_a_host_is_waited_for_is_what_the_address_says() -> None:
    assert read("postgresql://h/d?connect_timeout=3").connect_timeout == 3
    assert read("postgresql://h/d").connect_timeout is None
