"""Checks the standard `OTEL_*` variables at start, and explains each that is refused or has no effect.

An empty variable counts as not set, as the specification demands. A bad value is refused at start, because an exporter
that fails later fails silently, and the lack of telemetry is noticed only when it is needed.
"""

from collections.abc import Mapping, MutableMapping
from urllib.parse import urlsplit

from service.observability.values import (
    Check,
    authorities,
    component,
    endpoint,
    exporters,
    fault_of_pair,
    file,
    grpc_headers,
    headers,
    never,
    one_of,
    patterns,
    propagators,
    ratio,
    resource,
    sampler,
    seconds,
    statuses,
    whole,
)

PREFIX = "OTEL_"
SIGNALS = ("TRACES", "METRICS", "LOGS")
GRPC, HTTP = "grpc", "http/protobuf"
GRPC_PORT = 4317

SPANS_QUEUE, SPANS_BATCH = "OTEL_BSP_MAX_QUEUE_SIZE", "OTEL_BSP_MAX_EXPORT_BATCH_SIZE"
RECORDS_QUEUE, RECORDS_BATCH = "OTEL_BLRP_MAX_QUEUE_SIZE", "OTEL_BLRP_MAX_EXPORT_BATCH_SIZE"

_MAX_QUEUE_ITEMS = 1_000_000
_MAX_INTERVAL_MS = 3_600_000
_MAX_ATTRIBUTES = 2**31 - 1

_SAMPLER_ARGUMENT = "OTEL_TRACES_SAMPLER_ARG"
_EXEMPLARS = "OTEL_METRICS_EXEMPLAR_FILTER"
_AGGREGATION = "OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION"
_SMALL = frozenset([_EXEMPLARS, _AGGREGATION])  # the specification lets capitals be, the SDK does not


class VariableRefused(ValueError):
    """Some variables have bad values. One line for each: its name, the fault, what to do. Never the value of a
    header."""


def given(environ: Mapping[str, str]) -> dict[str, str]:
    """The `OTEL_*` variables that are set and not empty, stripped of blanks; words that the SDK takes in small letters
    only are in those."""
    stripped = {name: value.strip() for name, value in environ.items() if name.startswith(PREFIX)}
    return {name: value.lower() if name in _SMALL else value for name, value in stripped.items() if value}


def forget_the_empty(environ: MutableMapping[str, str]) -> None:
    """Remove empty `OTEL_*` variables from the process's environment. Call it first: libraries read the environment
    themselves, some while they are imported, and do not treat an empty variable as unset."""
    kept = given(environ)
    for name in [name for name in environ if name.startswith(PREFIX)]:
        if name in kept:
            environ[name] = kept[name]
        else:
            del environ[name]


def checked(environ: Mapping[str, str]) -> dict[str, str]:
    """The `OTEL_*` variables that are set. VariableRefused if one has a bad value."""
    said = given(environ)
    faults = [f"{name}: {fault}." for name, value in sorted(said.items()) if (fault := _fault(name, value))]
    faults += [f"{name}: {fault}." for name, fault in _faults_together(said)] if not faults else []
    if faults:
        raise VariableRefused("\n".join(faults))
    return said


def unheeded(environ: Mapping[str, str]) -> list[str]:
    """A sentence for each variable of the specification that has no effect here, naming what to set instead."""
    said = given(environ)
    sentences = [f"{name} changes nothing: {_UNHEEDED[name]}." for name in sorted(said) if name in _UNHEEDED]
    if _SAMPLER_ARGUMENT in said and not said.get("OTEL_TRACES_SAMPLER", "").lower().endswith("traceidratio"):
        sentences.append(
            f"{_SAMPLER_ARGUMENT} changes nothing: OTEL_TRACES_SAMPLER=parentbased_traceidratio is needed with it."
        )
    return sentences


def limits_spans(environ: Mapping[str, str]) -> bool:
    """Whether the number or length of what a span may hold is limited, which only the SDK's own spans heed."""
    return any(name.endswith(("_COUNT_LIMIT", "_LENGTH_LIMIT")) for name in environ)


def of_signal(signal: str, what: str, environ: Mapping[str, str]) -> tuple[str, str | None]:
    """Name and value of the exporter's variable for one signal, or of the one for all signals where that is not set."""
    own, shared = f"OTEL_EXPORTER_OTLP_{signal}_{what}", f"OTEL_EXPORTER_OTLP_{what}"
    name = own if own in environ else shared
    return name, environ.get(name)


def protocol(signal: str, environ: Mapping[str, str]) -> str:
    """The signal's protocol. The specification's default is HTTP; on gRPC's own port (4317) the default is gRPC."""
    _, said = of_signal(signal, "PROTOCOL", environ)
    _, place = of_signal(signal, "ENDPOINT", environ)
    return said.lower() if said else GRPC if urlsplit(place or "").port == GRPC_PORT else HTTP


def _fault(name: str, value: str) -> str | None:
    check = CHECKS.get(name)
    if check is None and name.endswith("_EXCLUDED_URLS"):
        check = patterns
    return check(value) if check else None


def _faults_together(said: Mapping[str, str]) -> list[tuple[str, str]]:
    """Faults of values that are valid alone and not together."""
    faults = []
    for batch, queue, usual in ((SPANS_BATCH, SPANS_QUEUE, 8192), (RECORDS_BATCH, RECORDS_QUEUE, 8192)):
        most = int(said.get(queue, usual))
        if batch in said and int(said[batch]) > most:
            faults.append((batch, f"a batch has to fit into the queue ({queue}), which takes {most}"))
    if said.get("OTEL_TRACES_SAMPLER", "").lower().endswith("traceidratio") and (
        fault := ratio(said.get(_SAMPLER_ARGUMENT, "1"))
    ):
        faults.append((_SAMPLER_ARGUMENT, fault))
    for signal in SIGNALS:
        faults += _faults_of_signal(signal, said)
    return list(dict.fromkeys(faults))


def _faults_of_signal(signal: str, said: Mapping[str, str]) -> list[tuple[str, str]]:
    faults = []
    key_name, key = of_signal(signal, "CLIENT_KEY", said)
    certificate_name, certificate = of_signal(signal, "CLIENT_CERTIFICATE", said)
    if key and not certificate:
        faults.append((key_name, "a key needs its certificate (OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE)"))
    if certificate:
        faults += [(certificate_name, fault) for fault in fault_of_pair(certificate, key)]
    return faults + _faults_of_protocol(signal, said)


def _faults_of_protocol(signal: str, said: Mapping[str, str]) -> list[tuple[str, str]]:
    endpoint_name, place = of_signal(signal, "ENDPOINT", said)
    compression_name, compression = of_signal(signal, "COMPRESSION", said)
    if place is None or protocol(signal, said) != GRPC:
        return []
    faults = []
    if urlsplit(place).query:
        faults.append((endpoint_name, f"gRPC has no query; leave it out, or set the protocol to {HTTP}"))
    if (compression or "").lower() == "deflate":
        faults.append((compression_name, "gRPC supports gzip only; set it to gzip or none"))
    headers_name, sent = of_signal(signal, "HEADERS", said)
    if fault := grpc_headers(sent or ""):
        faults.append((headers_name, fault))
    return faults


def _for_each_signal(what: str, check: Check) -> dict[str, Check]:
    return {f"OTEL_EXPORTER_OTLP_{part}{what}": check for part in ("", *(f"{signal}_" for signal in SIGNALS))}


_BOOLEAN = one_of("true", "false")
_COUNT = whole(0, _MAX_ATTRIBUTES, or_none=True)
_QUEUE = whole(1, _MAX_QUEUE_ITEMS)
_MILLISECONDS = whole(1, _MAX_INTERVAL_MS, " milliseconds")

CHECKS: Mapping[str, Check] = {
    "OTEL_SDK_DISABLED": _BOOLEAN,
    "OTEL_CONFIG_FILE": never("set the variables in place of the file"),
    "OTEL_RESOURCE_ATTRIBUTES": resource,
    "OTEL_EXPERIMENTAL_RESOURCE_DETECTORS": component("opentelemetry_resource_detector"),
    "OTEL_PROPAGATORS": propagators,
    "OTEL_TRACES_SAMPLER": sampler,
    **{f"OTEL_{signal}_EXPORTER": exporters(signal) for signal in SIGNALS},
    **_for_each_signal("ENDPOINT", endpoint),
    **_for_each_signal("PROTOCOL", one_of(GRPC, HTTP)),
    **_for_each_signal("HEADERS", headers),
    **_for_each_signal("TIMEOUT", seconds),
    **_for_each_signal("COMPRESSION", one_of("none", "gzip", "deflate")),
    **_for_each_signal("INSECURE", _BOOLEAN),
    **_for_each_signal("CERTIFICATE", authorities),
    **_for_each_signal("CLIENT_CERTIFICATE", file),
    **_for_each_signal("CLIENT_KEY", file),
    **dict.fromkeys((SPANS_QUEUE, SPANS_BATCH, RECORDS_QUEUE, RECORDS_BATCH), _QUEUE),
    **{
        f"OTEL_{kind}_{what}": _MILLISECONDS
        for kind in ("BSP", "BLRP")
        for what in ("SCHEDULE_DELAY", "EXPORT_TIMEOUT")
    },
    "OTEL_METRIC_EXPORT_INTERVAL": _MILLISECONDS,
    "OTEL_METRIC_EXPORT_TIMEOUT": _MILLISECONDS,
    _EXEMPLARS: one_of("trace_based", "always_on", "always_off"),
    "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE": one_of("cumulative", "delta", "lowmemory"),
    _AGGREGATION: one_of("explicit_bucket_histogram", "base2_exponential_bucket_histogram"),
    **dict.fromkeys(
        (
            "OTEL_ATTRIBUTE_COUNT_LIMIT",
            "OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT",
            "OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT",
            "OTEL_LINK_ATTRIBUTE_COUNT_LIMIT",
            "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT",
            "OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT",
            "OTEL_SPAN_EVENT_COUNT_LIMIT",
            "OTEL_SPAN_LINK_COUNT_LIMIT",
        ),
        _COUNT,
    ),
    "OTEL_PYTHON_SDK_INTERNAL_METRICS_ENABLED": _BOOLEAN,
    "OTEL_PYTHON_CONTEXT": component("opentelemetry_context"),
    "OTEL_PYTHON_ID_GENERATOR": one_of("random"),
    **{
        f"OTEL_PYTHON_EXPORTER_OTLP_{part}CREDENTIAL_PROVIDER": never("name files by OTEL_EXPORTER_OTLP_CERTIFICATE")
        for kind in ("HTTP", "GRPC")
        for part in (f"{kind}_", *(f"{kind}_{signal}_" for signal in SIGNALS))
    },
    "OTEL_PYTHON_EXPORTER_OTLP_GRPC_RETRYABLE_ERROR_CODES": statuses,
    **{f"OTEL_PYTHON_{kind}_PROVIDER": never("leave it out") for kind in ("TRACER", "METER", "LOGGER")},
    "OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_SANITIZE_FIELDS": patterns,
}

_UNHEEDED: Mapping[str, str] = {
    **dict.fromkeys(_for_each_signal("INSECURE", _BOOLEAN), "the endpoint's http:// or https:// does"),
    **dict.fromkeys(("OTEL_BSP_EXPORT_TIMEOUT", "OTEL_BLRP_EXPORT_TIMEOUT"), "OTEL_EXPORTER_OTLP_TIMEOUT does"),
    "OTEL_LOG_LEVEL": "RELEVO_LOG_LEVEL does",
    "OTEL_PYTHON_LOGGING_AUTO_INSTRUMENTATION_ENABLED": "Relevo exports its log without it",
    "OTEL_EXPORTER_PROMETHEUS_HOST": "RELEVO_HOST does",
    "OTEL_EXPORTER_PROMETHEUS_PORT": "RELEVO_OPS_PORT does",
    "OTEL_EXPORTER_ZIPKIN_ENDPOINT": "there is no exporter for Zipkin",
    "OTEL_EXPORTER_ZIPKIN_TIMEOUT": "there is no exporter for Zipkin",
    "OTEL_LOGRECORD_ATTRIBUTE_COUNT_LIMIT": "Relevo's log records are short and not cut",
    "OTEL_LOGRECORD_ATTRIBUTE_VALUE_LENGTH_LIMIT": "Relevo's log records are short and not cut",
    **{f"OTEL_PYTHON_{kind}_CONFIGURATOR": "leave it out" for kind in ("TRACER", "METER", "LOGGER")},
}
