"""What the standard `OTEL_*` variables do not cover."""

from typing import Annotated

from pydantic import BeforeValidator, SecretStr, field_validator

from service.environment import Variable
from service.settings.values import Group, Level, is_web_address, lower, refuse_short_secret


class Observability(Group):
    """What the standard `OTEL_*` variables do not cover."""

    log_level: Annotated[
        Level,
        BeforeValidator(lower),
        Variable("RELEVO_LOG_LEVEL", "`debug`, `info`, `warning` or `error`.", example="info"),
    ] = "info"
    trace_url: Annotated[
        str | None,
        Variable(
            "RELEVO_TRACE_URL",
            "Where a trace is shown, with `{trace_id}` in its place; attempts then have a `traceUrl`.",
            example="https://jaeger.example.com/trace/{trace_id}",
        ),
    ] = None
    logs_url: Annotated[
        str | None,
        Variable(
            "RELEVO_LOGS_URL",
            "Where the log lines of a trace are searched, with `{trace_id}` in its place; the console links there.",
            example="https://logs.example.com/search?q={trace_id}",
        ),
    ] = None
    admin_token: Annotated[
        SecretStr | None,
        Variable(
            "RELEVO_ADMIN_TOKEN",
            "Opens `/admin` to operators, beside the probes; 32 characters or more. Without it there is no `/admin`.",
            example="the output of `openssl rand -base64 48`",
            shown="none",
        ),
    ] = None

    @field_validator("trace_url", "logs_url")
    @classmethod
    def _has_trace_placeholder(cls, value: str | None) -> str | None:
        if value is not None and ("{trace_id}" not in value or not is_web_address(value)):
            raise ValueError("it is a URL with {trace_id} where the trace's id belongs")
        return value

    @field_validator("admin_token")
    @classmethod
    def _is_long_enough(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None:
            refuse_short_secret(value.get_secret_value())
        return value
