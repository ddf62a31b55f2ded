"""libpq's connection parameters: which are honoured, which only with certain values, and which are refused.

Every parameter is either in this table or refused, so that none is ignored silently.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches

MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
TLS_VERSIONS = ("TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3")
NEGOTIATIONS = ("postgres", "direct")
ATTRIBUTES = ("any", "read-write", "primary")

_MAX_TIMEOUT_S = 3600
_MAX_KEEPALIVE_S = 32_767  # what Linux takes for the first two
_MAX_PROBES = 127
_MAX_MS = 2**31 - 1

# libpq's environment variables, and the parameters that they set where an address does not.
VARIABLES: Mapping[str, str] = {
    "PGHOST": "host",
    "PGHOSTADDR": "hostaddr",
    "PGPORT": "port",
    "PGDATABASE": "dbname",
    "PGUSER": "user",
    "PGPASSWORD": "password",
    "PGPASSFILE": "passfile",
    "PGREQUIREAUTH": "require_auth",
    "PGCHANNELBINDING": "channel_binding",
    "PGSERVICE": "service",
    "PGOPTIONS": "options",
    "PGAPPNAME": "application_name",
    "PGSSLMODE": "sslmode",
    "PGSSLCOMPRESSION": "sslcompression",
    "PGSSLNEGOTIATION": "sslnegotiation",
    "PGSSLCERT": "sslcert",
    "PGSSLKEY": "sslkey",
    "PGSSLCERTMODE": "sslcertmode",
    "PGSSLROOTCERT": "sslrootcert",
    "PGSSLCRL": "sslcrl",
    "PGSSLCRLDIR": "sslcrldir",
    "PGSSLSNI": "sslsni",
    "PGREQUIREPEER": "requirepeer",
    "PGSSLMINPROTOCOLVERSION": "ssl_min_protocol_version",
    "PGSSLMAXPROTOCOLVERSION": "ssl_max_protocol_version",
    "PGGSSENCMODE": "gssencmode",
    "PGKRBSRVNAME": "krbsrvname",
    "PGGSSLIB": "gsslib",
    "PGGSSDELEGATION": "gssdelegation",
    "PGCONNECT_TIMEOUT": "connect_timeout",
    "PGCLIENTENCODING": "client_encoding",
    "PGTARGETSESSIONATTRS": "target_session_attrs",
    "PGLOADBALANCEHOSTS": "load_balance_hosts",
    "PGMINPROTOCOLVERSION": "min_protocol_version",
    "PGMAXPROTOCOLVERSION": "max_protocol_version",
}


class ParameterRefused(ValueError):
    """A parameter that cannot be honoured; the text names it and says what to do, and never shows a password."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"{name}: {reason}")
        self.name = name
        self.reason = reason


@dataclass(frozen=True, slots=True)
class _OneOf:
    """Only these values are honoured."""

    values: tuple[str, ...]
    otherwise: str = ""

    def __call__(self, name: str, value: str) -> None:
        if value.lower() not in {one.lower() for one in self.values}:
            choices = " or ".join(self.values)
            raise ParameterRefused(name, self.otherwise or f"{value!r} is not one of its values; set it to {choices}")


@dataclass(frozen=True, slots=True)
class _Number:
    """A whole number within bounds."""

    least: int
    most: int

    def __call__(self, name: str, value: str) -> None:
        if not (value.isascii() and value.isdigit() and len(value) <= 10 and self.least <= int(value) <= self.most):
            raise ParameterRefused(name, f"it has to be a whole number from {self.least} to {self.most}")


@dataclass(frozen=True, slots=True)
class _Never:
    """A parameter that is always refused."""

    instead: str

    def __call__(self, name: str, _: str) -> None:
        raise ParameterRefused(name, f"the driver cannot do that; {self.instead}")


def _accept_any(_name: str, _value: str) -> None:
    """Accepts any value: it is checked where it is used."""


def _writable(name: str, value: str) -> None:
    if value.lower() in {"standby", "read-only", "prefer-standby"}:
        raise ParameterRefused(name, "Relevo writes and cannot use a standby; set it to read-write")
    _OneOf(ATTRIBUTES)(name, value)


_SECRET = frozenset({"password", "sslpassword"})  # of any characters
_KERBEROS = _Never("leave it out and let the role have a password or a client certificate")
_OAUTH = _Never("leave it out and let the role have a password or a client certificate")

_PARAMETERS: Mapping[str, Callable[[str, str], None]] = {
    **dict.fromkeys(("host", "port", "dbname", "user", "password", "passfile"), _accept_any),
    **dict.fromkeys(("application_name", "fallback_application_name", "options"), _accept_any),
    **dict.fromkeys(("sslcert", "sslkey", "sslpassword", "sslrootcert", "sslcrl"), _accept_any),
    "sslmode": _OneOf(MODES),
    "sslnegotiation": _OneOf(NEGOTIATIONS),
    "ssl_min_protocol_version": _OneOf(TLS_VERSIONS),
    "ssl_max_protocol_version": _OneOf(TLS_VERSIONS),
    "target_session_attrs": _writable,
    "connect_timeout": _Number(1, _MAX_TIMEOUT_S),
    "keepalives": _Number(0, 1),
    "keepalives_idle": _Number(0, _MAX_KEEPALIVE_S),
    "keepalives_interval": _Number(0, _MAX_KEEPALIVE_S),
    "keepalives_count": _Number(0, _MAX_PROBES),
    "tcp_user_timeout": _Number(0, _MAX_MS),
    # Accepted only with the value that is true anyway.
    "channel_binding": _OneOf(
        ("disable", "prefer"),
        "the driver has no channel binding; leave it out, and have the server prove who it is by sslmode=verify-full "
        "with sslrootcert=system or the file of its authority",
    ),
    "client_encoding": _OneOf(
        ("utf8", "utf-8", "unicode", "auto"), "Relevo speaks UTF8 to every database; leave it out"
    ),
    "gssencmode": _OneOf(("disable", "prefer"), "the driver cannot encrypt by GSSAPI; use sslmode=verify-full"),
    "gssdelegation": _OneOf(("0",), "the driver cannot do that; leave it out"),
    "load_balance_hosts": _OneOf(("disable",), "hosts are tried in the order in which they are written; leave it out"),
    "max_protocol_version": _OneOf(("3.0", "3.2", "latest")),
    "min_protocol_version": _OneOf(("3.0",), "the driver speaks version 3.0; leave it out"),
    "replication": _OneOf(("false", "off", "no", "0"), "Relevo needs ordinary connections; leave it out"),
    "sslcertmode": _OneOf(("allow",), "a certificate is shown where there is one and it is asked for; leave it out"),
    "sslcompression": _OneOf(("0",), "TLS is never compressed; leave it out"),
    "sslsni": _OneOf(("1",), "the host's name is always sent; leave it out"),
    "hostaddr": _Never("write the address as the host"),
    "service": _Never("write the service's parameters into the address"),
    "servicefile": _Never("write the service's parameters into the address"),
    "require_auth": _Never("leave it out, and have the server prove who it is by sslmode=verify-full"),
    "requirepeer": _Never("leave it out, and have the directory of the socket writable by the server's user only"),
    "sslcrldir": _Never("put the lists into one file and name it by sslcrl"),
    "sslkeylogfile": _Never("leave it out, and set the variable SSLKEYLOGFILE while you look for a fault"),
    **dict.fromkeys(("krbsrvname", "gsslib"), _KERBEROS),
    **dict.fromkeys(("scram_client_key", "scram_server_key"), _Never("set the password")),
    **dict.fromkeys(("oauth_issuer", "oauth_client_id", "oauth_client_secret", "oauth_scope"), _OAUTH),
}


# The words that the driver compares to the letter.
_SPELT: Mapping[str, Mapping[str, str]] = {
    "sslmode": {word.lower(): word for word in MODES},
    "sslnegotiation": {word: word for word in NEGOTIATIONS},
    "target_session_attrs": {word: word for word in ATTRIBUTES},
    "ssl_min_protocol_version": {word.lower(): word for word in TLS_VERSIONS},
    "ssl_max_protocol_version": {word.lower(): word for word in TLS_VERSIONS},
}


def honoured(parameter: str, value: str, *, called: str) -> str:
    """The value as the driver spells it, whatever its letters' case was. ParameterRefused unless this value of the
    parameter is honoured. `called` is the name that it was given by."""
    heed = _PARAMETERS.get(parameter)
    if heed is None:
        near = get_close_matches(parameter, _PARAMETERS, n=1)
        meant = f"did you mean {near[0]}?" if near else "a setting of the server is written options=-c%20name%3Dvalue"
        raise ParameterRefused(repr(parameter)[1:-1][:60], f"PostgreSQL's addresses have no such parameter; {meant}")
    if parameter not in _SECRET and not value.isprintable():
        raise ParameterRefused(called, "it has a character that cannot be part of it")
    heed(called, value)
    return _SPELT.get(parameter, {}).get(value.lower(), value)
