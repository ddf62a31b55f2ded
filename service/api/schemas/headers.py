"""The headers that an endpoint may ask for: which names and values are fit to be sent."""

import re
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field

from service.api.schemas.rules import Received, Shown

LONGEST_VALUE = 4096

# Ours to set, a proxy's to set, or meaningful only between two hops.
# fmt: off
_FORBIDDEN = frozenset({
    "age", "cache-control", "clear-site-data", "connection", "content-encoding", "content-language",
    "content-length", "content-location", "content-type", "expires", "host", "keep-alive", "pragma",
    "proxy-authenticate", "proxy-authorization", "te", "trailers", "transfer-encoding", "upgrade", "user-agent",
    "warning",
})
# fmt: on
# fmt: off
_FORBIDDEN_PREFIXES = (
    "x-amz-", "x-amzn-", "x-google", "x-goog-", "x-gfe", "x-azure-", "x-fd-", "x-svix-", "svix-", "webhook-",
)
# fmt: on
# fmt: off
_SENSITIVE = frozenset({
    "authorization", "proxy-authenticate", "proxy-authorization", "www-authenticate", "x-api-key", "x-auth-token",
})
# fmt: on
_NAME = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,256}").fullmatch
_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*").fullmatch


def _name(name: str) -> str:
    if not _NAME(name):
        raise ValueError(f"{name[:64]!r} is not the name of a header.")
    lowered = name.lower()
    if lowered in _FORBIDDEN or lowered.startswith(_FORBIDDEN_PREFIXES):
        raise ValueError(f"The header {name!r} is not yours to set.")
    return name


def _value(value: str) -> str:
    if len(value.encode()) > LONGEST_VALUE or not _VALUE(value):
        raise ValueError(f"The value of a header is at most {LONGEST_VALUE} bytes of printable Latin-1 text.")
    return value


HeaderName = Annotated[str, AfterValidator(_name)]
HeaderValue = Annotated[str, AfterValidator(_value)]
_EXAMPLE = Field(examples=[{"X-Tenant": "customer-42"}])
_NULL_IS_NONE_AT_ALL = BeforeValidator(lambda headers: {} if headers is None else headers)

Headers = Annotated[dict[HeaderName, HeaderValue], _NULL_IS_NONE_AT_ALL, _EXAMPLE]
HeaderChanges = Annotated[dict[HeaderName, HeaderValue | None], _NULL_IS_NONE_AT_ALL, _EXAMPLE]


class EndpointHeadersIn(Received):
    """All the headers that the endpoint shall get."""

    headers: Headers


class EndpointHeadersPatchIn(Received):
    """Headers to set; those that are null, or listed in `deleteHeaders`, are removed."""

    headers: HeaderChanges = Field(default_factory=dict)
    delete_headers: list[str] | None = Field(default=None, examples=[["X-Tenant"]])

    def applied_to(self, headers: dict[str, str]) -> dict[str, str]:
        """The headers after this change; names are compared as HTTP does, without regard to case."""
        named = {name.lower() for name in (*self.headers, *(self.delete_headers or ()))}
        kept = {name: value for name, value in headers.items() if name.lower() not in named}
        return kept | {name: value for name, value in self.headers.items() if value is not None}


class EndpointHeadersOut(Shown):
    """The endpoint's headers; of those that hold credentials only the names, in `sensitive`."""

    headers: dict[str, str] = _EXAMPLE
    sensitive: list[str] = Field(examples=[["Authorization"]])

    @classmethod
    def of(cls, headers: dict[str, str]) -> "EndpointHeadersOut":
        """The answer for these headers."""
        return cls(
            headers={name: value for name, value in headers.items() if name.lower() not in _SENSITIVE},
            sensitive=[name for name in headers if name.lower() in _SENSITIVE],
        )
