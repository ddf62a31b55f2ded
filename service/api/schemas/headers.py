"""Headers of an endpoint: their bodies, and the validation of names and values."""

from collections.abc import Mapping
from typing import Annotated, TypeVar

from pydantic import AfterValidator, BeforeValidator, Field

from service.api.schemas.rules import LIMITED_MEMBERS, Received, Shown
from service.domain import headers as rules
from service.domain.limits import MAX_LISTED_VALUES

_Value = TypeVar("_Value")
_Together = TypeVar("_Together", bound=Mapping[str, str | None])


def _name(name: str) -> str:
    return _refuse_if(rules.why_name_refused(name), name)


def _value(value: str) -> str:
    return _refuse_if(rules.why_value_refused(value), value)


def _within_total_size(headers: _Together) -> _Together:
    return _refuse_if(rules.why_refused(headers), headers)


def _refuse_if(reason: str | None, value: _Value) -> _Value:
    if reason is not None:
        raise ValueError(reason)
    return value


HeaderName = Annotated[str, AfterValidator(_name)]
HeaderValue = Annotated[str, AfterValidator(_value)]
_EXAMPLE = Field(examples=[{"X-Tenant": "customer-42"}])
_NULL_IS_NONE_AT_ALL = BeforeValidator(lambda headers: {} if headers is None else headers)

_AS_A_WHOLE = AfterValidator(_within_total_size)

Headers = Annotated[dict[HeaderName, HeaderValue], _NULL_IS_NONE_AT_ALL, LIMITED_MEMBERS, _AS_A_WHOLE, _EXAMPLE]
HeaderChanges = Annotated[
    dict[HeaderName, HeaderValue | None], _NULL_IS_NONE_AT_ALL, LIMITED_MEMBERS, _AS_A_WHOLE, _EXAMPLE
]


class EndpointHeadersIn(Received):
    """All the headers that the endpoint shall get."""

    headers: Headers


class EndpointHeadersPatchIn(Received):
    """Headers to set; those that are null, or listed in `deleteHeaders`, are removed."""

    headers: HeaderChanges = Field(default_factory=dict)
    delete_headers: list[str] | None = Field(default=None, max_length=MAX_LISTED_VALUES, examples=[["X-Tenant"]])

    def applied_to(self, headers: dict[str, str]) -> dict[str, str]:
        """The headers after this change; names are compared without regard to case, as in HTTP."""
        named = {name.lower() for name in (*self.headers, *(self.delete_headers or ()))}
        kept = {name: value for name, value in headers.items() if name.lower() not in named}
        return kept | {name: value for name, value in self.headers.items() if value is not None}


class EndpointHeadersOut(Shown):
    """The endpoint's headers; of those that hold credentials only the names, in `sensitive`."""

    headers: dict[str, str] = _EXAMPLE
    sensitive: list[str] = Field(examples=[["Authorization"]])

    @classmethod
    def of(cls, headers: dict[str, str]) -> "EndpointHeadersOut":
        """The response for these headers."""
        return cls(
            headers={name: value for name, value in headers.items() if not rules.holds_credentials(name)},
            sensitive=[name for name in headers if rules.holds_credentials(name)],
        )
