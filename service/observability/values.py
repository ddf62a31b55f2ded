"""Checks of single `OTEL_*` values. A check returns what is wrong with the value and what to do, or None."""

import re
import ssl
import warnings
from collections.abc import Callable
from importlib.metadata import entry_points
from pathlib import Path
from urllib.parse import SplitResult, unquote, urlsplit

Check = Callable[[str], str | None]

_MAX_TIMEOUT_S = 300
_PARENT_BASED = "parentbased_"
_ROOTS = ("always_on", "always_off", "traceidratio")
_GRPC_STATUSES = frozenset(
    [
        "CANCELLED",
        "UNKNOWN",
        "INVALID_ARGUMENT",
        "DEADLINE_EXCEEDED",
        "NOT_FOUND",
        "ALREADY_EXISTS",
        "PERMISSION_DENIED",
        "UNAUTHENTICATED",
        "RESOURCE_EXHAUSTED",
        "FAILED_PRECONDITION",
        "ABORTED",
        "OUT_OF_RANGE",
        "UNIMPLEMENTED",
        "INTERNAL",
        "UNAVAILABLE",
        "DATA_LOSS",
    ]
)
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
# What the library takes as it is; of anything else it drops the whole header, and writes it to the log.
_HEADER_VALUE = re.compile(r"[ !#-+\--:<-\[\]-~]*")
_GRPC_NAME = re.compile(r"(?!grpc-)[0-9a-z_.-]+(?<!-bin)")


def one_of(*values: str, instead: str = "") -> Check:
    def check(value: str) -> str | None:
        if value.lower() in values:
            return None
        choices = " or ".join(values)
        return f"{value!r} is not one of its values; {instead or f'set it to {choices}'}"

    return check


def whole(least: int, most: int, unit: str = "", *, or_none: bool = False) -> Check:
    def check(value: str) -> str | None:
        if or_none and value.lower() == "none":
            return None
        number = int(value) if value.isascii() and value.isdigit() and len(value) <= 12 else -1
        return None if least <= number <= most else f"it has to be a whole number from {least} to {most}{unit}"

    return check


def seconds(value: str) -> str | None:
    number = _number(value)
    fits = number is not None and 0 < number <= _MAX_TIMEOUT_S
    return None if fits else f"it has to be a number of seconds, more than 0 and at most {_MAX_TIMEOUT_S}"


def _number(value: str) -> float | None:
    return float(value) if re.fullmatch(r"\d{1,12}(\.\d{0,12})?|\.\d{1,12}", value, re.ASCII) else None


def ratio(value: str) -> str | None:
    number = _number(value)
    return None if number is not None and number <= 1 else "it has to be a number from 0 to 1, such as 0.1"


def exporters(signal: str) -> Check:
    known = ("otlp", "none", "prometheus") if signal == "METRICS" else ("otlp", "none")

    def check(value: str) -> str | None:
        named = [part.strip().lower() for part in value.split(",")]
        for name in named:
            if name not in known:
                return f"Relevo has no exporter {name!r}; set it to {' or '.join(known)}"
        return "none cannot be combined with another exporter" if "none" in named and len(named) > 1 else None

    return check


def sampler(value: str) -> str | None:
    known = [*_ROOTS, *(f"{_PARENT_BASED}{root}" for root in _ROOTS)]
    return None if value.lower() in known else f"there is no sampler {value!r}; set it to {' or '.join(known)}"


def propagators(value: str) -> str | None:
    named = {part.strip().lower() for part in value.split(",")}
    fits = "tracecontext" in named and named <= {"tracecontext", "baggage"}
    return None if fits else "Relevo supports W3C trace context only; set it to tracecontext"


def endpoint(value: str) -> str | None:
    try:
        parts = urlsplit(value)
        port = parts.port
    except ValueError:
        return "it is not a URL, or its port is not one; write it as http://collector:4318"
    if parts.scheme.lower() not in {"http", "https"}:
        return "it has to begin with http:// or https://"
    return _fault_of_place(value, parts, port)


def _fault_of_place(value: str, parts: SplitResult, port: int | None) -> str | None:
    if not parts.hostname or not _is_host(parts.hostname):
        return "its host is not a valid name; write it as http://collector:4318"
    if port == 0:
        return "its port is not one; write it as http://collector:4318"
    if not value.isprintable() or " " in value:
        return "it contains blanks or unprintable characters; remove them"
    return (
        "it has a fragment (#), which is for browsers; leave it out" if parts.fragment or value.endswith("#") else None
    )


def _is_host(name: str) -> bool:
    if ":" in name:
        return True  # an IPv6 address, which urlsplit has checked
    labels = name.removesuffix(".").split(".")
    return all(re.fullmatch(r"[^\s/?#@\\%]{1,63}", label) for label in labels) and len(name) <= 253


def headers(value: str) -> str | None:
    for part in value.split(","):
        name, separator, said = part.partition("=")
        if part.strip() and not (separator and all(map(_HEADER_NAME.fullmatch, (name.strip(), unquote(name).strip())))):
            return "it has to be name=value, several separated by commas"
        if not _HEADER_VALUE.fullmatch(said.strip()):
            return "a value in it has a character that has to be written as its code, such as %3B for a semicolon"
        if not all(" " <= character <= "~" for character in unquote(said.strip())):
            return "a value in it has characters that a header cannot have"
    return None


def grpc_headers(value: str) -> str | None:
    """What gRPC cannot send of headers that are sound otherwise."""
    for part in value.split(","):
        name = unquote(part.partition("=")[0]).strip().lower()
        if name and not _GRPC_NAME.fullmatch(name):
            return (
                f"gRPC has no header {name!r}; rename it to letters, digits, dots, hyphens and underscores, without "
                "grpc- before and -bin behind"
            )
    return None


def resource(value: str) -> str | None:
    for part in value.split(","):
        name, separator, _ = part.partition("=")
        if part.strip() and not (separator and name.strip()):
            return "it has to be name=value, several separated by commas"
    return None


def file(value: str) -> str | None:
    try:
        with Path(value).open("rb"):
            return None
    except OSError as error:
        return f"{value!r} cannot be read: {error.strerror}"


def authorities(value: str) -> str | None:
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cafile=value)
    except ssl.SSLError:
        return f"{value!r} has no certificate in it"
    except OSError as error:
        return f"{value!r} cannot be read: {error.strerror}"
    return None


def component(group: str) -> Check:
    def check(value: str) -> str | None:
        names = [part.strip() for part in value.split(",")]
        missing = [name for name in names if name != "*" and not entry_points(group=group, name=name)]
        return f"no installed package has {missing[0]!r}; leave it out" if missing else None

    return check


def patterns(value: str) -> str | None:
    for part in value.split(","):
        try:
            with warnings.catch_warnings(action="ignore"):  # of what a later Python may read otherwise
                re.compile(part)
        except (re.error, RecursionError, OverflowError):
            return f"{part!r} is not a regular expression"
    return None


def statuses(value: str) -> str | None:
    unknown = [part for part in value.upper().split(",") if part.strip() and part.strip() not in _GRPC_STATUSES]
    return f"gRPC has no status {unknown[0].strip()!r}" if unknown else None


def never(instead: str) -> Check:
    return lambda _: f"Relevo does not support it; {instead}"


def fault_of_pair(certificate: str, key: str | None) -> list[str]:
    try:
        # Without a password function the library would prompt at the terminal.
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_cert_chain(certificate, key, lambda: "")
    except (ssl.SSLError, OSError):
        return [f"{certificate!r} and its key cannot be used together, or one of them is not PEM without a password"]
    return []
