"""How messages are sent, and to which endpoints."""

from typing import Annotated

from pydantic import BeforeValidator, Field

from service.environment import Variable
from service.settings.values import Delay, Family, Group, Network, json_list, networks, split


class Delivery(Group):
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
        Variable("RELEVO_PER_ENDPOINT", "Attempts a process makes at once to the same endpoint.", example="64"),
    ] = 64


class EndpointRules(Group):
    """Which endpoints are allowed."""

    https_only: Annotated[
        bool,
        Variable(
            "RELEVO_ENDPOINT_HTTPS_ONLY",
            "Refuse endpoints whose URL is not `https://`, and destinations that are called without encryption.",
            example="true",
        ),
    ] = False
