"""Where the API listens, and who reaches it."""

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, field_validator

from service.environment import Variable
from service.settings.values import (
    Group,
    Port,
    as_browsers_write,
    public_address,
    refuse_what_is_no_host,
    refuse_what_may_not_embed,
    split,
)

MAX_PROCESSES = 256


class Server(Group):
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
    processes: Annotated[
        Annotated[int, Field(ge=1, le=MAX_PROCESSES)] | Literal["auto"],
        Variable(
            "RELEVO_PROCESSES",
            "Processes that share the port and the work; `auto`: one for each core.",
            example="auto",
        ),
    ] = 1
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
            "Where callers reach this server; links begin with it, and a proxy takes its path off.",
            example="https://relevo.example.com",
            shown="the request's own host",
        ),
    ] = None
    portal_ancestors: Annotated[
        tuple[str, ...],
        BeforeValidator(split),
        Variable(
            "RELEVO_PORTAL_ANCESTORS",
            "Origins (separated by commas) whose pages may embed the customers' portal in a frame.",
            example="https://app.example.com",
            shown="none",
        ),
    ] = ()

    @field_validator("public_url")
    @classmethod
    def _is_base_url(cls, value: str | None) -> str | None:
        return None if value is None else public_address(value)

    @field_validator("host")
    @classmethod
    def _is_host(cls, value: str) -> str:
        refuse_what_is_no_host(value)
        return value

    @field_validator("cors_origins")
    @classmethod
    def _are_origins(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(origin if origin == "*" else as_browsers_write(origin) for origin in value)

    @field_validator("portal_ancestors")
    @classmethod
    def _may_embed(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for origin in value:
            refuse_what_may_not_embed(origin)
        return value
