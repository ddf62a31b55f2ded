"""Types that validate values of requests, and the base classes of bodies: Received for requests, Shown for
responses."""

import re
from collections.abc import Iterable
from datetime import UTC, datetime
from enum import IntEnum
from typing import Annotated, Any

import orjson
from pydantic import (
    AfterValidator,
    AnyUrl,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    StringConstraints,
    UrlConstraints,
    WithJsonSchema,
)
from pydantic.alias_generators import to_camel
from pydantic_core import PydanticCustomError

from service.api.schemas.words import Described
from service.application.ports.pages import STANDING
from service.domain import ids
from service.domain.deliveries import Status
from service.domain.limits import (
    CHANNEL,
    MAX_CHANNELS,
    MAX_LABEL_CHARACTERS,
    MAX_LISTED_VALUES,
    MAX_METADATA_BYTES,
    MAX_NAME_CHARACTERS,
    MAX_RATE,
    MAX_TAGS,
    MAX_URL_CHARACTERS,
    MAX_VERSION,
    NAME,
    TAG,
)

MIN_TIME, MAX_TIME = datetime(1970, 1, 1, tzinfo=UTC), datetime(9000, 1, 1, tzinfo=UTC)
_CONTROL = re.compile("[\x00-\x08]")


class StatusCodeClass(IntEnum):
    """Answers by the hundred; 0 is for none at all."""

    NONE = 0
    INFORMATIONAL = 100
    SUCCESS = 200
    REDIRECT = 300
    CLIENT_ERROR = 400
    SERVER_ERROR = 500


def _one_of(kind: Iterable[IntEnum]) -> BeforeValidator:
    """A validator whose error lists the allowed numbers with their meanings."""
    allowed = {str(member.value) for member in kind}
    meanings = ", ".join(f"{member.value} ({member.name.lower().replace('_', ' ')})" for member in kind)

    def check(value: object) -> object:
        if str(value) not in allowed:
            raise PydanticCustomError("enum", "Input should be one of {meanings}", {"meanings": meanings})
        return value

    return BeforeValidator(check)


StatusCode = Annotated[Status, _one_of(Status)]
# Without an index of what waits for its first attempt, which every accept would have to fill.
StandingCode = Annotated[Status, _one_of(STANDING)]
AnswerClass = Annotated[StatusCodeClass, _one_of(StatusCodeClass)]


class Received(Described, BaseModel):
    """A body as it comes in. Fields it does not know are ignored."""

    model_config = ConfigDict(alias_generator=to_camel, extra="ignore", frozen=True)


class Shown(Described, BaseModel):
    """A body as it goes out: camelCase, made from Python by its fields' own names."""

    model_config = ConfigDict(alias_generator=to_camel, validate_by_name=True, validate_by_alias=True, frozen=True)


def plain(text: str) -> str:
    """The text, checked to have no control characters. ValueError."""
    if _CONTROL.search(text):
        raise ValueError("Control characters are not allowed.")
    return text


def utc(at: datetime) -> datetime:
    """The time in UTC (a time without a zone is UTC), clamped to MIN_TIME and MAX_TIME, so that adding a duration to it
    cannot overflow."""
    zoned = at if at.tzinfo else at.replace(tzinfo=UTC)
    return min(max(zoned, MIN_TIME), MAX_TIME).astimezone(UTC)


def written(at: datetime) -> str:
    """The time as RFC 3339 in UTC."""
    return at.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def _uid(prefix: str) -> AfterValidator:
    def check(text: str) -> str:
        if text.startswith(prefix):
            raise ValueError("Uids are not allowed to have the same prefix as the ID. Prefix with _?")
        return text

    return AfterValidator(check)


def _small(metadata: dict[str, str]) -> dict[str, str]:
    if len(orjson.dumps(metadata)) > MAX_METADATA_BYTES:
        raise ValueError(f"Metadata is limited to {MAX_METADATA_BYTES} bytes of JSON.")
    return metadata


def _limit_members(members: Any) -> Any:
    if isinstance(members, dict) and len(members) > MAX_LISTED_VALUES:
        raise ValueError(f"There are more than {MAX_LISTED_VALUES:,} names.")
    return members


# Checked before the members themselves: to report very many invalid ones takes long.
LIMITED_MEMBERS = BeforeValidator(_limit_members)


def _or(default: Any) -> BeforeValidator:
    """A validator that replaces an explicit null by the default."""
    return BeforeValidator(lambda value: default if value is None else value)


def absent(value: object) -> bool:
    """Whether a response leaves an optional field with this value out."""
    return value is None


def _like(*examples: Any) -> Any:
    """Example values for the OpenAPI document."""
    return Field(examples=list(examples))


def _object(example: dict[str, Any]) -> WithJsonSchema:
    return WithJsonSchema({"type": "object", "additionalProperties": True, "examples": [example]})


# A uid or name that a caller chooses.
GivenName = Annotated[str, StringConstraints(min_length=1, max_length=MAX_NAME_CHARACTERS, pattern=NAME)]

# Types of request fields.
Text = Annotated[str, AfterValidator(plain)]
Name = Annotated[str, StringConstraints(min_length=1), AfterValidator(plain)]
OptionalText = Annotated[str, AfterValidator(plain), _or(""), _like("Production")]
Switch = Annotated[bool, Field(strict=True), _or(False)]  # noqa: FBT003 - the default of a field, not an argument
SwitchedOn = Annotated[bool, Field(strict=True), _or(True)]  # noqa: FBT003 - the default of a field, not an argument
Rate = Annotated[int, Field(ge=1, le=MAX_RATE, strict=True), _like(100)]
Version = Annotated[int, Field(ge=1, le=MAX_VERSION, strict=True), _or(1)]
Metadata = Annotated[dict[Text, Text], AfterValidator(_small), LIMITED_MEMBERS, _or({}), _like({"plan": "gold"})]
ApplicationUid = Annotated[GivenName, _uid(ids.APPLICATION), _like("customer-42")]
EndpointUid = Annotated[GivenName, _uid(ids.ENDPOINT), _like("production")]
DestinationUid = Annotated[GivenName, _uid(ids.DESTINATION), _like("warehouse")]
EventId = Annotated[GivenName, _uid(ids.MESSAGE), _like("invoice-42-paid")]
EventTypeName = Annotated[GivenName, _like("invoice.paid")]
GroupName = Annotated[EventTypeName, _like("invoices")]
FeatureFlag = Annotated[EventTypeName, _like("beta")]
Channel = Annotated[
    str, StringConstraints(min_length=1, max_length=MAX_LABEL_CHARACTERS, pattern=CHANNEL), _like("project:7")
]
Channels = Annotated[list[Channel], Field(min_length=1, max_length=MAX_CHANNELS)]
Tag = Annotated[str, StringConstraints(min_length=1, max_length=MAX_LABEL_CHARACTERS, pattern=TAG), _like("billing")]
Tags = Annotated[list[Tag], Field(min_length=1, max_length=MAX_TAGS)]
WebUrl = Annotated[
    AnyUrl,
    UrlConstraints(max_length=MAX_URL_CHARACTERS, allowed_schemes=["http", "https"], host_required=True),
    _like("https://example.com/webhooks"),
]
Moment = Annotated[datetime, AfterValidator(utc), _like("2026-03-01T00:00:00Z")]

# Types of response fields.
Time = Annotated[
    datetime,
    PlainSerializer(written, return_type=str),
    WithJsonSchema({"type": "string", "format": "date-time", "examples": ["2026-03-01T09:30:00.000000Z"]}),
]
ApplicationIdOut = Annotated[str, _like("app_1srOrx2ZWZBpBUvZwXKQmoEYga2")]
EndpointIdOut = Annotated[str, _like("ep_1srOrx2ZWZBpBUvZwXKQmoEYga2")]
DestinationIdOut = Annotated[str, _like("dest_1srOrx2ZWZBpBUvZwXKQmoEYga2")]
DestinationUidOut = Annotated[str, _like("warehouse")]
PositionOut = Annotated[str, _like("AAAAAAAAABfXQf0q")]
MessageIdOut = Annotated[str, _like("msg_1srOrx2ZWZBpBUvZwXKQmoEYga2")]
TaskIdOut = Annotated[str, _like("qtask_1srOrx2ZWZBpBUvZwXKQmoEYga2")]
ApplicationUidOut = Annotated[str, _like("customer-42")]
EndpointUidOut = Annotated[str, _like("production")]
EventIdOut = Annotated[str, _like("invoice-42-paid")]
EventTypeNameOut = Annotated[str, _like("invoice.paid")]
GroupNameOut = Annotated[str, _like("invoices")]
FeatureFlagOut = Annotated[str, _like("beta")]
ChannelOut = Annotated[str, _like("project:7")]
TagOut = Annotated[str, _like("billing")]
UrlOut = Annotated[str, _like("https://example.com/webhooks")]
DescriptionOut = Annotated[str, _like("Production")]
VersionOut = Annotated[int, _like(1)]
RateOut = Annotated[int, _like(100)]
CountOut = Annotated[int, _like(12)]
MetadataOut = Annotated[dict[str, str], _like({"plan": "gold"})]
# Objects that a response contains as they were written.
PayloadOut = Annotated[Any, _object({"id": "invoice_42", "amount": 1200})]
SchemasOut = Annotated[Any, _object({"1": {"type": "object"}})]
