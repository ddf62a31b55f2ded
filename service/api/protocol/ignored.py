"""Unknown fields and query parameters: the response reports them in the header `relevo-ignored`.

They are not refused, since SDKs send fields of later versions. A name that is close to a known one is likely a typo, so
it is logged too.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from itertools import islice
from typing import Any, Self, get_args
from urllib.parse import quote

import structlog
from fastapi import Request, Response
from pydantic import AliasChoices, BaseModel
from pydantic.fields import FieldInfo
from starlette.types import Scope

HEADER = "relevo-ignored"
MAX_REPORTED_NAMES = 20
MAX_NAME_CHARACTERS = 64
_MAX_EXAMINED_ITEMS = 1000  # of each list
_LIKENESS = 0.8
_KEPT_AS = "relevo.ignored"
_SAFE = "._-[]"

_without_index = re.compile(r"\[\d*\]\Z").sub
_plain = re.compile(r"[^a-z0-9]").sub
_log = structlog.stdlib.get_logger("relevo.request")


@dataclass(frozen=True, slots=True, kw_only=True)
class Ignored:
    """An unknown name with the path to it, as in `application.nmae`, and the known name that was likely meant."""

    name: str
    meant: str | None


@dataclass(frozen=True, slots=True)
class Known:
    """The field names that a body may use, and those of nested models."""

    fields: Mapping[str, "Known | None"]
    names: frozenset[str]
    nested: frozenset[str]

    @classmethod
    def of(cls, model: type[BaseModel], *others: str) -> Self:
        """The fields of a model, and `others` that are parsed without it."""
        fields: dict[str, Known | None] = dict.fromkeys(others)
        for name, field in model.model_fields.items():
            inside = next(_models(field.annotation), None)
            fields |= dict.fromkeys(_names(name, field), None if inside is None else Known.of(inside))
        nested = frozenset(name for name, inside in fields.items() if inside is not None)
        return cls(fields, frozenset(fields), nested)

    def knows(self, document: Mapping[str, Any]) -> bool:
        """Whether every name is known, as far as one set comparison tells: False also for any nested model."""
        return document.keys() <= self.names and self.nested.isdisjoint(document)

    def unknown(self, value: object, at: str = "") -> Iterator[Ignored]:
        """The unknown names in the value, at any depth. `at` is the path to it."""
        match value:
            case dict():
                for name, inside in value.items():
                    yield from self._unknown(name, inside, at)
            case list():
                for item in islice(value, _MAX_EXAMINED_ITEMS):
                    yield from self.unknown(item, at)

    def _unknown(self, name: str, value: object, at: str) -> Iterator[Ignored]:
        if name not in self.names:
            yield Ignored(name=at + name, meant=nearest(name, self.names))
        elif (inside := self.fields[name]) is not None:
            yield from inside.unknown(value, f"{at}{name}.")


def of_query(parameters: Iterable[str], known: frozenset[str]) -> Iterator[Ignored]:
    """The unknown names among those of a query's parameters, which may have an index, as in `event_types[0]`."""
    for name in parameters:
        if _without_index("", name) not in known:
            yield Ignored(name=name, meant=nearest(name, known))


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name that was likely meant, if there is one: another spelling, or a typo."""
    start, by_letters = name[:MAX_NAME_CHARACTERS], {_letters(each): each for each in known}
    close = get_close_matches(_letters(start), by_letters, n=1, cutoff=_LIKENESS)
    return by_letters[close[0]] if close else None


def note(scope: Scope, found: Iterable[Ignored]) -> None:
    """Note unknown names for the response to this request: at most MAX_REPORTED_NAMES, each once."""
    noted: dict[str, Ignored] = scope.setdefault(_KEPT_AS, {})
    for ignored in islice(found, MAX_REPORTED_NAMES * 10):
        if len(noted) > MAX_REPORTED_NAMES:
            break
        noted.setdefault(_safe(ignored.name), ignored)


def told(response: Response, request: Request) -> Response:
    """The response, with the header of unknown names."""
    if request.scope.get(_KEPT_AS):
        response.headers.update(headers(request.scope))
    return response


def headers(scope: Scope) -> dict[str, str]:
    """The header of unknown names, if there are any; also logs those that look like typos."""
    noted: dict[str, Ignored] | None = scope.get(_KEPT_AS)
    if not noted:
        return {}
    names = list(noted)[:MAX_REPORTED_NAMES]
    meant = {name: noted[name].meant for name in names if noted[name].meant}
    if meant:
        _log.warning("request.ignored", ignored=list(meant), meant=list(meant.values()))
    return {HEADER: ", ".join([*names, *(["..."] if len(noted) > MAX_REPORTED_NAMES else [])])}


def _safe(name: str) -> str:
    return quote(name[:MAX_NAME_CHARACTERS], safe=_SAFE, errors="replace")[:MAX_NAME_CHARACTERS] or '""'


def _letters(name: str) -> str:
    return _plain("", name.lower())


def _names(name: str, field: FieldInfo) -> list[str]:
    match field.validation_alias:
        case str(alias):
            return [alias]
        case AliasChoices(choices=choices):
            return [choice for choice in choices if isinstance(choice, str)]
        case _:
            return [field.alias or name]


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    """The models in an annotation, as in `list[Model] | None`. Not those in dictionaries, whose keys are the
    caller's."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    elif getattr(annotation, "__origin__", None) is not dict:
        for inside in get_args(annotation):
            yield from _models(inside)
