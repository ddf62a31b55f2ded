"""The settings, group by group. Each field carries the environment variable that sets it."""

from pathlib import Path
from typing import Annotated

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationInfo,
    field_validator,
)

from service.environment import Variable
from service.settings.values import (
    Delay,
    Family,
    Level,
    Network,
    Port,
    is_web_address,
    json_list,
    keys,
    lower,
    networks,
    refuse_short_secret,
    refuse_unusable_address,
    refuse_what_is_no_host,
    refuse_what_is_no_origin,
    split,
)


class _Group(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)


class Server(_Group):
    """Where the API listens."""

    host: Annotated[str, Variable("RELEVO_HOST", "Address the API listens on.", example="0.0.0.0")] = "127.0.0.1"  # noqa: S104  # an example, not a default
    port: Annotated[Port, Variable("RELEVO_PORT", "Port the API listens on.", example="8000")] = 8000
    ops_port: Annotated[
        Port | None,
        Variable(
            "RELEVO_OPS_PORT",
            "Port of its own for probes and `/metrics`. The only one a worker has.",
            example="9464",
        ),
    ] = None
    cors_origins: Annotated[
        tuple[str, ...],
        BeforeValidator(split),
        Variable(
            "RELEVO_CORS_ORIGINS",
            "Origins (separated by commas) whose pages may call the API from a browser.",
            example="https://console.example.com",
            shown="none",
        ),
    ] = ()
    public_url: Annotated[
        str | None,
        Variable(
            "RELEVO_PUBLIC_URL",
            "Where callers reach this server; links that are given out begin with it.",
            example="https://relevo.example.com",
            shown="the request's own host",
        ),
    ] = None

    @field_validator("public_url")
    @classmethod
    def _is_base_url(cls, value: str | None) -> str | None:
        if value is None:
            return None
        if not value.startswith(("https://", "http://")) or any(mark in value for mark in "?# @"):
            raise ValueError("it is a URL with http:// or https://, without a query, a user or blanks")
        return value.rstrip("/")

    @field_validator("host")
    @classmethod
    def _is_host(cls, value: str) -> str:
        refuse_what_is_no_host(value)
        return value

    @field_validator("cors_origins")
    @classmethod
    def _are_origins(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for origin in value:
            refuse_what_is_no_origin(origin)
        return value


class Oidc(_Group):
    """The OpenID Connect issuer whose tokens are accepted besides our own."""

    issuer: Annotated[
        str | None,
        Variable(
            "RELEVO_OIDC_ISSUER",
            "OpenID Connect issuer whose tokens (RS256, ES256, EdDSA) are taken besides our own.",
            example="https://login.example.com/realms/main",
        ),
    ] = None
    audience: Annotated[
        str | None,
        Variable(
            "RELEVO_OIDC_AUDIENCE", "What such a token's `aud` has to name; required with an issuer.", example="relevo"
        ),
    ] = None
    org_claim: Annotated[
        str, Variable("RELEVO_OIDC_ORG_CLAIM", "Claim that names the organisation, as `org_...`.", example="org_id")
    ] = "org"
    role_claim: Annotated[
        str,
        Variable("RELEVO_OIDC_ROLE_CLAIM", "Claim with the role: `admin`, `writer` or `reader`.", example="roles"),
    ] = "role"

    @field_validator("issuer")
    @classmethod
    def _is_web_address(cls, value: str | None) -> str | None:
        if value is not None and not is_web_address(value):
            raise ValueError("an issuer is a URL")
        return value

    @field_validator("audience")
    @classmethod
    def _goes_with_issuer(cls, value: str | None, info: ValidationInfo) -> str | None:
        if value is None and info.data.get("issuer") is not None:
            raise ValueError("with an issuer it has to be set: only tokens for this audience are accepted")
        return value


class Storage(_Group):
    """Where state is stored, and how long the audit trail is kept."""

    data_dir: Annotated[
        Path,
        Variable(
            "RELEVO_DATA_DIR",
            "Directory of the embedded PostgreSQL and of generated secrets.",
            example="/var/lib/relevo",
        ),
    ] = Path(".relevo")
    audit_days: Annotated[
        int,
        Field(ge=1, le=36_500),
        Variable("RELEVO_AUDIT_DAYS", "Days that the audit trail is kept for.", example="365"),
    ] = 365
    database_url: Annotated[
        SecretStr | None,
        Variable(
            "RELEVO_DATABASE_URL",
            "Your own PostgreSQL instead of the embedded one.",
            example="postgresql://relevo:password@db.example.com/relevo",
            shown="embedded",
        ),
    ] = None

    database_direct_url: Annotated[
        SecretStr | None,
        Variable(
            "RELEVO_DATABASE_DIRECT_URL",
            "The same PostgreSQL past the pooler, where `RELEVO_DATABASE_URL` is a PgBouncer in transaction mode.",
            example="postgresql://relevo:password@db.example.com/relevo",
            shown="none",
        ),
    ] = None

    @field_validator("data_dir")
    @classmethod
    def _expand_home(cls, value: Path) -> Path:
        try:
            return value.expanduser()
        except RuntimeError:
            raise ValueError("there is no user of that name, so `~` has no directory; write the whole path") from None

    @field_validator("database_url", "database_direct_url")
    @classmethod
    def _is_postgresql(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None:
            refuse_unusable_address(value.get_secret_value())
        return value

    @field_validator("database_direct_url")
    @classmethod
    def _needs_database_url(cls, value: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        if value is not None and info.data.get("database_url", value) is None:
            raise ValueError("it needs the pooler's address in RELEVO_DATABASE_URL, which has to be set")
        return value


class Access(_Group):
    """The secrets. Generated in embedded mode, required with a database of your own."""

    jwt_secret: Annotated[
        SecretStr | None,
        Variable(
            "RELEVO_JWT_SECRET",
            "Signs and checks API tokens; 32 characters or more.",
            example="the output of `openssl rand -base64 48`",
            shown="generated when embedded",
        ),
    ] = None
    secret_key: Annotated[
        SecretStr | None,
        Variable(
            "RELEVO_SECRET_KEY",
            "Encrypts endpoint secrets in the database; 32 characters or more.",
            example="the output of `openssl rand -hex 32`",
            shown="generated when embedded",
        ),
    ] = None
    secret_keys: Annotated[
        tuple[SecretStr, ...],
        BeforeValidator(keys),
        Variable(
            "RELEVO_SECRET_KEYS",
            "Several such keys, by commas or as a JSON list, to replace one: the first encrypts, all decrypt.",
            example="the new key, a comma, the old key",
            shown="none",
        ),
    ] = ()

    @field_validator("jwt_secret", "secret_key")
    @classmethod
    def _is_long_enough(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None:
            refuse_short_secret(value.get_secret_value())
        return value

    @field_validator("secret_key")
    @classmethod
    def _is_one_key(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and "," in value.get_secret_value():
            raise ValueError("it is one key; several go into RELEVO_SECRET_KEYS")
        return value

    @field_validator("secret_keys")
    @classmethod
    def _are_long_enough(cls, value: tuple[SecretStr, ...], info: ValidationInfo) -> tuple[SecretStr, ...]:
        for key in value:
            refuse_short_secret(key.get_secret_value())
        only: SecretStr | None = info.data.get("secret_key")
        if value and only is not None and only.get_secret_value() != value[0].get_secret_value().strip():
            raise ValueError("its first key is not the one that RELEVO_SECRET_KEY names; set one of the two")
        return value


class Delivery(_Group):
    """How messages are sent. Times are in seconds."""

    retry_schedule: Annotated[
        tuple[Delay, ...],
        Field(max_length=50),
        BeforeValidator(json_list),
        Variable(
            "RELEVO_RETRY_SCHEDULE",
            "Seconds to wait before each retry, as a JSON list; its length is the number of retries.",
            example="[5, 300, 1800]",
            shown="`[5, 300, 1800, 7200, 18000, 36000, 36000]`",
        ),
    ] = (5, 300, 1800, 7200, 18_000, 36_000, 36_000)
    attempt_timeout: Annotated[
        float,
        Field(gt=0, le=300, allow_inf_nan=False),
        Variable(
            "RELEVO_ATTEMPT_TIMEOUT", "Seconds an attempt may take, from connecting to the last byte.", example="15"
        ),
    ] = 15
    lease_margin: Annotated[
        float,
        Field(ge=1, le=300, allow_inf_nan=False),
        Variable(
            "RELEVO_LEASE_MARGIN",
            "Seconds after an attempt's longest when another process takes over what a dead one left.",
            example="15",
        ),
    ] = 15
    drain: Annotated[
        float,
        Field(ge=0, le=300, allow_inf_nan=False),
        Variable(
            "RELEVO_DRAIN",
            "Seconds that requests, and then attempts, may take to finish "
            "after SIGTERM; attempts that do not are given back.",
            example="10",
        ),
    ] = 10
    disable_after: Annotated[
        float,
        Field(gt=0, le=3650 * 86_400, allow_inf_nan=False),
        Variable(
            "RELEVO_DISABLE_AFTER",
            "Seconds of nothing but failures after which an endpoint is disabled.",
            example="432000",
        ),
    ] = 432_000
    signature_headers: Annotated[
        tuple[Family, ...],
        Field(min_length=1),
        BeforeValidator(split),
        Variable(
            "RELEVO_SIGNATURE_HEADERS",
            "Families of signature headers to send: `webhook`, `svix` or both.",
            example="webhook",
        ),
    ] = ("webhook", "svix")
    egress_allow: Annotated[
        tuple[Network, ...],
        BeforeValidator(networks),
        Variable(
            "RELEVO_EGRESS_ALLOW",
            "Networks (CIDR, separated by commas) that may be called although they are private or reserved.",
            example="10.1.0.0/16,fd00::/8",
            shown="none",
        ),
    ] = ()
    concurrency: Annotated[
        int, Field(ge=1, le=4096), Variable("RELEVO_CONCURRENCY", "Attempts a process makes at once.", example="256")
    ] = 256
    per_endpoint: Annotated[
        int,
        Field(ge=1, le=4096),
        Variable("RELEVO_PER_ENDPOINT", "Attempts a process makes at once to the same endpoint.", example="16"),
    ] = 16


class EndpointRules(_Group):
    """Which endpoints are allowed."""

    https_only: Annotated[
        bool, Variable("RELEVO_ENDPOINT_HTTPS_ONLY", "Refuse endpoints whose URL is not `https://`.", example="true")
    ] = False


class Observability(_Group):
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
    admin_token: Annotated[
        SecretStr | None,
        Variable(
            "RELEVO_ADMIN_TOKEN",
            "Opens `/admin` to operators, beside the probes; 32 characters or more. Without it there is no `/admin`.",
            example="the output of `openssl rand -base64 48`",
            shown="none",
        ),
    ] = None

    @field_validator("trace_url")
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
