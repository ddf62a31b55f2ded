"""Identifiers: a prefix and a time-ordered KSUID. Time and random bytes are arguments.

A KSUID with a resolution of 1/256 s: five bytes of ticks since 1 400 000 000 (Unix time) and fifteen random bytes,
written as 27 base62 digits. Text order is time order, so identifiers serve as time index and partition key.
"""

from datetime import UTC, datetime
from typing import NewType

from service.domain.limits import is_name

OrgId = NewType("OrgId", str)
ApplicationId = NewType("ApplicationId", str)
EndpointId = NewType("EndpointId", str)
MessageId = NewType("MessageId", str)
AttemptId = NewType("AttemptId", str)
TaskId = NewType("TaskId", str)
DestinationId = NewType("DestinationId", str)
SourceId = NewType("SourceId", str)

ORGANISATION = "org_"
APPLICATION = "app_"
ENDPOINT = "ep_"
MESSAGE = "msg_"
ATTEMPT = "atmpt_"
TASK = "qtask_"
IMPORT = "imp_"
REVOCATION = "rev_"
TOKEN = "tok_"  # noqa: S105  # a prefix, not a password
AUDIT_EVENT = "audit_"
DESTINATION = "dest_"
SOURCE = "src_"
SOURCE_FAULT = "sflt_"

RANDOM_BYTES = 15
_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_DIGIT = {character: value for value, character in enumerate(_ALPHABET)}
_PAIRS = [high + low for high in _ALPHABET for low in _ALPHABET]
_LENGTH = 27
_EPOCH = 1_400_000_000
_TICKS_PER_SECOND = 256
_MAX_TICKS = 2**40 - 1
_MAX_VALUE = 2**160 - 1


def make(prefix: str, *, at: datetime, randomness: bytes) -> str:
    """An identifier made at `at` (timezone-aware); `randomness` is 15 bytes."""
    return prefix + _encode(_ticks(at) << 120 | int.from_bytes(randomness))


def lowest(prefix: str, at: datetime) -> str:
    """The smallest identifier that `at` can have: the bound of a range of identifiers by time."""
    return prefix + _encode(_ticks(at) << 120)


def highest(prefix: str, at: datetime) -> str:
    """The largest identifier that `at` can have."""
    return prefix + _encode((_ticks(at) << 120) | (2**120 - 1))


def time_of(identifier: str) -> datetime:
    """When an identifier was made, to 1/256 s. ValueError when it is not one."""
    return datetime.fromtimestamp(_EPOCH + (_decode(identifier[-_LENGTH:]) >> 120) / _TICKS_PER_SECOND, UTC)


def is_valid(prefix: str, text: str) -> bool:
    """Whether `text` is a complete identifier with this prefix."""
    if not text.startswith(prefix) or len(text) != len(prefix) + _LENGTH:
        return False
    try:
        _decode(text[len(prefix) :])
    except ValueError:
        return False
    return True


def is_organisation(text: str) -> bool:
    """Whether `text` can be an organisation's id. Nobody makes them here: whoever signs tokens chooses them."""
    return text.startswith(ORGANISATION) and text != ORGANISATION and is_name(text)


def _ticks(at: datetime) -> int:
    return min(max(round((at.timestamp() - _EPOCH) * _TICKS_PER_SECOND), 0), _MAX_TICKS)


def _encode(value: int) -> str:
    pairs = []
    for _ in range(_LENGTH // 2):
        value, rest = divmod(value, 3844)
        pairs.append(_PAIRS[rest])
    return _ALPHABET[value] + "".join(reversed(pairs))


def _decode(text: str) -> int:
    value = 0
    for character in text:
        digit = _DIGIT.get(character)
        if digit is None:
            raise ValueError(f"{character!r} is not a base62 digit")
        value = value * 62 + digit
    if value > _MAX_VALUE:
        raise ValueError(f"{text!r} is larger than any KSUID")
    return value
