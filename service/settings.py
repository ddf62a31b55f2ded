"""What can be set. Values only: the environment is read when `from_environment` is called, and by nobody else."""

import json
from collections.abc import Mapping
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    ValidationInfo,
    field_validator,
)
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from service.environment import Description, FlatEnvironment, Variable, describe, explain

Family = Literal["webhook", "svix"]
Level = Literal["debug", "info", "warning", "error"]
Network = IPv4Network | IPv6Network
Port = Annotated[int, Field(ge=0, le=65535)]
Delay = Annotated[float, Field(gt=0, le=30 * 86_400, allow_inf_nan=False)]

_SHORTEST_SECRET = 32


class SettingsError(Exception):
    """The environment does not make a configuration; the text names each variable, its fault and a value that works."""


def _split(value: object) -> object:
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


def _networks(value: object) -> object:
    return [ip_network(part.strip()) for part in value.split(",")] if isinstance(value, str) else value


def _json_list(value: object) -> object:
    if not isinstance(value, str):
        return value
    try:
        read = json.loads(value)
    except ValueError:
        read = None
    if not isinstance(read, list):
        raise ValueError("it is not a JSON list")  # noqa: TRY004  # pydantic reports a ValueError as the value's fault
    return read


def _lower(value: object) -> object:
    return value.lower() if isinstance(value, str) else value


def _refuse_unusable_address(url: str) -> None:
    if not url.startswith(("postgresql://", "postgres://", "postgresql+asyncpg://")):
        raise ValueError("only PostgreSQL will do, as postgresql://user:password@host/database")
    try:
        _ = urlsplit(url).port
    except ValueError:  # whose text might quote a part of the password
        raise ValueError("what should be the port is not one; is the password percent-encoded?") from None


def _keys(secret: SecretStr) -> tuple[str, ...]:
    return tuple(key.strip() for key in secret.get_secret_value().split(","))


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
        BeforeValidator(_split),
        Variable(
            "RELEVO_CORS_ORIGINS",
            "Origins (separated by commas) whose pages may call the API from a browser.",
            example="https://console.example.com",
            shown="none",
        ),
    ] = ()


class Oidc(_Group):
    """Whose tokens are taken besides our own."""

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
        if value is not None and not value.startswith(("https://", "http://")):
            raise ValueError("an issuer is a URL")
        return value

    @field_validator("audience")
    @classmethod
    def _goes_with_issuer(cls, value: str | None, info: ValidationInfo) -> str | None:
        if value is None and info.data.get("issuer") is not None:
            raise ValueError("an issuer's tokens are only taken when they are meant for Relevo, so it has to be set")
        return value


class Storage(_Group):
    """Where the state lives."""

    data_dir: Annotated[
        Path,
        Variable(
            "RELEVO_DATA_DIR",
            "Directory of the embedded PostgreSQL and of generated secrets.",
            example="/var/lib/relevo",
        ),
    ] = Path(".relevo")
    database_url: Annotated[
        SecretStr | None,
        Variable(
            "RELEVO_DATABASE_URL",
            "Your own PostgreSQL instead of the embedded one.",
            example="postgresql://relevo:password@db.example.com/relevo",
            shown="embedded",
        ),
    ] = None

    @field_validator("database_url")
    @classmethod
    def _is_postgresql(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None:
            _refuse_unusable_address(value.get_secret_value())
        return value


class Access(_Group):
    """The secrets. Each one is generated in embedded mode, and has to be set with a database of your own."""

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
            "Encrypts endpoint secrets in the database; 32 characters or more. Older keys may follow after commas.",
            example="the output of `openssl rand -hex 32`",
            shown="generated when embedded",
        ),
    ] = None

    @field_validator("jwt_secret", "secret_key")
    @classmethod
    def _is_long_enough(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and any(len(key) < _SHORTEST_SECRET for key in _keys(value)):
            raise ValueError(f"a secret needs at least {_SHORTEST_SECRET} characters")
        return value


class Delivery(_Group):
    """How messages are sent. Times are in seconds."""

    retry_schedule: Annotated[
        tuple[Delay, ...],
        Field(max_length=50),
        BeforeValidator(_json_list),
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
        BeforeValidator(_split),
        Variable(
            "RELEVO_SIGNATURE_HEADERS",
            "Families of signature headers to send: `webhook`, `svix` or both.",
            example="webhook",
        ),
    ] = ("webhook", "svix")
    egress_allow: Annotated[
        tuple[Network, ...],
        BeforeValidator(_networks),
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


class Endpoints(_Group):
    """What an endpoint may be."""

    https_only: Annotated[
        bool, Variable("RELEVO_ENDPOINT_HTTPS_ONLY", "Refuse endpoints whose URL is not `https://`.", example="true")
    ] = False


class Observability(_Group):
    """What is not covered by the standard `OTEL_*` variables."""

    log_level: Annotated[
        Level,
        BeforeValidator(_lower),
        Variable("RELEVO_LOG_LEVEL", "`debug`, `info`, `warning` or `error`.", example="info"),
    ] = "info"


class Settings(BaseSettings):
    """Everything that can be set. `Settings()` are the defaults; only `from_environment` looks at variables."""

    model_config = SettingsConfigDict(frozen=True, extra="forbid")

    server: Server = Server()
    storage: Storage = Storage()
    access: Access = Access()
    oidc: Oidc = Oidc()
    delivery: Delivery = Delivery()
    endpoints: Endpoints = Endpoints()
    observability: Observability = Observability()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003  # pydantic passes it by this name
        init_settings: PydanticBaseSettingsSource,
        *_: Any,
        **__: Any,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Arguments only: what the environment says is itself handed over as arguments."""
        return (init_settings,)

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> Self:
        """The settings that `environ` describes, an empty variable being one that is not set. SettingsError if none."""
        try:
            return cls(**FlatEnvironment(cls, environ)())
        except ValidationError as error:
            raise SettingsError("\n".join(explain(error, cls))) from None

    @property
    def embedded(self) -> bool:
        """Whether Relevo brings its own PostgreSQL."""
        return self.storage.database_url is None

    def with_secrets(self, *, jwt_secret: str, secret_key: str) -> Self:
        """These settings with the given secrets where none were set."""
        access = Access(
            jwt_secret=self.access.jwt_secret or SecretStr(jwt_secret),
            secret_key=self.access.secret_key or SecretStr(secret_key),
        )
        return self.model_copy(update={"access": access})

    def jwt_secret(self) -> str:
        """The secret behind API tokens. SettingsError when there is none."""
        return _required(self.access.jwt_secret, "RELEVO_JWT_SECRET").get_secret_value()

    def secret_keys(self) -> tuple[str, ...]:
        """The keys of the vault, newest first. SettingsError when there is none."""
        return _keys(_required(self.access.secret_key, "RELEVO_SECRET_KEY"))

    @classmethod
    def describe(cls) -> list[Description]:
        """Each variable with its default and its meaning, in the order of the groups."""
        return describe(cls)


def configuration_table() -> str:
    """The README's table of variables, in Markdown."""
    rows = [f"| `{row.variable}` | {row.default} | {row.meaning} |" for row in Settings.describe()]
    return "\n".join(["| variable | default | meaning |", "|---|---|---|", *rows])


def _required(secret: SecretStr | None, variable: str) -> SecretStr:
    if secret is None:
        raise SettingsError(
            f"{variable} is not set, and only the embedded database comes with one. "
            f"Set it to the output of `openssl rand -hex 32`, the same for every process."
        )
    return secret
