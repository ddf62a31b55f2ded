"""Parses a database's address, in the form that psql takes.

    postgresql://user:password@host1:5432,host2:5433/database?sslmode=verify-full&connect_timeout=3

Every parameter is honoured or refused by its name. All connections are opened with a `ServerAddress`.
"""

import getpass
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv6Address
from urllib.parse import quote, unquote, urlencode

from service.adapters.postgres.server.address_parameters import VARIABLES, ParameterRefused, honoured
from service.adapters.postgres.server.address_tls import refuse_unusable_files, tls_of

PORT = 5432

_SCHEME = re.compile(r"(?:postgres|postgresql|postgresql\+asyncpg)://(.*)", re.DOTALL)
_HOST = re.compile(r"\[(?P<v6>[^\[\]]+)\](?::(?P<v6_port>[^:]*))?|(?P<name>[^:\[\]@]*)(?::(?P<port>[^:]*))?")
_BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
_NO_NAME = re.compile(r"[\s@#?/\\\"'<>|^`{}\[\]\x00-\x1f\x7f]|\A\.|\.\.")
_ENCODED = "is the password percent-encoded?"
_MAX_HOST_CHARACTERS = 253
_MAX_LABEL_CHARACTERS = 63
_MAX_SOCKET_PATH_BYTES = 107
# For an address without a host: where packages of PostgreSQL put their socket.
_DEFAULT_HOSTS = ("/run/postgresql", "/var/run/postgresql", "/tmp", "localhost")  # noqa: S108  # libpq looks there too
_KEEPALIVE_OPTIONS = {
    "keepalives_idle": "TCP_KEEPIDLE",
    "keepalives_interval": "TCP_KEEPINTVL",
    "keepalives_count": "TCP_KEEPCNT",
    "tcp_user_timeout": "TCP_USER_TIMEOUT",
}


@dataclass(frozen=True, slots=True)
class Host:
    """One server: a host name, an IP address or the directory of a Unix socket."""

    name: str
    port: int

    def __str__(self) -> str:
        return f"[{self.name}]:{self.port}" if ":" in self.name else f"{self.name}:{self.port}"

    @property
    def is_socket(self) -> bool:
        """Whether it is a Unix socket."""
        return self.name.startswith("/")


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerAddress:
    """A parsed address. `server_settings` are those of `application_name` and `options`;
    `connect_timeout` is in seconds for each host, None where the address has none."""

    hosts: tuple[Host, ...]
    user: str
    database: str
    password: str | None = field(default=None, repr=False)
    passfile: str | None = None
    tls: Mapping[str, str] = field(default_factory=dict, repr=False)
    target_session_attrs: str = "any"
    server_settings: Mapping[str, str] = field(default_factory=dict)
    set_by_options: frozenset[str] = frozenset()
    connect_timeout: int | None = None
    keepalives: bool = True
    kept_alive: Mapping[str, int] = field(default_factory=dict)


def read(url: str) -> ServerAddress:
    """Parse an address. ParameterRefused for what cannot be honoured."""
    return _address(_parameters(url), {})


def completed(url: str, environ: Mapping[str, str]) -> str:
    """The address with the parameters that libpq's variables (PGSSLMODE, PGPASSWORD ...) add, in one URL.
    ParameterRefused for what cannot be honoured, and for files that cannot be read."""
    said = _parameters(url)
    added = {
        parameter: (variable, environ[variable])
        for variable, parameter in VARIABLES.items()
        if environ.get(variable) and parameter not in said
    }
    everything = {**said, **{parameter: value for parameter, (_, value) in added.items()}}
    variables = {parameter: variable for parameter, (variable, _) in added.items()}
    try:
        address = _address(everything, variables)
        refuse_unusable_files(address.tls, address.passfile)
    except ParameterRefused as refused:
        # By the name of the variable, if one gave the parameter.
        raise ParameterRefused(variables.get(refused.name, refused.name), refused.reason) from None
    everything.setdefault("user", address.user)
    return f"postgresql:///?{urlencode(everything, quote_via=quote, safe='')}"


def _parameters(url: str) -> dict[str, str]:
    written = _SCHEME.fullmatch(url)
    if written is None:
        raise ParameterRefused("the address", "it has to be postgresql://user:password@host/database")
    authority, path, query = _parts(written[1])
    credentials, _, hosts = authority.rpartition("@")
    user, _, password = credentials.partition(":")
    names, ports = _hosts_and_ports(hosts)
    database = path
    if "@" in database:
        raise ParameterRefused("database", f"there is an @ in its name; {_ENCODED}")
    said = {"host": names, "port": ports, "dbname": _decoded(database, "database")}
    said |= {"user": _decoded(user, "user"), "password": _decoded(password, "password")}
    return {name: value for name, value in said.items() if value.strip(",")} | _queried(query)


def _parts(rest: str) -> tuple[str, str, str]:
    """Authority, path and query. Credentials may contain a `?`, since libpq looks for them first."""
    credentials = re.match(r"[^@/]*@", rest)
    begin = credentials.end() if credentials else 0
    end = re.compile(r"[/?]|\Z").search(rest, begin)
    at = end.start() if end else len(rest)
    path, _, query = rest[at:].partition("?")
    return rest[:at], path.removeprefix("/"), query


def _hosts_and_ports(hosts: str) -> tuple[str, str]:
    if not hosts:
        return "", ""
    matched = [_HOST.fullmatch(one) for one in hosts.split(",")]
    if not all(matched):
        raise ParameterRefused("host", f"what should be a host is not one; {_ENCODED}")
    found = [one for one in matched if one]
    names = [_decoded(one["v6"] or one["name"] or "", "host") for one in found]
    ports = [_decoded(one["v6_port"] or one["port"] or "", "port") for one in found]
    return ",".join(names), ",".join(ports)


def _queried(query: str) -> dict[str, str]:
    said: dict[str, str] = {}
    for part in filter(None, query.split("&")):
        name, separator, value = part.partition("=")
        if not separator:
            raise ParameterRefused(repr(name)[1:-1][:60], "it has no value; write it as name=value")
        name, value = _as_libpq(_decoded(name, "a parameter's name"), _decoded(value, name[:60]))
        value = honoured(name, value, called=name)
        if value:
            said[name] = value
    return said


def _as_libpq(name: str, value: str) -> tuple[str, str]:
    """Translate the names that JDBC, SQLAlchemy and asyncpg use into libpq's."""
    match name:
        case "ssl":
            return "sslmode", "require" if value == "true" else "disable" if value == "false" else value
        case "database":
            return "dbname", value
        case _:
            return name, value


def _decoded(text: str, what: str) -> str:
    if _BAD_ESCAPE.search(text):
        raise ParameterRefused(what, "a % in it is not followed by two hexadecimal digits; write it as %25")
    try:
        decoded = unquote(text, errors="strict")
    except UnicodeDecodeError:
        raise ParameterRefused(what, "what is percent-encoded in it is not UTF-8") from None
    if "\0" in decoded:
        raise ParameterRefused(what, "there is a %00 in it")
    return decoded


def _address(said: Mapping[str, str], variables: Mapping[str, str]) -> ServerAddress:
    said = {name: honoured(name, value, called=variables.get(name, name)) for name, value in said.items()}
    hosts = _hosts(said.get("host", ""), said.get("port", ""), variables)
    user = said.get("user") or _own_name()
    settings, set_by_options = _server_settings(said)
    return ServerAddress(
        hosts=hosts,
        user=user,
        database=said.get("dbname") or user,
        password=said.get("password"),
        passfile=said.get("passfile"),
        tls=tls_of(said, over_sockets=all(host.is_socket for host in hosts)),
        # With several hosts a standby may answer first, which refuses all writes.
        target_session_attrs=said.get("target_session_attrs")
        or ("read-write" if "," in said.get("host", "") else "any"),
        server_settings=settings,
        set_by_options=set_by_options,
        connect_timeout=int(said["connect_timeout"]) if "connect_timeout" in said else None,
        keepalives=said.get("keepalives", "1") != "0",
        kept_alive={option: int(said[name]) for name, option in _KEEPALIVE_OPTIONS.items() if name in said},
    )


def _hosts(names: str, ports: str, variables: Mapping[str, str]) -> tuple[Host, ...]:
    listed = names.split(",") if names else list(_DEFAULT_HOSTS)
    numbers = [_port(port.strip(), variables.get("port", "port")) for port in ports.split(",")]
    if len(numbers) == 1:
        numbers *= len(listed)
    if len(numbers) != len(listed):
        raise ParameterRefused("port", f"there are {len(numbers)} ports for {len(listed)} hosts; write one for each")
    called = variables.get("host", "host")
    return tuple(_host(name.strip(), port, called) for name, port in zip(listed, numbers, strict=True))


def _host(name: str, port: int, called: str) -> Host:
    if name.startswith("/"):
        # Accepts the path of the socket itself, and that of its directory.
        if len(f"{name}/.s.PGSQL.{port}".encode()) > _MAX_SOCKET_PATH_BYTES and "/.s.PGSQL." not in name:
            raise ParameterRefused(called, f"the path of a socket has at most {_MAX_SOCKET_PATH_BYTES} bytes")
    elif name.startswith("@"):
        raise ParameterRefused(called, "the driver cannot use abstract sockets; give the server a directory for one")
    elif not _is_name(name):
        raise ParameterRefused(called, f"what should be a host is not one; {_ENCODED}")
    return Host(name or "localhost", port)


def _is_name(name: str) -> bool:
    if ":" in name:
        return _is_ipv6(name)
    labels = name.removesuffix(".").split(".")
    return (
        not _NO_NAME.search(name)
        and len(name) <= _MAX_HOST_CHARACTERS
        and all(len(one) <= _MAX_LABEL_CHARACTERS for one in labels)
    )


def _is_ipv6(name: str) -> bool:
    try:
        return bool(IPv6Address(name))
    except ValueError:
        return False


def _port(port: str, called: str) -> int:
    if not port:
        return PORT
    if not (port.isascii() and port.isdigit() and len(port) <= 5 and 0 < int(port) <= 65_535):
        # The value is not quoted, since it may be a part of the password.
        raise ParameterRefused(called, f"what should be the port is not one; {_ENCODED}")
    return int(port)


def _own_name() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):
        raise ParameterRefused("user", "the address names none, and the process's own user has no name") from None


def _server_settings(said: Mapping[str, str]) -> tuple[dict[str, str], frozenset[str]]:
    settings = {}
    if name := said.get("application_name") or said.get("fallback_application_name"):
        settings["application_name"] = name
    options = said.get("options", "")
    if options:
        settings["options"] = options
    return settings, frozenset(_set_by(options))


def _set_by(options: str) -> list[str]:
    """The names in `-c name=value -cname=value --name=value`."""
    try:
        words = shlex.split(options)
    except ValueError:
        words = options.split()
    joined = " ".join(words)
    return [name.replace("-", "_").lower() for name in re.findall(r"(?:-c ?|--)([\w.-]+)=", joined)]
