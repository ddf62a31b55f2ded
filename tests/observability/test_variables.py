"""The standard `OTEL_*` variables: each means what it says, or is refused by its name."""

import re
from pathlib import Path
from types import ModuleType

import pytest
from opentelemetry import environment_variables as of_the_api
from opentelemetry.sdk import environment_variables as of_the_sdk

from service.observability import variables
from service.observability.exporting import destination
from service.observability.telemetry import open_telemetry
from service.observability.variables import (
    GRPC,
    HTTP,
    SIGNALS,
    VariableRefused,
    checked,
    forget_the_empty,
    given,
    unheeded,
)
from tests.support.networked_postgres import make_certificates
from tests.support.otlp import Collector, running_collector

# What no check is needed for: any text is a value.
TEXTS = {"OTEL_SERVICE_NAME", "OTEL_TRACES_SAMPLER_ARG"}
AT = "http://127.0.0.1:4318"


def names(module: ModuleType) -> set[str]:
    return {value for name, value in vars(module).items() if name.lstrip("_").startswith("OTEL_")}


def test_every_variable_that_the_sdk_knows_is_checked_or_told_to_change_nothing() -> None:
    known = names(of_the_api) | names(of_the_sdk)

    left = {name for name in known if name not in variables.CHECKS and not unheeded({name: "1"})} - TEXTS

    assert len(known) > 80
    assert left == set()


@pytest.mark.parametrize("empty", ["", " ", "\t"])
def test_an_empty_variable_is_one_that_is_not_set(empty: str) -> None:
    environ = dict.fromkeys(names(of_the_api) | names(of_the_sdk), empty) | {"PATH": ""}

    assert checked(environ) == {}
    forget_the_empty(environ)

    assert environ == {"PATH": ""}


def test_blanks_around_a_value_are_no_part_of_it() -> None:
    environ = {"OTEL_TRACES_SAMPLER": " always_off\n", "OTEL_SDK_DISABLED": " TRUE "}

    assert checked(environ) == {"OTEL_TRACES_SAMPLER": "always_off", "OTEL_SDK_DISABLED": "TRUE"}
    forget_the_empty(environ)

    assert environ == {"OTEL_TRACES_SAMPLER": "always_off", "OTEL_SDK_DISABLED": "TRUE"}


def test_a_word_in_capitals_is_the_word_also_where_the_sdk_reads_it() -> None:
    environ = {"OTEL_METRICS_EXEMPLAR_FILTER": "TRACE_BASED"}

    assert checked(environ) == {"OTEL_METRICS_EXEMPLAR_FILTER": "trace_based"}
    forget_the_empty(environ)

    assert environ == {"OTEL_METRICS_EXEMPLAR_FILTER": "trace_based"}


FAULTS = [
    *[(f"OTEL_{signal}_EXPORTER", value) for signal in SIGNALS for value in ("console", "zipkin", "otlp,none", "1")],
    ("OTEL_TRACES_EXPORTER", "prometheus"),
    *[(f"OTEL_EXPORTER_OTLP_{part}PROTOCOL", value) for part in ("", "LOGS_") for value in ("http/json", "http", "1")],
    *[
        (f"OTEL_EXPORTER_OTLP_{part}ENDPOINT", value)
        for part in ("", "TRACES_", "METRICS_", "LOGS_")
        for value in (
            "collector:4317",
            "collector",
            "//collector:4317",
            "grpc://collector:4317",
            "unix:///run/otlp.sock",
            "http://",
            "http://:4318",
            "http://collector:web",
            "http://collector:65536",
            "http://collector:-1",
            "http://collector:0",
            "http://[::1:4318",
            "http://a b:4318",
            "http://a..b:4318",
            f"http://{'a' * 64}:4318",
            "http://collector:4318/#part",
            "http://collector:4317?key=1",
        )
    ],
    *[
        (f"OTEL_EXPORTER_OTLP_{part}TIMEOUT", value)
        for part in ("", "LOGS_")
        for value in ("soon", "0", "-1", "nan", "10000", "1e3")
    ],
    *[("OTEL_EXPORTER_OTLP_COMPRESSION", value) for value in ("br", "yes")],
    *[("OTEL_EXPORTER_OTLP_HEADERS", value) for value in ("token", "=1", "a b=1", "a=ü", "a=%0A")],
    *[("OTEL_EXPORTER_OTLP_HEADERS", value) for value in ("a%20b=1", "a=b;c", "a=b\\c", 'a=b"c')],
    *[("OTEL_RESOURCE_ATTRIBUTES", value) for value in ("prod", "=prod", "a=1,b")],
    *[("OTEL_SDK_DISABLED", value) for value in ("yes", "1", "on")],
    *[("OTEL_PROPAGATORS", value) for value in ("b3", "none", "jaeger", "tracecontext,b3", "baggage")],
    *[("OTEL_TRACES_SAMPLER", value) for value in ("jaeger_remote", "xray", "0.5", "parentbased_")],
    *[(name, value) for name in sorted(variables.CHECKS) if name.endswith(("_DELAY", "_SIZE", "_INTERVAL", "_LIMIT"))
      for value in ("many", "-1", "1.5", "9" * 30, "٣")],
    *[("OTEL_METRICS_EXEMPLAR_FILTER", "some"), ("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", "some")],
    ("OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION", "some"),
    *[("OTEL_PYTHON_CONTEXT", "none"), ("OTEL_PYTHON_ID_GENERATOR", "xray"), ("OTEL_PYTHON_TRACER_PROVIDER", "x")],
    ("OTEL_EXPERIMENTAL_RESOURCE_DETECTORS", "none"),
    ("OTEL_CONFIG_FILE", "/etc/otel.yaml"),
    ("OTEL_PYTHON_EXPORTER_OTLP_HTTP_CREDENTIAL_PROVIDER", "mine"),
    ("OTEL_PYTHON_EXPORTER_OTLP_GRPC_RETRYABLE_ERROR_CODES", "LOST"),
    *[("OTEL_PYTHON_FASTAPI_EXCLUDED_URLS", value) for value in ("(", f"a{{{'9' * 20}}}")],
    *[
        (f"OTEL_EXPORTER_OTLP_{part}{what}", value)
        for part in ("", "TRACES_")
        for what in ("CERTIFICATE", "CLIENT_CERTIFICATE", "CLIENT_KEY")
        for value in ("/nowhere/ca.pem", "/tmp")  # noqa: S108  # a directory
    ],
]  # fmt: skip


@pytest.mark.parametrize(("name", "value"), FAULTS)
def test_a_value_that_cannot_be_meant_is_one_sentence_with_its_variable(name: str, value: str) -> None:
    with pytest.raises(VariableRefused) as refused:
        checked({name: value})

    (sentence,) = str(refused.value).splitlines()
    assert sentence.startswith(f"{name}: ")
    assert sentence.endswith(".")


@pytest.mark.parametrize(
    ("environ", "name"),
    [
        ({"OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": "often"}, "OTEL_TRACES_SAMPLER_ARG"),
        *[
            ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4317", name: f"{header}=1"}, name)
            for name in ("OTEL_EXPORTER_OTLP_HEADERS", "OTEL_EXPORTER_OTLP_LOGS_HEADERS")
            for header in ("x!y", "grpc-x", "x-bin")
        ],
        ({"OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": "1.1"}, "OTEL_TRACES_SAMPLER_ARG"),
        ({"OTEL_TRACES_SAMPLER": "TraceIdRatio", "OTEL_TRACES_SAMPLER_ARG": "nan"}, "OTEL_TRACES_SAMPLER_ARG"),
        ({"OTEL_BSP_MAX_QUEUE_SIZE": "10", "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "11"}, "OTEL_BSP_MAX_EXPORT_BATCH_SIZE"),
        (
            {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4317", "OTEL_EXPORTER_OTLP_COMPRESSION": "deflate"},
            "OTEL_EXPORTER_OTLP_COMPRESSION",
        ),
        (
            {"OTEL_EXPORTER_OTLP_LOGS_ENDPOINT": "https://c?x=1", "OTEL_EXPORTER_OTLP_PROTOCOL": "GRPC"},
            "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT",
        ),
    ],
)  # fmt: skip
def test_values_that_do_not_go_together_are_one_sentence(environ: dict[str, str], name: str) -> None:
    with pytest.raises(VariableRefused, match=rf"\A{name}: [^\n]*\.\Z"):
        checked(environ)


def test_a_client_s_key_without_its_certificate_or_with_another_is_refused(tmp_path: Path) -> None:
    make_certificates(tmp_path)
    key, certificate, other = (str(tmp_path / name) for name in ("server.key", "server.pem", "client.pem"))

    assert checked({"OTEL_EXPORTER_OTLP_CLIENT_KEY": key, "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE": certificate})
    for environ in (
        {"OTEL_EXPORTER_OTLP_CLIENT_KEY": key},
        {"OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE": certificate},
        {"OTEL_EXPORTER_OTLP_CLIENT_KEY": key, "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE": other},
    ):
        with pytest.raises(VariableRefused, match=r"^OTEL_EXPORTER_OTLP_CLIENT_(KEY|CERTIFICATE): "):
            checked(environ)


@pytest.mark.parametrize(
    ("written", "sent_to"),
    [
        ("http://c:4318", "http://c:4318/v1/traces"),
        ("http://c:4318/", "http://c:4318/v1/traces"),
        ("http://c:4318/otlp/", "http://c:4318/otlp/v1/traces"),
        ("http://c:4318?key=1&b=/x", "http://c:4318/v1/traces?key=1&b=/x"),
        ("https://c/otlp?key=a%2Fb", "https://c/otlp/v1/traces?key=a%2Fb"),
    ],
)
def test_a_query_in_the_endpoint_stays_one(written: str, sent_to: str) -> None:
    to = destination("traces", checked({"OTEL_EXPORTER_OTLP_ENDPOINT": written}))
    own = destination("traces", checked({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": written}))

    assert to is not None
    assert to.endpoint == sent_to
    assert own is not None
    assert own.endpoint == written, "what is written for one signal is the whole of it"


@pytest.mark.parametrize(
    ("at", "said", "spoken"),
    [
        ("http://c:4318", None, HTTP),
        ("http://c", None, HTTP),
        ("https://c:443/otlp", None, HTTP),
        ("http://c:14317", None, HTTP),
        ("http://c:4317", None, GRPC),
        ("https://c:4317", None, GRPC),
        ("http://[::1]:4317", None, GRPC),
        ("http://c:4317", "http/protobuf", HTTP),
        ("http://c:4318", "grpc", GRPC),
        ("http://c:4318", "GRPC", GRPC),
    ],
)
def test_the_protocol_is_what_was_said_and_otherwise_http_but_on_the_port_of_grpc(
    at: str, said: str | None, spoken: str
) -> None:
    for part in ("", "LOGS_"):
        environ = {f"OTEL_EXPORTER_OTLP_{part}ENDPOINT": at}
        environ |= {} if said is None else {f"OTEL_EXPORTER_OTLP_{part}PROTOCOL": said}

        logs, traces = destination("logs", checked(environ)), destination("traces", checked(environ))

        assert logs is not None
        assert logs.protocol == spoken
        assert logs.endpoint == (f"{at}/v1/logs" if spoken == HTTP and not part else at)
        assert (traces is None) == bool(part)


@pytest.mark.parametrize(
    ("value", "sent"),
    [("NONE", False), ("none", False), ("OTLP", True), ("prometheus", False), ("otlp, prometheus", True)],
)
def test_an_exporter_means_what_it_says(value: str, *, sent: bool) -> None:
    said = checked({"OTEL_METRICS_EXPORTER": value, "OTEL_EXPORTER_OTLP_ENDPOINT": AT})

    assert (destination("metrics", said) is not None) == sent


def test_what_is_set_for_one_signal_wins_over_what_is_for_all_and_reaches_the_exporter() -> None:
    said = checked(
        {
            "OTEL_EXPORTER_OTLP_ENDPOINT": AT,
            "OTEL_EXPORTER_OTLP_HEADERS": "authorization=Bearer%20all",
            "OTEL_EXPORTER_OTLP_TRACES_HEADERS": "Authorization=Bearer%20own,x-more=1",
            "OTEL_EXPORTER_OTLP_TIMEOUT": "7",
            "OTEL_EXPORTER_OTLP_TRACES_TIMEOUT": "0.5",
            "OTEL_EXPORTER_OTLP_COMPRESSION": "GZIP",
            "OTEL_EXPORTER_OTLP_TRACES_COMPRESSION": "none",
        }
    )

    traces, logs = destination("traces", said), destination("logs", said)
    assert traces is not None
    assert logs is not None
    assert (traces.timeout, traces.compression) == (0.5, "none")
    assert traces.headers == {"authorization": "Bearer own", "x-more": "1"}
    assert (logs.timeout, logs.compression) == (7, "gzip")
    assert logs.headers == {"authorization": "Bearer all"}
    assert "Bearer" not in repr(traces)


@pytest.mark.parametrize("protocol", ["grpc", "http/protobuf"])
@pytest.mark.parametrize("compression", ["none", "gzip"])
async def test_telemetry_arrives_however_it_is_asked_for(protocol: str, compression: str) -> None:
    with running_collector() as collector:
        environ = collector.environ(
            protocol,
            OTEL_EXPORTER_OTLP_COMPRESSION=compression,
            OTEL_EXPORTER_OTLP_TIMEOUT=" 5 ",
            OTEL_EXPORTER_OTLP_CERTIFICATE="",
            OTEL_BSP_MAX_QUEUE_SIZE="2",
            OTEL_BLRP_MAX_QUEUE_SIZE="2",
            OTEL_SERVICE_NAME=" named ",
            OTEL_TRACES_SAMPLER="PARENTBASED_ALWAYS_ON",
        )
        async with open_telemetry(role="serve", version="1", environ=environ) as telemetry:
            telemetry.tracer.start_span("work").end()

        assert collector.span("work").resource["service.name"] == "named"


async def test_nothing_is_opened_with_a_value_that_cannot_be_meant(collector: Collector) -> None:
    environ = collector.environ(OTEL_EXPORTER_OTLP_TIMEOUT="soon")

    with pytest.raises(VariableRefused, match=r"^OTEL_EXPORTER_OTLP_TIMEOUT: "):
        async with open_telemetry(role="serve", version="1", environ=environ):
            pass


def test_an_argument_that_no_sampler_takes_is_told() -> None:
    (sentence,) = unheeded({"OTEL_TRACES_SAMPLER_ARG": "0.1"})

    assert re.match(r"OTEL_TRACES_SAMPLER_ARG changes nothing: OTEL_TRACES_SAMPLER=", sentence)
    assert unheeded({"OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": "0.1"}) == []
    assert given({"RELEVO_PORT": "1"}) == {}
